"""What makes a command illegal, one table for the hardware and for software.

`rules` works on ints and on Amaranth values alike. Only what costs a few comparators is
checked: products of fields are the compiler's duty, and a command that breaks them may
compute nonsense but touches nothing outside the windows.
"""

from collections.abc import Mapping

from amaranth.hdl import Shape, Value

from hdl.config import SEMAPHORES, Config
from hdl.isa import BODIES, Mode, Opcode, Pool, Target, unpack

# Counts a zero of which would make a loop endless.
NON_ZERO: dict[Opcode, tuple[str, ...]] = {
    Opcode.CONFIG: ("height", "groups", "sets", "rows", "stride"),
    Opcode.LOAD: ("length", "count_a", "count_b", "count_c"),
    Opcode.IFMAP: (
        "images",
        "bands",
        "rows",
        "groups",
        "outer",
        "inner",
        "length",
        "p",
        "window",
        "step",
        "positions",
        "laps",
    ),
    Opcode.FILTER: ("tags", "words", "tail"),
    Opcode.PSUM: ("positions", "rows", "sets", "p"),
    Opcode.OFMAP: ("images", "positions", "rows", "sets", "p"),
    Opcode.STORE: ("block", "ring", "images", "rows", "blocks", "columns", "out_block", "chunk"),
    Opcode.SHAPE: (),
    Opcode.SPARSE_FILL: ("count", "pes"),
    Opcode.SPARSE_RUN: ("count",),
    Opcode.SPARSE_OUTPUT: ("rows",),
    Opcode.SPARSE_DUMP: ("count",),
    Opcode.SPARSE_STREAM: ("count",),
}


def rules(
    config: Config,
    opcode: Opcode,
    wait: int | Value,
    signal: int | Value,
    f: Mapping[str, int | Value],
) -> list:
    """Conditions that hold for a legal command; `f` maps field names to values."""
    out = [f[name] != 0 for name in NON_ZERO[opcode]]
    out += [mask >> SEMAPHORES == 0 for mask in (wait, signal)]
    if opcode in (Opcode.LOAD, Opcode.STORE):
        if not config.rlc:
            out += [f["rlc"] == 0]
        if config.address_bits < 32:
            out += [f["dram"] >> config.address_bits == 0]
            if config.rlc:
                out += [(f["rlc"] == 0) | (f["table"] >> config.address_bits == 0)]
    match opcode:
        case Opcode.CONFIG:
            # Executed by the fetcher, which has no part in the semaphores.
            out += [
                wait == 0,
                signal == 0,
                f["stride"] <= 4,
                f["mode"] <= int(Mode.SKIP if config.skip else Mode.GATE),
                (f["ring"] & 1) == 0,
                (f["ring_size"] & 1) == 0,
                f["ring"] + f["ring_size"] <= config.glb_words,
            ]
        case Opcode.LOAD:
            out += [(f[n] & 7) == 0 for n in ("dram", "stride_a", "stride_b", "stride_c")]
            out += [f["word"] + f["length"] <= config.glb_words]
            if config.rlc:
                out += [(f["rlc"] == 0) | ((f[n] & 1) == 0) for n in ("table", "table_b")]
        case Opcode.IFMAP:
            out += [
                f["p"] <= config.psum_spad,
                (f["p"] & config.simd - 1) == 0,
                f["window"] <= config.ifmap_spad,
                f["step"] <= f["window"],
            ]
        case Opcode.FILTER:
            out += [
                f["tail"] <= 4,
                f["words"] <= -(-config.filter_half // 4),
                f["word"] < config.glb_words,
            ]
        case Opcode.PSUM:
            out += [f["p"] <= config.psum_spad, (f["bias"] & 1) == 0]
        case Opcode.OFMAP:
            out += [f["p"] <= config.psum_spad, (f["to_ring"] != 0) | (f["ring"] != 0)]
        case Opcode.SPARSE_FILL:
            out += [
                f["target"] <= int(max(Target)),
                f["pe"] + f["pes"] <= config.sparse_pes,
                f["word"] < config.glb_words,
            ]
            for target, limit in (
                (Target.WEIGHTS, config.sparse_words),
                (Target.POINTERS, config.sparse_pointers // 2),
                (Target.CODEBOOK, 4),
                (Target.ACCUMULATORS, config.sparse_rows),
                (Target.ACTIVATIONS, config.sparse_activations),
            ):
                out += [(f["target"] != int(target)) | (f["address"] + f["count"] <= limit)]
        case Opcode.SPARSE_RUN:
            out += [
                f["address"] + f["count"] <= config.sparse_activations,
                f["queue"] <= config.sparse_queue,
            ]
        case Opcode.SPARSE_OUTPUT:
            out += [
                f["rows"] <= config.sparse_rows,
                f["address"] + f["rows"] <= config.sparse_activations,
            ]
        case Opcode.SPARSE_DUMP:
            out += [
                f["address"] + f["count"] <= config.sparse_activations,
                f["word"] < config.glb_words,
            ]
        case Opcode.SPARSE_STREAM:
            out += [
                f["address"] + f["count"] <= config.sparse_activations,
                (f["dram"] & 7) == 0,
                f["word"] + f["count"] * (config.sparse_pes // 4) <= config.glb_words,
            ]
        case Opcode.STORE:
            out += [
                f["chunk"] <= config.store_lanes,
                f["pool"] <= int(max(Pool)),
                f["row_first"] < f["ring"],
            ]
            out += [
                (f[n] & 1) == 0
                for n in ("dram", "out_image_stride", "out_row_stride", "out_block_stride")
            ]
            if config.rlc:
                out += [
                    (f["rlc"] == 0) | ((f[n] & 7) == 0)
                    for n in ("dram", "out_image_stride", "out_row_stride", "out_block_stride")
                ]
                out += [(f["rlc"] == 0) | ((f[n] & 1) == 0) for n in ("table", "table_row")]
    return out


def legal(config: Config, raw: bytes) -> bool:
    """Whether the hardware accepts these 64 bytes."""
    try:
        opcode, wait, signal, fields = unpack(raw)
    except ValueError:
        return False
    opcode = Opcode(opcode)
    spare = int.from_bytes(raw[8:], "little") >> Shape.cast(BODIES[opcode]).width
    return not spare and all(rules(config, opcode, wait, signal, fields))
