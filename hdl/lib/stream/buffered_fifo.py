"""A FIFO whose head is in a register."""

from amaranth.hdl import Module, Shape, ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out


class BufferedFifo(wiring.Component):
    """A FIFO of `depth` words of `shape`, the first of them in a register: amaranth's
    SyncFIFOBuffered with streams at its ends.

    Members: `input`, `output` streams; `level`, the words inside, a sum of registers. Latency two
    cycles (of a single word one), throughput one word a cycle, below a depth of three one every
    two. In the same cycle: no path from an input
    to an output; `output` is of registers alone, `input.ready` compares a level. Cost: as
    StreamFifo and a flip-flop a bit; of more than some 16 words synthesis takes block RAM. Raises
    ValueError for a depth below one.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        if depth < 1:
            raise ValueError(f"a FIFO of {depth} words: must be 1 or more")
        self.shape, self.depth = shape, depth
        super().__init__(
            {
                "input": In(stream.Signature(shape)),
                "output": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(
            width=Shape.cast(self.shape).width, depth=self.depth
        )

        m.d.comb += [
            fifo.w_data.eq(self.input.payload),
            fifo.w_en.eq(self.input.valid),
            self.input.ready.eq(fifo.w_rdy),
            self.output.payload.eq(fifo.r_data),
            self.output.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.output.ready),
            self.level.eq(fifo.level),
        ]
        return m
