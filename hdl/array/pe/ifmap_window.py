"""A PE's sliding window of ifmap entries (JSSC 2017, fig. 12: ifmap spad)."""

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.pe.ifmap.entries import IfmapEntries
from hdl.array.pe.ifmap.ring import EntryRing
from hdl.array.pe.ifmap.walk import WindowWalk
from hdl.array.pe.ifmap.words import IfmapWords
from hdl.array.words import PassHeader, ifmap_bus_word
from hdl.config import ENTRY_BITS, Config


def window_ports(config: Config) -> dict[str, wiring.Member]:
    """What every window has.

    word, match, fire, accept   the bus: what it offers; register: that is for this PE; it moves;
                                not for this PE, or there is room
    header, header_valid, load  the pass after this one; it is there; and begins, which takes it
    skip                        zeros are left out, where the window can
    there                       an entry of the window is there
    entry, first, last, index   that entry; it is the window's first, last one; its place, 0 for the
                                first, if zeros can be left out
    entry_end, window_end       the MAC loop is done with it, and with the window
    last_position               the window is the last of a stream of entries
    """
    return {
        "word": In(ifmap_bus_word(config)),
        "match": In(1),
        "fire": In(1),
        "accept": Out(1),
        "header": Out(PassHeader),
        "header_valid": Out(1),
        "load": In(1),
        "skip": In(1),
        "there": Out(1),
        "entry": Out(signed(ENTRY_BITS)),
        "first": Out(1),
        "last": Out(1),
        "index": Out(max(8, config.place_bits)),
        "entry_end": In(1),
        "window_end": In(1),
        "last_position": In(1),
    }


class IfmapWindow(wiring.Component):
    """Every entry of a window, one after the other, an entry every hdl.timing.HAZARD cycles at
    most; one a cycle comes in meanwhile, also into places that this window frees.

    Members: `window_ports`, of which `skip` is not looked at.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(window_ports(config))

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.intake = intake = (IfmapEntries if c.input_lanes == 1 else IfmapWords)(c)
        m.submodules.ring = ring = EntryRing(c.ifmap_spad)
        m.submodules.walk = walk = WindowWalk(c)
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
            self.entry.eq(ring.entry),
        ]
        m.d.comb += [
            walk.load.eq(self.load),
            walk.window.eq(intake.header.window),
            walk.step.eq(intake.header.step),
            walk.entry_end.eq(self.entry_end),
            walk.last_position.eq(self.last_position),
            walk.entered.eq(intake.write),
            walk.more.eq(ring.after_read != ring.write_at),
            self.there.eq(walk.there),
            self.first.eq(walk.first),
            self.last.eq(walk.last),
        ]
        return m
