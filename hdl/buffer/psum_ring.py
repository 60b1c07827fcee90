"""Stored psums: a FIFO in the global buffer."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import WORD_ADDR


class PsumRing(wiring.Component):
    """Pointers of the psum FIFO kept in the global buffer.

    Members: `restart` empties it and takes `base`, `size` (words, even); `reserve` takes a place
    for, `push` fills, `pop` removes one psum word (two 64-bit words); `write_word`, `read_word`;
    `some`, `room`, registers.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "restart": In(1),
                "base": In(WORD_ADDR),
                "size": In(WORD_ADDR),
                "reserve": In(1),
                "push": In(1),
                "pop": In(1),
                "write_word": Out(WORD_ADDR),
                "read_word": Out(WORD_ADDR),
                "some": Out(1),
                "room": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.config.glb_word_bits
        base, end, used = (Signal(bits + (n != "first"), name=n) for n in ("first", "end", "used"))
        written, read = Signal(bits), Signal(bits)
        free = Signal.like(used)
        m.d.comb += [self.write_word.eq(written), self.read_word.eq(read)]
        for event, pointer in ((self.push, written), (self.pop, read)):
            with m.If(event):
                m.d.sync += pointer.eq(Mux(pointer + 2 == end, base, pointer + 2))
        with m.If(self.push ^ self.pop):
            m.d.sync += [
                used.eq(Mux(self.push, used + 2, used - 2)),
                self.some.eq(self.push | (used[2:] != 0)),
            ]
        with m.If(self.reserve ^ self.pop):
            m.d.sync += [
                free.eq(Mux(self.reserve, free - 2, free + 2)),
                self.room.eq(self.pop | (free[2:] != 0)),
            ]
        with m.If(self.restart):
            m.d.sync += [
                base.eq(self.base),
                end.eq(self.base + self.size),
                free.eq(self.size),
                used.eq(0),
                written.eq(self.base),
                read.eq(self.base),
                self.some.eq(0),
                self.room.eq(self.size != 0),
            ]
        return m
