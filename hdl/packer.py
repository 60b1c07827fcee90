"""Packs entries into 64-bit words with byte strobes."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import ENTRY_BITS, LANES


class Entries(data.Struct):
    """Up to four entries; `first` and `last` of a strip, which begins at lane `lane`."""
    entries: data.ArrayLayout(ENTRY_BITS, LANES)
    first: 1
    last: 1
    lane: 2


class PackedWord(data.Struct):
    data: 64
    strobe: 8


class Packer(wiring.Component):
    """Packs the entries of a strip without gaps; the strobes of its first and last word
    cover only the strip.

    Members: `entries` in, `words` out, `count` (1..4, entries taken of each item). Latency
    one cycle; throughput one item per cycle, and one more for a strip whose last item
    straddles two words.
    """

    entries: In(stream.Signature(Entries))
    words: Out(stream.Signature(PackedWord))
    count: In(3)

    def elaborate(self, platform):
        m = Module()
        keep = Signal(64)          # of the word under way
        mask = Signal(LANES)
        position = Signal(2)
        flush = Signal()

        item = self.entries.p
        start = Signal(2)
        end = Signal(3)            # 1..7
        both = Signal(16 * (2 * LANES - 1))   # an item starts in the first word
        lanes = Signal(2 * LANES - 1)
        free = Signal()
        take = Signal()
        m.d.comb += [
            free.eq(~self.words.valid | self.words.ready),
            self.entries.ready.eq(free & ~flush),
            take.eq(self.entries.valid & self.entries.ready),
            start.eq(position),
            end.eq(start + self.count),
            both.eq(keep),
            lanes.eq(mask),
        ]
        with m.If(item.first):
            m.d.comb += [start.eq(item.lane), lanes.eq(0)]
        with m.Switch(start):
            for s in range(LANES):
                with m.Case(s):
                    for i in range(LANES):
                        at = s + i
                        with m.If(i < self.count):
                            m.d.comb += [both[16 * at:16 * at + 16].eq(item.entries[i]),
                                         lanes[at].eq(1)]
        with m.If(self.words.ready):
            m.d.sync += self.words.valid.eq(0)
        strobes = Cat(bit.replicate(2) for bit in lanes[:LANES])
        with m.If(take):
            m.d.sync += [keep.eq(both), mask.eq(lanes), position.eq(end)]
            with m.If(end >= LANES):
                m.d.sync += [keep.eq(both[64:]), mask.eq(lanes[LANES:]),
                             flush.eq(item.last & (end != LANES))]
            with m.If((end >= LANES) | item.last):
                m.d.sync += [self.words.valid.eq(1), self.words.p.data.eq(both),
                             self.words.p.strobe.eq(strobes)]
        with m.If(flush & free):
            m.d.sync += [flush.eq(0), self.words.valid.eq(1), self.words.p.data.eq(keep),
                         self.words.p.strobe.eq(Cat(bit.replicate(2) for bit in mask))]
        return m
