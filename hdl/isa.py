"""Commands and registers: declared once, decoded by the RTL, packed by the compiler.

A command is 64 bytes, little-endian: a header of 64 bits and a body of 448. Each names the version
of this file that it is of (VERSION_VALUE); a machine of another refuses it. Units: DRAM addresses
are bytes; `word` counts 64-bit words of the global buffer; `entry` counts 16-bit entries of it
(entry = 4 * word + lane). Strides of entries and words are modular, so a negative stride is its
two's complement. docs/architecture.md has the loop nests.
"""

import enum
import functools

from amaranth.hdl import Shape, signed
from amaranth.lib import data

COMMAND_BYTES = 64
VERSION_VALUE = 4  # of commands and registers: changed with any field, opcode or register
MASK_BITS = 28  # semaphores that a command can name; config.SEMAPHORES of them are built
WORD_ADDR = 18  # bits of a word address in the global buffer
ENTRY_ADDR = 20  # bits of an entry address
INDEX = 26  # bits of a program index: 2**26 commands of 64 bytes fill the address space


class Opcode(enum.IntEnum):
    CONFIG = 1  # roles and tags of the chain; waits until the array has drained
    LOAD = 2  # DRAM -> global buffer
    IFMAP = 3  # global buffer -> ifmap network, one pass
    FILTER = 4  # global buffer -> filter network, one pass
    PSUM = 5  # bias or stored psums -> psum network, one pass
    OFMAP = 6  # output network -> stored psums, or requantised -> ofmap tile, one pass
    STORE = 7  # tile -> pool / add / reorder -> DRAM
    SHAPE = 8  # second operand, pooling and scaling of the STOREs after it
    SPARSE_FILL = 9  # global buffer -> memories of the sparse PEs
    SPARSE_RUN = 10  # non-zero activations through the compressed columns
    SPARSE_OUTPUT = 11  # accumulators -> requantised -> activations
    SPARSE_DUMP = 12  # activations -> global buffer
    SPARSE_STREAM = 13  # SPARSE_RUN with the columns in DRAM: only those needed are read
    SCALE = 14  # scaling of the OFMAPs after it, by channel


class Mode(enum.IntEnum):
    DENSE = 0
    GATE = 1
    SKIP = 2  # of configurations with `skip`


class Pool(enum.IntEnum):
    NONE = 0
    MAX = 1
    AVERAGE = 2


class Rounding(enum.IntEnum):
    """How a product of a sum and a multiplier is rounded (golden/integer/requantise.py)."""

    SINGLE = 0  # halves up
    DOUBLE = 1  # twice, halves up and then away from zero
    AWAY = 2  # halves away from zero


class Target(enum.IntEnum):
    """Memories of a sparse PE that SPARSE_FILL writes."""

    WEIGHTS = 0  # 64-bit words of eight entries
    POINTERS = 1  # pairs: the even pointer in the low 32 bits, the odd in the high
    CODEBOOK = 2  # four int16 a word, the same in every PE
    ACCUMULATORS = 3  # four int32 in two words: one row of four PEs
    ACTIVATIONS = 4  # four int16 a word: one activation of four PEs


class Status(enum.IntEnum):
    """STATUS register, bits 7:0 the state and 15:8 the error code."""

    IDLE = 0
    RUNNING = 1
    DONE = 2
    ERROR = 3


class Error(enum.IntEnum):
    NONE = 0
    ILLEGAL_COMMAND = 1  # unknown opcode, non-zero reserved bits, or a field out of range
    READ_WINDOW = 2  # a read outside [READ_BASE, READ_LIMIT)
    WRITE_WINDOW = 3  # a write outside [WRITE_BASE, WRITE_LIMIT)
    READ_RESPONSE = 4  # AXI answered a read with SLVERR or DECERR
    WRITE_RESPONSE = 5  # AXI answered a write with SLVERR or DECERR
    WATCHDOG = 6  # nothing moved for WATCHDOG cycles
    # a pointer or a row outside a sparse PE's memories, lengths that do not add up
    SPARSE_STREAM = 7
    RLC_STREAM = 8  # a run-length coded strip that breaks the format or exceeds its slot
    VERSION = 9  # a command of another version than the machine's


class Header(data.Struct):
    opcode: 5
    version: 3  # VERSION_VALUE
    wait: MASK_BITS  # semaphores taken (each decremented) before the command starts
    signal: MASK_BITS  # semaphores given (each incremented) when it has finished


class ConfigBody(data.Struct):
    """With `depthwise` set a pass has a group of channels for each set, and `groups` is 1: ifmap
    tags are (U*i + j)*t + g instead of (U*i + j)*r + k (docs/depthwise.md)."""

    height: 8  # R', filter rows of a slice: PEs of a logical column per channel group
    groups: 8  # r
    sets: 8  # t
    rows: 8  # e
    stride: 4  # vertical stride U
    mode: 2  # Mode
    ring: WORD_ADDR  # psum ring: first word (even) ...
    ring_size: WORD_ADDR  # ... and words (even)
    depthwise: 1


class LoadBody(data.Struct):
    """for a, b, c: copy `length` words from dram + a*stride_a + b*stride_b + c*stride_c
    (8-byte aligned) to consecutive words of the global buffer from `word` on.

    With `rlc` set a strip of `length` words is run-length coded (golden/rlc.py) in a slot there
    of at most `slot` 64-bit words. The words used are 16-bit entries of a table (even addresses):
    that of (a, b, c) is at table + a*stride_a + b*table_b + 2*c. Unless rlc, these are ignored.

    With `narrow` set a word is eight 8-bit integers q, int8 or, if `unsigned`, uint8: it becomes
    two words of entries q - zero, so that a strip takes 2*length words of the buffer, from an
    even one on. Strips cannot be both narrow and coded."""

    dram: 32
    word: WORD_ADDR
    length: 18
    count_a: 16
    count_b: 16
    count_c: 16
    stride_a: 32
    stride_b: 32
    stride_c: 32
    rlc: 1
    slot: 18
    table: 32
    table_b: 16
    narrow: 1
    unsigned: 1
    zero: signed(9)


class IfmapBody(data.Struct):
    """for image, band, outer, inner, word of chunk, row, group: send up to 4 entries to tag
    row*groups + group. Entry offset in the strip x = start + outer*outer_stride +
    inner*inner_stride + 4*word (signed); entries with x outside [0, strip) and rows
    row_first + band*band_rows + row outside [0, rows_valid) are zero (spatial padding). The
    strip of (image, band, row, group) starts at base + image*image_stride +
    band*band_stride + row*row_stride + group*group_stride, modulo 2**ENTRY_ADDR (base may
    lie before the tile when row_first is negative).

    A band is the e ofmap rows that the array computes at a time: the PEs keep their filters
    for `laps` bands of all images. `header` sends first what every PE must know of the pass;
    a command without it goes on with the pass of the one before."""

    base: ENTRY_ADDR
    start: signed(ENTRY_ADDR)
    strip: ENTRY_ADDR
    images: 8
    image_stride: ENTRY_ADDR
    rows: 16
    row_first: signed(16)
    rows_valid: 16
    row_stride: ENTRY_ADDR
    bands: 8
    band_rows: 8
    band_stride: ENTRY_ADDR
    groups: 8
    group_stride: ENTRY_ADDR
    outer: 16
    outer_stride: ENTRY_ADDR
    inner: 16
    inner_stride: ENTRY_ADDR
    length: ENTRY_ADDR  # entries in a chunk
    # Filters in a PE, a row of config.simd for each entry: what fills up the last is not summed.
    p: 8
    window: 8  # q*S: entries in a window
    step: 8  # q*min(U, S): entries a window slides by
    positions: 16  # F: windows per lap
    header: 1
    laps: 16  # images * bands of the whole pass
    # Channels less one: an entry is of one of them in turn, with p filters and sums each. 0: all
    # entries of a window add to the same sums. Others not with Mode.SKIP.
    channels: 3


class FilterBody(data.Struct):
    """for word, tag: send the next word of a linear region to the tag. The last word of
    each tag carries `tail` entries and closes the PE's filter half."""

    word: WORD_ADDR
    tags: 8  # R' * r * t
    words: 10  # ceil(p*q*S / 4)
    tail: 3  # 1..4


class PsumBody(data.Struct):
    """for position (laps*F), column (e*t), word of ceil(p/4): psums from the ring, or
    biases at bias + 2*(set*ceil(p/4) + word) words, or with `zero` set zeros."""

    from_ring: 1
    zero: 1
    bias: WORD_ADDR  # even
    positions: 24
    rows: 8
    sets: 8
    p: 8


class OfmapBody(data.Struct):
    """for image, position, row, set, word of ceil(p/4): psums to the ring, or requantised
    to entries base + image*image_stride + position*position_stride +
    ((row_first+row) mod ring)*row_stride + set*p + 4*word. row_start is
    row_first*row_stride; ring is at least rows. Rows from rows_valid on are dropped.

    Requantised: saturate((psum + half an LSB) >> shift), with `relu` at least 0. With `scaled` set
    instead by the table that the last SCALE filled, of which a set's word of psums takes the next
    four channels."""

    to_ring: 1
    images: 16
    positions: 16
    rows: 8
    sets: 8
    p: 8
    base: ENTRY_ADDR
    image_stride: ENTRY_ADDR
    position_stride: ENTRY_ADDR
    row_stride: ENTRY_ADDR
    row_start: ENTRY_ADDR
    row_first: 16
    ring: 16
    rows_valid: 8
    shift: 6
    relu: 1
    scaled: 1


class ScaleBody(data.Struct):
    """Fills the table of OFMAP, in whose queue it is: `channels` ScaleWords from `word` on, two
    words each, and sets what the OFMAPs with `scaled` after it have in common:
    clamp(scale(psum + bias, multiplier, shift), lo, hi), rounded as `rounding` says
    (golden/integer/requantise.py). The table holds config.scale_channels."""

    word: WORD_ADDR  # even
    channels: 10  # a multiple of 4
    rounding: 2  # Rounding
    lo: signed(16)
    hi: signed(16)


class ScaleWord(data.Struct):
    """What a channel's sums become: (psum + bias) * multiplier * 2**(shift - 31)."""

    bias: signed(32)
    multiplier: 31
    shift: signed(6)  # -31..30


class StoreBody(data.Struct):
    """for image, out row, out block, out column, chunk of the block, window: read `chunk`
    entries of the tile, pool or add, pack, write. Channel c of the tile is at
    (c // block)*block_stride + c % block; `chunk` divides block and out_block. With `relu` what is
    stored is 0 at least; one of `pool` and `add` is 0.

    With `rlc` set each strip (image, row, block) is run-length coded (golden/rlc.py) from its
    address, a multiple of 8, on; nothing is written past its last word. The words used go to
    table + image*out_image_stride + row*table_row + 2*block, 16 bits each. A strip is at most
    2**17 - 1 entries. Unless rlc, the table is ignored.

    With `narrow` set entries are written as bytes, entry + zero saturated to int8 or, if
    `unsigned`, uint8: addresses and strides need not be even. Strips cannot be both narrow and
    coded. With `scaled` the last SHAPE scales and bounds what is stored, and `relu` is ignored."""

    base: ENTRY_ADDR
    image_stride: ENTRY_ADDR
    row_stride: ENTRY_ADDR
    column_stride: ENTRY_ADDR
    block: 11
    block_stride: ENTRY_ADDR
    row_first: 16  # tile row r is at ((row_first + r) mod ring)*row_stride
    ring: 16
    dram: 32  # byte address of the first entry written, even unless narrow
    out_image_stride: 32
    out_row_stride: 32
    out_block_stride: 24  # a strip has 2**20 entries at most
    images: 8
    rows: 16
    blocks: 11
    columns: 16
    out_block: 11
    chunk: 3  # 1..4
    pool: 2  # Pool
    add: 1
    relu: 1
    rlc: 1
    table: 32
    table_row: 16
    narrow: 1
    unsigned: 1
    zero: signed(9)
    scaled: 1


class ShapeBody(data.Struct):
    """Sticky parameters of the STOREs that follow, in the same queue.

    Add: operand B as STORE's (its own strides, no ring); the sum is a scaled + b scaled, by the
    multipliers and shifts of each: (v*multiplier + 2**10) >> 11, in 32 bits, and that rounded right
    by -shift, halves away from zero. int16 of a power of two k has multiplier 2**(11 + k).
    Scaling: an add's sum, an average's with `fixed`, and what a STORE with `scaled` has read or
    pooled are multiplied by multiplier * 2**(shift - 31), rounded as `rounding` says
    (golden/integer/requantise.py), and with `scaled` bounded by lo and hi, else by int16. A shift
    above 0 needs a multiplier of 2**29 at least.
    Pool: window of output (y, x) covers tile rows y*stride_y + y_first .. + kernel_y - 1
    and columns likewise; only rows in [0, height) and columns in [0, width) are read.
    Average: the divisor counts the window's rows in [count_top, count_bottom) times its
    columns in [count_left, count_right), 16 at most, and the sum is multiplied by its reciprocal
    (golden.fixed.reciprocal), rounded as `rounding` says; with `fixed` set it is scaled instead."""

    base: ENTRY_ADDR
    image_stride: ENTRY_ADDR
    row_stride: ENTRY_ADDR
    column_stride: ENTRY_ADDR
    block: 11
    block_stride: ENTRY_ADDR
    multiplier_a: 31
    shift_a: signed(6)  # -31..0
    multiplier_b: 31
    shift_b: signed(6)
    kernel_y: 8
    kernel_x: 8
    stride_y: 8
    stride_x: 8
    y_first: signed(16)
    x_first: signed(16)
    height: 16
    width: 16
    count_top: signed(16)
    count_bottom: signed(16)
    count_left: signed(16)
    count_right: signed(16)
    fixed: 1
    multiplier: 31
    shift: signed(6)  # -31..30
    rounding: 2  # Rounding
    lo: signed(16)
    hi: signed(16)  # at least lo


class SparseFillBody(data.Struct):
    """WEIGHTS, POINTERS: for pe, index: write the next word to address + index of PE `pe`.
    CODEBOOK: for index: write the next word to entries 4*(address + index).. of all PEs.
    ACCUMULATORS, ACTIVATIONS: for index, group of four PEs: write the next two words, or
    word, to address + index of the group. Words come one after the other from `word` on
    (even for ACCUMULATORS)."""

    target: 3
    word: WORD_ADDR
    pe: 8
    pes: 8  # WEIGHTS, POINTERS
    address: 16
    count: 16  # indices
    half: 1  # ACTIVATIONS: which of the two


class SparseRunBody(data.Struct):
    """Every non-zero activation at local index i = address .. address + count - 1 of PE j is
    column base + (i - address)*PEs + j: broadcast, and multiplied with that column's
    entries of every PE into the accumulators. `queue`: columns that wait at most in a PE's
    activation queue, 0 for all that are built."""

    half: 1
    address: 16
    count: 16
    base: 16
    queue: 5


class SparseOutputBody(data.Struct):
    """Accumulators 0 .. rows-1 of every PE, requantised to activations address .. of the half;
    the accumulators are left at 0."""

    rows: 16
    shift: 6
    relu: 1
    half: 1
    address: 16


class SparseDumpBody(data.Struct):
    """for index, group of four PEs: the activations at address + index as the next word."""

    half: 1
    address: 16
    count: 16  # indices
    word: WORD_ADDR


class SparseStreamBody(data.Struct):
    """As SPARSE_RUN with base 0, but the column's entries are its record in DRAM, read only
    if the activation is not zero. The record's place is in a table in the global buffer
    from `word` on; each of its words, a TableWord, tells it of four columns. Its semaphores
    are given when activations and table have been read; the other commands of the engine wait
    for the sums.

    A record is of whole words: a count of entries for every PE, config.sparse_length_bits
    each, 64 // sparse_length_bits to a word, then from the next byte on the entries of PE 0,
    PE 1, ... (golden/csc.py). A column without entries has no record."""

    half: 1
    address: 16
    count: 16
    word: WORD_ADDR
    dram: 32  # address of the records, a multiple of 8


class TableWord(data.Struct):
    """Places of four columns' records, which follow each other."""

    offset: 20  # of the first, in words from `dram`
    lengths: data.ArrayLayout(11, 4)  # in words


OFMAP_BODY = max(Shape.cast(OfmapBody).width, Shape.cast(ScaleBody).width)


class OfmapCommand(data.Struct):
    """An OFMAP or, with `is_scale` set, a SCALE: its body in the low bits."""

    is_scale: 1
    body: OFMAP_BODY


STORE_BODY = max(Shape.cast(StoreBody).width, Shape.cast(ShapeBody).width)


class StoreCommand(data.Struct):
    """A STORE or, with `is_shape` set, a SHAPE: its body in the low bits."""

    is_shape: 1
    body: STORE_BODY


SPARSE_KINDS = (SparseRunBody, SparseOutputBody, SparseDumpBody, SparseStreamBody)
SPARSE_BODY_BITS = max(Shape.cast(body).width for body in SPARSE_KINDS)


class SparseCommand(data.Struct):
    """One of SPARSE_KINDS, its body in the low bits."""

    kind: 2
    body: SPARSE_BODY_BITS


BODIES: dict[Opcode, type[data.Struct]] = {
    Opcode.CONFIG: ConfigBody,
    Opcode.LOAD: LoadBody,
    Opcode.IFMAP: IfmapBody,
    Opcode.FILTER: FilterBody,
    Opcode.PSUM: PsumBody,
    Opcode.OFMAP: OfmapBody,
    Opcode.STORE: StoreBody,
    Opcode.SHAPE: ShapeBody,
    Opcode.SPARSE_FILL: SparseFillBody,
    Opcode.SPARSE_RUN: SparseRunBody,
    Opcode.SPARSE_OUTPUT: SparseOutputBody,
    Opcode.SPARSE_DUMP: SparseDumpBody,
    Opcode.SPARSE_STREAM: SparseStreamBody,
    Opcode.SCALE: ScaleBody,
}


@functools.cache
def fields(body: type[data.Struct]) -> tuple[tuple[str, int, int, bool], ...]:
    """(name, offset, width, signed) of each field."""
    layout = data.Layout.cast(body)
    out = []
    for name, field in layout:
        shape = Shape.cast(field.shape)
        out.append((name, field.offset, shape.width, shape.signed))
    return tuple(out)


def largest(body: type[data.Struct], name: str) -> int:
    """The largest value of an unsigned field."""
    width = next(width for field, _, width, _ in fields(body) if field == name)
    return (1 << width) - 1


assert Shape.cast(Header).width == 64
for _body in BODIES.values():
    assert Shape.cast(_body).width <= 8 * COMMAND_BYTES - 64, _body.__name__


def pack(opcode: Opcode, *, wait: int = 0, signal: int = 0, **values: int) -> bytes:
    """The 64 bytes of a command. Fields not named are 0.

    Raises ValueError for an unknown field or a value outside its field.
    """
    body = BODIES[opcode]
    word = 0
    left = len(values)
    for name, offset, width, is_signed in fields(body):
        if name not in values:
            continue
        left -= 1
        value = int(values[name])
        low, high = (-(1 << width - 1), 1 << width - 1) if is_signed else (0, 1 << width)
        if not low <= value < high:
            raise ValueError(f"{opcode.name}.{name} = {value}: outside {low}..{high - 1}")
        word |= (value & ((1 << width) - 1)) << offset
    if left:
        known = {f[0] for f in fields(body)}
        raise ValueError(f"{opcode.name}: unknown field {sorted(set(values) - known)[0]!r}")
    if wait >> MASK_BITS or signal >> MASK_BITS or wait < 0 or signal < 0:
        raise ValueError(f"{opcode.name}: semaphore mask wider than {MASK_BITS} bits")
    head = int(opcode) | VERSION_VALUE << 5 | wait << 8 | signal << 8 + MASK_BITS
    return (head | word << 64).to_bytes(COMMAND_BYTES, "little")


class VersionError(ValueError):
    """A command of another version than VERSION_VALUE."""


def unpack(raw: bytes) -> tuple[int, int, int, dict[str, int]]:
    """(opcode, wait, signal, fields) of 64 bytes. Raises ValueError on an unknown opcode,
    VersionError on another version."""
    word = int.from_bytes(raw, "little")
    head = {name: word >> offset & (1 << width) - 1 for name, offset, width, _ in fields(Header)}
    opcode, wait, signal = head["opcode"], head["wait"], head["signal"]
    if head["version"] != VERSION_VALUE:
        raise VersionError(f"command of version {head['version']}; this is version {VERSION_VALUE}")
    body = BODIES.get(opcode)
    if body is None:
        raise ValueError(f"illegal command: opcode {opcode}")
    out = {}
    for name, offset, width, is_signed in fields(body):
        value = word >> (64 + offset) & ((1 << width) - 1)
        if is_signed and value >> width - 1:
            value -= 1 << width
        out[name] = value
    return opcode, wait, signal, out


class Register(enum.IntEnum):
    """AXI4-Lite registers, 32 bits, byte offsets."""

    ID = 0x00  # RO: "EYRI"
    VERSION = 0x04  # RO: VERSION_VALUE
    CONTROL = 0x08  # WO: bit 0 starts a program, bit 1 resets the engines
    STATUS = 0x0C  # RO: Status in bits 7:0, Error in bits 15:8
    ERROR_INDEX = 0x10  # RO: index of the command that failed
    PROGRAM = 0x14  # address of the program, 64-byte aligned
    COUNT = 0x18  # commands in the program
    INTERRUPT = 0x1C  # bit 0 enables; bit 1 pending, cleared by writing 1
    READ_BASE = 0x20  # reads (program included) must lie in [BASE, LIMIT)
    READ_LIMIT = 0x24
    WRITE_BASE = 0x28
    WRITE_LIMIT = 0x2C
    WATCHDOG = 0x30  # cycles without movement before the engine gives up; 0 never
    PES = 0x34  # RO: PEs of this build
    GLB_WORDS = 0x38  # RO
    COUNTERS = 0x100  # RO: 64-bit counters in the order of COUNTERS, low half first


ID_VALUE = int.from_bytes(b"EYRI", "little")

# Named events (one counter each). PE events are summed over PEs and cycles.
COUNTERS: tuple[str, ...] = (
    "cycles",  # doorbell to completion
    "macs",  # multiply-accumulates issued, gated ones included
    "macs_gated",  # of those, held still by a zero activation
    "pe_busy",  # PE-cycles that issued a MAC
    "pe_wait_filter",  # PE-cycles with a pass begun, waiting for its filters
    "pe_wait_ifmap",  # ... for an ifmap entry
    "pe_wait_psum",  # ... for room in the psum buffer
    "pe_wait_hazard",  # ... bubbles of p below the accumulator's depth
    "pe_idle",  # PE-cycles with no pass
    "ifmap_words",  # 64-bit words onto the ifmap network
    "filter_words",  # ... filter network
    "psum_words",  # 128-bit words onto the psum network
    "ofmap_words",  # 128-bit words off the output network
    "ifmap_stall",  # cycles a word waited at the head of the ifmap network
    "filter_stall",
    "psum_stall",
    "ofmap_stall",  # cycles the output network was starved while a pass was open
    "glb_reads",  # 64-bit bank reads
    "glb_writes",  # 64-bit bank writes
    "glb_conflicts",  # cycles a client was refused by a busy bank
    "dram_read_bytes",  # data beats
    "dram_write_bytes",  # strobed bytes
    "command_bytes",  # program fetched
    "load_busy",  # cycles the load engine had a command
    "store_busy",
    "load_wait",  # cycles its next command waited for a semaphore
    "store_wait",
    "sparse_busy",  # cycles a SPARSE_RUN, SPARSE_STREAM or SPARSE_OUTPUT was under way
    "sparse_columns",  # non-zero activations found
    "sparse_macs",  # multiply-accumulates of the sparse PEs: their busy cycles
    "sparse_starved",  # sparse-PE-cycles of a SPARSE_RUN or _STREAM with nothing in the PE
    "sparse_blocked",  # cycles a column waited for a full queue, summed over full PEs
    "sparse_padding",  # padding entries met
    "sparse_bytes",  # records read by SPARSE_STREAM
)
