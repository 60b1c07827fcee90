"""What passes between the parts of the sparse engine."""

from amaranth.hdl import Shape, ShapeLike, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, PSUM_SLOT_BITS, Config, bits_for, record_head
from hdl.isa import WORD_ADDR, TableWord, Target
from hdl.lib.axi import ADDRESS

WORD_ENTRIES = 8  # entries in a 64-bit word
WORD_INDEX = 11  # bits of a word's index in a record
EVENTS = ("mac", "starved", "full")


# ---- fills ------------------------------------------------------------------------------
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


def fill_index(config: Config) -> int:
    """Bits of an address in any memory of a PE."""
    c = config
    return bits_for(max(c.sparse_words, c.sparse_pointers // 2, 2 * c.sparse_activations, 16))


def fill_note_layout(config: Config) -> data.StructLayout:
    """What a word of the buffer is for: a PE, or four of them, by the target; last: of a
    command."""
    return data.StructLayout(
        {
            "target": 3,
            "select": bits_for(config.sparse_pes - 1),
            "address": fill_index(config),
            "last": 1,
        }
    )


def fill_step_layout(config: Config) -> data.StructLayout:
    """A word of the buffer to be read, and what it is for."""
    return data.StructLayout({"word": config.glb_word_bits, "note": fill_note_layout(config)})


# ---- activations and columns ------------------------------------------------------------
def activation_place(config: Config) -> Shape:
    """An activation's address in a PE, both halves counted."""
    return unsigned(bits_for(2 * config.sparse_activations - 1))


def scan_layout(config: Config) -> data.StructLayout:
    """Activations to be searched, and the column of the first in PE 0."""
    return data.StructLayout(
        {
            "address": activation_place(config),
            "count": bits_for(config.sparse_activations),
            "base": config.sparse_column_bits,
        }
    )


def column_layout(config: Config) -> data.StructLayout:
    """A non-zero activation and its column."""
    return data.StructLayout({"column": config.sparse_column_bits, "value": signed(ENTRY_BITS)})


# ---- within a PE ------------------------------------------------------------------------
def bounds_layout(config: Config) -> data.StructLayout:
    """A column's entries: begin .. end - 1, of which there are some."""
    bits = config.sparse_pointer_bits
    return data.StructLayout({"begin": bits, "end": bits, "value": signed(ENTRY_BITS)})


def lanes_layout() -> data.StructLayout:
    """The lanes of a word that are a column's: from `low` on, and `until`: below `high`; first: the
    word is the column's first."""
    return data.StructLayout(
        {"low": 3, "high": 3, "until": 1, "first": 1, "value": signed(ENTRY_BITS)}
    )


def place_layout(config: Config) -> data.StructLayout:
    """A word of the weights that holds entries of a column."""
    return data.StructLayout({"address": config.sparse_pointer_bits - 3, "lanes": lanes_layout()})


def raw_word_layout() -> data.StructLayout:
    """A word of entries, those inside a column; mark: a command's end instead."""
    return data.StructLayout(
        {"data": 64, "inside": WORD_ENTRIES, "first": 1, "mark": 1, "value": signed(ENTRY_BITS)}
    )


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


def choice_layout() -> data.StructLayout:
    """A word and the one of its real entries that is chosen, one-hot, if there is `some`; before:
    lanes before it; more: real entries after it; padding: those not yet met; first: the column's
    first choice; mark: a command's end instead."""
    return data.StructLayout(
        {
            "data": 64,
            "chosen": WORD_ENTRIES,
            "before": WORD_ENTRIES,
            "padding": WORD_ENTRIES,
            "some": 1,
            "more": 1,
            "first": 1,
            "mark": 1,
            "value": signed(ENTRY_BITS),
        }
    )


def step_layout() -> data.StructLayout:
    """An entry, if there is `some`, with the zeros before it in its byte and the paddings before
    and after it; first: of a column; mark: a command's end instead."""
    return data.StructLayout(
        {
            "some": 1,
            "first": 1,
            "mark": 1,
            "index": 4,
            "zeros": 4,
            "before": 4,
            "after": 3,
            "value": signed(ENTRY_BITS),
        }
    )


def mac_layout(config: Config) -> data.StructLayout:
    """accumulator[row] += codebook[index] * value"""
    return data.StructLayout(
        {"row": range(config.sparse_rows), "index": 4, "value": signed(ENTRY_BITS)}
    )


# ---- columns from DRAM ------------------------------------------------------------------
def wanted_layout(config: Config) -> data.StructLayout:
    """A column to be fetched; with `mark` the end of a command instead."""
    return data.StructLayout(
        {"mark": 1, "column": config.sparse_column_bits, "value": signed(ENTRY_BITS)}
    )


class LookUp(data.Struct):
    """A column whose word of the table is asked for, and its lane there; with `mark` the end of a
    command instead."""

    mark: 1
    lane: 2
    value: signed(ENTRY_BITS)


class TableEntry(data.Struct):
    """The same with the table's word."""

    look_up: LookUp
    word: TableWord


def record_address(config: Config) -> int:
    """Bits of a record's address; what lies beyond the memory stays outside of it."""
    return min(ADDRESS, config.address_bits + 1)


def place_of_record_layout(config: Config) -> data.StructLayout:
    """Where a record begins, in words, and how many there are."""
    return data.StructLayout({"begin": record_address(config) - 3, "words": WORD_INDEX})


class RecordLength(data.Struct):
    """A record that comes: what its data is cut into; with `mark` the end of a command instead."""

    mark: 1
    words: WORD_INDEX
    value: signed(ENTRY_BITS)


class Beat(data.Struct):
    """A word of a record from memory."""

    data: 64
    bad: 1  # the memory answered with an error


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


def counts_of_a_word(config: Config) -> int:
    """Counts of PEs in a word of a record's head, those of all PEs at most."""
    k = config.sparse_pes
    return min(record_head(k, config.sparse_length_bits)[0], k)


# ---- between the control of the engine and its PEs --------------------------------------
def start_signature(body: ShapeLike) -> wiring.Signature:
    """To what carries a command out: `body`, stable from the cycle before `start`, a pulse; back
    `ends`, in the cycle in which it is the last of its work."""
    return wiring.Signature({"body": Out(body), "start": Out(1), "ends": In(1)})


def search_signature(config: Config) -> wiring.Signature:
    """To the PEs: `start` of a search, and how many columns wait in their queues; back `scanning`,
    of each."""
    return wiring.Signature(
        {
            "start": Out(1),
            "search": Out(scan_layout(config)),
            "limit": Out(5),
            "scanning": In(config.sparse_pes),
        }
    )


def stream_signature() -> wiring.Signature:
    """Of a STREAM, to its columns' records: `begun`, a pulse; where table and records are; back
    `looked_up`, a pulse: the table has taken all; `any`, a STREAM is under way."""
    return wiring.Signature(
        {
            "begun": Out(1),
            "table": Out(WORD_ADDR),
            "dram": Out(ADDRESS),
            "looked_up": In(1),
            "any": In(1),
        }
    )


def records_signature(config: Config) -> wiring.Signature:
    """To the PEs: `record`, which does not wait but comes only in the cycle after all had `room`;
    `spans` with `load` and `mark`, and back `marked`, as in SparsePe."""
    k = config.sparse_pes
    return wiring.Signature(
        {
            "record": Out(stream.Signature(spread_layout(config), always_ready=True)),
            "room": In(k),
            "spans": Out(span_layout(config)).array(k),
            "load": Out(k),
            "mark": Out(1),
            "marked": In(k),
        }
    )


def output_signature(config: Config) -> wiring.Signature:
    """To the PEs: the `row` that each with `show` reads and clears; back `accumulators`, two cycles
    later, 0 of the others; then `entries`, for each with `keep` to keep at `address`."""
    k = config.sparse_pes
    return wiring.Signature(
        {
            "row": Out(range(config.sparse_rows)),
            "show": Out(k),
            "accumulators": In(data.ArrayLayout(signed(config.psum_bits), k)),
            "address": Out(activation_place(config)),
            "keep": Out(k),
            "entries": Out(data.ArrayLayout(signed(ENTRY_BITS), k)),
        }
    )


def dump_signature(config: Config) -> wiring.Signature:
    """To the PEs: `looking`, `look` and `address`; back `looked`, of each, as in SparsePe."""
    return wiring.Signature(
        {
            "looking": Out(1),
            "look": Out(1),
            "address": Out(activation_place(config)),
            "looked": In(data.ArrayLayout(ENTRY_BITS, config.sparse_pes)),
        }
    )
