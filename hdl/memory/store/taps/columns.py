"""The columns of a strip, and its chunks and rows."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.words import BLOCK, COORDINATE, Strip, TapColumn, TapLimits, TapTurn


class ColumnWalk(wiring.Component):
    """Walks the columns of strips: where the window lies.

    Members: `now`; `limits`; `strip`, of the next column; `count_left`, the first column that
    counts; `walking`, there is a strip. Of the window `column`, `row_one` and `row_before`: a row
    of it has one tap, the place before a row's last; of the next one `rest_one` and `final`, the
    last of its strip. `stale`: `rest_one` is not that of the next one yet.
    """

    now: In(TapTurn)
    limits: In(TapLimits)
    strip: In(Strip)
    count_left: In(signed(16))
    walking: Out(1)
    column: Out(TapColumn)
    row_one: Out(1)
    row_before: Out(8)
    rest_one: Out(1)
    stale: Out(1)
    final: Out(1)

    def elaborate(self, platform):
        m = Module()
        now, limits, column = self.now, self.limits, self.column
        left = Signal(16)  # columns still to come after this one
        following = Signal(signed(COORDINATE))  # left column of the next window, or strip's first

        # What a row of the next window has. It may be a cycle late: that matters only after a
        # window of one tap, so beyond the right edge, as the next of this strip is, or with a
        # kernel of one. For the next strip it is waited.
        rest = Signal(signed(COORDINATE + 1))  # places after its first but one
        m.d.sync += [
            rest.eq(limits.width_before - following),
            self.stale.eq(now.begins & ~limits.kernel_one),
        ]
        m.d.comb += [
            self.rest_one.eq(limits.kernel_one | (rest < 0)),
            self.final.eq(Mux(now.flags.column, limits.columns_one, left == 1)),
        ]

        with m.If(now.column):
            m.d.sync += [
                left.eq(Mux(now.flags.column, limits.columns_left, left - 1)),
                column.left.eq(following),
                column.right.eq(following + limits.kernel),
                column.low.eq(Mux(following < self.count_left, self.count_left, following)),
                column.lane.eq(self.strip.lane),
                column.tall.eq(self.strip.count),
                self.row_one.eq(self.rest_one),
                self.row_before.eq(Mux(rest < limits.kernel_before, rest, limits.kernel_before)),
                self.walking.eq(~now.flags.strip | now.follows),
            ]
        with m.If(now.begins):
            m.d.sync += following.eq(Mux(self.final, limits.first, following + limits.stride))
        with m.Elif(~self.walking):
            m.d.sync += following.eq(limits.first)
        return m


class ChunkWalk(wiring.Component):
    """Walks the chunks of an out block, which lie in blocks of the tile.

    Members: `now`; `limits`; `strip`, of the next column; `final`, the next is the out block's last
    chunk; `ends`, of each operand: the chunk is the last of a block of the tile.
    """

    now: In(TapTurn)
    limits: In(TapLimits)
    strip: In(Strip)
    final: Out(1)
    ends: Out(2)

    def elaborate(self, platform):
        m = Module()
        now, limits, strip = self.now, self.limits, self.strip
        left = Signal(BLOCK)  # channels of the out block still to come after this chunk
        m.d.comb += self.final.eq(left == limits.chunk)
        with m.If(now.window):
            m.d.sync += left.eq(Mux(now.flags.chunk, limits.block_left, left - limits.chunk))

        # Of each operand the chunk's first channel in its block.
        first = (strip.place_a, strip.ends_a), (strip.place_b, strip.ends_b)
        for n, (place, ends) in enumerate(first):
            operand = limits.operands[n]
            channel = Signal(BLOCK, name=f"channel_{n}")
            before = channel == operand.place_before
            with m.If(now.window):
                with m.If(now.flags.chunk):
                    m.d.sync += [channel.eq(place), self.ends[n].eq(ends)]
                with m.Elif(self.ends[n]):
                    m.d.sync += [channel.eq(0), self.ends[n].eq(operand.place_one)]
                with m.Else():
                    m.d.sync += [channel.eq(channel + limits.chunk), self.ends[n].eq(before)]
        return m


class RowWalk(wiring.Component):
    """Walks the rows of a window in the ring of the tile.

    Members: `now`; `limits`; `strip`, of the next window; `some`: there is a row to read; `two`:
    two rows or fewer are left; `wraps`: the row is the ring's last.
    """

    now: In(TapTurn)
    limits: In(TapLimits)
    strip: In(Strip)
    some: Out(1)
    two: Out(1)
    wraps: Out(1)

    def elaborate(self, platform):
        m = Module()
        flags, limits, strip = self.now.flags, self.limits, self.strip
        rows, ring_row = Signal(8), Signal(16)  # still to come, this one too; place in the ring
        m.d.comb += [self.some.eq(rows != 0), self.two.eq(rows <= 2)]
        with m.If(self.now.turn & flags.x):
            with m.If(flags.y):
                m.d.sync += [
                    rows.eq(strip.rows),
                    ring_row.eq(strip.ring_row),
                    self.wraps.eq(strip.wraps),
                ]
            with m.Else():
                m.d.sync += [
                    rows.eq(rows - 1),
                    ring_row.eq(Mux(self.wraps, 0, ring_row + 1)),
                    self.wraps.eq(Mux(self.wraps, limits.ring_one, ring_row == limits.ring_before)),
                ]
        return m
