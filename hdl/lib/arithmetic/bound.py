"""A sum within bounds of 16 bits."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS
from hdl.lib.arithmetic.wide_multiplier import SUM_BITS


class Bound(wiring.Component):
    """entry = clamp(value, lo, hi).

    Members: `enable`; `value`, signed, of 32 bits, or, with `over`, one beyond both bounds on the
    side of `negative`; `lo` and `hi`, signed, of 16 bits, lo <= hi; `entry`. Latency one enabled
    cycle, throughput one value a cycle. The register has no reset.
    """

    LATENCY = 1

    enable: In(1)
    value: In(signed(SUM_BITS))
    over: In(1)
    negative: In(1)
    lo: In(signed(ENTRY_BITS))
    hi: In(signed(ENTRY_BITS))
    entry: Out(signed(ENTRY_BITS))

    def elaborate(self, platform):
        m = Module()
        entry = Signal(signed(ENTRY_BITS), reset_less=True)
        m.d.comb += self.entry.eq(entry)

        # What 17 bits do not hold is beyond both bounds too.
        short, top = self.value[: ENTRY_BITS + 1].as_signed(), self.value[ENTRY_BITS:]
        beyond, sign, below, above = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            beyond.eq(self.over | (top.any() & ~top.all())),
            sign.eq(Mux(self.over, self.negative, self.value[-1])),
            below.eq((beyond & sign) | (~beyond & (short < self.lo))),
            above.eq((beyond & ~sign) | (~beyond & (short > self.hi))),
        ]
        with m.If(self.enable):
            with m.If(below):
                m.d.sync += entry.eq(self.lo)
            with m.Elif(above):
                m.d.sync += entry.eq(self.hi)
            with m.Else():
                m.d.sync += entry.eq(short)
        return m
