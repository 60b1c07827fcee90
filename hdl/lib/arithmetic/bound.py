"""A sum within bounds of 16 bits."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS
from hdl.lib.arithmetic.wide_multiplier import SUM_BITS


class Bound(wiring.Component):
    """entry = clamp(value, lo, hi).

    Members: `enable`; `value`, signed, of 32 bits; `lo` and `hi`, signed, of 16 bits, lo <= hi;
    `entry`. Latency one enabled cycle, throughput one value a cycle. The register has no reset.
    """

    LATENCY = 1

    enable: In(1)
    value: In(signed(SUM_BITS))
    lo: In(signed(ENTRY_BITS))
    hi: In(signed(ENTRY_BITS))
    entry: Out(signed(ENTRY_BITS))

    def elaborate(self, platform):
        m = Module()
        entry = Signal(signed(ENTRY_BITS), reset_less=True)
        m.d.comb += self.entry.eq(entry)

        # What 17 bits do not hold is beyond either bound.
        short, top, sign = (
            self.value[: ENTRY_BITS + 1].as_signed(),
            self.value[ENTRY_BITS:],
            self.value[-1],
        )
        beyond, below, above = top.any() & ~top.all(), Signal(), Signal()
        m.d.comb += [
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
