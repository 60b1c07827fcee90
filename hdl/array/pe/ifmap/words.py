"""Ifmap words of four entries, on their way into a PE's spad."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import fifo, wiring

from hdl.array.pe.ifmap.entries import intake_ports
from hdl.array.words import ifmap_in_word
from hdl.config import WORD_BITS, Config
from hdl.lib.arithmetic.lane_mux import LaneMux


class IfmapWords(wiring.Component):
    """Words wait in a FIFO of config.ifmap_fifo; an entry a cycle leaves it, without a gap between
    words, or a header.

    Members: `intake_ports`. Latency one cycle from the bus to the spad.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(intake_ports(config))

    def elaborate(self, platform):
        m = Module()
        layout = ifmap_in_word()
        m.submodules.fifo = queue = fifo.SyncFIFO(width=layout.size, depth=self.config.ifmap_fifo)
        came, word = Signal(layout), Signal(layout)
        m.d.comb += [
            self.accept.eq(~self.match | queue.w_rdy),
            came.data.eq(self.word.data),
            came.count.eq(self.word.count),
            came.header.eq(self.word.header),
            queue.w_en.eq(self.fire & self.match),
            queue.w_data.eq(came),
            word.eq(queue.r_data),
        ]

        # Entries of the oldest word, lowest lane first.
        m.submodules.mux = mux = LaneMux()
        lane, final = Signal(2), Signal()  # final: the lane is the word's last
        begins = Signal()
        m.d.comb += [
            mux.word.eq(word.data),
            mux.lane.eq(lane),
            final.eq(lane + 1 == word.count),
            self.data.eq(mux.entry),
            self.write.eq(queue.r_rdy & ~word.header & ~self.full),
            begins.eq(queue.r_rdy & word.header & ~self.header_valid),
            queue.r_en.eq(begins | (self.write & final)),
        ]
        with m.If(self.write):
            m.d.sync += lane.eq(Mux(final, 0, lane + 1))

        # The pass after this one.
        header = Signal(WORD_BITS, reset_less=True)
        m.d.comb += self.header.eq(header)
        with m.If(begins):
            m.d.sync += [header.eq(word.data), self.header_valid.eq(1)]
        with m.If(self.load):
            m.d.sync += self.header_valid.eq(0)
        return m
