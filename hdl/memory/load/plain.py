"""Strips that are as long as their command says, and their words as they are."""

from amaranth.hdl import Module
from amaranth.lib import wiring

from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.memory.words import CodedPath, FoundStrip, StripFinder


class PlainStrips(wiring.Component):
    """The StripFinder of a machine without run-length coding.

    Latency one cycle, throughput a strip a cycle; `strips.ready` waits for `found.ready` in the
    same cycle.
    """

    def __init__(self):
        super().__init__(StripFinder)

    def elaborate(self, platform):
        m = Module()
        m.submodules.strip = strip = ForwardSlice(FoundStrip)
        wiring.connect(m, strip.output, wiring.flipped(self.found))
        m.d.comb += [
            self.command.ready.eq(1),
            strip.input.valid.eq(self.strips.valid),
            strip.input.p.address.eq(self.strips.p.address),
            strip.input.p.words.eq(self.strips.p.length),
            strip.input.p.last.eq(self.strips.p.last),
            self.strips.ready.eq(strip.input.ready),
        ]
        return m


class NoCodedPath(wiring.Component):
    """The CodedPath of a machine without run-length coding: nothing comes, nothing goes."""

    def __init__(self):
        super().__init__(CodedPath)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.lengths.ready.eq(1), self.words.ready.eq(1), self.idle.eq(1)]
        return m
