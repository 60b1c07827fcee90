"""Entries to run-length coded strips, the format of golden/rlc.py."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.store.rlc.pairs import EntryPairs
from hdl.memory.store.rlc.words import PairWords
from hdl.memory.words import EncodedWord, Entries


class RlcEncoder(wiring.Component):
    """Encodes strips one after the other.

    Members: `entries` in, `count` (1..4, entries taken of each item) stable while not `idle`;
    `words` out, at least one item a strip.

    A word waits until another follows it or its strip has ended. Latency two cycles. Throughput
    an item in per cycle as long as it makes no more than a word out per cycle (four levels make
    one and a third); a run takes a cycle for every four pairs that continue it, strips follow
    each other without a gap where three pairs or fewer are left.
    """

    entries: In(stream.Signature(Entries))
    count: In(3)
    words: Out(stream.Signature(EncodedWord))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.pairs = pairs = EntryPairs()
        m.submodules.words = words = PairWords()
        wiring.connect(m, wiring.flipped(self.entries), pairs.entries)
        wiring.connect(m, pairs.pairs, words.pairs)
        wiring.connect(m, words.words, wiring.flipped(self.words))
        m.d.comb += [pairs.count.eq(self.count), self.idle.eq(pairs.idle & words.idle)]
        return m
