"""OFMAPs and SCALEs, each to its part."""

from amaranth.hdl import Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import OfmapBody, OfmapCommand, ScaleBody


class OfmapCommands(wiring.Component):
    """An OFMAP goes on when no SCALE is under way, a SCALE when nothing is.

    Members: `command`; `ofmaps`, `scales`; `filled`: no SCALE is under way; `quiet`: neither is an
    OFMAP, but for one in `ofmaps`. No latency, throughput a command a cycle.
    """

    command: In(stream.Signature(OfmapCommand))
    ofmaps: Out(stream.Signature(OfmapBody))
    scales: Out(stream.Signature(ScaleBody))
    filled: In(1)
    quiet: In(1)

    def elaborate(self, platform):
        m = Module()
        command = self.command
        for sink in (self.ofmaps, self.scales):
            m.d.comb += Value.cast(sink.payload).eq(command.p.body)
        with m.If(command.p.is_scale):
            m.d.comb += [
                self.scales.valid.eq(command.valid & self.quiet),
                command.ready.eq(self.scales.ready & self.quiet),
            ]
        with m.Else():
            m.d.comb += [
                self.ofmaps.valid.eq(command.valid & self.filled),
                command.ready.eq(self.ofmaps.ready & self.filled),
            ]
        return m
