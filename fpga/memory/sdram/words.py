"""Pins, commands and words of the SDRAM controller's parts."""

from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from fpga.memory.sdram.sdram_timing import SdramPart

BURST = 4  # 16-bit words of a command: one 64-bit word
AHEAD = 4  # words that are read before they are taken
PAGE = 9  # bits of a word's address in 4 KiB, which no burst leaves
COLUMN, BANK = 7, 2  # bits of a word's address: the column's, then the bank's, then the row's
# (ras_n, cas_n, we_n), the first the highest bit. NOP & another is the other.
NOP, ACTIVE, READ, WRITE, PRECHARGE, REFRESH, MODE = 0b111, 0b011, 0b101, 0b100, 0b010, 0b001, 0b000


def pins(part: SdramPart) -> dict:
    """The part's pins, its clock apart; dq as two directions and an output enable."""
    return {
        "sdram_cke": Out(1),
        "sdram_cs_n": Out(1),
        "sdram_ras_n": Out(1),
        "sdram_cas_n": Out(1),
        "sdram_we_n": Out(1),
        "sdram_ba": Out(2),
        "sdram_a": Out(part.row_bits),
        "sdram_dqm": Out(2),
        "sdram_dq_o": Out(16),
        "sdram_dq_oe": Out(1),
        "sdram_dq_i": In(16),
    }


def word_address(part: SdramPart) -> data.StructLayout:
    """Where a 64-bit word is."""
    return data.StructLayout({"column": COLUMN, "bank": BANK, "row": part.row_bits})


class Piece(data.Struct):
    """What the part gives in a cycle, and of the word that it ends: the last of its burst,
    beyond the memory."""

    data: 16
    last: 1
    bad: 1


class Place(data.Struct):
    """Of a word that a command is for."""

    last: 1  # of its burst
    bad: 1  # beyond the memory
