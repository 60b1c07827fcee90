"""Stand-in."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import Rounding


class Scaler(wiring.Component):
    LATENCY = 4
    enable: In(1)
    value: In(signed(32))
    multiplier: In(31)
    left: In(5)
    right: In(6)
    rounding: In(Rounding)
    lo: In(signed(16))
    hi: In(signed(16))
    entry: Out(signed(16))

    def elaborate(self, platform):
        m = Module()
        x = Signal(signed(64))
        xw = Signal(signed(32))
        over = Signal()
        m.d.comb += [
            x.eq(self.value << self.left),
            xw.eq(x),
            over.eq((x != xw) & (self.rounding != Rounding.DOUBLE)),
        ]
        p = Signal(signed(64))
        o1 = Signal(2)
        r1 = Signal(6)
        d1 = Signal(2)
        n1 = Signal()
        h = Signal(signed(34))
        o2 = Signal(2)
        r2 = Signal(6)
        d2 = Signal(2)
        y = Signal(signed(36))
        o3 = Signal(2)
        with m.If(self.enable):
            m.d.sync += [
                p.eq(xw * self.multiplier),
                o1.eq(Mux(over, 2 | self.value[-1], 0)),
                r1.eq(self.right),
                d1.eq(self.rounding),
                n1.eq(self.value < 0),
            ]
            c = Mux((d1 == Rounding.DOUBLE) | (r1 == 0), 1 << 30, 0) - ((d1 == Rounding.AWAY) & n1)
            m.d.sync += [h.eq((p + c) >> 31), o2.eq(o1), r2.eq(r1), d2.eq(d1)]
            half = Mux(r2 == 0, 0, (1 << r2) >> 1) - ((d2 == Rounding.DOUBLE) & (h < 0) & (r2 != 0))
            m.d.sync += [y.eq(Mux(r2[5], 0, (h + half) >> r2)), o3.eq(o2)]
            with m.If(Mux(o3[1], ~o3[0], y > self.hi)):
                m.d.sync += self.entry.eq(self.hi)
            with m.Elif(Mux(o3[1], o3[0], y < self.lo)):
                m.d.sync += self.entry.eq(self.lo)
            with m.Else():
                m.d.sync += self.entry.eq(y)
        return m
