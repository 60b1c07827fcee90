"""Where an operand's images begin."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ENTRY_ADDR
from hdl.memory.words import StripTurn


class ImageBase(wiring.Component):
    """The address at which the first window of an operand's image has its first column, were it in
    the tile's first row.

    Members: `now`; `base` and `stride`, of images, stable; `product`, to be added to the first in
    the cycle of `first`; `address`. place: bits of an address.
    """

    def __init__(self, place: int = ENTRY_ADDR):
        self.place = place
        super().__init__(
            {
                "now": In(StripTurn),
                "base": In(place),
                "stride": In(place),
                "product": In(place),
                "first": In(1),
                "address": Out(place),
            }
        )

    def elaborate(self, platform):
        m = Module()
        now, by = self.now, Signal(self.place)
        m.d.comb += by.eq(Mux(now.multiply, self.product, self.stride))
        with m.If(now.waiting):
            m.d.sync += self.address.eq(self.base)
        with m.Elif(now.ends_image | self.first):
            m.d.sync += self.address.eq(self.address + by)
        return m
