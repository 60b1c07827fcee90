"""Words between the parts of control, and which engine a command is for."""

from amaranth.hdl import ShapeLike
from amaranth.lib import data

from hdl.config import SEMAPHORES, Config
from hdl.isa import (
    BODIES,
    COMMAND_BYTES,
    INDEX,
    FilterBody,
    Header,
    IfmapBody,
    LoadBody,
    OfmapCommand,
    Opcode,
    PsumBody,
    SparseCommand,
    SparseFillBody,
    StoreCommand,
)
from hdl.lib.stream.block_fifo import BlockFifo
from hdl.lib.stream.chain_fifo import ChainFifo
from hdl.lib.stream.stream_fifo import StreamFifo

BEATS = COMMAND_BYTES // 8  # of a command
BODY_BITS = 8 * COMMAND_BYTES - 64


class Beat(data.Struct):
    """Eight bytes of a command as they were read."""

    data: 64
    bad: 1  # the answer was an error


class Command(data.Struct):
    """A whole command: its header, its body in the low bits of what follows."""

    header: Header
    body: BODY_BITS


def queued(body: ShapeLike) -> data.StructLayout:
    """An entry of an engine's queue."""
    return data.StructLayout(
        {"wait": SEMAPHORES, "signal": SEMAPHORES, "index": INDEX, "body": body}
    )


REGISTERS = 2  # depth up to which a RAM of LUTs, sixteen deep, costs more


def fifo_of(shape: ShapeLike, depth: int) -> ChainFifo | StreamFifo:
    """The cheaper FIFO of what is known of a command."""
    return ChainFifo(shape, depth) if depth <= REGISTERS else StreamFifo(shape, depth)


def queue_of(shape: ShapeLike, depth: int) -> ChainFifo | BlockFifo:
    """The cheaper FIFO of whole commands: hundreds of bits, of which block RAM costs no LUTs."""
    return ChainFifo(shape, depth) if depth <= REGISTERS else BlockFifo(shape, depth)


# Engine -> what its queue holds, in the order of the engines' numbers.
ENGINE_BODY = {
    "load": LoadBody,
    "ifmap": IfmapBody,
    "filter": FilterBody,
    "psum": PsumBody,
    "ofmap": OfmapCommand,
    "store": StoreCommand,
}
SPARSE_BODY = {"fill": SparseFillBody, "sparse": SparseCommand}

# The engines of opcodes that are not named like their engine.
SHARED = {
    Opcode.SCALE: "ofmap",
    Opcode.SHAPE: "store",
    Opcode.SPARSE_FILL: "fill",
    Opcode.SPARSE_RUN: "sparse",
    Opcode.SPARSE_OUTPUT: "sparse",
    Opcode.SPARSE_DUMP: "sparse",
    Opcode.SPARSE_STREAM: "sparse",
}
# Engine -> the field that tells its opcodes apart, and those by its value.
KINDS = {
    "ofmap": ("is_scale", (Opcode.OFMAP, Opcode.SCALE)),
    "store": ("is_shape", (Opcode.STORE, Opcode.SHAPE)),
    "sparse": (
        "kind",
        (Opcode.SPARSE_RUN, Opcode.SPARSE_OUTPUT, Opcode.SPARSE_DUMP, Opcode.SPARSE_STREAM),
    ),
}


def engines(config: Config) -> dict[str, ShapeLike]:
    """Engine -> what its queue holds."""
    return ENGINE_BODY | (SPARSE_BODY if config.sparse_pes else {})


def engine_of(opcode: Opcode) -> str:
    """Who executes it; CONFIG is the fetcher's own."""
    return SHARED.get(opcode, opcode.name.lower())


def opcodes(config: Config) -> list[Opcode]:
    """What this machine executes."""
    known = {"config", *engines(config)}
    return [opcode for opcode in BODIES if engine_of(opcode) in known]
