"""What is left of a segment of the chain, which no logical column leaves."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class SegmentRoom(wiring.Component):
    """Counts the PEs of a segment that are left, from `segment` after a `restart`.

    Members: `need`, PEs of a logical column; `fits`, so many are left; `shift`, one is used.
    Combinational from `need`, in the cycle after the others.
    """

    def __init__(self, segment: int):
        self.segment = segment
        super().__init__({"need": In(16), "fits": Out(1), "shift": In(1), "restart": In(1)})

    def elaborate(self, platform):
        m = Module()
        left = Signal(range(self.segment + 1))
        m.d.comb += self.fits.eq(left >= self.need)
        with m.If(self.restart):
            m.d.sync += left.eq(self.segment)
        with m.Elif(self.shift):
            m.d.sync += left.eq(Mux(left == 1, self.segment, left - 1))
        return m
