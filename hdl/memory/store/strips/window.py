"""The rows of a window that exist, and those that count."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.words import COORDINATE, StripLimits, StripTurn


class WindowRows(wiring.Component):
    """Walks the windows of an image downwards, and finds the rows of each: those that exist, and
    then, while they are sought, those that count in the divisor, each between two bounds.

    Members: `now`; `limits`, `count_top` and `count_bottom`, stable; `first`, the tile row of the
    first that exists, from the cycle in which they are sought; `rows` that exist, a cycle later;
    `count`, those that count, two cycles later.
    """

    now: In(StripTurn)
    limits: In(StripLimits)
    count_top: In(signed(16))
    count_bottom: In(signed(16))
    first: Out(17)
    rows: Out(8)
    count: Out(8)

    def elaborate(self, platform):
        m = Module()
        now, limits = self.now, self.limits

        # Tile rows of the window's first and of the one after its last.
        top, bottom = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        m.d.sync += bottom.eq(top + limits.kernel)
        with m.If(now.new_image):
            m.d.sync += top.eq(limits.y_first)
        with m.Elif(now.ends_row):
            m.d.sync += top.eq(top + limits.stride_y)

        # What is found before a row is known is found again.
        from_row, to_row = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        low, high = Signal(signed(COORDINATE)), Signal(signed(COORDINATE))
        m.d.comb += [
            from_row.eq(Mux(now.seek, self.count_top, 0)),
            to_row.eq(Mux(now.seek, self.count_bottom, limits.height)),
        ]
        m.d.sync += [
            low.eq(Mux(top < from_row, from_row, top)),
            high.eq(Mux(bottom < to_row, bottom, to_row)),
        ]

        # As many as lie between them.
        overlap, number, sought = Signal(signed(COORDINATE + 1)), Signal(8), Signal()
        m.d.comb += [overlap.eq(high - low), number.eq(Mux(overlap < 0, 0, overlap[:8]))]
        m.d.sync += sought.eq(now.bounds)
        with m.If(now.bounds):
            m.d.sync += self.first.eq(low)
        with m.If(sought):
            m.d.sync += self.rows.eq(number)
        with m.If(now.seek):
            m.d.sync += self.count.eq(number)
        return m
