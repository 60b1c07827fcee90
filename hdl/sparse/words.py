"""What passes between the parts of the sparse engine."""

from amaranth.hdl import signed
from amaranth.lib import data

from hdl.config import ENTRY_BITS, PSUM_SLOT_BITS, Config, bits_for, record_head
from hdl.isa import Target

WORD_ENTRIES = 8  # entries in a 64-bit word
WORD_INDEX = 11  # bits of a word's index in a record
EVENTS = ("mac", "starved", "full")


def column_layout(config: Config) -> data.StructLayout:
    """A non-zero activation and its column."""
    return data.StructLayout({"column": config.sparse_column_bits, "value": signed(ENTRY_BITS)})


def word_layout() -> data.StructLayout:
    """A word of a column: which lanes hold real entries, many: more than one, and which paddings;
    first: of the column; mark: a command's end instead."""
    return data.StructLayout(
        {
            "data": 64,
            "real": WORD_ENTRIES,
            "many": 1,
            "padding": WORD_ENTRIES,
            "first": 1,
            "mark": 1,
            "value": signed(ENTRY_BITS),
        }
    )


def wanted_layout(config: Config) -> data.StructLayout:
    """A column to be fetched; with `mark` the end of a command instead."""
    return data.StructLayout(
        {"mark": 1, "column": config.sparse_column_bits, "value": signed(ENTRY_BITS)}
    )


class RecordWord(data.Struct):
    """Word `index` of a record of `words`; with `mark` the end of a command instead."""

    mark: 1
    data: 64
    bad: 1  # the memory answered with an error
    index: WORD_INDEX
    words: WORD_INDEX
    value: signed(ENTRY_BITS)


def position_bits(config: Config) -> int:
    """Of a byte's position in a record whose counts add up to its length, and of its end."""
    k, bits = config.sparse_pes, config.sparse_length_bits
    return max(4, bits_for(record_head(k, bits)[2] + k * ((1 << bits) - 1)))


def span_layout(config: Config) -> data.StructLayout:
    """The bytes of a PE in a record: begin .. end - 1."""
    return data.StructLayout({"begin": position_bits(config), "end": position_bits(config)})


def spread_layout(config: Config) -> data.StructLayout:
    """A word of a record; the PEs take their bytes of it."""
    return data.StructLayout(
        {"data": 64, "index": position_bits(config) - 3, "value": signed(ENTRY_BITS)}
    )


class SparseFill(data.Struct):
    """A word for one of the memories; `targets` is one-hot by isa.Target. data: of weights,
    pointers; psum: an accumulator; entry: an activation; code: an entry of the codebook, `address`
    then its index."""

    targets: len(Target)
    address: 16
    data: 64
    psum: PSUM_SLOT_BITS
    entry: ENTRY_BITS
    code: ENTRY_BITS
