"""Run-length coded words to items: levels, and their places within the word."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import Error
from hdl.memory.words import (
    LENGTH,
    PAIR_BITS,
    PAIRS,
    RUN_BITS,
    CodedItem,
    CodedStrip,
    CodedWord,
)


class WordItems(wiring.Component):
    """Makes an item of each word of a strip, and one without levels of a strip without words.

    Members: `strips`, what comes; `coded`, their words; `items`, which say of what the format
    forbids within a word, and of words that are bad; `idle`: nothing is inside but a strip whose
    words are to come.

    Latency one cycle, throughput a word a cycle.
    """

    strips: In(stream.Signature(CodedStrip))
    coded: In(stream.Signature(CodedWord))
    items: Out(stream.Signature(CodedItem))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        strip, word, item = self.strips, self.coded.p, self.items.p

        # The words of the strip that are left, this one too.
        inside, to_come, left = Signal(), Signal(LENGTH), Signal(LENGTH)
        empty, ends = Signal(), Signal()
        m.d.comb += [
            left.eq(Mux(inside, to_come, strip.p.coded)),
            ends.eq(left <= 1),
            empty.eq(~inside & (strip.p.coded == 0)),
        ]

        # A strip goes with its first item, whose register is by hand: a slice costs LUTs here.
        ready, push = Signal(), Signal()
        m.d.comb += [
            ready.eq((inside | strip.valid) & (~self.items.valid | self.items.ready)),
            self.coded.ready.eq(ready & ~empty),
            push.eq(ready & (empty | self.coded.valid)),
            strip.ready.eq(push & ~inside),
            self.idle.eq(~self.items.valid & ~(strip.valid & empty)),
        ]
        with m.If(self.items.ready):
            m.d.sync += self.items.valid.eq(0)
        with m.If(push):
            m.d.sync += [
                self.items.valid.eq(1),
                inside.eq(~ends),
                to_come.eq(left - 1),
                item.first.eq(~inside),
                item.final.eq(ends),
            ]
            with m.If(~inside):
                m.d.sync += [item.words.eq(strip.p.words), item.last.eq(strip.p.last)]

        # Levels: each after its run and what is before it.
        pairs = [word.data[PAIR_BITS * n : PAIR_BITS * (n + 1)] for n in range(PAIRS)]
        runs = [pair[:RUN_BITS] for pair in pairs]
        with m.If(push):
            m.d.sync += item.total.eq(Mux(empty, 0, sum(runs) + PAIRS))
            for n, pair in enumerate(pairs):
                level = pair[RUN_BITS:]
                m.d.sync += [
                    item.place[n].eq(sum(runs[: n + 1]) + n),
                    item.level[n].eq(Mux(empty, 0, level)),
                    item.some[n].eq((level != 0) & ~empty),
                ]

        # The last word of a strip is marked, and no other.
        with m.If(push & ~empty & word.bad):
            m.d.sync += item.flaw.eq(Error.READ_RESPONSE)
        with m.Elif(push & ~empty & (word.data[63] != ends)):
            m.d.sync += item.flaw.eq(Error.RLC_STREAM)
        with m.Elif(push):
            m.d.sync += item.flaw.eq(Error.NONE)
        return m
