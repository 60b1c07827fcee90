"""What makes a command illegal, tables for the hardware and for software.

A function for each opcode gives the rules of its fields in a configuration; it works on ints and on
Amaranth values alike. Only what costs a few comparators is checked: products of fields are the
compiler's duty, and a command that breaks them may compute nonsense but touches nothing outside the
windows.
"""

from collections.abc import Callable, Mapping

from amaranth.hdl import Shape, Value

from hdl.config import SEMAPHORES, Config
from hdl.isa import BODIES, Mode, Opcode, Pool, Rounding, Target, unpack

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
    Opcode.SCALE: ("channels",),
}

# Semaphores that it may name, if not all that are built: CONFIG is executed by the fetcher, which
# has no part in them.
BUILT = {Opcode.CONFIG: 0}
LEAST_SHIFT, MOST_SHIFT = -31, 30  # of a scaling
STORE_ADDRESSES = ("dram", "out_image_stride", "out_row_stride", "out_block_stride")

Word = int | Value
Fields = Mapping[str, Word]  # of a body, by name


def _aligned(f: Fields, bytes_each: int, *names: str) -> list:
    """Fields that are multiples of a power of two."""
    return [(f[name] & bytes_each - 1) == 0 for name in names]


def _config(config: Config, f: Fields) -> list:
    return [
        f["stride"] <= 4,
        f["mode"] <= int(Mode.SKIP if config.skip else Mode.GATE),
        (f["depthwise"] == 0) | ((f["groups"] == 1) & (f["mode"] != int(Mode.SKIP))),
        *_aligned(f, 2, "ring", "ring_size"),
        f["ring"] + f["ring_size"] <= config.glb_words,
    ]


def _load(config: Config, f: Fields) -> list:
    return [
        f["dram"] >> config.address_bits == 0,
        *_aligned(f, 8, "dram", "stride_a", "stride_b", "stride_c"),
        f["word"] + (f["length"] << f["narrow"]) <= config.glb_words,
        (f["narrow"] == 0) | ((f["word"] & 1) == 0),
    ]


def _ifmap(config: Config, f: Fields) -> list:
    return [
        f["p"] <= config.psum_spad,
        f["channels"] < f["window"],
        f["window"] <= config.ifmap_spad,
        f["step"] <= f["window"],
    ]


def _filter(config: Config, f: Fields) -> list:
    return [
        f["tail"] <= 4,
        f["words"] <= -(-config.filter_half // 4),
        f["word"] < config.glb_words,
    ]


def _psum(config: Config, f: Fields) -> list:
    return [f["p"] <= config.psum_spad, *_aligned(f, 2, "bias")]


def _ofmap(config: Config, f: Fields) -> list:
    return [f["p"] <= config.psum_spad, (f["to_ring"] != 0) | (f["ring"] != 0)]


def _scale(config: Config, f: Fields) -> list:
    return [
        f["channels"] <= config.scale_channels,
        f["rounding"] <= int(max(Rounding)),
        *_aligned(f, 2, "word"),
        *_aligned(f, 4, "channels"),
        f["word"] + 2 * f["channels"] <= config.glb_words,
    ]


def _store(config: Config, f: Fields) -> list:
    return [
        f["dram"] >> config.address_bits == 0,
        f["chunk"] <= config.store_lanes,
        f["pool"] <= int(max(Pool)),
        (f["pool"] == 0) | (f["add"] == 0),
        f["row_first"] < f["ring"],
        *((f["narrow"] != 0) | even for even in _aligned(f, 2, *STORE_ADDRESSES)),
    ]


def _shape(config: Config, f: Fields) -> list:
    return [
        *(
            rule
            for name in ("shift_a", "shift_b")
            for rule in (f[name] <= 0, f[name] >= LEAST_SHIFT)
        ),
        f["shift"] >= LEAST_SHIFT,
        f["shift"] <= MOST_SHIFT,
        (f["shift"] <= 0) | (f["multiplier"] >> 29 != 0),
        f["rounding"] <= int(max(Rounding)),
    ]


def _nothing(config: Config, f: Fields) -> list:
    return []


def _fill(config: Config, f: Fields) -> list:
    limits = {
        Target.WEIGHTS: config.sparse_words,
        Target.POINTERS: config.sparse_pointers // 2,
        Target.CODEBOOK: 4,
        Target.ACCUMULATORS: config.sparse_rows,
        Target.ACTIVATIONS: config.sparse_activations,
    }
    return [
        f["target"] <= int(max(Target)),
        f["pe"] + f["pes"] <= config.sparse_pes,
        f["word"] < config.glb_words,
        *(
            (f["target"] != int(target)) | (f["address"] + f["count"] <= limit)
            for target, limit in limits.items()
        ),
    ]


def _run(config: Config, f: Fields) -> list:
    return [
        f["address"] + f["count"] <= config.sparse_activations,
        f["queue"] <= config.sparse_queue,
    ]


def _output(config: Config, f: Fields) -> list:
    return [
        f["rows"] <= config.sparse_rows,
        f["address"] + f["rows"] <= config.sparse_activations,
    ]


def _dump(config: Config, f: Fields) -> list:
    return [
        f["address"] + f["count"] <= config.sparse_activations,
        f["word"] < config.glb_words,
    ]


def _stream(config: Config, f: Fields) -> list:
    return [
        f["address"] + f["count"] <= config.sparse_activations,
        *_aligned(f, 8, "dram"),
        f["word"] + f["count"] * (config.sparse_pes // 4) <= config.glb_words,
    ]


Rules = Callable[[Config, Fields], list]
RULES: dict[Opcode, Rules] = {
    Opcode.CONFIG: _config,
    Opcode.LOAD: _load,
    Opcode.IFMAP: _ifmap,
    Opcode.FILTER: _filter,
    Opcode.PSUM: _psum,
    Opcode.OFMAP: _ofmap,
    Opcode.STORE: _store,
    Opcode.SHAPE: _shape,
    Opcode.SPARSE_FILL: _fill,
    Opcode.SPARSE_RUN: _run,
    Opcode.SPARSE_OUTPUT: _output,
    Opcode.SPARSE_DUMP: _dump,
    Opcode.SPARSE_STREAM: _stream,
    Opcode.SCALE: _scale,
}


def _coded(config: Config, f: Fields, even: tuple[str, ...], words: tuple[str, ...]) -> list:
    """What a coded feature map asks for: 16 bits an entry, fields that are even, and multiples
    of 8."""
    good = [
        f["narrow"] == 0,
        f["table"] >> config.address_bits == 0,
        *_aligned(f, 2, *even),
        *_aligned(f, 8, *words),
    ]
    return [(f["rlc"] == 0) | rule for rule in good]


def _coded_load(config: Config, f: Fields) -> list:
    return _coded(config, f, ("table", "table_b"), ())


def _coded_store(config: Config, f: Fields) -> list:
    return _coded(config, f, ("table", "table_row"), STORE_ADDRESSES)


def _dense(config: Config, f: Fields) -> list:
    return [f["rlc"] == 0]


# Opcode -> further rules of a machine with run-length coding, and of one without.
CODED: dict[Opcode, Rules] = {Opcode.LOAD: _coded_load, Opcode.STORE: _coded_store}
DENSE: dict[Opcode, Rules] = {Opcode.LOAD: _dense, Opcode.STORE: _dense}


def rules(config: Config, opcode: Opcode, wait: Word, signal: Word, f: Fields) -> list:
    """Conditions that hold for a legal command; `f` maps field names to values."""
    masks = BUILT.get(opcode, SEMAPHORES)
    further = CODED if config.rlc else DENSE
    return [
        *(f[name] != 0 for name in NON_ZERO[opcode]),
        *(mask >> masks == 0 for mask in (wait, signal)),
        *RULES[opcode](config, f),
        *further.get(opcode, _nothing)(config, f),
    ]


def legal(config: Config, raw: bytes) -> bool:
    """Whether the hardware accepts these 64 bytes."""
    try:
        opcode, wait, signal, fields = unpack(raw)
    except ValueError:
        return False
    opcode = Opcode(opcode)
    spare = int.from_bytes(raw[8:], "little") >> Shape.cast(BODIES[opcode]).width
    return not spare and all(rules(config, opcode, wait, signal, fields))
