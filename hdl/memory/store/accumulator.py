"""Windows of STORE: the greatest of their taps, or their sum."""

from amaranth.hdl import Const, Module, Mux, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.lib.arithmetic.select_adder import SelectAdder
from hdl.memory.words import SUM_BITS, window_sum, window_tap

LEAST = Const(-(1 << ENTRY_BITS - 1), signed(ENTRY_BITS))


class WindowAccumulator(wiring.Component):
    """The sum (`adds`) or the maximum of what was read of a window, in each lane.

    Members: `taps` in, the taps of a window one after the other, values of 16 bits unless `adds`;
    `out`, of each window what they come to, and its last tap's mark. Nothing read gives 0, or the
    lowest entry. `adds` is to be changed only between windows.

    Nothing stops in it: latency one cycle, throughput a tap a cycle.
    """

    LATENCY = 1

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(
            {
                "taps": In(stream.Signature(window_tap(lanes), always_ready=True)),
                "out": Out(stream.Signature(window_sum(lanes), always_ready=True)),
                "adds": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        mark, out = self.taps.p.mark, self.out.p
        m.d.sync += self.out.valid.eq(self.taps.valid & mark.last)
        with m.If(self.taps.valid):
            m.d.sync += out.mark.eq(mark)

        for lane in range(self.lanes):
            value, total = self.taps.p.values[lane], out.sums[lane]

            # Added to the sum, or to nothing.
            m.submodules[f"sum_{lane}"] = adder = SelectAdder(SUM_BITS)
            m.d.comb += [
                adder.own.eq(Mux(mark.read, value, Mux(self.adds, 0, LEAST))),
                adder.one.eq(total),
                adder.select.eq(self.adds & ~mark.first),
            ]

            greater = value[:ENTRY_BITS].as_signed() > total[:ENTRY_BITS].as_signed()
            with m.If(self.taps.valid & (mark.first | mark.read & (self.adds | greater))):
                m.d.sync += total.eq(adder.total)
        return m
