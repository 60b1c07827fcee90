"""The walk of STORE's taps."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ENTRY_ADDR, ShapeBody, StoreBody
from hdl.memory.store.taps.address import TapAddress
from hdl.memory.store.taps.columns import ChunkWalk, ColumnWalk, RowWalk
from hdl.memory.store.taps.flags import TapFlagger
from hdl.memory.words import Offsets, Strip, TapLimits, TapTurn, TapWalked


class TapWalk(wiring.Component):
    """Walks the columns, chunks and windows of strips: a tap for every place of a window, two in an
    add, and one for a window without any.

    Members: `strips`; `store`, `shape`, `offsets`, `limits`, stable until `idle`; `room`: whoever
    takes the taps has room for those of the next cycles; `taps`; `second`: the tap is an add's
    second operand; `address`, of both operands, a cycle after the tap. place: bits of an address.

    Three cycles from a strip to its first tap, a tap a cycle; strips of two windows or more follow
    each other without a gap, but for a cycle after a last column that has one tap of a longer
    kernel.
    """

    def __init__(self, place: int = ENTRY_ADDR):
        self.place = place
        super().__init__(
            {
                "strips": In(stream.Signature(Strip)),
                "store": In(StoreBody),
                "shape": In(ShapeBody),
                "offsets": In(Offsets),
                "limits": In(TapLimits),
                "room": In(1),
                "taps": Out(stream.Signature(TapWalked, always_ready=True)),
                "address": Out(data.ArrayLayout(place, 2)),
                "second": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.flagger = flagger = TapFlagger()
        m.submodules.columns = columns = ColumnWalk()
        m.submodules.chunks = chunks = ChunkWalk()
        m.submodules.rows = rows = RowWalk()
        now, flags, limits = Signal(TapTurn), flagger.flags, self.limits
        for part in (columns, chunks, rows):
            m.d.comb += [part.now.eq(now), part.limits.eq(limits)]

        # The next strip, and the one under way.
        coming, strip, loaded = Signal(Strip), Signal(Strip), Signal()
        takes = flags.strip & now.turn & now.follows
        m.d.comb += self.strips.ready.eq(~loaded)
        with m.If(self.strips.ready & self.strips.valid):
            m.d.sync += [coming.eq(self.strips.p), loaded.eq(1)]
        with m.Elif(takes):
            m.d.sync += loaded.eq(0)
        with m.If(takes):
            m.d.sync += strip.eq(coming)
        of_next = Signal(Strip)
        m.d.comb += of_next.eq(Mux(flags.column & flags.chunk, coming, strip))
        m.d.comb += [part.strip.eq(of_next) for part in (columns, chunks, rows)]

        # The turn. An add's tap has two of its own.
        go, second_next = Signal(), Signal()
        m.d.sync += [
            go.eq(self.room),
            now.turn.eq(self.room & (second_next | ~self.store.add)),
            now.second.eq(second_next),
        ]
        m.d.comb += [
            now.flags.eq(flags),
            now.follows.eq(loaded & ~columns.stale),
            now.window.eq(flags.window & now.turn),
            now.column.eq(flags.turn & now.turn),
            now.begins.eq(now.column & (~flags.column | now.follows)),
            second_next.eq(
                self.store.add & Mux(columns.walking, now.second ^ go, ~(now.turn & now.follows))
            ),
        ]

        m.d.comb += [
            columns.count_left.eq(self.shape.count_left),
            flagger.now.eq(now),
            flagger.row_before.eq(columns.row_before),
            flagger.row_one.eq(columns.row_one),
            flagger.rest_one.eq(columns.rest_one),
            flagger.rows_two.eq(rows.two),
            flagger.single.eq(of_next.single),
            flagger.block_one.eq(limits.block_one),
            flagger.final_chunk.eq(chunks.final),
            flagger.final_column.eq(columns.final),
        ]

        self._addresses(m, now, coming, chunks.ends, rows.wraps)

        # The tap.
        strip_fresh, tap = Signal(), self.taps.p
        with m.If(now.window):
            m.d.sync += strip_fresh.eq(flags.chunk & flags.column)
        m.d.comb += [
            self.taps.valid.eq(columns.walking & go),
            tap.operand.eq(self.store.add & ~now.second),
            tap.column.eq(columns.column),
            tap.place.eq(flagger.place),
            tap.some.eq(rows.some),
            tap.first.eq(flagger.fresh),
            tap.last.eq(flags.window),
            tap.strip_first.eq(strip_fresh),
            tap.strip_last.eq(flags.column & flags.chunk),
            self.second.eq(now.second),
            self.idle.eq(~columns.walking & ~loaded),
        ]
        return m

    def _addresses(self, m, now, coming, ends, wraps):
        """Of both operands."""
        store, shape, offsets = self.store, self.shape, self.offsets
        for n, (body, first, by_row, by_window) in enumerate(
            (
                (
                    store,
                    coming.first_a,
                    Mux(wraps, offsets.ring_back, store.row_stride),
                    offsets.step_a,
                ),
                (shape, coming.first_b, shape.row_stride, offsets.step_b),
            )
        ):
            m.submodules[f"address_{'ab'[n]}"] = address = TapAddress(self.place)
            m.d.comb += [
                address.now.eq(now),
                address.ends.eq(ends[n]),
                address.first.eq(first),
                address.by_tap.eq(body.column_stride),
                address.by_row.eq(by_row),
                address.by_chunk.eq(self.limits.chunk),
                address.by_block.eq(self.limits.operands[n].jump),
                address.by_window.eq(by_window),
                self.address[n].eq(address.address),
            ]
