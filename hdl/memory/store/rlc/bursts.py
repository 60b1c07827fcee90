"""The words of coded strips, by bursts."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ADDRESS, Range
from hdl.memory.words import LENGTH
from hdl.timing import CODED_BURST


class CodedBursts(wiring.Component):
    """Counts the words of a strip, and of a burst of them, which ends with an aligned block of
    CODED_BURST words or with the strip.

    Members: `address`, of the slot; `take`, a pulse: a word goes, or the end of a strip without any
    (`empty`); `last`: it is the strip's; `fresh`: it is a burst's first; `closes`: it is a burst's
    last, whose bytes are `range`; `length`, the strip's words with it. No latency.
    """

    address: In(ADDRESS)
    take: In(1)
    last: In(1)
    empty: In(1)
    fresh: Out(1)
    closes: Out(1)
    range: Out(Range)
    length: Out(LENGTH)

    def elaborate(self, platform):
        m = Module()
        request = self.range.request
        before = Signal(LENGTH)  # words of the strip so far
        begin, pending = Signal(ADDRESS), Signal(range(CODED_BURST + 1))  # of the burst so far

        # The word's place.
        at, first, count = Signal(ADDRESS), Signal(ADDRESS), Signal.like(pending)
        m.d.comb += [
            at.eq(self.address + (before << 3)),
            first.eq(Mux(self.fresh, at, begin)),
            count.eq(pending + 1),
            self.fresh.eq(pending == 0),
            self.closes.eq(self.last | at[3:6].all()),
            self.length.eq(before + ~self.empty),
            self.range.begin.eq(first),
            self.range.bytes.eq(count << 3),
            request.address.eq(first),
            request.words.eq(count),
        ]

        with m.If(self.take):
            m.d.sync += [before.eq(before + 1), begin.eq(first), pending.eq(count)]
            with m.If(self.closes):
                m.d.sync += pending.eq(0)
            with m.If(self.last):
                m.d.sync += before.eq(0)
        return m
