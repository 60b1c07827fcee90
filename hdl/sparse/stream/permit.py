"""Records that lie in the read window."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.lib.axi import ADDRESS, Window
from hdl.lib.stream.block_fifo import BlockFifo
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import through
from hdl.sparse.words import place_of_record_layout

ALLOWED = 16  # records that have passed the window and wait


class RecordPermit(wiring.Component):
    """Members: `place`, stream of place_of_record_layout that never waits, of at most `depth`
    records that have not left; `allowed`, the same stream of those before the first that is not in
    the window [`base`, `limit`); `outside`: there is one, until reset; `idle`: of those before it
    none is inside.

    A record a cycle; latency 8 cycles. What leaves the first queue finds room in the second, so
    that nothing waits in the window.
    """

    def __init__(self, config: Config, depth: int):
        self.config, self.depth = config, depth
        place = place_of_record_layout(config)
        super().__init__(
            {
                "place": In(stream.Signature(place, always_ready=True)),
                "allowed": Out(stream.Signature(place)),
                "base": In(ADDRESS),
                "limit": In(ADDRESS),
                "outside": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        place_layout = place_of_record_layout(self.config)
        m.submodules.places = places = BlockFifo(place_layout, self.depth)
        m.submodules.queue = queue = BlockFifo(place_layout, ALLOWED)
        m.submodules.window = window = Window()

        # One after the other to the window.
        place, waits, passes = Signal(place_layout), Signal(), Signal()
        m.d.comb += [
            places.input.valid.eq(self.place.valid),
            places.input.payload.eq(self.place.payload),
            places.output.ready.eq(passes),
        ]
        m.d.sync += [
            passes.eq(queue.level < ALLOWED // 2),
            waits.eq(places.output.valid & passes),
            place.eq(places.output.payload),
        ]

        # Through it.
        check, passed, entry = window.check, window.request, queue.input
        m.d.comb += [
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            check.valid.eq(waits),
            check.p.begin.eq(place.begin << 3),
            check.p.bytes.eq(place.words << 3),
            check.p.request.address.eq(place.begin << 3),
            check.p.request.words.eq(place.words),
            passed.ready.eq(1),
            entry.valid.eq(passed.valid),
            entry.p.begin.eq(passed.p.address >> 3),
            entry.p.words.eq(passed.p.words),
        ]

        # Out of the second queue.
        allowed = through(m, "allowed_slice", ForwardSlice(place_layout), queue.output)
        wiring.connect(m, allowed, wiring.flipped(self.allowed))
        m.d.comb += [
            self.outside.eq(window.outside),
            self.idle.eq(window.idle & ~allowed.valid & (queue.level == 0)),
        ]
        return m
