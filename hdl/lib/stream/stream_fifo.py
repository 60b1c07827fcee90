"""A FIFO in RAM of LUTs."""

from amaranth.hdl import Module, Shape, ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out


class StreamFifo(wiring.Component):
    """A FIFO of `depth` words of `shape`: amaranth's SyncFIFO with streams at its ends.

    Members: `input`, `output` streams; `level`, the words inside, a register. Latency one cycle,
    throughput one word a cycle, of a single word one every two. In the same cycle: no path from
    an input to an output; `input.ready` and `output.valid` compare `level`, and the payload is
    what the RAM shows at a registered address. Cost: RAM of LUTs, one and a half for every bit
    of a word up to 16 words; BufferedFifo has a register after it, BlockFifo is in block RAM.
    Raises ValueError for a depth below one.
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
        m.submodules.fifo = fifo = SyncFIFO(width=Shape.cast(self.shape).width, depth=self.depth)

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
