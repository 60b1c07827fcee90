"""Which row of each bank is open."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.sdram.words import BANK


class OpenRows(wiring.Component):
    """Looks up, and remembers, the open row of every bank.

    Members: `bank` and `row`; `look`, they are looked up; `opens`, this row is opened; `closes`,
    this bank is closed; `closes_all`, every bank is; a cycle after any but the last `is_open`, the
    bank is, and `hit`, with this row. Both are registers.
    """

    def __init__(self, row_bits: int):
        self.row_bits = row_bits
        super().__init__(
            {
                "bank": In(BANK),
                "row": In(row_bits),
                "look": In(1),
                "opens": In(1),
                "closes": In(1),
                "closes_all": In(1),
                "is_open": Out(1),
                "hit": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.row_memory = rows = memory.Memory(
            shape=self.row_bits, depth=1 << BANK, init=[]
        )
        there, opened = rows.read_port(domain="comb"), rows.write_port()
        open_banks = Signal(1 << BANK)
        mine = open_banks.bit_select(self.bank, 1)
        m.d.comb += [
            there.addr.eq(self.bank),
            opened.addr.eq(self.bank),
            opened.data.eq(self.row),
            opened.en.eq(self.opens),
        ]

        with m.If(self.look):
            m.d.sync += [self.is_open.eq(mine), self.hit.eq(mine & (there.data == self.row))]
        with m.If(self.opens):
            m.d.sync += [mine.eq(1), self.is_open.eq(1), self.hit.eq(1)]
        with m.If(self.closes):
            m.d.sync += [mine.eq(0), self.is_open.eq(0), self.hit.eq(0)]
        with m.If(self.closes_all):
            m.d.sync += open_banks.eq(0)
        return m
