"""Packs entries into 64-bit words with byte strobes."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.memory.words import Entries, PackedWord


class Packer(wiring.Component):
    """Packs the entries of a strip without gaps; the strobes of its first and last word
    cover only the strip.

    Members: `entries` in, `words` out, `count` (1..4, entries taken of each item). Latency
    one cycle; throughput one item per cycle, and one more for a strip whose last item
    straddles two words. lanes: the most entries of an item.
    """

    entries: In(stream.Signature(Entries))
    words: Out(stream.Signature(PackedWord))
    count: In(3)

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        keep = Signal(64)  # of the word under way
        mask = Signal(LANES)
        position = Signal(2)
        flush = Signal()

        item = self.entries.p
        start = Signal(2)
        end = Signal(3)  # 1..7
        held = Signal(LANES)  # lanes of this word filled before
        # lanes that the item fills, in this word and in the next
        here, next_word = Signal(LANES), Signal(LANES)
        free = Signal()
        take = Signal()
        m.d.comb += [
            free.eq(~self.words.valid | self.words.ready),
            self.entries.ready.eq(free & ~flush),
            take.eq(self.entries.valid & self.entries.ready),
            start.eq(Mux(item.first, item.lane, position)),
            held.eq(Mux(item.first, 0, mask)),
            end.eq(start + self.count),
        ]
        # An entry lies in the same lane of either word: one rotation does for both.
        turned = item.entries.as_value() if self.lanes > 1 else item.entries[0].replicate(LANES)
        for n, bit in enumerate(start if self.lanes > 1 else ()):
            by = ENTRY_BITS << n
            after = Signal(64, name=f"turned_{n}")
            m.d.comb += after.eq(Mux(bit, turned.rotate_left(by), turned))
            turned = after
        with m.If(self.words.ready):
            m.d.sync += self.words.valid.eq(0)
        for lane in range(LANES):
            part = slice(ENTRY_BITS * lane, ENTRY_BITS * (lane + 1))
            if lane == LANES - 1:  # behind every start, and never in the next word
                m.d.comb += here[lane].eq(lane < end)
            else:
                m.d.comb += [
                    here[lane].eq((lane >= start) & (lane < end)),
                    next_word[lane].eq(lane + LANES < end),
                ]
            with m.If(take & (here[lane] | next_word[lane])):
                m.d.sync += keep[part].eq(turned[part])
            with m.If(free):
                m.d.sync += self.words.p.data[part].eq(
                    Mux(here[lane] & ~flush, turned[part], keep[part])
                )
        with m.If(free):
            m.d.sync += self.words.p.strobe.eq(
                Cat(bit.replicate(2) for bit in Mux(flush, mask, held | here))
            )
        with m.If(take):
            m.d.sync += [mask.eq(held | here), position.eq(end)]
            with m.If(end >= LANES):
                m.d.sync += [mask.eq(next_word), flush.eq(item.last & (end != LANES))]
            with m.If((end >= LANES) | item.last):
                m.d.sync += self.words.valid.eq(1)
        with m.If(flush & free):
            m.d.sync += [flush.eq(0), self.words.valid.eq(1)]
        return m
