"""Strips to bursts, within the window."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ADDRESS, Burst, BurstSplitter, Request, Window
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through
from hdl.memory.words import FoundStrip


class StripReader(wiring.Component):
    """Checks strips against the read window, each as a whole, and splits them into bursts.

    Members: `strips` in; `bursts`, tagged if their strip is coded; `base` and `limit`, the window;
    `outside`: the next strip, and so all that follow, lies outside it; `idle`: all strips before
    that have become bursts. address: bits of an address in memory.

    Latency three cycles; throughput a burst a cycle, or a strip.
    """

    strips: In(stream.Signature(FoundStrip))
    bursts: Out(stream.Signature(Burst))
    base: In(ADDRESS)
    limit: In(ADDRESS)
    outside: Out(1)
    idle: Out(1)

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.window = window = Window()
        m.submodules.splitter = splitter = BurstSplitter(self.address)
        requests = through(m, "requests", skid := SkidBuffer(Request), window.request)
        wiring.connect(m, requests, splitter.request)
        wiring.connect(m, splitter.burst, wiring.flipped(self.bursts))
        strip, check = self.strips.p, window.check
        m.d.comb += [
            check.valid.eq(self.strips.valid),
            self.strips.ready.eq(check.ready),
            check.p.begin.eq(strip.address),
            check.p.bytes.eq(strip.words << 3),
            check.p.request.address.eq(strip.address),
            check.p.request.words.eq(strip.words),
            check.p.request.last.eq(strip.last),
            check.p.request.tag.eq(strip.rlc),
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            self.outside.eq(window.outside),
            self.idle.eq(window.idle & ~skid.full & splitter.idle),
        ]
        return m
