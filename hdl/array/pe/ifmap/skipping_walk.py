"""The sliding window over an ifmap spad that holds no zeros."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.array.pe.ifmap.walk import walk_ports
from hdl.config import Config


class SkippingWalk(wiring.Component):
    """With `skip` the entries of a window are those whose places lie in it, of one channel; if
    there are none it has one entry all the same, a zero that is not in the spad. Without, as
    WindowWalk.

    Members: `walk_ports` of hdl/array/pe/ifmap/walk.py, and

    skip                 entries may have been left out
    place, known, near   of hdl/array/pe/ifmap/skipping_words.py; places are kept beside the spad
    zero, index          the entry is the one that is not there; its place in its window, from 0

    An entry is shown once it is known whether another of its window follows.
    """

    def __init__(self, config: Config):
        self.config = config
        bits = config.place_bits
        super().__init__(
            walk_ports(config)
            | {
                "skip": In(1),
                "place": In(bits),
                "known": In(bits),
                "near": Out(1),
                "zero": Out(1),
                "index": Out(max(8, bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, bits = self.config, self.config.place_bits
        window = Signal.like(self.window, reset_less=True)
        step = Signal.like(self.step, reset_less=True)
        inner = Signal.like(self.inner, reset_less=True)
        with m.If(self.load):
            m.d.sync += [
                window.eq(self.window),
                step.eq(self.step),
                inner.eq(self.inner),
            ]

        # Places of the entry that is read, and of the one after it, from the window's first on.
        m.submodules.places = places = Memory(shape=unsigned(bits), depth=c.ifmap_spad, init=[])
        write = places.write_port()
        this, after = places.read_port(domain="comb"), places.read_port(domain="comb")
        start = Signal(bits)  # place of the window's first
        index, index_after, known = Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            write.en.eq(self.entered),
            write.addr.eq(self.write_at[:-1]),
            write.data.eq(self.place),
            this.addr.eq(self.read_at[:-1]),
            after.addr.eq(self.after_read[:-1]),
            index.eq(this.data - start),
            index_after.eq(after.data - start),
            known.eq(self.known - start),
            self.near.eq(known < 1 << bits - 1),
        ]
        with m.If(self.window_end):
            m.d.sync += start.eq(start + Mux(self.last_position, window, step))

        # Which entry it is.
        ahead = Signal.like(self.read_at)  # entries from the one that is read on
        ended = Signal()  # all of the window has come
        place = Signal.like(self.window, init=1)  # if none are left out
        more = Signal()
        # The entry is the window's first; a first one of its channel.
        opens, firsts = Signal(init=1), Signal(init=1)
        m.d.comb += [
            ahead.eq(self.write_at - self.read_at),
            ended.eq(known >= window),
            more.eq((ahead > 1) & (index_after < window)),
            self.index.eq(place - 1),
            self.there.eq(ahead != 0),
            self.first.eq(firsts),
            self.final.eq(place > inner),
            self.last.eq(place == window),
        ]
        with m.If(self.skip):
            m.d.comb += [
                self.first.eq(opens),
                self.final.eq(~more),
                self.zero.eq(opens & Mux(ahead != 0, index >= window, ended)),
                self.index.eq(Mux(self.zero, 0, index)),
                self.last.eq(~more),
                self.there.eq(self.zero | ((ahead != 0) & ((ahead > 1) | ended))),
            ]
        with m.If(self.entry_end):
            m.d.sync += [
                opens.eq(self.last),
                firsts.eq(self.last | (firsts & ~self.last_channel)),
                place.eq(Mux(self.last, 1, place + 1)),
            ]

        passed = Signal()
        m.d.comb += [
            passed.eq(~self.zero & ((self.index < step) | self.last_position)),
            self.free.eq(self.entry_end & passed),
            self.back.eq(self.last & ~passed),
        ]
        return m
