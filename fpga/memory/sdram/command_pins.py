"""The pins of a command."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.sdram.sdram_timing import SdramPart
from fpga.memory.sdram.words import NOP, word_address

BURST_OF_FOUR = 2  # in the mode register: in order
ALL_BANKS = 10  # bit of the address that makes a precharge one of all banks


class CommandPins(wiring.Component):
    """Puts a command on the pins, a cycle after it is given.

    Members: `issue`, the command; `at`, of its word; `is_open` and `hit`, whose row is open, or
    another one's; `all_banks`, it is a precharge of all; `initial`, the mode is to be set;
    `command`, (ras_n, cas_n, we_n) the first the highest bit; `ba`, `a`. All outputs are registers.
    """

    def __init__(self, part: SdramPart, cas: int):
        self.cas = cas
        super().__init__(
            {
                "issue": In(3, init=NOP),
                "at": In(word_address(part)),
                "is_open": In(1),
                "hit": In(1),
                "all_banks": In(1),
                "initial": In(1),
                "command": Out(3, init=NOP),
                "ba": Out(2),
                "a": Out(part.row_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        at, row = self.at, Signal(len(self.a))
        m.d.comb += row.eq(at.row)

        # What goes with a command follows from what the step before found, not from the command:
        # the mode, a column, or a row.
        known = Mux(self.hit, Cat(0, 0, at.column), row)
        m.d.sync += [
            self.command.eq(self.issue),
            self.ba.eq(Mux(self.initial, 0, at.bank)),
            self.a.eq(Mux(self.initial, BURST_OF_FOUR | self.cas << 4, known)),
            self.a[ALL_BANKS].eq(self.all_banks | (row[ALL_BANKS] & ~self.initial & ~self.is_open)),
        ]
        return m
