"""Between words of four lanes and networks that carry one a cycle (config.input_lanes, config.psum_lanes)."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import LANES, PSUM_LANES, Config
from .pe import ofmap_word, single_ofmap


class Splitter(wiring.Component):
    """Words of up to four entries or psums -> these, lowest lane first.

    Members: `input` stream of `words`, `output` stream of `singles`. Of a word's fields `data` is split, `count` tells how
    many there are (four if it is a `header`), the others are those of every lane; but a single's `last` says that it
    is the word's last, and if words have a `last`, that theirs is set too.
    Latency 1 cycle, one single a cycle, words without a gap between them.
    """

    def __init__(self, words: data.StructLayout, singles: data.StructLayout):
        self.words, self.singles = words, singles
        super().__init__({"input": In(stream.Signature(words)), "output": Out(stream.Signature(singles))})

    def elaborate(self, platform):
        m = Module()
        came, out = self.input.payload, self.output
        word = Signal(self.words, reset_less=True)
        valid, final = Signal(), Signal()       # final, a register: the lane that is out is the word's last
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
            m.d.sync += [word.data.eq(word.data >> bits), word.count.eq(word.count - 1), final.eq(word.count == 2)]
        with m.If(self.input.ready):
            m.d.sync += [word.eq(came), valid.eq(self.input.valid), final.eq(came.count == 1)]
            if "header" in fields:
                with m.If(came.header):
                    m.d.sync += [word.count.eq(LANES), final.eq(0)]
        return m


class PsumGatherer(wiring.Component):
    """Psums -> words of up to four, the last of a column's p psums ending a word early.

    Members: `input` stream of single_ofmap, `output` stream of ofmap_word, whose `last` is that of its last psum.
    Latency 1 cycle from a word's last psum, one psum a cycle. Lanes behind the last psum hold older ones.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"input": In(stream.Signature(single_ofmap(config))),
                          "output": Out(stream.Signature(ofmap_word(config)))})

    def elaborate(self, platform):
        m = Module()
        word = Signal(ofmap_word(self.config), reset_less=True)
        full, lane = Signal(), Signal(range(PSUM_LANES))
        m.d.comb += [self.input.ready.eq(~full | self.output.ready),
                     self.output.valid.eq(full), self.output.payload.eq(word)]
        with m.If(self.output.ready):
            m.d.sync += full.eq(0)
        with m.If(self.input.valid & self.input.ready):
            m.d.sync += [word.data.word_select(lane, self.config.psum_bits).eq(self.input.payload.data),
                         word.last.eq(self.input.payload.last), lane.eq(lane + 1)]
            with m.If(self.input.payload.end | (lane == PSUM_LANES - 1)):
                m.d.sync += [full.eq(1), lane.eq(0)]
        return m
