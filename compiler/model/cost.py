"""What a compiled layer costs: accesses at DRAM, global buffer, networks and spads, and cycles.

Accesses are counted from the commands, by the loop nests of hdl/isa.py, and equal the RTL's
counters exactly; where zeros decide (skipped and gated MACs, run-length coded strips) they are
counted in the tensors. Cycles come from a model of the commands in time
(compiler/model/timeline.py), which is not exact. The levels of the hierarchy are those of Eyeriss's
energy analysis (Chen et al., ISCA 2016, table I).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from compiler.lowering.structures.commands import ENGINE
from compiler.lowering.structures.program import Program, Segment
from compiler.mapping.layout import Storage
from compiler.numbers import ceil
from golden.fixed import wrap
from golden.rlc import LENGTH_BYTES
from golden.rlc import decode as decode_strips
from hdl.config import LANES, PSUM_LANES, Config
from hdl.isa import BODIES, COMMAND_BYTES, ENTRY_ADDR, Header, Mode, Opcode, fields
from hdl.timing import BURST, CODED_BURST, HAZARD

BEAT = 8  # bytes of a DRAM beat, a word of the global buffer
ENTRY_MASK = (1 << ENTRY_ADDR) - 1
EXACT: tuple[str, ...] = (
    "macs",
    "macs_gated",
    "pe_busy",
    "pe_wait_hazard",
    "ifmap_words",
    "filter_words",
    "psum_words",
    "ofmap_words",
    "glb_reads",
    "glb_writes",
    "dram_read_bytes",
    "dram_write_bytes",
    "command_bytes",
)
SEED = 1  # of the zeros drawn where no tensor is given


class CostError(ValueError):
    """A segment that this model does not cover: one of the sparse engine."""


@dataclass
class DecodedCommand:
    """A decoded command; `index` counts from the segment's first."""

    index: int
    opcode: Opcode
    engine: str
    wait: int
    signal: int
    fields: dict[str, int]


def decode(raw: bytes) -> list[DecodedCommand]:
    """The commands of a program, its fields read by columns."""
    padded = np.zeros((len(raw) // COMMAND_BYTES, COMMAND_BYTES + 8), np.uint8)
    padded[:, :COMMAND_BYTES] = np.frombuffer(raw, np.uint8).reshape(-1, COMMAND_BYTES)

    def column(rows, offset, width, signed=False):
        at = offset // 8
        word = np.ascontiguousarray(padded[rows, at : at + 8]).view("<u8").reshape(-1) >> np.uint64(
            offset % 8
        )
        value = (word & np.uint64((1 << width) - 1)).astype(np.int64)
        return np.where(value >> width - 1, value - (1 << width), value) if signed else value

    head = {name: column(slice(None), offset, width) for name, offset, width, _ in fields(Header)}
    opcodes = head["opcode"]
    found: dict[int, DecodedCommand] = {}
    for code in np.unique(opcodes).tolist():
        opcode = Opcode(code)
        rows = np.flatnonzero(opcodes == code)
        names = [name for name, *_ in fields(BODIES[opcode])]
        columns = [
            column(rows, 64 + offset, width, signed).tolist()
            for _, offset, width, signed in fields(BODIES[opcode])
        ]
        masks = zip(rows.tolist(), head["wait"][rows].tolist(), head["signal"][rows].tolist())
        for (index, wait, signal), *values in zip(masks, *columns):
            found[index] = DecodedCommand(
                index, opcode, ENGINE[opcode], wait, signal, dict(zip(names, values))
            )
    return [found[index] for index in range(len(padded))]


# ---- tensors -----------------------------------------------------------------------------


def image(
    program: Program, tensors: dict[str, np.ndarray], zeros: dict[str, float] | None = None
) -> np.ndarray:
    """uint8: the tensors of a program in DRAM, from `base` to `constant`. tensors: int16 [images,
    C, H, W] by name; the others are drawn at random with their share of zeros (none if not given).
    """
    memory = np.zeros(program.constant - program.base, np.uint8)
    for name, view in program.views.items():
        plain, s = name.partition("@")[0], view.storage
        values = tensors.get(name, tensors.get(plain))
        if values is None:
            drawn = np.random.default_rng(SEED).random(
                (program.images, len(view.slots), s.height, s.width), np.float32
            )
            values = (drawn >= (zeros or {}).get(plain, 0.0)).astype(np.int16)
        at = s.address - program.base
        view.pack(values, memory[at : at + program.images * s.image_bytes])
    return memory


class Contents:
    """Zeros of the tensors in DRAM, by address: of each entry, and of each coded strip with the
    words it takes."""

    def __init__(self, program: Program, memory: np.ndarray):
        self.program, self.memory = program, memory
        self.kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.storages = {view.storage.address: view.storage for view in program.views.values()}
        self.starts = np.array(sorted(self.storages))
        constants = np.frombuffer(
            program.constants.ljust(ceil(len(program.constants), BEAT) * BEAT, b"\0"), np.int16
        )
        self.constants = constants != 0

    def storage(self, address: int) -> Storage:
        return self.storages[int(self.starts[np.searchsorted(self.starts, address, "right") - 1])]

    def of(self, s: Storage) -> tuple[np.ndarray, np.ndarray]:
        """(bool [strips, entries in whole words]: not zero; words of each if it is coded)."""
        if s.address not in self.kept:
            at = s.address - self.program.base
            raw = self.memory[at : at + self.program.images * s.image_bytes].reshape(
                self.program.images, -1
            )
            used = raw[:, : s.row_bytes * s.height].reshape(-1, s.strip_bytes)
            if s.rlc:
                table = raw[:, s.row_bytes * s.height :][:, : s.table_row_bytes * s.height]
                lengths = np.ascontiguousarray(table).view(np.uint16).ravel().astype(np.int64)
                some = (
                    decode_strips(
                        np.ascontiguousarray(used).view(np.uint64),
                        lengths,
                        ceil(s.entries, LANES) * LANES,
                    )
                    != 0
                )
            else:
                entries, zero = np.ascontiguousarray(used).view(np.int16), 0
                if s.affine:
                    entries, zero = entries.view(s.affine.dtype), s.affine.zero
                lengths, some = np.zeros(0, np.int64), entries != zero
            self.kept[s.address] = some, lengths
        return self.kept[s.address]

    def strips(self, address: np.ndarray) -> tuple[Storage, np.ndarray]:
        """(storage, numbers of the strips) that start at the addresses of a coded storage."""
        s = self.storage(int(address.flat[0]))
        image, rest = np.divmod(address - s.address, s.image_bytes)
        return s, image * s.height * s.blocks + rest // s.strip_bytes

    def lengths(self, address: np.ndarray) -> np.ndarray:
        """Words of the coded strips at these addresses."""
        s, number = self.strips(address)
        return self.of(s)[1][number]

    def loaded(self, v: dict[str, int]) -> np.ndarray:
        """bool: which entries that a LOAD brings are not zero, in order."""
        start = v["dram"] + nest(
            (v["count_a"], v["stride_a"]),
            (v["count_b"], v["stride_b"]),
            (v["count_c"], v["stride_c"]),
        )
        if v["rlc"]:
            s, number = self.strips(start.ravel())
            return self.of(s)[0][number].ravel()
        if v["dram"] >= self.program.constant:
            flat, base = self.constants, self.program.constant
        else:
            s = self.storage(v["dram"])
            flat, base = self.of(s)[0].ravel(), s.address
        size = bytes_each(v)
        first = (start.reshape(-1, 1) - base) // size
        return flat[(first + np.arange(v["length"] * BEAT // size)).ravel()]


def bytes_each(v: dict[str, int]) -> int:
    """Of an entry in memory, of a LOAD or STORE that is not coded."""
    return 1 if v["narrow"] else 2


def nest(*loops: tuple[int, int]) -> np.ndarray:
    """Sums of index * stride over nested loops (count, stride), one axis each."""
    total = np.zeros((), np.int64)
    for count, stride in loops:
        total = total[..., None] + np.arange(count, dtype=np.int64) * stride
    return total


# ---- commands of the array ---------------------------------------------------------------


@dataclass
class Nonzeros:
    """Entries of an IFMAP that are not zero, by [lap, row, group] and position: `used` in each
    window; of the strip, `sent` up to the last word that must have left a PE's FIFO for the
    window's last word to enter it, and `freed` once the window is done; `entries` of the strip."""

    used: np.ndarray
    sent: np.ndarray
    freed: np.ndarray
    entries: np.ndarray


@dataclass
class Windows:
    """What an IFMAP brings to the PEs. reads: of the global buffer; nonzeros: None unless zeros
    count."""

    laps: int
    reads: int
    nonzeros: Nonzeros | None = None


@dataclass
class Stream:
    """Where the windows of a strip begin and end in its stream: entries [position]; `word`, the
    number of the last word of each; `words` of the strip; `sent`, entries up to the word as many
    before it as a PE's FIFO holds. Words are those of the ifmap network inside the array, of one
    entry with one input lane."""

    first: np.ndarray
    behind: np.ndarray
    freed: np.ndarray
    word: np.ndarray
    words: int
    sent: np.ndarray

    @classmethod
    def of(cls, v: dict[str, int], config: Config) -> Stream:
        lanes = config.input_lanes
        each, length = ceil(v["length"], lanes), v["length"]
        first = np.arange(v["positions"]) * v["step"]
        behind = first + v["window"]
        word = (behind - 1) // length * each + (behind - 1) % length // lanes
        before = np.maximum(0, word + 1 - config.ifmap_fifo)
        freed = first + v["step"]
        freed[-1] = behind[-1]
        return cls(
            first,
            behind,
            freed,
            word,
            v["outer"] * v["inner"] * each,
            before // each * length + np.minimum(before % each * lanes, length),
        )


def ifmap_words(v: dict[str, int]) -> int:
    """Words onto the ifmap network, but for the header."""
    return (
        v["images"]
        * v["bands"]
        * v["outer"]
        * v["inner"]
        * ceil(v["length"], LANES)
        * v["rows"]
        * v["groups"]
    )


def psum_words(v: dict[str, int]) -> int:
    return v["positions"] * v["rows"] * v["sets"] * ceil(v["p"], PSUM_LANES)


class Buffer:
    """The zeros in the global buffer, entry by entry, as LOADs leave them in the order of the
    program. What else is written there is never read as an ifmap but by groups behind the last
    channel, whose filters are zero."""

    def __init__(self, config: Config):
        self.config = config
        # A word behind the last bank pair reads as 0.
        self.span = (1 << (config.glb_pairs - 1).bit_length()) * 2 * config.glb_depth * LANES
        self.some = np.zeros(self.span, bool)
        self.source = np.full(self.span, -1, np.int32)  # the LOAD that brought an entry
        self.loads: list[tuple] = []
        self.seen: dict[tuple, Windows] = {}
        self.strays = 0  # IFMAPs that read beside what one LOAD brought for them

    def load(self, v: dict[str, int], some: np.ndarray) -> None:
        at = v["word"] * LANES
        self.some[at : at + len(some)] = some
        self.source[at : at + len(some)] = len(self.loads)
        self.loads.append((tuple(x for name, x in v.items() if name != "word"), at))

    def windows(self, v: dict[str, int], zeros: bool) -> Windows:
        """Of an IFMAP; with `zeros`, which entries are zero counts."""
        x = wrap(
            v["start"]
            + nest(
                (v["outer"], v["outer_stride"]), (v["inner"], v["inner_stride"]), (v["length"], 1)
            ).ravel(),
            ENTRY_ADDR,
        )
        row = v["row_first"] + nest((v["bands"], v["band_rows"]), (v["rows"], 1))
        valid = (row >= 0) & (row < v["rows_valid"])
        starts = x.reshape(-1, v["length"])[:, ::LANES]
        reads = (
            int(np.count_nonzero((starts > -LANES) & (starts < v["strip"])))
            * int(valid.sum())
            * v["images"]
            * v["groups"]
        )
        out = Windows(v["images"] * v["bands"], reads)
        if not zeros:
            return out
        strip = v["base"] + nest(
            (v["images"], v["image_stride"]),
            (v["bands"], v["band_stride"]),
            (v["rows"], v["row_stride"]),
            (v["groups"], v["group_stride"]),
        )
        inside = (x >= 0) & (x < v["strip"])
        here = np.broadcast_to(valid[None, :, :, None], strip.shape)
        # Filter blocks that follow each other read the same ifmaps: counted once.
        ends = (
            (strip[here][:, None] + [x.min(), x.max()]) & ENTRY_MASK
            if here.any() and inside.any()
            else np.zeros((1, 2), int)
        )
        sources = np.unique(self.source[np.clip(ends, 0, self.span - 1)])
        key = None
        if len(sources) == 1 and sources[0] >= 0:
            load, at = self.loads[sources[0]]
            key = (
                load,
                (v["base"] - at) & ENTRY_MASK,
                tuple(n for name, n in v.items() if name not in ("base", "p", "header", "laps")),
            )
            if key in self.seen:
                return self.seen[key]
        self.strays += key is None and bool(here.any() and inside.any())
        address = (strip[..., None] + x) & ENTRY_MASK
        some = self.some[np.minimum(address, self.span - 1)] & inside & here[..., None]
        some = some.reshape(out.laps, v["rows"], v["groups"], len(x))
        total = np.zeros((*some.shape[:3], len(x) + 1), np.int32)
        np.cumsum(some, axis=3, out=total[..., 1:])
        at = Stream.of(v, self.config)
        out.nonzeros = Nonzeros(
            (total[..., at.behind] - total[..., at.first]).astype(np.uint8),
            total[..., at.sent].astype(np.uint16),
            total[..., at.freed].astype(np.uint16),
            total[..., -1],
        )
        if key is not None:
            self.seen[key] = out
        return out


@dataclass
class PassWork:
    """A processing pass: its commands, and what its IFMAPs bring. chain: fields of its CONFIG."""

    chain: dict[str, int]
    ifmaps: list[DecodedCommand]
    windows: list[Windows]
    filter: DecodedCommand
    psum: DecodedCommand
    ofmaps: list[DecodedCommand]

    @property
    def columns(self) -> int:
        """Logical columns."""
        return self.chain["rows"] * self.chain["sets"]

    @property
    def pes(self) -> int:
        return self.columns * self.chain["height"] * self.chain["groups"]

    @property
    def psum_words(self) -> int:
        """Of a lap."""
        return self.columns * self.head["positions"] * ceil(self.psums, PSUM_LANES)

    @property
    def psums(self) -> int:
        """Of a window."""
        return self.head["p"] * (self.head["channels"] + 1)

    def slots(self, config: Config) -> int:
        """Of an entry."""
        return ceil(self.head["p"], config.simd)

    @property
    def sharing(self) -> int:
        """Sets that an ifmap word goes to."""
        return 1 if self.chain["depthwise"] else self.chain["sets"]

    @property
    def head(self) -> dict[str, int]:
        """The fields that the header carries."""
        return self.ifmaps[0].fields

    @property
    def reach(self) -> np.ndarray:
        """PEs of a set that take each ifmap row."""
        c = self.chain
        rows = c["stride"] * np.arange(c["rows"])[:, None] + np.arange(c["height"])
        return np.bincount(rows.ravel(), minlength=self.head["rows"])[: self.head["rows"]]


def passes_of(
    commands: list[DecodedCommand], buffer: Buffer, contents: Contents | None
) -> list[PassWork]:
    """The passes of a segment; with contents, zeros are followed through the buffer."""
    chain: dict[str, int] = {}
    # of each pass: fields of its CONFIG, IFMAPs, what they bring
    begun: list[tuple[dict[str, int], list[DecodedCommand], list[Windows]]] = []
    waiting: dict[str, list[DecodedCommand]] = {name: [] for name in ("filter", "psum", "ofmap")}
    for c in commands:
        v = c.fields
        if c.opcode is Opcode.CONFIG:
            chain = v
        elif c.opcode is Opcode.LOAD and contents is not None:
            buffer.load(v, contents.loaded(v))
        elif c.opcode is Opcode.IFMAP:
            if v["header"]:
                begun.append((chain, [], []))
            zeros = contents is not None and chain["mode"] != Mode.DENSE
            begun[-1][1].append(c)
            begun[-1][2].append(buffer.windows(v, zeros))
        elif c.engine in waiting and c.opcode is not Opcode.SCALE:
            waiting[c.engine].append(c)
    ofmaps = iter(waiting["ofmap"])
    out = []
    for parts, filters, psum in zip(begun, waiting["filter"], waiting["psum"], strict=True):
        out.append(PassWork(*parts, filters, psum, []))
        left = out[-1].head["laps"]
        while left > 0:
            out[-1].ofmaps.append(next(ofmaps))
            left -= out[-1].ofmaps[-1].fields["images"]
    return out


def tile_writes(v: dict[str, int]) -> int:
    """64-bit words that an OFMAP touches in its tile: a word of psums may straddle two."""
    return _tile_writes(
        v["base"] % LANES,
        *(
            v[name]
            for name in (
                "rows",
                "rows_valid",
                "row_first",
                "ring",
                "row_stride",
                "images",
                "image_stride",
                "positions",
                "position_stride",
                "sets",
                "p",
            )
        ),
    )


@functools.lru_cache(maxsize=4096)
def _tile_writes(
    base,
    rows,
    rows_valid,
    row_first,
    ring,
    row_stride,
    images,
    image_stride,
    positions,
    position_stride,
    sets,
    p,
):
    # Only the lane of an address matters, so count the lanes of each loop and add them modulo four.
    kept = (row_first + np.arange(min(rows, rows_valid))) % ring * row_stride
    lanes = np.bincount(kept % LANES, minlength=LANES)
    for count, stride in ((images, image_stride), (positions, position_stride), (sets, p)):
        step = np.bincount(np.arange(count) * stride % LANES, minlength=LANES)
        lanes = sum(np.roll(lanes * int(step[n]), n) for n in range(LANES))
    lanes = np.roll(lanes, base)
    words = ceil(p, PSUM_LANES)
    tail = p - PSUM_LANES * (words - 1)
    at = np.arange(LANES)
    return int(
        (words - 1) * (lanes * (1 + (at > 0))).sum() + (lanes * (1 + (at + tail > LANES))).sum()
    )


@dataclass
class Stored:
    """A STORE: reads of the buffer; cycles of its walk (hdl/memory/store/strips.py) and taps; words
    and bursts onto the bus, bytes strobed there, of which `table` are lengths of coded strips."""

    reads: int
    walk: int
    words: int
    bursts: int
    bytes: int
    table: int


def stored(v: dict[str, int], shape: dict[str, int] | None, contents: Contents) -> Stored:
    chunks = ceil(v["out_block"], v["chunk"])
    stride = 1
    if v["pool"]:
        assert shape is not None  # a SHAPE comes before the first STORE that pools
        stride = shape["stride_y"]

        def spans(axis, count, size):
            """Places of each window that are read, and that are walked."""
            first = shape[f"{axis}_first"] + np.arange(count) * shape[f"stride_{axis}"]
            low, high = np.maximum(first, 0), np.minimum(first + shape[f"kernel_{axis}"], size)
            return np.maximum(high - low, 0), np.maximum(1, high - first)

        (rows, _), (columns, walked) = (
            spans("y", v["rows"], shape["height"]),
            spans("x", v["columns"], shape["width"]),
        )
        reads = int(rows.sum() * columns.sum())
        taps = int(np.maximum(1, rows).sum() * walked.sum())
    else:
        reads = taps = v["rows"] * v["columns"]
    each = v["images"] * v["blocks"] * chunks * (1 + v["add"])
    strips = v["images"] * (1 + v["rows"] * (6 + 2 * stride + (v["blocks"] - 1) * (chunks + 2)))
    walk = max(taps * each, strips)
    loops = [("images", "image"), ("rows", "row"), ("blocks", "block")]
    start = v["dram"] + nest(*((v[count], v[f"out_{name}_stride"]) for count, name in loops))
    entries = v["columns"] * v["out_block"]
    if v["rlc"]:
        words = contents.lengths(start)
        at = (
            v["table"]
            + nest(
                (v["images"], v["out_image_stride"]),
                (v["rows"], v["table_row"]),
                (v["blocks"], LENGTH_BYTES),
            )
        ).ravel()
        lengths = 1 + int(np.count_nonzero((np.diff(at) != LENGTH_BYTES) | (at[1:] % BEAT == 0)))
        return Stored(
            reads * each,
            walk,
            int(words.sum()) + lengths,
            int((-(-words // CODED_BURST)).sum()) + lengths,
            BEAT * int(words.sum()) + LENGTH_BYTES * at.size,
            LENGTH_BYTES * at.size,
        )
    size = bytes_each(v) * entries
    words = (start % BEAT + size + BEAT - 1) // BEAT
    return Stored(
        reads * each,
        walk,
        int(words.sum()),
        int((-(-words // BURST)).sum()),
        size * start.size,
        0,
    )


@dataclass
class Loaded:
    """A LOAD: words of each strip as they come from DRAM, in order; words of the length tables of
    each row; words that the buffer gets; the data type it brings."""

    strips: np.ndarray
    tables: list[int]
    words: int
    kind: str


def loaded(v: dict[str, int], kind: str, contents: Contents) -> Loaded:
    count = v["count_a"] * v["count_b"] * v["count_c"]
    if not v["rlc"]:
        words = count * v["length"] * 2 // bytes_each(v)
        return Loaded(np.full(count, v["length"]), [], words, kind)
    start = v["dram"] + nest(
        (v["count_a"], v["stride_a"]), (v["count_b"], v["stride_b"]), (v["count_c"], v["stride_c"])
    )
    row = v["table"] + nest((v["count_a"], v["stride_a"]), (v["count_b"], v["table_b"]))
    tables = ((row % BEAT // 2 + v["count_c"] + LANES - 1) // LANES).ravel().tolist()
    return Loaded(contents.lengths(start).ravel(), tables, count * v["length"], kind)


# ---- the whole ---------------------------------------------------------------------------


@dataclass
class Work:
    """A segment's commands with what each of them moves. strays: IFMAPs whose groups behind the
    last channel read beside their unit, if zeros count there: with zero filters, but the zeros met
    may depend on time or an earlier program."""

    config: Config
    commands: list[DecodedCommand]
    passes: list[PassWork]
    strays: int = 0
    loads: dict[int, Loaded] = field(default_factory=dict)
    stores: dict[int, Stored] = field(default_factory=dict)


def work(program: Program, segment: Segment, memory: np.ndarray) -> Work:
    """memory: uint8, DRAM from `base` to `constant` behind the segment's run, or what `image` makes
    of tensors. The two differ where channels do not fill their blocks: what the global buffer holds
    there is stored with them, so that for those layers only a device's memory gives skipped MACs
    and coded strips exactly. Raises CostError."""
    at = segment.first * COMMAND_BYTES
    commands = decode(program.commands[at : at + segment.count * COMMAND_BYTES])
    if any(c.engine in ("fill", "sparse") for c in commands):
        raise CostError(
            f"layer {segment.name!r} runs on the sparse engine, which this model does not cover"
        )
    contents = Contents(program, memory)
    follow = any(c.opcode is Opcode.CONFIG and c.fields["mode"] != Mode.DENSE for c in commands)
    buffer = Buffer(program.config)
    out = Work(program.config, commands, passes_of(commands, buffer, contents if follow else None))
    out.strays = buffer.strays
    filters = {c.fields["word"] for c in commands if c.opcode is Opcode.FILTER}
    shape = None
    for c in commands:
        v = c.fields
        if c.opcode is Opcode.SHAPE:
            shape = v
        elif c.opcode is Opcode.LOAD:
            kind = (
                "ifmap"
                if v["dram"] < program.constant
                else "filter"
                if v["word"] in filters
                else "psum"
            )
            out.loads[c.index] = loaded(v, kind, contents)
        elif c.opcode is Opcode.STORE:
            out.stores[c.index] = stored(v, shape, contents)
    return out


@dataclass
class Cost:
    """counters: those of EXACT, by the RTL's names. accesses: level -> data type -> reads and
    writes. Units: `dram` bytes, `glb` 64-bit bank accesses, `network` words of the networks (64-bit
    ifmaps and filters, 128-bit psums) and single psums between PEs, `spad` entries of 16 bits and
    psums."""

    counters: dict[str, int]
    accesses: dict[str, dict[str, dict[str, int]]]


def per_mac(accesses: dict[str, dict[str, dict[str, int]]], level: str, macs: int) -> float:
    """Accesses of 16 bits per MAC of the layer, at `dram` or `glb`."""
    size = {"dram": 2, "glb": 0.25}[level]
    return sum(n for kind in accesses[level].values() for n in kind.values()) / size / macs


def added(first: dict, second: dict) -> dict:
    """Sums of two nested dictionaries of counts, of the same or no keys."""
    return {
        name: added(first.get(name, {}), n) if isinstance(n, dict) else first.get(name, 0) + n
        for name, n in second.items()
    }


Accesses = dict[str, dict[str, int]]  # of a level: data type -> way -> count


def _none(kinds: Iterable[str], *ways: str) -> Accesses:
    return {kind: dict.fromkeys(ways, 0) for kind in kinds}


def count(todo: Work) -> Cost:
    """All accesses of a segment.

    Spads, from hdl/array/pe/pe.py. A PE takes every ifmap entry sent to its tag into its spad, with
    `skip` only those that are not zero, and every filter entry into the half that fills. A MAC
    reads an entry of each, config.simd of them the same ifmap entry; with a zero activation that is
    gated the ifmap entry only, and in a window without entries (`skip`) nothing. A MAC reads its
    psum unless it is the window's first on that filter, and writes it unless it is the last, whose
    sum goes to the drain buffer instead, and is read from there: as many psum reads as writes as
    MACs. Each psum moves on to the next PE of the chain, or from the tail to the output network.
    """
    n: dict[str, int] = dict.fromkeys(EXACT, 0)
    kinds = ("ifmap", "filter", "psum")
    dram = _none((*kinds, "ofmap", "table", "command"), "read", "write")
    glb = _none((*kinds, "ofmap"), "read", "write")
    network = _none(("ifmap", "filter"), "word") | _none(("psum",), "in", "out", "hand-over")
    spad = _none(kinds, "read", "write")
    _count_transfers(todo, dram, glb)
    for item in todo.passes:
        _count_networks(item, glb, network)
        _count_macs(item, todo.config, n, spad)
    n["pe_busy"] = n["macs"] // todo.config.simd
    n["ifmap_words"], n["filter_words"] = network["ifmap"]["word"], network["filter"]["word"]
    n["psum_words"], n["ofmap_words"] = network["psum"]["in"], network["psum"]["out"]
    n["command_bytes"] = dram["command"]["read"]
    for name, level in (("glb_{}s", glb), ("dram_{}_bytes", dram)):
        for way in ("read", "write"):
            n[name.format(way)] = sum(kind[way] for kind in level.values())
    return Cost(n, {"dram": dram, "glb": glb, "network": network, "spad": spad})


def _count_transfers(todo: Work, dram: Accesses, glb: Accesses) -> None:
    """Adds what LOAD, STORE, SCALE and the fetcher move."""
    dram["command"]["read"] += COMMAND_BYTES * len(todo.commands)
    for load in todo.loads.values():
        dram[load.kind]["read"] += BEAT * int(load.strips.sum())
        dram["table"]["read"] += BEAT * sum(load.tables)
        glb[load.kind]["write"] += load.words
    for store in todo.stores.values():
        dram["ofmap"]["write"] += store.bytes - store.table
        dram["table"]["write"] += store.table
        glb["ofmap"]["read"] += 2 * store.reads  # a word and the one behind it
    for command in todo.commands:
        if command.opcode is Opcode.SCALE:  # biases and scales of a pass
            glb["psum"]["read"] += 2 * command.fields["channels"]


def _count_networks(item: PassWork, glb: Accesses, network: Accesses) -> None:
    """Adds what a pass moves between the global buffer and the array, and from PE to PE."""
    v = item.head
    for c, w in zip(item.ifmaps, item.windows):
        network["ifmap"]["word"] += ifmap_words(c.fields) + c.fields["header"]
        glb["ifmap"]["read"] += 2 * w.reads
    f, s = item.filter.fields, item.psum.fields
    network["filter"]["word"] += f["words"] * f["tags"]
    glb["filter"]["read"] += 2 * f["words"] * f["tags"]
    network["psum"]["in"] += psum_words(s)
    glb["psum"]["read"] += 0 if s["zero"] else 2 * psum_words(s)
    for c in item.ofmaps:
        words = c.fields["images"] * psum_words(c.fields)
        network["psum"]["out"] += words
        if c.fields["to_ring"]:
            glb["psum"]["write"] += 2 * words
        else:
            glb["ofmap"]["write"] += tile_writes(c.fields)
    psums = v["laps"] * v["positions"] * item.psums
    network["psum"]["hand-over"] += psums * (item.pes - item.columns)


def _count_macs(item: PassWork, config: Config, n: dict[str, int], spad: Accesses) -> None:
    """Adds what the PEs do in a pass."""
    v, pes, skip = item.head, item.pes, item.chain["mode"] == Mode.SKIP
    each = item.slots(config) * config.simd  # MACs of an entry, padding included
    macs, gated = v["laps"] * v["positions"] * pes * v["window"] * each, 0
    stored_entries = sum(
        w.laps * c.fields["outer"] * c.fields["inner"] * c.fields["length"] * pes
        for c, w in zip(item.ifmaps, item.windows)
    )
    nonzeros = [w.nonzeros for w in item.windows if w.nonzeros is not None]
    if nonzeros:
        sharing, reach = item.sharing, item.reach

        def entries(of_rows: Iterable[np.ndarray]) -> int:
            """Sum over the PEs of counts by row."""
            return sum(int(rows @ reach) for rows in of_rows) * sharing

        used = entries(z.used.sum((0, 2, 3), dtype=np.int64) for z in nonzeros) * each
        if skip:
            gated = entries((z.used == 0).sum((0, 2, 3)) for z in nonzeros) * each
            macs = used + gated
            stored_entries = entries(z.entries.sum((0, 2), dtype=np.int64) for z in nonzeros)
        elif config.gating:
            gated = macs - used
    n["macs"] += macs
    n["macs_gated"] += gated
    n["pe_wait_hazard"] += macs // each * max(0, HAZARD - item.slots(config))
    spad["ifmap"]["write"] += stored_entries
    spad["filter"]["write"] += v["window"] * each * pes
    spad["filter"]["read"] += macs - gated
    spad["ifmap"]["read"] += macs // config.simd - (gated if skip else 0)
    spad["psum"]["read"] += macs
    spad["psum"]["write"] += macs
