"""What the networks of the array carry, between it and its PEs."""

from amaranth.hdl import signed
from amaranth.lib import data

from hdl.config import ENTRY_BITS, LANES, PSUM_LANES, WORD_BITS, Config

EVENTS = ("busy", "gated", "wait_filter", "wait_ifmap", "wait_psum", "wait_hazard", "idle")


class PassHeader(data.Struct):
    """The shape of a pass, sent to every PE before its first ifmap word: IFMAP's fields
    (isa.IfmapBody), and what is the same for all PEs."""

    p: 8  # of_slots(p, config.simd)
    window: 7  # 64 at most, as config.ifmap_spad
    step: 7
    positions: 16
    laps: 16
    channels: 3
    inner: 6  # entries of a window before the last `channels`


def of_slots(p, simd: int):
    """p as PassHeader has it, an int or a Value: filled up to whole slots of `simd` filters, the
    lowest bit of two telling that the last slot has one."""
    more = simd - 1
    return (p + more) & ~more | p & more


def tag_layout(config: Config) -> data.StructLayout:
    """What a PE is in the current mapping: set by CONFIG through the chain."""
    return data.StructLayout(
        {
            "enable": 1,
            "head": 1,
            "tail": 1,
            "ifmap": config.ifmap_tag_bits,
            "filter": config.pe_tag_bits,
            "psum": config.pe_tag_bits,
        }
    )


def ifmap_word(config: Config) -> data.StructLayout:
    """Up to four entries for a tag, or (`header`) a PassHeader for everyone."""
    return data.StructLayout(
        {"data": WORD_BITS, "count": 3, "header": 1, "tag": config.ifmap_tag_bits}
    )


def filter_word(config: Config) -> data.StructLayout:
    """Up to four filter entries for a tag; `last` closes the half being filled."""
    return data.StructLayout({"data": WORD_BITS, "count": 3, "last": 1, "tag": config.pe_tag_bits})


def single_ifmap(config: Config) -> data.StructLayout:
    """An entry for a tag, or (`header`) the next 16 bits of a PassHeader for everyone; `last` of
    a word's entries."""
    return data.StructLayout(
        {"data": ENTRY_BITS, "last": 1, "header": 1, "tag": config.ifmap_tag_bits}
    )


def single_filter(config: Config) -> data.StructLayout:
    """A filter entry for a tag; `last` closes the half being filled."""
    return data.StructLayout({"data": ENTRY_BITS, "last": 1, "tag": config.pe_tag_bits})


def ifmap_bus_word(config: Config) -> data.StructLayout:
    """What the ifmap network inside the array carries."""
    return ifmap_word(config) if config.input_lanes == LANES else single_ifmap(config)


def filter_bus_word(config: Config) -> data.StructLayout:
    """What the filter network inside the array carries."""
    return filter_word(config) if config.input_lanes == LANES else single_filter(config)


def psum_word(config: Config) -> data.StructLayout:
    """Up to four psums for the head with this tag."""
    return data.StructLayout(
        {"data": config.psum_bits * PSUM_LANES, "count": 3, "tag": config.pe_tag_bits}
    )


def single_psum(config: Config) -> data.StructLayout:
    """A psum for the head with this tag."""
    return data.StructLayout({"data": config.psum_bits, "tag": config.pe_tag_bits})


def psum_bus_word(config: Config) -> data.StructLayout:
    """What the psum network inside the array carries."""
    return psum_word(config) if config.psum_lanes == PSUM_LANES else single_psum(config)


def ofmap_word(config: Config) -> data.StructLayout:
    """Up to four psums from a tail; `last` ends its p psums of a position."""
    return data.StructLayout({"data": config.psum_bits * PSUM_LANES, "last": 1})


def single_ofmap(config: Config) -> data.StructLayout:
    """A psum from a tail; `end` ends its p psums of a position, and so does `last`, which a bus
    changes."""
    return data.StructLayout({"data": config.psum_bits, "end": 1, "last": 1})


def ofmap_bus_word(config: Config) -> data.StructLayout:
    """What the output network inside the array carries."""
    return ofmap_word(config) if config.psum_lanes == PSUM_LANES else single_ofmap(config)


def ifmap_in_word() -> data.StructLayout:
    """What of an ifmap word a PE keeps."""
    return data.StructLayout({"data": WORD_BITS, "count": 3, "header": 1})


def slot_layout(config: Config) -> data.StructLayout:
    """A cycle of a PE's multipliers: it is of a psum's first entry, its last one, and then of the
    last filter of the last; its second filter is padding, which has no sum; which psum it adds
    to."""
    depth = config.psum_spad // config.simd
    index = (depth - 1).bit_length()
    return data.StructLayout({"first": 1, "final": 1, "last": 1, "single": 1, "index": index})


def sum_layout(config: Config) -> data.StructLayout:
    """A psum on its way out of a PE; the last of a position."""
    return data.StructLayout({"psum": signed(config.psum_bits), "last": 1})
