"""Pairs of runs and levels to words of three."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.memory.words import PAIR_BITS, PAIRS, CodedPairs, EncodedWord

SLOTS = PAIRS + LANES  # pairs held


class PairWords(wiring.Component):
    """Gathers the pairs of a strip and makes words of them.

    Members: `pairs`; `words`, at least one item a strip; `idle`: no pair is inside.

    A word waits until another follows it or its strip has ended. Latency one cycle. Throughput four
    pairs in a cycle as long as they make no more than a word a cycle; strips follow each other
    without a gap where three pairs or fewer are left.
    """

    pairs: In(stream.Signature(CodedPairs))
    words: Out(stream.Signature(EncodedWord))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        out = self.words
        held = [Signal(PAIR_BITS, name=f"held_{n}") for n in range(SLOTS)]
        level, ended = Signal(range(SLOTS + 1)), Signal()  # pairs held; they are a strip's last

        # The word that is first.
        final, go = Signal(), Signal()
        m.d.comb += [
            final.eq(ended & (level <= PAIRS)),
            out.valid.eq(ended | (level > PAIRS)),
            out.p.last.eq(final),
            out.p.empty.eq(level == 0),
            out.p.data.eq(Cat(*(Mux(n < level, held[n], 0) for n in range(PAIRS)), final)),
            go.eq(out.valid & out.ready),
        ]

        # Pairs come after those that it leaves.
        after, move = Signal(range(SLOTS + 1)), Signal()
        m.d.comb += [
            after.eq(Mux(go, Mux(final, 0, level - PAIRS), level)),
            self.pairs.ready.eq((after <= PAIRS) & (~ended | (go & final))),
            move.eq(self.pairs.valid & self.pairs.ready),
            self.idle.eq(~ended & (level == 0)),
        ]
        with m.If(move):
            m.d.sync += [level.eq(after + self.pairs.p.count), ended.eq(self.pairs.p.last)]
        with m.Elif(go):
            m.d.sync += [level.eq(after), ended.eq(ended & ~final)]

        # Pair n of the new ones goes to place after + n: they are turned once for all places.
        turned, half = (
            [Signal(PAIR_BITS, name=f"{name}_{n}") for n in range(LANES)]
            for name in ("turned", "half")
        )
        pairs = self.pairs.p.pairs
        for n in range(LANES):
            m.d.comb += [
                half[n].eq(Mux(after[0], pairs[(n - 1) % LANES], pairs[n])),
                turned[n].eq(Mux(after[1], half[n - 2], half[n])),
            ]
        for n, (pair, following) in enumerate(zip(held, [*held[PAIRS:], *[0] * PAIRS])):
            with m.If(move & (n >= after)):
                m.d.sync += pair.eq(turned[n % LANES])
            with m.Elif(go):
                m.d.sync += pair.eq(following)
        return m
