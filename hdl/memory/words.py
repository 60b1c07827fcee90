"""What passes between the parts of LOAD and STORE, and of the ports to memory."""

from amaranth.hdl import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.isa import ENTRY_ADDR, WORD_ADDR, Error, LoadBody, Rounding, StoreBody
from hdl.lib.axi import ADDRESS, Burst, Range, ReadData, Request

RUN_BITS, PAIRS = 5, 3
PAIR_BITS = RUN_BITS + ENTRY_BITS
PLACE = 7  # bits of a place: 3 entries kept and a word's 96
LENGTH = 16  # bits of a strip's words
STRIP_BITS = 17  # of a coded strip's entries
STRIP_ENTRIES = 20  # bits of the entries in a strip of the output
STORE_ENTRIES = 27  # ... that a command may ask for
# bits of a tile's row or column, signed: a window that reads anything begins within 2**17 of it
COORDINATE = 18
SUM_BITS = 32  # of a window: 65025 entries of 16 bits
COUNT_BITS = 5  # of an average's divisor
BLOCK = 11  # bits of the channels in a block


class TaggedBurst(data.Struct):
    burst: Burst
    id: 1


class TaggedData(data.Struct):
    beat: ReadData
    id: 1


class CodedStrip(data.Struct):
    """A strip to be decoded."""

    coded: LENGTH  # words in
    words: WORD_ADDR  # words of four entries out, at least one
    last: 1  # of a command


class CodedWord(data.Struct):
    data: 64
    bad: 1  # it came with an error


class DecodedWord(data.Struct):
    data: 64
    last: 1  # of a strip marked last


class CodedItem(data.Struct):
    """What a coded word holds, places from its first entry on; a strip without words has an item
    without levels."""

    place: data.ArrayLayout(PLACE, PAIRS)
    level: data.ArrayLayout(ENTRY_BITS, PAIRS)
    some: PAIRS  # the level is not zero
    total: PLACE  # entries
    first: 1  # of a strip, of which `words` and `last` are
    final: 1
    words: WORD_ADDR
    last: 1
    flaw: Error


class ItemTurn(data.Struct):
    """A cycle of the decoder."""

    take: 1  # an item comes, whose places begin at `offset`
    offset: 2
    emit: 1  # a word of entries goes
    done: 1  # ... a strip's last
    consume: 1  # the item goes
    reach: 1  # the item makes the word under way known


class TableWord(data.Struct):
    """Four lengths."""

    data: 64
    bad: 1


# ---- LOAD ------------------------------------------------------------------------------------


class LoadTarget(data.Struct):
    """Where the words of a LOAD go."""

    word: WORD_ADDR
    length: WORD_ADDR  # of each of its strips
    rlc: 1  # they come from the decoder


class LoadStrip(data.Struct):
    """A strip of a LOAD, and what its length must be looked up by if it is coded."""

    address: ADDRESS
    length: WORD_ADDR
    last: 1  # of its command
    rlc: 1
    slot: WORD_ADDR  # most words of it
    lane: 2  # of its length in a word of the table
    row_last: 1  # the strips of a row have their lengths side by side


class FoundStrip(data.Struct):
    """A strip of which it is known how many words it has in memory."""

    address: ADDRESS
    words: WORD_ADDR
    last: 1  # of its command
    rlc: 1


class CodedLength(data.Struct):
    """The words of a coded strip."""

    words: LENGTH
    last: 1  # of a command


class BurstKind(data.Struct):
    """What a burst under way brings."""

    last: 1  # the last words of a command that is not coded
    coded: 1  # words for the decoder
    table: 1  # lengths of strips


def table_row(address: int) -> data.StructLayout:
    """The lengths of a row of strips, in whole words. address: bits of an address in memory."""
    return data.StructLayout({"at": address, "words": 16})


# What stands between the walk of a LOAD and the reads of its strips: `strips` become `found`.
# A coded LOAD is announced by `command`; the lengths of its strips are asked for by `request`, come
# as `table`, and go on to the decoder as `coded`. `error`: of the oldest strip not yet found, if
# all before it has landed. `base` and `limit`: the read window.
StripFinder = wiring.Signature(
    {
        "command": In(stream.Signature(LoadBody)),
        "strips": In(stream.Signature(LoadStrip)),
        "found": Out(stream.Signature(FoundStrip)),
        "coded": Out(stream.Signature(CodedLength)),
        "request": Out(stream.Signature(Request)),
        "table": In(stream.Signature(TableWord, always_ready=True)),
        "base": In(ADDRESS),
        "limit": In(ADDRESS),
        "error": Out(Error),
    }
)

# What makes words of the global buffer of coded ones: `targets` and `lengths` say what comes,
# `words` bring it. `error`: of the strip that `out` would have gone on with; `idle`: nothing is
# inside but strips whose words are to come.
CodedPath = wiring.Signature(
    {
        "targets": In(stream.Signature(LoadTarget, always_ready=True)),
        "lengths": In(stream.Signature(CodedLength)),
        "words": In(stream.Signature(CodedWord)),
        "out": Out(stream.Signature(DecodedWord)),
        "error": Out(Error),
        "idle": Out(1),
    }
)


# ---- STORE -----------------------------------------------------------------------------------


class CodedPairs(data.Struct):
    """The first `count` of these pairs; the last of a strip."""

    pairs: data.ArrayLayout(PAIR_BITS, LANES)
    count: range(LANES + 1)
    last: 1


class EncodedWord(data.Struct):
    data: 64
    last: 1  # of a strip
    empty: 1  # no word, but the end of a strip that has none


class Entries(data.Struct):
    """Up to four entries; `first` and `last` of a strip, which begins at lane `lane`."""

    entries: data.ArrayLayout(ENTRY_BITS, LANES)
    first: 1
    last: 1
    lane: 2


class PackedWord(data.Struct):
    data: 64
    strobe: 8


class Offsets(data.Struct):
    """Products of the command's fields, found once per command."""

    step_a: ENTRY_ADDR  # from a window to the next
    step_b: ENTRY_ADDR
    ring_back: ENTRY_ADDR  # from the last row of the ring to its first


class Strip(data.Struct):
    """One (image, out row, out block)."""

    first_a: ENTRY_ADDR  # the first entry of the first window
    first_b: ENTRY_ADDR
    place_a: BLOCK  # its channel's place in the tile's block
    place_b: BLOCK
    ends_a: 1  # the chunk there is the last of the block
    ends_b: 1
    ring_row: 16  # place in the ring of the window's first row that exists
    wraps: 1  # it is the ring's last
    rows: 8  # rows of the window that exist
    single: 1  # of one or none
    count: 8  # rows that count in the divisor
    lane: 2  # of its first entry in the 64-bit words of DRAM
    last: 1  # of the command


class StripWrite(data.Struct):
    """A strip in DRAM: its bytes unless it is coded, and the address of its length if it is."""

    range: Range
    table: ADDRESS


class StripEnds(data.Struct):
    """Where in its strip a window lies, which begins at lane `lane` of a word."""

    first: 1
    last: 1
    lane: 2


class TapMark(data.Struct):
    """What is known of a tap beside its entries."""

    read: 1
    first: 1  # of a window
    last: 1
    count: COUNT_BITS  # the average's divisor
    ends: StripEnds


class Tap(data.Struct):
    """A window's entry of up to four channels, or a place in it where nothing was read."""

    entries: data.ArrayLayout(signed(ENTRY_BITS), LANES)
    operand: 1  # the first operand of an add: the second follows
    mark: TapMark


class OperandScale(data.Struct):
    """What an operand of an add is scaled with."""

    multiplier: 31
    shift: signed(6)  # -31..0


class ResultScale(data.Struct):
    """What a sum is scaled with, and its bounds."""

    multiplier: 31
    shift: signed(6)  # -31..30
    rounding: Rounding
    lo: signed(ENTRY_BITS)
    hi: signed(ENTRY_BITS)


def window_tap(lanes: int) -> data.StructLayout:
    """A tap as it is pooled, an entry or a scaled operand in each lane."""
    return data.StructLayout({"values": data.ArrayLayout(signed(SUM_BITS), lanes), "mark": TapMark})


def window_sum(lanes: int) -> data.StructLayout:
    """What a window's taps add up to, or the greatest of them."""
    return data.StructLayout({"sums": data.ArrayLayout(signed(SUM_BITS), lanes), "mark": TapMark})


def pooled_entries(lanes: int) -> data.StructLayout:
    """What becomes of a window."""
    return data.StructLayout({"entries": data.ArrayLayout(ENTRY_BITS, lanes), "ends": StripEnds})


# ---- the walk of STORE's strips --------------------------------------------------------------


class StripLimits(data.Struct):
    """What depends on the command alone."""

    height: 17  # of the tile
    kernel: 8
    stride_y: 8
    stride_x: 8
    y_first: signed(16)  # of the first window
    x_first: signed(16)
    ring_last: 16  # the ring's last row
    ring_before: 16  # and the one before
    ring_one: 1  # it has one


class StripTurn(data.Struct):
    """A cycle of the walk: what is done in it, and what of it ends."""

    waiting: 1  # for a command
    multiply: 1  # its fields
    new_image: 1
    new_row: 1
    bounds: 1  # those of its window are taken
    seek: 1  # the pointers go there
    step: 1  # ... a row down
    emit: 1  # a strip is ready
    waits: 1  # none is: the opposite, which enables less
    along: 1  # the pointers go over blocks of the tile
    ends_row: 1  # the strip is its row's last
    ends_image: 1
    ends_all: 1


class StripLast(data.Struct):
    """Last-iteration flags of the loops of strips."""

    block: 1
    row: 1
    image: 1


# What finds where the length of a coded strip goes: `table`, of the block at hand, and whether the
# strips are too long, `excess`, from the `entries` of one. `now`, of the walk; `store`, stable.
StripTable = wiring.Signature(
    {
        "now": In(StripTurn),
        "store": In(StoreBody),
        "block": In(BLOCK),
        "entries": In(STORE_ENTRIES),
        "table": Out(ADDRESS),
        "excess": Out(1),
    }
)


# ---- the walk of STORE's taps ----------------------------------------------------------------


class OperandLimits(data.Struct):
    """Of an operand of an add."""

    place_before: BLOCK  # its channel before the last of a block
    place_one: 1  # a block is one chunk
    jump: ENTRY_ADDR  # from a block's last chunk to the next block


class TapLimits(data.Struct):
    """What depends on the command alone. `before`: the index before the last, after which the last
    comes; `one`: the first is the last."""

    kernel: 8
    kernel_before: 8
    kernel_one: 1
    width: 17
    width_before: signed(18)
    stride: 8
    first: signed(COORDINATE)  # the first window's left column
    columns_left: 16
    columns_one: 1
    chunk: 3
    block_left: BLOCK
    block_one: 1
    ring_before: 16
    ring_one: 1
    operands: data.ArrayLayout(OperandLimits, 2)


class TapFlags(data.Struct):
    """Last-iteration flags of a tap's loops: it is the last in its row of the window, its row is
    the window's last, its chunk the out block's, its column the strip's. What enables much has a
    flag of its own."""

    x: 1
    y: 1
    chunk: 1
    column: 1
    window: 1  # x and y
    turn: 1  # of all chunks too
    strip: 1  # all of them


class TapTurn(data.Struct):
    """A cycle of the walk: where it is, and what of it ends."""

    flags: TapFlags
    turn: 1  # the tap's last operand, or nothing at all: the walk moves
    follows: 1  # the next strip is there, and what its first row has is known
    window: 1  # a window ends
    column: 1  # ... and all chunks of a column
    begins: 1  # ... and another column begins, perhaps the next strip's
    second: 1  # at the second operand of an add


class TapColumn(data.Struct):
    """The columns of the tile that a window covers."""

    left: signed(COORDINATE)
    right: signed(COORDINATE)
    low: signed(COORDINATE)  # the first that counts in the divisor
    lane: 2
    tall: 8  # rows that count


class TapWalked(data.Struct):
    """What the walk tells of a tap, but for its addresses."""

    operand: 1  # the first of an add
    column: TapColumn
    place: 8  # in the window's row
    some: 1  # there is a row to read
    first: 1
    last: 1
    strip_first: 1
    strip_last: 1


# ---- what STORE writes -----------------------------------------------------------------------


class Slot(data.Struct):
    """Where a strip goes."""

    address: ADDRESS  # a multiple of 8
    table: ADDRESS  # of its length, a multiple of 2
    last: 1  # of a command


class KnownSlot(data.Struct):
    """A slot that waits for its words."""

    slot: Slot
    beside: 1  # its length lies after that of the strip before


# What stands between pooled entries and the bus: `entries`, `chunk` of each item, become `words`,
# and `strips`, where they go, become `ranges` that the words fill, marked last after a command's
# last. `rlc`: strips are coded. `chunk` and `rlc` stay while not `idle`.
StripCoder = wiring.Signature(
    {
        "entries": In(stream.Signature(Entries)),
        "strips": In(stream.Signature(StripWrite)),
        "words": Out(stream.Signature(PackedWord)),
        "ranges": Out(stream.Signature(Range)),
        "chunk": In(3),
        "rlc": In(1),
        "idle": Out(1),
    }
)
