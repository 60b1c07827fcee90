"""The row pointer of the second operand."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ENTRY_ADDR
from hdl.memory.words import StripTurn


class RowPointer(wiring.Component):
    """Goes down the rows of an image.

    Members: `now`; `stride`, of rows, stable; `image`, the address of the first row; `address`, a
    cycle after a step. place: bits of an address.
    """

    def __init__(self, place: int = ENTRY_ADDR):
        self.place = place
        super().__init__(
            {
                "now": In(StripTurn),
                "stride": In(place),
                "image": In(place),
                "address": Out(place),
            }
        )

    def elaborate(self, platform):
        m = Module()
        with m.If(self.now.new_image):
            m.d.sync += self.address.eq(self.image)
        with m.Elif(self.now.step):
            m.d.sync += self.address.eq(self.address + self.stride)
        return m
