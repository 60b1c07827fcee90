"""Strips to memory, coded or as they are."""

from amaranth.hdl import Module
from amaranth.lib import wiring

from hdl.config import LANES
from hdl.lib.axi import Range
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through
from hdl.memory.store.encoder import RlcEncoder
from hdl.memory.store.plain import PlainCoder
from hdl.memory.store.slots import SlotWriter
from hdl.memory.words import EncodedWord, StripCoder


class RlcCoder(wiring.Component):
    """The StripCoder of strips that are run-length coded if `rlc` is set.

    A coded strip's ranges come when its words do: nothing is written past the last. Latency of
    coded words three cycles, throughput that of the RlcEncoder and the SlotWriter; of other strips
    as in the PlainCoder. lanes: the most entries of an item.
    """

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(StripCoder)

    def elaborate(self, platform):
        m = Module()
        m.submodules.plain = plain = PlainCoder(self.lanes)
        m.submodules.encoder = encoder = RlcEncoder()
        m.submodules.slots = slots = SlotWriter()
        encoded, checked = SkidBuffer(EncodedWord), SkidBuffer(Range)
        wiring.connect(m, through(m, "encoded", encoded, encoder.words), slots.words)
        check = through(m, "checked", checked, slots.check)

        # Entries, strips and ranges go one way or the other.
        strip = self.strips.p
        m.d.comb += [
            plain.chunk.eq(self.chunk),
            plain.kind.eq(self.kind),
            encoder.count.eq(self.chunk),
            plain.entries.payload.eq(self.entries.payload),
            encoder.entries.payload.eq(self.entries.payload),
            plain.strips.payload.eq(strip),
            slots.slots.p.address.eq(strip.range.begin),
            slots.slots.p.table.eq(strip.table),
            slots.slots.p.last.eq(strip.range.request.last),
        ]
        for coded, source, sink in (
            (0, self.entries, plain.entries),
            (1, self.entries, encoder.entries),
            (0, self.strips, plain.strips),
            (1, self.strips, slots.slots),
            (0, plain.ranges, self.ranges),
            (1, check, self.ranges),
        ):
            with m.If(self.rlc == coded):
                m.d.comb += [sink.valid.eq(source.valid), source.ready.eq(sink.ready)]
        with m.If(self.rlc):
            m.d.comb += self.ranges.payload.eq(check.payload)
        with m.Else():
            m.d.comb += self.ranges.payload.eq(plain.ranges.payload)

        # Packed words that are left come from the command before.
        older = plain.words.valid
        m.d.comb += [
            self.words.valid.eq(older | slots.out.valid),
            plain.words.ready.eq(self.words.ready),
            slots.out.ready.eq(self.words.ready & ~older),
            self.idle.eq(plain.idle & encoder.idle & ~encoded.full & slots.idle & ~checked.full),
        ]
        with m.If(older):
            m.d.comb += self.words.payload.eq(plain.words.payload)
        with m.Else():
            m.d.comb += self.words.payload.eq(slots.out.payload)
        return m
