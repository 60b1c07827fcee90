"""The equal-area rule: as many PEs and the same storage area for every dataflow (ISCA 2016, section
VI-B).

The storage of the baseline is 512 bytes of register file in a PE and 512 bytes of buffer a PE; a
dataflow that needs less in its PEs has the area in its buffer instead, where a byte takes less of
it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WORD = 2  # bytes: ifmap, filter and psum are of 16 bits, as in the paper
BASELINE = 512  # bytes of register file in a PE, and of buffer a PE
# Area of a byte by the bytes of the memory, that of a large buffer being 1: registers up to 8
# bytes, SRAM macros from
# 16. Of the 65 nm process of fig. 7a, as in the scripts for that analysis
#     (github.com/ominux/eyeriss-dataflow,
# helpers/). The paper says of it: the largest buffer, of the dataflow without register files, is
# 2.6 times the
# baseline's.
AREA = {
    2: 8.147,
    4: 13.549,
    8: 13.943,
    16: 13.377,
    32: 7.564,
    64: 4.657,
    128: 3.145,
    256: 2.164,
    512: 1.643,
    1024: 1.271,
    2048: 1.094,
    4096: 1.0,
}


class DataflowError(ValueError):
    """A layer that a dataflow cannot run, or a comparison that cannot be made; one line."""


@dataclass(frozen=True)
class Hardware:
    """pes; words of 16 bits in the register file of a PE and in the global buffer."""

    pes: int
    register_words: int
    buffer_words: int

    @property
    def bytes(self) -> int:
        """All storage."""
        return WORD * (self.pes * self.register_words + self.buffer_words)


def area(size: float) -> float:
    """Area of a memory of `size` bytes, in bytes of a large buffer; linear between the sizes
    that are known."""
    if size == 0:
        return 0.0
    sizes = np.array([0, *AREA])
    return (
        size * AREA[4096]
        if size >= sizes[-1]
        else float(np.interp(size, sizes, [0.0, *(bytes * each for bytes, each in AREA.items())]))
    )


def equal_area(pes: int, register_words: int) -> Hardware:
    """Hardware of the baseline's storage area. Raises DataflowError if the register files alone
    take it."""
    # The baseline's buffer counts as a large one, whatever the number of PEs.
    left = pes * area(BASELINE) + pes * BASELINE - pes * area(WORD * register_words)
    if left < 0:
        raise DataflowError(
            f"register files of {WORD * register_words} bytes take more than the storage area "
            f"of {pes} PEs"
        )
    return Hardware(pes, register_words, int(left) // WORD)
