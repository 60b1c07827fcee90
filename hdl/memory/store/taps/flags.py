"""Where a tap is in the loops of its strip."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.words import TapFlags, TapTurn


class TapFlagger(wiring.Component):
    """Keeps the last-iteration flags of the loops of a strip.

    Members: `now`, the turn; `flags` and `place`, registers: the tap's, all set before the first
    strip; `fresh`, it is a window's first. Of the next tap: `row_before`, the place before a row's
    last; `row_one`, a row of this column has one tap, `rest_one`, one of the next; `rows_two`, two
    rows of the window are left at most; `single`, the next window has one at most; `final_chunk`
    and `final_column`, the next is the last, `block_one`, there is one chunk.
    """

    now: In(TapTurn)
    row_before: In(8)
    row_one: In(1)
    rest_one: In(1)
    rows_two: In(1)
    single: In(1)
    block_one: In(1)
    final_chunk: In(1)
    final_column: In(1)
    flags: Out(TapFlags, init=dict.fromkeys(TapFlags.as_shape().members, 1))
    place: Out(8)
    fresh: Out(1)

    def elaborate(self, platform):
        m = Module()
        flags, follows = self.flags, self.now.follows
        x, y, chunk, column = (Signal(name=f"next_{n}") for n in ("x", "y", "chunk", "column"))
        m.d.comb += [x.eq(flags.x), y.eq(flags.y), chunk.eq(flags.chunk), column.eq(flags.column)]

        # The next tap's. They hold while no strip follows.
        with m.If(self.now.turn):
            m.d.sync += [
                self.fresh.eq(flags.window & (~flags.strip | follows)),
                self.place.eq(Mux(flags.x, 0, self.place + 1)),
            ]
            with m.If(~flags.x):
                m.d.comb += x.eq(self.place == self.row_before)
            with m.Elif(~flags.window):
                m.d.comb += [x.eq(self.row_one), y.eq(self.rows_two)]
            with m.Elif(~flags.strip | follows):
                m.d.comb += [
                    x.eq(Mux(flags.chunk, self.rest_one, self.row_one)),
                    y.eq(self.single),
                    chunk.eq(Mux(flags.chunk, self.block_one, self.final_chunk)),
                ]
                with m.If(flags.chunk):
                    m.d.comb += column.eq(self.final_column)

        # What enables much is not found from the others in as many steps.
        m.d.sync += [
            flags.x.eq(x),
            flags.y.eq(y),
            flags.chunk.eq(chunk),
            flags.column.eq(column),
            flags.window.eq(x & y),
            flags.turn.eq(x & y & chunk),
            flags.strip.eq(x & y & chunk & column),
        ]
        return m
