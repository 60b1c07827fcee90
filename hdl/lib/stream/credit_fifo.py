"""A FIFO that needs not say when it is full."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class CreditFifo(wiring.Component):
    """A FIFO of `depth` words, a power of two, without a counter of them: whoever writes keeps
    count, and has `depth` under way at most, from the cycle in which one is written to that in
    which it is read.

    Members: `input`, a stream that never waits; `output`, a stream of registers; `level`, the words
    after the one that shows, a difference of registers. Latency two cycles, throughput one word a
    cycle from a depth of four on, if the writer learns of a word's leaving in the next cycle. No
    path from an input to an output in the same cycle. Cost: as StreamFifo and a flip-flop a bit,
    without the comparisons of a level. Raises ValueError for another depth; a word beyond `depth`
    is lost without a sign.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth of a CreditFifo = {depth}: must be a power of two, 2 or more")
        self.shape, self.depth = shape, depth
        super().__init__(
            {
                "input": In(stream.Signature(shape, always_ready=True)),
                "output": Out(stream.Signature(shape)),
                "level": Out(range(depth)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.storage = storage = Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        produce, consume = Signal(range(self.depth)), Signal(range(self.depth))
        load = Signal()
        m.d.comb += [
            write.addr.eq(produce),
            write.data.eq(self.input.payload),
            write.en.eq(self.input.valid),
            read.addr.eq(consume),
            self.level.eq(produce - consume),
            load.eq((produce != consume) & (~self.output.valid | self.output.ready)),
        ]
        with m.If(self.input.valid):
            m.d.sync += produce.eq(produce + 1)
        with m.If(load):
            m.d.sync += [
                consume.eq(consume + 1),
                self.output.payload.eq(read.data),
                self.output.valid.eq(1),
            ]
        with m.Elif(self.output.ready):
            m.d.sync += self.output.valid.eq(0)
        return m
