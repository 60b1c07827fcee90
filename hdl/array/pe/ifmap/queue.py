"""Ifmap words of four entries that wait in a PE."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import PassHeader, ifmap_bus_word, ifmap_in_word
from hdl.config import WORD_BITS, Config
from hdl.lib.stream.stream_fifo import StreamFifo


class IfmapQueue(wiring.Component):
    """Words of the bus in a FIFO of config.ifmap_fifo, and the header of the pass after this one.

    Members: `word`, `match`, `fire`, `accept`, `header`, `header_valid`, `load` of
    hdl/array/pe/ifmap/entries.py; `entries`, the oldest word holds some; `oldest`, that word;
    `done`, its entries are not needed again. Latency one cycle.
    """

    def __init__(self, config: Config):
        self.depth = config.ifmap_fifo
        super().__init__(
            {
                "word": In(ifmap_bus_word(config)),
                "match": In(1),
                "fire": In(1),
                "accept": Out(1),
                "header": Out(PassHeader),
                "header_valid": Out(1),
                "load": In(1),
                "entries": Out(1),
                "oldest": Out(ifmap_in_word()),
                "done": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = queue = StreamFifo(ifmap_in_word(), self.depth)
        came, oldest, begins = queue.input, queue.output, Signal()  # begins: a header leaves
        m.d.comb += [
            self.accept.eq(~self.match | came.ready),
            came.valid.eq(self.fire & self.match),
            came.p.data.eq(self.word.data),
            came.p.count.eq(self.word.count),
            came.p.header.eq(self.word.header),
            begins.eq(oldest.valid & oldest.p.header & ~self.header_valid),
            self.entries.eq(oldest.valid & ~oldest.p.header),
            self.oldest.eq(oldest.payload),
            oldest.ready.eq(begins | self.done),
        ]

        header = Signal(WORD_BITS, reset_less=True)
        m.d.comb += self.header.eq(header)
        with m.If(begins):
            m.d.sync += [header.eq(oldest.p.data), self.header_valid.eq(1)]
        with m.If(self.load):
            m.d.sync += self.header_valid.eq(0)
        return m
