"""A left shift of 32 bits that says what it loses."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.arithmetic.delay import after
from hdl.lib.arithmetic.wide_multiplier import SUM_BITS

SHIFT_BITS = 5
COARSE = 3  # lowest bit of the shift before the register


class LeftShift(wiring.Component):
    """out = value << shift, modulo 2**32.

    Members: `enable` moves the register; `value`, signed, of 32 bits; `shift` (0..31); `out`,
    signed, of 32 bits; `lost`: it does not hold all.

    Latency LATENCY enabled cycle, the register lies halfway and has no reset; throughput one value
    a cycle.
    """

    LATENCY = 1

    enable: In(1)
    value: In(signed(SUM_BITS))
    shift: In(SHIFT_BITS)
    out: Out(signed(SUM_BITS))
    lost: Out(1)

    def elaborate(self, platform):
        m = Module()

        def later(value, name):
            return after(m, self.enable, self.LATENCY, value, name)

        coarse, lost = self._shifted(m, self.value, self.shift, range(COARSE, SHIFT_BITS))
        shift, before = later(self.shift[:COARSE], "shift"), later(lost, "lost")
        fine, lost = self._shifted(m, later(coarse, "coarse"), shift, range(COARSE))
        m.d.comb += [self.out.eq(fine), self.lost.eq(before | lost)]
        return m

    def _shifted(self, m: Module, value, shift, levels: range):
        """The value by those bits of the shift, the highest first, and whether bits are lost."""
        lost = 0
        for level in reversed(levels):
            by, moved = 1 << level, Signal(signed(SUM_BITS), name=f"level_{level}")
            top = value[SUM_BITS - 1 - by :]
            lost |= shift[level] & top.any() & ~top.all()
            m.d.comb += moved.eq(Mux(shift[level], value << by, value))
            value = moved
        return value, lost
