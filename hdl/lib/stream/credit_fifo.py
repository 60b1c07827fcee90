"""A queue that needs not say when it is full."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class CreditFifo(wiring.Component):
    """Words of `width` bits; whoever writes keeps count, and has `depth` - 1 under way at most.

    Members: `w_en`, `w_data`; `r_rdy`, `r_data`, registers; `r_en`, which must not be set without
    `r_rdy`; `level`, the words behind the one that shows. depth: a power of two. Latency two
    cycles, throughput one word a cycle.

    No counter of words, and no path from one end to the other.
    """

    def __init__(self, width: int, depth: int):
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
