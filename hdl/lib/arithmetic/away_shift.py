"""A rounding right shift, halves up or away from zero."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.arithmetic.delay import after
from hdl.lib.arithmetic.wide_multiplier import SUM_BITS

SHIFT_BITS = 5
COARSE = 2  # lowest bit of the shift before the first register


class AwayShift(wiring.Component):
    """out = value / 2**(shift + 1), the nearest integer: of a half the upper or, with `away`, the
    one farther from zero.

    Members: `enable` moves both stages; `value`, signed, of 33 bits; `rest`: what it was cut off
    was not zero, so that what looks like a half is more; `shift` (0..31); `away`; `out`, signed,
    of 32 bits.

    Latency LATENCY enabled cycles, throughput one value a cycle. The registers have no reset.
    """

    LATENCY = 2

    enable: In(1)
    value: In(signed(SUM_BITS + 1))
    rest: In(1)
    shift: In(SHIFT_BITS)
    away: In(1)
    out: Out(signed(SUM_BITS))

    def elaborate(self, platform):
        m = Module()

        def later(value, name):
            return after(m, self.enable, 1, value, name)

        coarse, rest = self._shifted(
            m, self.value, self.rest, self.shift, range(COARSE, SHIFT_BITS)
        )
        kept, rest, shift = later(coarse, "kept"), later(rest, "rest"), later(self.shift, "shift")
        fine, rest = self._shifted(m, kept, rest, shift, range(COARSE))

        # A half of a negative number goes down if it goes away from zero.
        down = later(self.away & self.value[-1], "down") & ~rest
        out = Signal(signed(SUM_BITS), reset_less=True)
        with m.If(self.enable):
            m.d.sync += out.eq((fine >> 1) + (fine[0] & ~down))
        m.d.comb += self.out.eq(out)
        return m

    def _shifted(self, m: Module, value, rest, shift, levels: range):
        """The value by those bits of the shift, the highest first, and whether what it loses is not
        zero."""
        for level in reversed(levels):
            by, moved = 1 << level, Signal(signed(SUM_BITS + 1), name=f"level_{level}")
            rest |= shift[level] & value[:by].any()
            m.d.comb += moved.eq(Mux(shift[level], value >> by, value))
            value = moved
        return value, rest
