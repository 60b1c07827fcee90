"""From words of four lanes to networks that carry one a cycle (config.input_lanes,
config.psum_lanes)."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES


class Splitter(wiring.Component):
    """Words of up to four entries or psums -> these, lowest lane first.

    Members: `input` stream of `words`, `output` stream of `singles`. Of a word's fields `data` is
    split, `count` tells how many there are (four if it is a `header`), the others are those of
    every lane; but a single's `last` says that it is the word's last, and if words have a `last`,
    that theirs is set too. Latency 1 cycle, one single a cycle, words without a gap between them.
    """

    def __init__(self, words: data.StructLayout, singles: data.StructLayout):
        self.words, self.singles = words, singles
        super().__init__(
            {"input": In(stream.Signature(words)), "output": Out(stream.Signature(singles))}
        )

    def elaborate(self, platform):
        m = Module()
        came, out = self.input.payload, self.output
        word = Signal(self.words, reset_less=True)
        # The word shifts where it shows, so no slice holds it.
        # final, a register: the lane that is out is the word's last
        valid, final = Signal(), Signal()
        fields = {name for name, _ in self.words}
        bits = self.singles["data"].width
        m.d.comb += [self.input.ready.eq(~valid | (out.ready & final)), out.valid.eq(valid)]
        for name, _ in self.singles:
            if name == "data":
                m.d.comb += out.p.data.eq(word.data[:bits])
            elif name == "last":
                m.d.comb += out.p.last.eq(final & (word.last if "last" in fields else 1))
            else:
                m.d.comb += out.p[name].eq(word[name])
        with m.If(valid & out.ready):
            m.d.sync += [
                word.data.eq(word.data >> bits),
                word.count.eq(word.count - 1),
                final.eq(word.count == 2),
            ]
        with m.If(self.input.ready):
            m.d.sync += [word.eq(came), valid.eq(self.input.valid), final.eq(came.count == 1)]
            if "header" in fields:
                with m.If(came.header):
                    m.d.sync += [word.count.eq(LANES), final.eq(0)]
        return m
