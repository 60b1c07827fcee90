"""Strips as they are to memory."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring

from hdl.config import LANES
from hdl.memory.store.entry_bytes import EntryBytes
from hdl.memory.store.packer import Packer
from hdl.memory.words import StripCoder


class PlainCoder(wiring.Component):
    """The StripCoder of a machine without run-length coding: entries become bytes, which are packed
    into words.

    Latency two cycles for words, none for ranges; throughput that of the Packer. lanes: the most
    entries of an item.
    """

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(StripCoder)

    def elaborate(self, platform):
        m = Module()
        m.submodules.bytes = bytes_ = EntryBytes(self.lanes)
        m.submodules.packer = packer = Packer(self.lanes)
        wiring.connect(m, wiring.flipped(self.entries), bytes_.entries)
        wiring.connect(m, bytes_.bytes, packer.bytes)
        wiring.connect(m, packer.words, wiring.flipped(self.words))
        m.d.comb += [
            bytes_.kind.eq(self.kind),
            packer.count.eq(Mux(self.kind.narrow, self.chunk, self.chunk << 1)),
            self.ranges.valid.eq(self.strips.valid),
            self.ranges.payload.eq(self.strips.p.range),
            self.strips.ready.eq(self.ranges.ready),
            self.idle.eq(~bytes_.bytes.valid),
        ]
        return m
