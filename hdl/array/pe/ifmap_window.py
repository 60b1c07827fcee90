"""A PE's sliding window of ifmap entries (JSSC 2017, fig. 12: ifmap spad)."""

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.pe.ifmap.entries import IfmapEntries, pass_bus
from hdl.array.pe.ifmap.ring import EntryRing
from hdl.array.pe.ifmap.skipping_walk import SkippingWalk
from hdl.array.pe.ifmap.skipping_words import SkippingIfmapWords
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
    entry, first, final, last, index   that entry; it is the first, the last of its channel in the
                                window; the window's last; its place, 0 for the first, if zeros can
                                be left out
    entry_end, window_end       the MAC loop is done with it, and with the window
    last_position, last_channel   the window is the last of a stream of entries; the entry is of the
                                last channel
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
        "final": Out(1),
        "last": Out(1),
        "index": Out(max(8, config.place_bits)),
        "entry_end": In(1),
        "window_end": In(1),
        "last_position": In(1),
        "last_channel": In(1),
    }


class IfmapWindow(wiring.Component):
    """Every entry of a window, one after the other, an entry every hdl.timing.HAZARD cycles at
    most; one a cycle comes in meanwhile, also into places that this window frees.

    Members: `window_ports`. With config.skip and `skip` the spad holds entries that are not zero,
    and their places in the stream: a window has these, or one zero if it has none.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(window_ports(config))

    def elaborate(self, platform):
        m = Module()
        c = self.config
        match (c.skip, c.input_lanes):
            case (True, _):
                intake_of, walk_of = SkippingIfmapWords, SkippingWalk
            case (_, 1):
                intake_of, walk_of = IfmapEntries, WindowWalk
            case _:
                intake_of, walk_of = IfmapWords, WindowWalk
        m.submodules.intake = intake = intake_of(c)
        m.submodules.ring = ring = EntryRing(c.ifmap_spad)
        m.submodules.walk = walk = walk_of(c)

        # Into the spad, and out of it.
        pass_bus(m, self, intake)
        m.d.comb += [
            intake.full.eq(ring.full),
            ring.write.eq(intake.write),
            ring.data.eq(intake.data),
            ring.step.eq(self.entry_end),
            ring.back.eq(walk.back),
            ring.free.eq(walk.free),
            self.entry.eq(ring.entry),
        ]

        # Which entry it is.
        for name in ("load", "entry_end", "window_end", "last_position", "last_channel"):
            m.d.comb += getattr(walk, name).eq(getattr(self, name))
        for name in ("write_at", "read_at", "after_read"):
            m.d.comb += getattr(walk, name).eq(getattr(ring, name))
        m.d.comb += [
            walk.window.eq(intake.header.window),
            walk.step.eq(intake.header.step),
            walk.inner.eq(intake.header.inner),
            walk.entered.eq(intake.write),
            self.there.eq(walk.there),
            self.first.eq(walk.first),
            self.final.eq(walk.final),
            self.last.eq(walk.last),
        ]

        # Zeros that are not there.
        if c.skip:
            m.d.comb += [
                intake.skip.eq(self.skip),
                intake.near.eq(walk.near),
                walk.skip.eq(self.skip),
                walk.place.eq(intake.place),
                walk.known.eq(intake.known),
                self.entry.eq(Mux(walk.zero, 0, ring.entry)),
                self.index.eq(walk.index),
            ]
        return m
