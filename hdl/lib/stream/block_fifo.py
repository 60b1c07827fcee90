"""A FIFO in block RAM."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.lib.level_counter import LevelCounter
from hdl.lib.stream.fifo_ports import FifoPorts


class BlockFifo(FifoPorts):
    """A FIFO of `depth` words, a power of two, in block RAM, where one in RAM of LUTs takes one and
    a half of these for every bit. The word in front stands at the RAM's output, so it holds one
    more in fact.

    Members: those of amaranth.lib.fifo.SyncFIFO, and of FifoPorts. Latency two cycles, throughput
    one word a cycle. `w_rdy` and `r_rdy` are registers, `r_data` the RAM's output, `level` a sum of
    two; no path from an input to an output in the same cycle. A word is never read in the cycle
    in which it is written. Cost: block RAM, and three LUTs for every bit of an address. Raises
    ValueError for another depth.
    """

    def __init__(self, width: ShapeLike, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"a queue of {depth} words in block RAM: must be a power of two")
        self.width, self.depth = width, depth
        super().__init__(
            {
                "w_data": In(width),
                "w_en": In(1),
                "w_rdy": Out(1),
                "r_data": Out(width),
                "r_en": In(1),
                "r_rdy": Out(1),
                "level": Out(range(depth + 2)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.inside = inside = LevelCounter(self.depth)  # words that are not yet in front
        # Without the attribute Yosys takes RAM of LUTs for a few words.
        m.submodules.storage = storage = Memory(
            shape=self.width, depth=self.depth, init=[], attrs={"ram_style": "block"}
        )
        write, read = storage.write_port(), storage.read_port()
        push, fetch = Signal(), Signal()

        m.d.comb += [
            self.w_rdy.eq(inside.room),
            push.eq(self.w_en & self.w_rdy),
            fetch.eq(inside.some & (~self.r_rdy | self.r_en)),
            inside.up.eq(push),
            inside.down.eq(fetch),
            write.en.eq(push),
            write.data.eq(self.w_data),
            read.en.eq(fetch),
            self.r_data.eq(read.data),
            self.level.eq(inside.level + self.r_rdy),
        ]

        with m.If(push):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(fetch):
            m.d.sync += [read.addr.eq(read.addr + 1), self.r_rdy.eq(1)]
        with m.Elif(self.r_en):
            m.d.sync += self.r_rdy.eq(0)
        return m
