"""Filters that come an entry at a time, on their way into a PE's spad."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring

from hdl.array.pe.filters.words import intake_ports
from hdl.config import ENTRY_BITS, Config


class FilterEntries(wiring.Component):
    """Entries -> rows of config.simd of them; the half's last entry closes its row.

    Members: `intake_ports`; `ends` is constant. Latency one cycle, one entry a cycle.
    """

    def __init__(self, config: Config):
        self._pairs = config.simd == 2
        super().__init__(intake_ports(config))

    def elaborate(self, platform):
        m = Module()
        entry = Signal(ENTRY_BITS, reset_less=True)
        row, fills = entry, self.take  # fills: a row, with the entry that comes
        if self._pairs:
            first, second = Signal(ENTRY_BITS, reset_less=True), Signal()  # the next is its second
            row, fills = Cat(first, entry), self.take & second
            with m.If(self.take):
                m.d.sync += second.eq(~second & ~self.word.last)
            with m.If(self.take & ~second):
                m.d.sync += first.eq(self.word.data)

        m.d.comb += [self.row.eq(row), self.ends.eq(1)]
        m.d.sync += [
            entry.eq(self.word.data),
            self.write.eq(fills),
            self.closes.eq(self.take & self.word.last),
        ]
        return m
