"""Strips that are never coded have no table of lengths."""

from amaranth.hdl import Module
from amaranth.lib import wiring

from hdl.memory.words import STRIP_ENTRIES, StripTable


class NoTable(wiring.Component):
    """The StripTable of a machine without run-length coding: no address, and of `excess` one
    comparison. No latency."""

    def __init__(self):
        super().__init__(StripTable)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.excess.eq(self.entries[STRIP_ENTRIES:].any())
        return m
