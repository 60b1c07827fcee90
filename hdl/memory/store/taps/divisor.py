"""What a tap tells the pooler."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ShapeBody
from hdl.memory.words import COORDINATE, TapMark, TapWalked
from hdl.timing import DIVISORS


class TapMarker(wiring.Component):
    """Finds whether a tap is read, and the divisor of its window: the entries that count, or 0 if
    they are more than DIVISORS, whose average brings its own.

    Members: `taps`, one a cycle; `shape` and `width`, stable; `marks`, LATENCY cycles later;
    `idle`.
    """

    LATENCY = 4

    taps: In(stream.Signature(TapWalked, always_ready=True))
    shape: In(ShapeBody)
    width: In(17)
    marks: Out(stream.Signature(TapMark, always_ready=True))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        tap, shape = self.taps.p, self.shape
        column = tap.column

        # The mark goes along.
        x = Signal(signed(COORDINATE + 1))
        mark = Signal(TapMark)
        valid = Signal(self.LATENCY)
        marks = [Signal(TapMark, name=f"mark_{n}") for n in range(self.LATENCY)]
        m.d.comb += [
            x.eq(column.left + tap.place),
            mark.read.eq((x >= 0) & (column.left < self.width) & tap.some),
            mark.first.eq(tap.first),
            mark.last.eq(tap.last),
            mark.ends.first.eq(tap.strip_first),
            mark.ends.last.eq(tap.strip_last),
            mark.ends.lane.eq(column.lane),
        ]
        m.d.sync += valid.eq(valid << 1 | self.taps.valid)
        m.d.sync += [after.eq(before) for before, after in zip((mark, *marks), marks)]

        # The columns that count, times the rows. Five bits by five: not worth a multiplier block.
        low, high = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        tall = [Signal(8, name=f"tall_{n}") for n in range(2)]
        wide, halves, fits = Signal(8), [Signal(9, name=f"half_{n}") for n in range(2)], Signal()
        area, count = halves[0] + halves[1], Signal(5)
        parts = [Mux(wide[n], tall[1][:5] << n, 0) for n in range(5)]
        m.d.sync += [
            low.eq(column.low),
            high.eq(Mux(column.right < shape.count_right, column.right, shape.count_right)),
            tall[0].eq(column.tall),
            wide.eq(Mux(high > low, (high - low)[:8], 0)),
            tall[1].eq(tall[0]),
            halves[0].eq(sum(parts[:2])),
            halves[1].eq(sum(parts[2:])),
            fits.eq((tall[1] <= DIVISORS) & (wide <= DIVISORS)),
            count.eq(Mux(fits & (area <= DIVISORS), area, 0)),
        ]

        m.d.comb += [
            self.marks.valid.eq(valid[-1]),
            self.marks.p.eq(marks[-1]),
            self.marks.p.count.eq(count),
            self.idle.eq(~valid.any()),
        ]
        return m
