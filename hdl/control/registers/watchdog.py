"""Counts cycles in which nothing moves."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Watchdog(wiring.Component):
    """`barked`: for `limit` cycles nothing has moved.

    Members: `limit`, 0 for never; `moved`, in which cycles something did; `barked`, a register that
    rises `limit` + 1 cycles after the last of these, and falls a cycle after the next.
    """

    limit: In(32)
    moved: In(1)
    barked: Out(1)

    def elaborate(self, platform):
        m = Module()
        waited = Signal(32)
        m.d.sync += [
            waited.eq(waited + 1),
            self.barked.eq((self.limit != 0) & (waited >= self.limit) & ~self.moved),
        ]
        with m.If(self.moved):
            m.d.sync += waited.eq(0)
        return m
