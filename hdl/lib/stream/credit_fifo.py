"""A FIFO that needs not say when it is full."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.lib.stream.fifo_ports import FifoPorts


class CreditFifo(FifoPorts):
    """A FIFO of `depth` words, a power of two, without a counter of them: whoever writes keeps
    count, and has `depth` under way at most, from the cycle in which one is written to that in
    which it is read.

    Members: `w_en`, `w_data`; `r_rdy`, `r_data`, registers; `r_en`, which does nothing without
    `r_rdy`; `level`, the words after the one that shows, a difference of registers; those of
    FifoPorts. Latency two cycles, throughput one word a cycle from a depth of four on, if the
    writer learns of a word's leaving in the next cycle. No path from an input to an output
    in the same cycle. Cost: as StreamFifo and a flip-flop a bit, without the comparisons of a
    level. Raises ValueError for another depth; a word beyond `depth` is lost without a sign.
    """

    def __init__(self, width: ShapeLike, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth of a CreditFifo = {depth}: must be a power of two, 2 or more")
        self.width, self.depth = width, depth
        super().__init__(
            {
                "w_en": In(1),
                "w_data": In(width),
                "r_rdy": Out(1),
                "r_data": Out(width),
                "r_en": In(1),
                "level": Out(range(depth)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.storage = storage = Memory(shape=self.width, depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        produce, consume = Signal(range(self.depth)), Signal(range(self.depth))
        load = Signal()
        m.d.comb += [
            write.addr.eq(produce),
            write.data.eq(self.w_data),
            write.en.eq(self.w_en),
            read.addr.eq(consume),
            self.level.eq(produce - consume),
            load.eq((produce != consume) & (~self.r_rdy | self.r_en)),
        ]
        with m.If(self.w_en):
            m.d.sync += produce.eq(produce + 1)
        with m.If(load):
            m.d.sync += [consume.eq(consume + 1), self.r_data.eq(read.data), self.r_rdy.eq(1)]
        with m.Elif(self.r_en):
            m.d.sync += self.r_rdy.eq(0)
        return m
