"""A FIFO in block RAM."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.lib.level_counter import LevelCounter


class BlockFifo(wiring.Component):
    """A FIFO of `depth` words, a power of two, in block RAM, where one in RAM of LUTs takes one and
    a half of these for every bit. The word in front stands at the RAM's output, so it holds one
    more in fact.

    Members: `input`, `output` streams; `level`, the words inside. Latency two cycles, throughput
    one word a cycle. `input.ready` and `output.valid` are registers, the payload the RAM's output,
    `level` a sum of two; no path from an input to an output in the same cycle. A word is never read
    in the cycle in which it is written. Cost: block RAM, and three LUTs for every bit of an
    address. Raises ValueError for another depth.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"a queue of {depth} words in block RAM: must be a power of two")
        self.shape, self.depth = shape, depth
        super().__init__(
            {
                "input": In(stream.Signature(shape)),
                "output": Out(stream.Signature(shape)),
                "level": Out(range(depth + 2)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.inside = inside = LevelCounter(self.depth)  # words that are not yet in front
        # Without the attribute Yosys takes RAM of LUTs for a few words.
        m.submodules.storage = storage = Memory(
            shape=self.shape, depth=self.depth, init=[], attrs={"ram_style": "block"}
        )
        write, read = storage.write_port(), storage.read_port()
        push, fetch = Signal(), Signal()

        m.d.comb += [
            self.input.ready.eq(inside.room),
            push.eq(self.input.valid & self.input.ready),
            fetch.eq(inside.some & (~self.output.valid | self.output.ready)),
            inside.up.eq(push),
            inside.down.eq(fetch),
            write.en.eq(push),
            write.data.eq(self.input.payload),
            read.en.eq(fetch),
            self.output.payload.eq(read.data),
            self.level.eq(inside.level + self.output.valid),
        ]

        with m.If(push):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(fetch):
            m.d.sync += [read.addr.eq(read.addr + 1), self.output.valid.eq(1)]
        with m.Elif(self.output.ready):
            m.d.sync += self.output.valid.eq(0)
        return m
