"""The tile row on which the row pointers of a STORE stand."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.words import StripTurn


class RowSeek(wiring.Component):
    """Counts the rows that the pointers have gone down an image.

    Members: `now`; `goal`, the row they are to stand on, never above the one before; `found`, a
    cycle after they do.
    """

    now: In(StripTurn)
    goal: In(17)
    found: Out(1)

    def elaborate(self, platform):
        m = Module()
        row = Signal(17)
        m.d.sync += self.found.eq(row == self.goal)
        with m.If(self.now.new_image):
            m.d.sync += row.eq(0)
        with m.Elif(self.now.step):
            m.d.sync += row.eq(row + 1)
        return m
