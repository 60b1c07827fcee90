"""Sums of one scale as entries of another: one lane of golden/integer/requantise.py."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS
from hdl.isa import Rounding
from hdl.lib.arithmetic.away_shift import SHIFT_BITS, AwayShift
from hdl.lib.arithmetic.bound import Bound
from hdl.lib.arithmetic.delay import after
from hdl.lib.arithmetic.left_shift import LeftShift
from hdl.lib.arithmetic.wide_multiplier import MULTIPLIER_BITS, SUM_BITS, WideMultiplier


class Scaler(wiring.Component):
    """entry = clamp(scale(value, multiplier, left - right), lo, hi), rounded as `rounding` says.

    Members: `enable` moves every stage; `value`, signed, of 32 bits, and along with it `multiplier`
    (31 bits: at least 2**29, or 0, if `left` is not 0), `left` (0..30) and `right` (0..63), of
    which one is 0, and `rounding`; `entry`; `lo` and `hi`, signed, of 16 bits, those of the value
    that comes out: they are looked at LATENCY - 1 enabled cycles after it went in.

    From a `right` of 32 on every value becomes 0. saturate((value + half an LSB) >> shift) is a
    multiplier of 2**30, SINGLE, and a `right` of shift - 1, or, of a shift of 0, a `left` of 1.

    Latency LATENCY enabled cycles, throughput one value a cycle. The registers have no reset. On a
    device with DSP blocks four of them.
    """

    PRODUCT = LeftShift.LATENCY + WideMultiplier.LATENCY  # cycles to the product
    BOUND = WideMultiplier.LATENCY + 1 + AwayShift.LATENCY  # from the left shift to the bounds
    LATENCY = PRODUCT + 1 + AwayShift.LATENCY + Bound.LATENCY

    enable: In(1)
    value: In(signed(SUM_BITS))
    multiplier: In(MULTIPLIER_BITS)
    left: In(5)
    right: In(6)
    rounding: In(Rounding)
    lo: In(signed(ENTRY_BITS))
    hi: In(signed(ENTRY_BITS))
    entry: Out(signed(ENTRY_BITS))

    def elaborate(self, platform):
        m = Module()
        m.submodules.left_shift = left_shift = LeftShift()
        m.submodules.multiply = multiply = WideMultiplier()
        m.submodules.right_shift = right_shift = AwayShift()
        m.submodules.bound = bound = Bound()
        parts = (left_shift, multiply, right_shift, bound)
        m.d.comb += [part.enable.eq(self.enable) for part in parts]

        def later(stages, value, name):
            return after(m, self.enable, stages, value, name)

        # Only of DOUBLE a left shift wraps; any other that loses bits ends at a bound.
        rounding = later(LeftShift.LATENCY, self.rounding, "shifted_rounding")
        negative = later(LeftShift.LATENCY, self.value[-1], "shifted_sign")
        over = left_shift.lost & (rounding != Rounding.DOUBLE)
        m.d.comb += [
            left_shift.value.eq(self.value),
            left_shift.shift.eq(self.left),
            multiply.a.eq(left_shift.out),
            multiply.w.eq(later(LeftShift.LATENCY, self.multiplier, "multiplier")),
        ]

        # The product's 31 low bits: DOUBLE rounds by them, the others keep the first and, for the
        # right shift, whether there is more.
        right = later(self.PRODUCT, self.right, "right")
        rounding = later(WideMultiplier.LATENCY, rounding, "rounding")
        double, half = rounding == Rounding.DOUBLE, multiply.product[MULTIPLIER_BITS - 1]
        rounded, rest = Signal(signed(SUM_BITS + 1), reset_less=True), Signal(reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                rounded[0].eq(half & ~double),
                rounded[1:].eq(multiply.product[MULTIPLIER_BITS:] + (half & double)),
                rest.eq(multiply.product[: MULTIPLIER_BITS - 1].any() & ~double),
            ]
            with m.If(right[SHIFT_BITS]):
                m.d.sync += [rounded.eq(0), rest.eq(0)]
        m.d.comb += [
            right_shift.value.eq(rounded),
            right_shift.rest.eq(rest),
            right_shift.shift.eq(later(1, right, "rounded_right")),
            right_shift.away.eq(later(1, rounding != Rounding.SINGLE, "away")),
        ]

        # Bounds.
        m.d.comb += [
            bound.value.eq(right_shift.out),
            bound.over.eq(later(self.BOUND, over, "over")),
            bound.negative.eq(later(self.BOUND, negative, "sign")),
            bound.lo.eq(self.lo),
            bound.hi.eq(self.hi),
            self.entry.eq(bound.entry),
        ]
        return m
