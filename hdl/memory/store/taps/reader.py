"""The inner loops of STORE: column, chunk, window; and the reads they need."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.isa import ENTRY_ADDR, WORD_ADDR, ShapeBody, StoreBody
from hdl.memory.store.taps.divisor import TapMarker
from hdl.memory.store.taps.limits import TapLimiter
from hdl.memory.store.taps.reads import TapReads
from hdl.memory.store.taps.walk import TapWalk
from hdl.memory.words import Offsets, Strip, Tap
from hdl.timing import TAPS


class TapReader(wiring.Component):
    """Walks the columns, chunks and windows of strips and reads their entries.

    Members: `strips` in; `store`, `shape`, `offsets`, stable until `idle`; `request` and
    `response` of the global buffer; `taps` out, one per place of a window (a place outside
    the tile is a tap without a read; a window has at least one); `idle`. place: bits of an
    entry's address; lanes: the most entries of a chunk.

    Throughput one read a cycle, and one cycle for a place that is not read (two in an add); from
    strip to strip as TapWalk. Eight cycles from a strip to its first request, one from a
    response to its tap. No path leads from `request` and `taps` to the walk, nor between them.
    """

    AHEAD = TapMarker.LATENCY + 4  # taps of the walk that are not in a queue when its room is found

    strips: In(stream.Signature(Strip))
    store: In(StoreBody)
    shape: In(ShapeBody)
    offsets: In(Offsets)
    request: Out(stream.Signature(WORD_ADDR))
    response: In(stream.Signature(128))
    taps: Out(stream.Signature(Tap))
    idle: Out(1)

    def __init__(self, place: int = ENTRY_ADDR, lanes: int = LANES):
        self.place, self.lanes = place, lanes
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.limiter = limiter = TapLimiter()
        m.submodules.walk = walk = TapWalk(self.place)
        m.submodules.marker = marker = TapMarker()
        m.submodules.reads = reads = TapReads(
            self.place, self.lanes, depth=TAPS[self.lanes], ahead=self.AHEAD
        )
        wiring.connect(m, wiring.flipped(self.strips), walk.strips)
        wiring.connect(m, walk.taps, marker.taps)
        wiring.connect(m, reads.request, wiring.flipped(self.request))
        wiring.connect(m, wiring.flipped(self.response), reads.response)
        wiring.connect(m, reads.taps, wiring.flipped(self.taps))
        m.d.comb += [
            limiter.store.eq(self.store),
            limiter.shape.eq(self.shape),
            limiter.chunk.eq(self.store.chunk if self.lanes > 1 else 1),
            walk.store.eq(self.store),
            walk.shape.eq(self.shape),
            walk.offsets.eq(self.offsets),
            walk.limits.eq(limiter.limits),
            walk.room.eq(reads.room),
            marker.shape.eq(self.shape),
            marker.width.eq(limiter.limits.width),
        ]

        # A tap's address, of one of the operands, meets its mark; the address comes a cycle later.
        operand = Signal(TapMarker.LATENCY)
        entry = [Signal(self.place, name=f"entry_{n}") for n in range(1, TapMarker.LATENCY)]
        second = Signal()
        m.d.sync += [
            operand.eq(Cat(walk.taps.p.operand, operand)),
            second.eq(walk.second),
            entry[0].eq(Mux(second, walk.address[1], walk.address[0])),
            *(after.eq(before) for before, after in zip(entry, entry[1:])),
        ]
        m.d.comb += [
            reads.pending.valid.eq(marker.marks.valid),
            reads.pending.p.mark.eq(marker.marks.p),
            reads.pending.p.at.eq(entry[-1][:2]),
            reads.pending.p.operand.eq(operand[-1]),
            reads.address.eq(entry[-1]),
            self.idle.eq(walk.idle & marker.idle & reads.idle),
        ]
        return m
