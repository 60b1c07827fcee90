"""Between words of four psums and networks that carry one a cycle (config.psum_lanes)."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .config import PSUM_LANES, Config
from .pe import ofmap_word, psum_word, single_ofmap, single_psum


class PsumSplitter(wiring.Component):
    """Words of up to four psums -> the psums, lowest lane first.

    Members: `input`, `output` streams. Latency 1 cycle, one psum a cycle, words without a gap between them.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({"input": In(stream.Signature(psum_word(config))),
                          "output": Out(stream.Signature(single_psum(config)))})

    def elaborate(self, platform):
        m = Module()
        word = Signal(psum_word(self.config), reset_less=True)
        valid, lane = Signal(), Signal(range(PSUM_LANES))
        final = Signal()
        m.d.comb += [
            final.eq(lane + 1 == word.count), self.input.ready.eq(~valid | (self.output.ready & final)),
            self.output.valid.eq(valid), self.output.payload.tag.eq(word.tag),
            self.output.payload.data.eq(word.data.word_select(lane, self.config.psum_bits))]
        with m.If(valid & self.output.ready):
            m.d.sync += lane.eq(lane + 1)
        with m.If(self.input.ready):
            m.d.sync += [word.eq(self.input.payload), valid.eq(self.input.valid), lane.eq(0)]
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
