"""Stored psums: a FIFO in the global buffer."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .isa import WORD_ADDR


class PsumRing(wiring.Component):
    """Pointers of the psum FIFO kept in the global buffer.

    Members: `restart` empties it and takes `base`, `size` (words, even); `push`, `pop` one
    psum word (two 64-bit words); `write_word`, `read_word`; `some`, `room`.
    """

    def __init__(self):
        super().__init__({
            "restart": In(1), "base": In(WORD_ADDR), "size": In(WORD_ADDR),
            "push": In(1), "pop": In(1), "write_word": Out(WORD_ADDR),
            "read_word": Out(WORD_ADDR), "some": Out(1), "room": Out(1)})

    def elaborate(self, platform):
        m = Module()
        base, end, used, size = (Signal(WORD_ADDR, name=n) for n in ("first", "end", "used", "capacity"))
        m.d.comb += [self.some.eq(used != 0), self.room.eq(used != size)]
        for event, pointer in ((self.push, self.write_word), (self.pop, self.read_word)):
            with m.If(event):
                m.d.sync += pointer.eq(Mux(pointer + 2 == end, base, pointer + 2))
        m.d.sync += used.eq(used + (self.push << 1) - (self.pop << 1))
        with m.If(self.restart):
            m.d.sync += [base.eq(self.base), end.eq(self.base + self.size), size.eq(self.size),
                         used.eq(0), self.write_word.eq(self.base), self.read_word.eq(self.base)]
        return m
