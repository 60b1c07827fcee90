"""Ifmap words of four entries, on their way into a PE's spad."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from hdl.array.pe.ifmap.entries import intake_ports, pass_bus
from hdl.array.pe.ifmap.queue import IfmapQueue
from hdl.config import Config
from hdl.lib.arithmetic.lane_mux import LaneMux


class IfmapWords(wiring.Component):
    """Words wait in a FIFO; an entry a cycle leaves it, without a gap between words, or a header.

    Members: `intake_ports`. Latency one cycle from the bus to the spad.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(intake_ports(config))

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = IfmapQueue(self.config)
        pass_bus(m, self, queue)

        # Entries of the oldest word, lowest lane first.
        m.submodules.mux = mux = LaneMux()
        lane, final = Signal(2), Signal()  # final: the lane is the word's last
        m.d.comb += [
            mux.word.eq(queue.oldest.data),
            mux.lane.eq(lane),
            final.eq(lane + 1 == queue.oldest.count),
            self.data.eq(mux.entry),
            self.write.eq(queue.entries & ~self.full),
            queue.done.eq(self.write & final),
        ]
        with m.If(self.write):
            m.d.sync += lane.eq(Mux(final, 0, lane + 1))
        return m
