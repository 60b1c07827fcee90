"""A bank of the global buffer."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.buffer.words import bank_read, bank_write
from hdl.config import ENTRY_BITS, LANES, Config
from hdl.lib.block_ram import BlockRam


class GlbBank(wiring.Component):
    """`config.glb_depth` words of 64 bits, a read and a write a cycle.

    Members: `read`, `write`. Data come BlockRam.LATENCY cycles after the row. What is read of a
    word while it is written is not defined (BlockRam): semaphores and the ring's pointers see to it
    that nobody needs it.
    """

    def __init__(self, config: Config):
        self.depth = config.glb_depth
        super().__init__({"read": In(bank_read(config)), "write": In(bank_write(config))})

    def elaborate(self, platform):
        m = Module()
        for lane in range(LANES):
            m.submodules[f"lane_{lane}"] = ram = BlockRam(self.depth)
            m.d.comb += [
                ram.read.en.eq(self.read.en),
                ram.read.addr.eq(self.read.row),
                self.read.data.word_select(lane, ENTRY_BITS).eq(ram.read.data),
                ram.write.en.eq(self.write.mask[lane]),
                ram.write.addr.eq(self.write.row),
                ram.write.data.eq(self.write.data.word_select(lane, ENTRY_BITS)),
            ]
        return m
