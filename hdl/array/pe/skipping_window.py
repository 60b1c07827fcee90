"""A PE's sliding window of ifmap entries without the zeros."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring

from hdl.array.pe.ifmap.ring import EntryRing
from hdl.array.pe.ifmap.skipping_walk import SkippingWalk
from hdl.array.pe.ifmap.skipping_words import SkippingIfmapWords
from hdl.array.pe.ifmap_window import window_ports
from hdl.config import Config


class SkippingIfmapWindow(wiring.Component):
    """With `skip` the spad holds entries that are not zero, and their places in the stream: a
    window has these, or one zero if it has none. Without, as IfmapWindow.

    Members: `window_ports`.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(window_ports(config))

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.intake = intake = SkippingIfmapWords(c)
        m.submodules.ring = ring = EntryRing(c.ifmap_spad)
        m.submodules.walk = walk = SkippingWalk(c)
        m.d.comb += [
            intake.word.eq(self.word),
            intake.match.eq(self.match),
            intake.fire.eq(self.fire),
            self.accept.eq(intake.accept),
            intake.load.eq(self.load),
            self.header.eq(intake.header),
            self.header_valid.eq(intake.header_valid),
        ]
        m.d.comb += [
            intake.full.eq(ring.full),
            ring.write.eq(intake.write),
            ring.data.eq(intake.data),
            ring.step.eq(self.entry_end),
            ring.back.eq(walk.back),
            ring.free.eq(walk.free),
            self.entry.eq(Mux(walk.zero, 0, ring.entry)),
        ]
        m.d.comb += [
            walk.load.eq(self.load),
            walk.window.eq(intake.header.window),
            walk.step.eq(intake.header.step),
            walk.entry_end.eq(self.entry_end),
            walk.window_end.eq(self.window_end),
            walk.last_position.eq(self.last_position),
            walk.entered.eq(intake.write),
            self.there.eq(walk.there),
            self.first.eq(walk.first),
            self.last.eq(walk.last),
            self.index.eq(walk.index),
        ]
        # Places in the stream.
        m.d.comb += [
            intake.skip.eq(self.skip),
            intake.near.eq(walk.near),
            walk.skip.eq(self.skip),
            walk.place.eq(intake.place),
            walk.known.eq(intake.known),
            walk.write_at.eq(ring.write_at),
            walk.read_at.eq(ring.read_at),
            walk.after_read.eq(ring.after_read),
        ]
        return m
