"""Where a strip goes in memory."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import StoreBody
from hdl.lib.axi import ADDRESS
from hdl.memory.store.strips.row_address import RowAddress
from hdl.memory.words import StripTurn


class StripTarget(wiring.Component):
    """The address of a strip's first entry.

    Members: `now`; `store`, stable; `at`, a cycle after the strip before or two after a row is new.
    address: bits of an address.
    """

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__({"now": In(StripTurn), "store": In(StoreBody), "at": Out(address)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.row = row = RowAddress(self.address)
        now, store = self.now, self.store
        m.d.comb += [
            row.now.eq(now),
            row.begin.eq(store.dram),
            row.by_image.eq(store.out_image_stride),
            row.by_row.eq(store.out_row_stride),
        ]

        # The blocks of a row.
        with m.If(now.new_row):
            m.d.sync += self.at.eq(row.at)
        with m.Elif(now.emit):
            m.d.sync += self.at.eq(self.at + store.out_block_stride)
        return m
