"""The psums of a head whose psum network carries words of four."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring

from hdl.array.pe.sums.bus_head import head_ports
from hdl.config import PSUM_LANES, Config
from hdl.lib.stream.stream_fifo import StreamFifo


class FifoHead(wiring.Component):
    """Words of up to four psums in a FIFO of config.psum_fifo, lowest lane first; a psum a cycle.

    Members: `head_ports`. Latency one cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(head_ports(config))

    def elaborate(self, platform):
        m = Module()
        bits = self.config.psum_bits
        layout = data.StructLayout({"data": bits * PSUM_LANES, "count": 3})
        m.submodules.fifo = queue = StreamFifo(layout, self.config.psum_fifo)
        came, word = Signal(layout), Signal(layout)
        lane, final = Signal(2), Signal()  # final: the lane is the word's last
        m.d.comb += [
            self.accept.eq(~self.match | queue.input.ready),
            came.data.eq(self.word.data),
            came.count.eq(self.word.count),
            queue.input.payload.eq(came),
            queue.input.valid.eq(self.fire & self.match),
            word.eq(queue.output.payload),
            final.eq(lane + 1 == word.count),
            self.there.eq(queue.output.valid),
            self.psum.eq(word.data.word_select(lane, bits)),
            queue.output.ready.eq(self.take & final),
        ]
        with m.If(self.take):
            m.d.sync += lane.eq(Mux(final, 0, lane + 1))
        return m
