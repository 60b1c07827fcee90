"""Packs bytes into 64-bit words with strobes."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import into
from hdl.memory.words import PackedWord, strip_bytes

BYTE = 8
BYTES = 8  # of a word


class Packer(wiring.Component):
    """Packs the bytes of a strip without gaps; the strobes of its first and last word cover only
    the strip.

    Members: `bytes` in, `words` out, `count` (bytes taken of each item, 1..lanes, or twice as many
    if all begin at an even place). Latency one cycle; throughput one item per cycle, and one more
    for a strip whose last item straddles two words. lanes: the most entries of an item; of one, its
    bytes are the same if one is taken.
    """

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(
            {
                "bytes": In(stream.Signature(strip_bytes(lanes))),
                "words": Out(stream.Signature(PackedWord)),
                "count": In(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = into(m, "words", ForwardSlice(PackedWord), wiring.flipped(self.words))
        keep = Signal(64)  # of the word under way
        begin, position = Signal(3), Signal(3)  # its strip's first byte in it, the item's
        flush = Signal()  # nothing is taken: the word goes with what is kept

        # Where the item's bytes go, and those of the word that the strip has with them.
        item, free = self.bytes.p, words.ready
        fresh, first, start, end = Signal(), Signal(3), Signal(3), Signal(4)
        take, full = Signal(), end[3]
        m.d.comb += [
            self.bytes.ready.eq(free & ~flush),
            take.eq(self.bytes.valid & self.bytes.ready),
            fresh.eq(item.first & ~flush),
            first.eq(Mux(fresh, item.lane, begin)),
            start.eq(Mux(fresh, item.lane, position)),
            end.eq(start + Mux(flush, 0, self.count)),
        ]

        # A byte lies in the same place of either word: one rotation does for both. At an odd place
        # only items of up to four bytes begin.
        turned = item.data.replicate(LANES // self.lanes)
        if self.lanes > 1:
            few, odd = BYTE * self.lanes, start[0]
            moved = Mux(odd, turned[:few], turned[BYTE:][:few])
            turned = Cat(turned[:BYTE], moved, turned[BYTE + few :])
            for n in (1, 2):
                after = Signal(64, name=f"turned_{n}")
                m.d.comb += after.eq(Mux(start[n], turned.rotate_left(BYTE << n), turned))
                turned = after

        # What lies after the item's last byte is overwritten, or has no strobe. The last byte of a
        # word is after every start.
        of_item, of_strip = (
            Cat(*(place <= n for n in range(BYTES - 1)), 1) for place in (start, first)
        )
        for n in range(BYTES):
            part = slice(BYTE * n, BYTE * (n + 1))
            with m.If(take & (of_item[n] | full)):
                m.d.sync += keep[part].eq(turned[part])
            m.d.comb += [
                words.p.data[part].eq(Mux(of_item[n], turned[part], keep[part])),
                words.p.strobe[n].eq(of_strip[n] & (n < end)),
            ]

        m.d.comb += words.valid.eq((self.bytes.valid & (full | item.last)) | flush)
        with m.If(free):
            m.d.sync += flush.eq(0)
        with m.If(take):
            m.d.sync += [
                begin.eq(Mux(full, 0, first)),
                position.eq(end),
                flush.eq(item.last & full & (end[:3] != 0)),
            ]
        return m
