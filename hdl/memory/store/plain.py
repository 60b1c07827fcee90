"""Strips as they are to memory."""

from amaranth.hdl import Module
from amaranth.lib import wiring

from hdl.config import LANES
from hdl.memory.store.packer import Packer
from hdl.memory.words import StripCoder


class PlainCoder(wiring.Component):
    """The StripCoder of a machine without run-length coding: entries are packed into words.

    Latency one cycle for words, none for ranges; throughput that of the Packer. lanes: the most
    entries of an item.
    """

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(StripCoder)

    def elaborate(self, platform):
        m = Module()
        m.submodules.packer = packer = Packer(self.lanes)
        wiring.connect(m, wiring.flipped(self.entries), packer.entries)
        wiring.connect(m, packer.words, wiring.flipped(self.words))
        m.d.comb += [
            packer.count.eq(self.chunk),
            self.ranges.valid.eq(self.strips.valid),
            self.ranges.payload.eq(self.strips.p.range),
            self.strips.ready.eq(self.ranges.ready),
            self.idle.eq(1),
        ]
        return m
