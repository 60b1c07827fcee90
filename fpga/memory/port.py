"""The memory of a board, by its name."""

from fpga.memory.ram import Ram
from fpga.memory.sdram.sdram import Sdram
from fpga.memory.sdram.sdram_timing import PARTS, SdramPart
from fpga.memory.single_port import BLOCK, WORD

SPRAM = "SPRAM"  # all of an UP5K's


def size_of(what: int | str | SdramPart) -> int:
    """Bytes of such a memory (as for memory_of)."""
    if what == SPRAM:
        return BLOCK * WORD // 8
    part = PARTS[what] if isinstance(what, str) else what
    return part if isinstance(part, int) else part.size


def memory_of(what: int | str | SdramPart, clock_hz: int, delay: int = 0) -> Ram | Sdram:
    """what: bytes of block RAM, SPRAM, or an SDRAM part or its name; delay: registers at its pads
    both ways.

    Raises ValueError.
    """
    if what == SPRAM:
        return Ram(size_of(SPRAM), single_port=True)
    if isinstance(what, int):
        return Ram(what)
    if isinstance(what, str) and what not in PARTS:
        raise ValueError(f"memory {what!r}: choose from {SPRAM}, {', '.join(PARTS)}, or give bytes")
    return Sdram(PARTS[what] if isinstance(what, str) else what, clock_hz, delay)
