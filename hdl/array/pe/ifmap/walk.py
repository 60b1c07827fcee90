"""The sliding window over a PE's ifmap spad: which entry is whose, and when it is freed."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config, bits_for


def walk_ports(config: Config) -> dict[str, wiring.Member]:
    """What every walk has.

    load, window, step, inner   a pass begins with these; they need not hold
    entry_end, window_end     the MAC loop is done with the entry, which `there` told, the window
    last_position, last_channel   the window is the last of a stream of entries; the entry is of the
                              last channel
    entered                   an entry comes into the spad
    write_at, read_at, after_read   the spad's pointers
    there                     an entry of the window is there
    first, final              the entry is the first, the last of its channel in the window
    last                      the entry is the window's last
    free, back                it is done with and not needed again; reading goes back
    """
    bits, pointer = bits_for(config.ifmap_spad), config.ifmap_spad.bit_length()
    return {
        "load": In(1),
        "window": In(bits),
        "step": In(bits),
        "inner": In(bits),
        "entry_end": In(1),
        "window_end": In(1),
        "last_position": In(1),
        "last_channel": In(1),
        "entered": In(1),
        "write_at": In(pointer),
        "read_at": In(pointer),
        "after_read": In(pointer),
        "there": Out(1),
        "first": Out(1, init=1),
        "final": Out(1),
        "last": Out(1),
        "free": Out(1),
        "back": Out(1),
    }


class WindowWalk(wiring.Component):
    """Entries 1 .. `window` of every window; the first `step` of them are freed, and all of a
    stream's last window. They are of several channels in turn, or of one: those up to the first of
    the last channel are the first of theirs, those after `inner` entries the last.

    Members: `walk_ports`, of which `there`, `first`, `final` and `last` are registers. An entry
    takes hdl.timing.HAZARD cycles at least, of which two find what it is.
    """

    def __init__(self, config: Config):
        super().__init__(walk_ports(config))

    def elaborate(self, platform):
        m = Module()
        window = Signal.like(self.window, reset_less=True)
        step = Signal.like(self.step, reset_less=True)
        inner = Signal.like(self.inner, reset_less=True)
        all_final = Signal(reset_less=True)
        single = Signal(reset_less=True)  # an entry is all of a window
        with m.If(self.load):
            m.d.sync += [
                window.eq(self.window),
                step.eq(self.step),
                inner.eq(self.inner),
                all_final.eq(self.inner == 0),
                single.eq(self.window == 1),
            ]

        # Compared before it is needed: the next entry is the window's last; this one is the last of
        # its first `step`, of its first `inner`.
        place = Signal.like(self.window, init=1)
        next_last, step_last, inner_last = Signal(), Signal(), Signal()
        m.d.sync += [
            next_last.eq(place + 1 == window),
            step_last.eq(place == step),
            inner_last.eq(place == inner),
        ]
        frees = Signal(init=1)  # the entry is one of these
        with m.If(self.entry_end):
            m.d.sync += [
                place.eq(Mux(self.last, 1, place + 1)),
                self.first.eq(self.last | (self.first & ~self.last_channel)),
                self.final.eq(Mux(self.last, all_final, self.final | inner_last)),
                self.last.eq(Mux(self.last, single, next_last)),
                frees.eq(self.last | (frees & ~step_last)),
            ]
        with m.If(self.load):
            m.d.sync += [
                self.final.eq(self.inner == 0),
                self.last.eq(self.window == 1),
            ]

        passed = Signal()
        m.d.comb += [
            passed.eq(frees | self.last_position),
            self.free.eq(self.entry_end & passed),
            self.back.eq(self.last & ~passed),
        ]
        # Where reading goes back to there is an entry, the window's second or a later one.
        with m.If(self.entered):
            m.d.sync += self.there.eq(1)
        with m.Elif(self.entry_end):
            m.d.sync += self.there.eq(self.back | (self.after_read != self.write_at))
        return m
