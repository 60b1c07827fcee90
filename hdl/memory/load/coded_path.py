"""The way of coded words to the global buffer."""

from amaranth.hdl import Module
from amaranth.lib import wiring

from hdl.isa import WORD_ADDR
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.lib.stream.through import into
from hdl.memory.load.decoder import RlcDecoder
from hdl.memory.words import CodedPath as Path
from hdl.memory.words import CodedStrip, CodedWord
from hdl.timing import LOADS


class CodedPath(wiring.Component):
    """The decoder, with what it must know of the strips: the words of each in the global buffer,
    noted for LOADS commands before their lengths come, and those in memory.

    Latency three cycles; throughput a word in, or a word out, a cycle (RlcDecoder).
    """

    def __init__(self):
        super().__init__(Path)

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = RlcDecoder()
        words = into(m, "coded_words", skid := SkidBuffer(CodedWord), decoder.coded)
        strips = into(m, "strips", SkidBuffer(CodedStrip), decoder.strips)
        wiring.connect(m, wiring.flipped(self.words), words)
        wiring.connect(m, decoder.out, wiring.flipped(self.out))

        # Of each coded command under way: the words of its strips. A strip brings its own.
        m.submodules.sizes = sizes = StreamFifo(WORD_ADDR, LOADS)
        m.d.comb += [
            sizes.input.valid.eq(self.targets.valid & self.targets.p.rlc),
            sizes.input.payload.eq(self.targets.p.length),
            strips.valid.eq(self.lengths.valid),
            strips.p.coded.eq(self.lengths.p.words),
            strips.p.words.eq(sizes.output.payload),
            strips.p.last.eq(self.lengths.p.last),
            self.lengths.ready.eq(strips.ready),
            sizes.output.ready.eq(strips.valid & strips.ready & strips.p.last),
        ]

        # An error comes after the words before it.
        with m.If(~decoder.out.valid):
            m.d.comb += self.error.eq(decoder.error)
        m.d.comb += self.idle.eq(~skid.full & decoder.idle & ~decoder.out.valid)
        return m
