"""The tags of a PE, and which words of the buses are its own (JSSC 2017, fig. 10)."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import filter_bus_word, ifmap_bus_word, psum_bus_word, tag_layout
from hdl.config import Config
from hdl.lib.marks import MATCH


class TagMatch(wiring.Component):
    """Members: `shift`, tags move from `tags_in` on; `tags`; for ifmap, filter and psum
    `<net>_next`, the bus's word in the next cycle if `<net>_load`, and `<net>_match`, a register:
    the word is for this PE. Tags hold from the cycle on in which a word comes."""

    def __init__(self, config: Config):
        tags = tag_layout(config)
        ports = {"shift": In(1), "tags_in": In(tags), "tags": Out(tags)}
        for net, layout in (
            ("ifmap", ifmap_bus_word),
            ("filter", filter_bus_word),
            ("psum", psum_bus_word),
        ):
            ports |= {
                f"{net}_next": In(layout(config)),
                f"{net}_load": In(1),
                f"{net}_match": Out(1),
            }
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        tags = self.tags
        with m.If(self.shift):
            m.d.sync += tags.eq(self.tags_in)

        ifmap, filter_, psum = self.ifmap_next, self.filter_next, self.psum_next
        for net, mine, marks in (
            ("ifmap", ifmap.header | (ifmap.tag == tags.ifmap), {MATCH: 1}),
            ("filter", filter_.tag == tags.filter, {MATCH: 1}),
            ("psum", tags.head & (psum.tag == tags.psum), {}),
        ):
            match = Signal(name=f"{net}_matches", attrs=marks)
            with m.If(getattr(self, f"{net}_load")):
                m.d.sync += match.eq(tags.enable & mine)
            m.d.comb += getattr(self, f"{net}_match").eq(match)
        return m
