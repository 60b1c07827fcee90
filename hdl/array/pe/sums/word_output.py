"""The sums of a PE whose output network carries words of four."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from hdl.array.pe.sums.sum_output import output_ports
from hdl.array.words import sum_layout
from hdl.config import PSUM_LANES, Config
from hdl.lib.stream.register_slice import RegisterSlice


class WordOutput(wiring.Component):
    """A tail gathers up to four sums of a position in a word.

    Members: `output_ports`. Latency one cycle, a sum a cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(output_ports(config))

    def elaborate(self, platform):
        m = Module()
        bits = self.config.psum_bits
        m.submodules.slice = place = RegisterSlice(sum_layout(self.config))
        full, lane = Signal(), Signal(2)  # of the word; the next sum's
        word, last = Signal(bits * PSUM_LANES, reset_less=True), Signal()
        m.d.comb += [
            place.input.payload.eq(self.sum),
            place.input.valid.eq(self.push & ~self.tail),
            self.chain_out.payload.eq(place.output.p.psum),
            self.chain_out.valid.eq(place.output.valid),
            place.output.ready.eq(self.chain_out.ready),
            self.room.eq(Mux(self.tail, ~full | self.ofmap.ready, place.input.ready)),
            self.ofmap.valid.eq(full),
            self.ofmap.payload.data.eq(word),
            self.ofmap.payload.last.eq(last),
        ]

        with m.If(full & self.ofmap.ready):
            m.d.sync += full.eq(0)
        with m.If(self.push & self.tail):
            m.d.sync += word.word_select(lane, bits).eq(self.sum.psum)
            with m.If(self.sum.last | (lane == PSUM_LANES - 1)):
                m.d.sync += [full.eq(1), last.eq(self.sum.last), lane.eq(0)]
            with m.Else():
                m.d.sync += lane.eq(lane + 1)
        return m
