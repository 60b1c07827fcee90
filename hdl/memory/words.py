"""What passes between the parts of LOAD and STORE, and of the ports to memory."""

from amaranth.hdl import signed
from amaranth.lib import data

from hdl.config import ENTRY_BITS, LANES
from hdl.isa import ENTRY_ADDR, WORD_ADDR
from hdl.lib.axi import ADDRESS, Burst, Range, ReadData

RUN_BITS, PAIRS = 5, 3
PAIR_BITS = RUN_BITS + ENTRY_BITS
LENGTH = 16  # bits of a strip's words
STRIP_BITS = 17  # of a strip's entries
# bits of a tile's row or column, signed: a window that reads anything begins within 2**17 of it
COORDINATE = 18
SUM_BITS = 32  # of a window: 65025 entries of 16 bits
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


class TableWord(data.Struct):
    """Four lengths."""

    data: 64
    bad: 1


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
    count: 5  # the average's divisor
    ends: StripEnds


class Tap(data.Struct):
    """A window's entry of up to four channels, or a place in it where nothing was read."""

    entries: data.ArrayLayout(signed(ENTRY_BITS), LANES)
    operand: 1  # the first operand of an add: the second follows
    mark: TapMark


def rounded_tap(lanes: int) -> data.StructLayout:
    """A tap as it is pooled."""
    return data.StructLayout(
        {"entries": data.ArrayLayout(signed(ENTRY_BITS), lanes), "mark": TapMark}
    )


def window_sum(lanes: int) -> data.StructLayout:
    """What a window's entries add up to, or the greatest of them in the low bits."""
    return data.StructLayout({"sums": data.ArrayLayout(signed(SUM_BITS), lanes), "mark": TapMark})


def pooled_entries(lanes: int) -> data.StructLayout:
    """What becomes of a window."""
    return data.StructLayout({"entries": data.ArrayLayout(ENTRY_BITS, lanes), "ends": StripEnds})


class Slot(data.Struct):
    """Where a strip goes."""

    address: ADDRESS  # a multiple of 8
    table: ADDRESS  # of its length, a multiple of 2
    last: 1  # of a command
