"""A FIFO of a few narrow words whose head is in a register."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class ShiftFifo(wiring.Component):
    """A FIFO of `depth` words of `shape`, the first in place 0; all move on when it leaves.

    Members: `input`, `output` streams. Latency one cycle, throughput one word a cycle (of a single
    place one every two). `input.ready`, `output.valid` and the payload are registers; no path from
    an input to an output in the same cycle. Cost: a flip-flop and a LUT a bit and place: fewer than
    RAM of LUTs takes for a few narrow words. Raises ValueError for a depth below one.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        if depth < 1:
            raise ValueError(f"a FIFO of {depth} words: must be 1 or more")
        self.shape, self.depth = shape, depth
        super().__init__(
            {"input": In(stream.Signature(shape)), "output": Out(stream.Signature(shape))}
        )

    def elaborate(self, platform):
        m = Module()
        words = [Signal(self.shape, name=f"word_{n}", reset_less=True) for n in range(self.depth)]
        valid = Signal(self.depth)  # places are filled from 0 on
        push, pop = Signal(), Signal()

        m.d.comb += [
            push.eq(self.input.valid & self.input.ready),
            pop.eq(self.output.valid & self.output.ready),
            self.input.ready.eq(~valid[-1]),
            self.output.valid.eq(valid[0]),
            self.output.payload.eq(words[0]),
        ]

        # What a place takes does not depend on whether it takes: the next word, or what comes.
        coming = self.input.payload
        for n, word in enumerate(words):
            with m.If(pop | ~valid[n]):
                if n == self.depth - 1:
                    m.d.sync += word.eq(coming)
                else:
                    m.d.sync += word.eq(Mux(valid[n + 1], words[n + 1], coming))

        with m.If(push & ~pop):
            m.d.sync += valid.eq(valid << 1 | 1)
        with m.Elif(pop & ~push):
            m.d.sync += valid.eq(valid >> 1)
        return m
