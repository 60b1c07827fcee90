"""Ifmap entries that come one at a time, on their way into a PE's spad."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import PassHeader, ifmap_bus_word
from hdl.config import ENTRY_BITS, WORD_BITS, Config


def intake_ports(config: Config) -> dict[str, wiring.Member]:
    """What every intake of ifmap words has.

    word, match, fire, accept   the bus: what it offers; register: that is for this PE; it moves;
                                not for this PE, or there is room
    full, write, data           the spad is full; an entry goes into it
    header, header_valid, load  the pass after this one; it is there; and begins, which takes it
    """
    return {
        "word": In(ifmap_bus_word(config)),
        "match": In(1),
        "fire": In(1),
        "accept": Out(1),
        "full": In(1),
        "write": Out(1),
        "data": Out(ENTRY_BITS),
        "header": Out(PassHeader),
        "header_valid": Out(1),
        "load": In(1),
    }


def pass_bus(m: Module, outer: wiring.Component, inner: wiring.Component) -> None:
    """Connects the bus and the headers of a part within another one, both with these ports."""
    for name in ("word", "match", "fire", "load"):
        m.d.comb += getattr(inner, name).eq(getattr(outer, name))
    for name in ("accept", "header", "header_valid"):
        m.d.comb += getattr(outer, name).eq(getattr(inner, name))


class IfmapEntries(wiring.Component):
    """From the bus into the spad in the same cycle, one entry a cycle; a header in four parts.

    Members: `intake_ports`.
    """

    def __init__(self, config: Config):
        super().__init__(intake_ports(config))

    def elaborate(self, platform):
        m = Module()
        word, header = self.word, Signal(WORD_BITS, reset_less=True)
        mine, begins = Signal(), Signal()
        m.d.comb += [
            mine.eq(self.fire & self.match),
            begins.eq(mine & word.header),
            self.accept.eq(~self.match | ~Mux(word.header, self.header_valid, self.full)),
            self.write.eq(mine & ~word.header),
            self.data.eq(word.data),
            self.header.eq(header),
        ]
        with m.If(begins):
            m.d.sync += [
                header.eq(Cat(header[ENTRY_BITS:], word.data)),
                self.header_valid.eq(word.last),
            ]
        with m.If(self.load):
            m.d.sync += self.header_valid.eq(0)
        return m
