"""Entries of one scale as operands of an addition (golden/integer/add.py)."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS
from hdl.lib.arithmetic.away_shift import SHIFT_BITS, AwayShift
from hdl.lib.arithmetic.delay import after
from hdl.lib.arithmetic.multiplier import Multiplier, multiplied
from hdl.lib.arithmetic.wide_multiplier import MULTIPLIER_BITS, PART, SUM_BITS

POINT = 20  # bits that an operand has below an entry's


class OperandScaler(wiring.Component):
    """scaled = scale(value << 20, multiplier, -right), rounded DOUBLE: (value*multiplier + 2**10)
    >> 11, wrapped at 32 bits, and that shifted right, halves away from zero.

    Members: `enable` moves every stage; `value`, an entry, and along with it `multiplier` (31 bits)
    and `right` (0..31); `scaled`, signed, of 32 bits.

    Latency LATENCY enabled cycles, throughput one value a cycle. The registers have no reset. On a
    device with DSP blocks two of them.
    """

    ROUNDED = Multiplier.LATENCY + 2  # cycles to the product, in two parts, their sum, its rounding
    LATENCY = ROUNDED + AwayShift.LATENCY

    enable: In(1)
    value: In(signed(ENTRY_BITS))
    multiplier: In(MULTIPLIER_BITS)
    right: In(SHIFT_BITS)
    scaled: Out(signed(SUM_BITS))

    def elaborate(self, platform):
        m = Module()
        m.submodules.right_shift = right_shift = AwayShift()
        low = multiplied(m, "low", self.enable, self.value, self.multiplier[:PART])
        high = multiplied(m, "high", self.enable, self.value, self.multiplier[PART:])
        product = Signal(signed(ENTRY_BITS + MULTIPLIER_BITS), reset_less=True)
        rounded, below = Signal(signed(SUM_BITS), reset_less=True), MULTIPLIER_BITS - POINT
        with m.If(self.enable):
            m.d.sync += [
                product.eq(low + (high << PART)),
                rounded.eq(product[below:] + product[below - 1]),
            ]

        m.d.comb += [
            right_shift.enable.eq(self.enable),
            right_shift.value.eq(rounded << 1),
            right_shift.shift.eq(after(m, self.enable, self.ROUNDED, self.right, "right")),
            right_shift.away.eq(1),
            self.scaled.eq(right_shift.out),
        ]
        return m
