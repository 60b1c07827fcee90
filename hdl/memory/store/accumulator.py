"""Pooling of STORE: the greatest entry of a window, or their sum."""

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.lib.arithmetic.select_adder import SelectAdder
from hdl.memory.words import SUM_BITS, rounded_tap, window_sum


class WindowAccumulator(wiring.Component):
    """The sum (`average`) or the maximum of what was read of a window, in each lane.

    Members: `taps` in, the taps of a window one after the other; `out`, of each window its sums, a
    maximum in the low bits, and its last tap's mark. Nothing read gives 0, or the lowest entry.
    `average` is to be changed only between windows.

    Nothing stops in it: latency one cycle, throughput a tap a cycle.
    """

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(
            {
                "taps": In(stream.Signature(rounded_tap(lanes), always_ready=True)),
                "out": Out(stream.Signature(window_sum(lanes), always_ready=True)),
                "average": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        mark, out = self.taps.p.mark, self.out.p
        m.d.sync += self.out.valid.eq(self.taps.valid & mark.last)
        with m.If(self.taps.valid):
            m.d.sync += out.mark.eq(mark)

        for lane in range(self.lanes):
            value, total = self.taps.p.entries[lane], out.sums[lane]
            nothing = Cat(Const(0, ENTRY_BITS - 1), ~self.average)

            # Added to the sum, or to nothing.
            m.submodules[f"sum_{lane}"] = adder = SelectAdder(SUM_BITS)
            m.d.comb += [
                adder.own.eq(Mux(mark.read, value, nothing)),
                adder.one.eq(total),
                adder.select.eq(self.average & ~mark.first),
            ]

            greater = value > total[:ENTRY_BITS].as_signed()
            with m.If(self.taps.valid & (mark.first | mark.read & (self.average | greater))):
                m.d.sync += total.eq(adder.total)
        return m
