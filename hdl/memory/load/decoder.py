"""Run-length coded strips to entries, the format of golden/rlc.py."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import Error
from hdl.memory.load.rlc.entries import ItemEntries
from hdl.memory.load.rlc.items import WordItems
from hdl.memory.load.rlc.walk import ItemWalk
from hdl.memory.words import CodedStrip, CodedWord, DecodedWord


class RlcDecoder(wiring.Component):
    """Decodes strips one after the other.

    Members: `strips`, what comes; `coded`, their words; `out`, the words of four entries;
    `error`: RLC_STREAM at a word that the format forbids, READ_RESPONSE at one that is bad, of
    the strip that `out` would have gone on with; nothing comes out after it, until reset. `idle`:
    nothing is inside but a strip whose words are to come.

    Latency three cycles. Throughput a word out per cycle, and a word in per cycle as long as it
    leaves less than a word of four entries to come; strips follow each other without a gap.
    """

    strips: In(stream.Signature(CodedStrip))
    coded: In(stream.Signature(CodedWord))
    out: Out(stream.Signature(DecodedWord))
    error: Out(Error)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.items = items = WordItems()
        m.submodules.walk = walk = ItemWalk()
        m.submodules.entries = entries = ItemEntries()
        wiring.connect(m, wiring.flipped(self.strips), items.strips)
        wiring.connect(m, wiring.flipped(self.coded), items.coded)
        wiring.connect(m, items.items, walk.items)

        # An item's levels go with it.
        m.d.comb += [
            entries.now.eq(walk.now),
            entries.item.eq(items.items.p),
            walk.behind.eq(entries.behind),
        ]

        # Words, whose registers are in `entries` and `walk`: a slice after these costs LUTs.
        out = self.out
        m.d.comb += [
            walk.free.eq(~out.valid | out.ready),
            out.p.data.eq(entries.data),
            out.p.last.eq(walk.last),
            self.error.eq(walk.error),
            self.idle.eq(items.idle & walk.idle & ~out.valid),
        ]
        with m.If(walk.now.emit):
            m.d.sync += out.valid.eq(1)
        with m.Elif(out.ready):
            m.d.sync += out.valid.eq(0)
        return m
