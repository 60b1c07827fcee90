"""An address that goes by image and row."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ADDRESS
from hdl.memory.words import StripTurn


class RowAddress(wiring.Component):
    """Where a row's first strip goes in memory.

    Members: `now`; `begin`, of the first, `by_image` and `by_row`, the steps, stable; `at`, two
    cycles after the row before ended, three after the image before. address: bits of an address.
    """

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__(
            {
                "now": In(StripTurn),
                "begin": In(address),
                "by_image": In(address),
                "by_row": In(address),
                "at": Out(address),
            }
        )

    def elaborate(self, platform):
        m = Module()
        now, image = self.now, Signal(self.address)
        with m.If(now.waiting):
            m.d.sync += image.eq(self.begin)
        with m.Elif(now.ends_image):
            m.d.sync += image.eq(image + self.by_image)

        with m.If(now.new_image):
            m.d.sync += self.at.eq(image)
        with m.Elif(now.ends_row):
            m.d.sync += self.at.eq(self.at + self.by_row)
        return m
