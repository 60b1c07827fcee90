"""The interrupt and its register."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Interrupt(wiring.Component):
    """INTERRUPT.

    Members: `write`, a pulse, the register is written with `value`: bit 0 goes to `enable`, bit 1
    clears `pending`; `ended`, a program is, which sets it, and wins; `over`, a reset is, which
    clears it; `interrupt`, both.
    """

    write: In(1)
    value: In(2)
    ended: In(1)
    over: In(1)
    enable: Out(1)
    pending: Out(1)
    interrupt: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.interrupt.eq(self.enable & self.pending)
        with m.If(self.write):
            m.d.sync += self.enable.eq(self.value[0])
        with m.If(self.over):
            m.d.sync += self.pending.eq(0)
        with m.Elif(self.ended):
            m.d.sync += self.pending.eq(1)
        with m.Elif(self.write & self.value[1]):
            m.d.sync += self.pending.eq(0)
        return m
