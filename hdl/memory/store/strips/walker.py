"""The outer loops of STORE: image, row, block."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.isa import ENTRY_ADDR, ShapeBody, StoreBody
from hdl.lib.axi import ADDRESS
from hdl.memory.store.strips.coded import LengthTable
from hdl.memory.store.strips.limits import StripLimiter
from hdl.memory.store.strips.loops import StripLoops
from hdl.memory.store.strips.operands.operands import StripOperands
from hdl.memory.store.strips.output import StripOutput
from hdl.memory.store.strips.plain import NoTable
from hdl.memory.store.strips.seek import RowSeek
from hdl.memory.store.strips.sequence import StripSequence
from hdl.memory.store.strips.target import StripTarget
from hdl.memory.store.strips.window import WindowRows
from hdl.memory.words import Offsets, Strip, StripWrite


class StripWalker(wiring.Component):
    """Finds the strips of a STORE, one ahead of the taps.

    Members: `start`, a pulse; `store` and `shape`, stable until `idle`; `offsets`, valid with the
    first strip; `strips`; `writes`, where the same strips go in DRAM (at its own pace, within one
    strip); `too_long`, a strip beyond 2**20 entries, or 2**17 if coded (nothing is issued). place:
    bits to which the offsets in the tile are computed, those of an entry's address; address: those
    of an address in memory; lanes: the most entries of a chunk; rlc: a STORE may be coded.

    Latency thirteen: one multiplier finds a product a cycle. A strip takes three cycles, and one
    for each block of the tile beyond one that it goes over; the first of a row 7 + 2 * stride_y. No
    path leads from whoever takes one to the walk.
    """

    start: In(1)
    idle: Out(1)
    store: In(StoreBody)
    shape: In(ShapeBody)
    offsets: Out(Offsets)
    strips: Out(stream.Signature(Strip))
    writes: Out(stream.Signature(StripWrite))
    too_long: Out(1)

    def __init__(
        self,
        place: int = ENTRY_ADDR,
        *,
        address: int = ADDRESS,
        lanes: int = LANES,
        rlc: bool = True,
    ):
        self.place, self.address, self.lanes, self.rlc = place, address, lanes, rlc
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.limiter = limiter = StripLimiter()
        m.submodules.sequence = sequence = StripSequence()
        m.submodules.loops = loops = StripLoops()
        m.submodules.window = window = WindowRows()
        m.submodules.seek = seek = RowSeek()
        m.submodules.operands = operands = StripOperands(self.place)
        m.submodules.target = target = StripTarget(self.address)
        m.submodules.table = table = LengthTable(self.address) if self.rlc else NoTable()
        m.submodules.output = output = StripOutput()
        store, shape, limits, now = self.store, self.shape, limiter.limits, sequence.now
        for part in (limiter, loops, operands, target, table):
            m.d.comb += part.store.eq(store)
        for part in (limiter, operands):
            m.d.comb += part.shape.eq(shape)
        for part in (loops, window, seek, operands, target, table, output):
            m.d.comb += part.now.eq(now)

        # What the walk does.
        m.d.comb += [
            sequence.start.eq(self.start),
            sequence.multiplied.eq(operands.multiplied),
            sequence.excess.eq(table.excess),
            sequence.found.eq(seek.found),
            sequence.again.eq(operands.again),
            sequence.last.eq(loops.last),
            sequence.room.eq(output.room),
            self.idle.eq(sequence.idle & output.room),
            self.too_long.eq(sequence.too_long),
        ]

        # Where it is.
        m.d.comb += [
            window.limits.eq(limits),
            window.count_top.eq(shape.count_top),
            window.count_bottom.eq(shape.count_bottom),
            seek.goal.eq(window.first),
            operands.limits.eq(limits),
            operands.chunk.eq(store.chunk if self.lanes > 1 else 1),
            table.block.eq(loops.block),
            table.entries.eq(operands.entries),
            self.offsets.eq(operands.offsets),
        ]

        # A strip.
        strip = output.strip
        m.d.comb += [
            strip.first_a.eq(operands.address[0]),
            strip.first_b.eq(operands.address[1]),
            strip.place_a.eq(operands.channel[0]),
            strip.place_b.eq(operands.channel[1]),
            strip.ends_a.eq(operands.ends[0]),
            strip.ends_b.eq(operands.ends[1]),
            strip.ring_row.eq(operands.ring_row),
            strip.wraps.eq(operands.wraps),
            strip.rows.eq(window.rows),
            strip.single.eq(window.rows <= 1),
            strip.count.eq(window.count),
            output.entries.eq(operands.entries),
            output.narrow.eq(store.narrow),
            output.at.eq(target.at),
            output.table.eq(table.table),
        ]
        wiring.connect(m, output.strips, wiring.flipped(self.strips))
        wiring.connect(m, output.writes, wiring.flipped(self.writes))
        return m
