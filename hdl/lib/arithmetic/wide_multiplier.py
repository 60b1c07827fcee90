"""A registered product of a sum of 32 bits and a multiplier of 31."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.arithmetic.multiplier import Multiplier, multiplied

SUM_BITS, MULTIPLIER_BITS = 32, 31
PART = 16  # bits that a DSP block of any device multiplies, signed or not


class WideMultiplier(wiring.Component):
    """product = a * w, of four products of parts of 16 bits, in DSP blocks where there are such.

    Members: `enable` moves every stage; `a`, signed, of 32 bits; `w`, of 31 bits without a sign;
    `product`, signed, of 63 bits.

    Latency LATENCY enabled cycles: those of a product of parts, and a sum in each of two more.
    Throughput one product a cycle. The registers have no reset.
    """

    LATENCY = Multiplier.LATENCY + 2

    enable: In(1)
    a: In(signed(SUM_BITS))
    w: In(MULTIPLIER_BITS)
    product: Out(signed(SUM_BITS + MULTIPLIER_BITS))

    def elaborate(self, platform):
        m = Module()
        a_low, a_high = self.a[:PART], self.a[PART:].as_signed()
        w_low, w_high = self.w[:PART], self.w[PART:]

        low = multiplied(m, "low", self.enable, a_low, w_low)
        low_high = multiplied(m, "low_high", self.enable, a_low, w_high)
        high_low = multiplied(m, "high_low", self.enable, a_high, w_low)
        high = multiplied(m, "high", self.enable, a_high, w_high)

        # The outer two lie side by side, the inner two in the middle.
        inner = Signal(signed(2 * PART + 1), reset_less=True)
        outer, product = (
            Signal(self.product.shape(), name=name, reset_less=True) for name in ("outer", "total")
        )
        with m.If(self.enable):
            m.d.sync += [
                inner.eq(low_high + high_low),
                outer.eq(Cat(low, high)),
                product.eq(outer + (inner << PART)),
            ]
        m.d.comb += self.product.eq(product)
        return m
