"""What passes between the parts of a sequencer."""

from amaranth.lib import data

from hdl.array.words import PassHeader
from hdl.config import LANES, PSUM_LANES, Config


def ifmap_step(config: Config) -> data.StructLayout:
    """A word of a strip: which of its lanes are real entries, its first entry's lane in the words
    of the buffer, entries, and whose it is."""
    return data.StructLayout({"mask": LANES, "lane": 2, "count": 3, "tag": config.ifmap_tag_bits})


def ifmap_item(config: Config) -> data.StructLayout:
    """A step with the word of the buffer that it reads, if it reads one; the last of a command."""
    return data.StructLayout(
        {"read": 1, "last": 1, "word": config.glb_word_bits, "step": ifmap_step(config)}
    )


def ifmap_note(config: Config) -> data.StructLayout:
    """What is remembered of an item, or (`header`) a PassHeader."""
    rest = max(PassHeader.as_shape().size, ifmap_step(config).size)
    return data.StructLayout({"header": 1, "read": 1, "last": 1, "rest": rest})


def ofmap_place(config: Config) -> data.StructLayout:
    """Where a word of up to four psums goes: to the ring, or its entries to `address` if it is to
    be written at all, scaled by a row of the table, or as `shift` and `relu` say; the last of a
    command."""
    return data.StructLayout(
        {
            "to_ring": 1,
            "write": 1,
            "last": 1,
            "address": config.glb_entry_bits,
            "count": 3,
            "scaled": 1,
            "row": config.scale_row_bits,
            "shift": 6,
            "relu": 1,
        }
    )


def ofmap_psums(config: Config) -> data.StructLayout:
    """What comes in a cycle: psums of the word that goes to `place`, from lane `lane` on; it is
    whole with them."""
    return data.StructLayout(
        {
            "place": ofmap_place(config),
            "psums": config.psum_bits * config.psum_lanes,
            "lane": (PSUM_LANES - 1).bit_length(),
            "whole": 1,
        }
    )
