"""The row pointer of the first operand, in the ring of its tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ENTRY_ADDR
from hdl.memory.words import StripLimits, StripTurn


class RingPointer(wiring.Component):
    """Goes down the rows of an image that lie in a ring.

    Members: `now`; `limits`, `row_first`, the place in the ring of an image's first row, `offset`,
    the way there from the ring's first row, and `stride`, of rows, stable; `image`, the address of
    the ring's first row; `address`, `row`, its place in the ring, and `wraps`: that is the last,
    each a cycle after a step. place: bits of an address.
    """

    def __init__(self, place: int = ENTRY_ADDR):
        self.place = place
        super().__init__(
            {
                "now": In(StripTurn),
                "limits": In(StripLimits),
                "row_first": In(16),
                "offset": In(place),
                "stride": In(place),
                "image": In(place),
                "address": Out(place),
                "row": Out(16),
                "wraps": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        now, limits = self.now, self.limits

        # The ring begins again after its last row.
        with m.If(now.new_image):
            m.d.sync += [
                self.row.eq(self.row_first),
                self.wraps.eq(self.row_first == limits.ring_last),
            ]
        with m.Elif(now.step & self.wraps):
            m.d.sync += [self.row.eq(0), self.wraps.eq(limits.ring_one)]
        with m.Elif(now.step):
            m.d.sync += [
                self.row.eq(self.row + 1),
                self.wraps.eq(self.row == limits.ring_before),
            ]

        # One adder: the way to the image's first row, to the next, or none to the ring's first.
        begin, by = Signal(self.place), Signal(self.place)
        m.d.comb += [
            begin.eq(Mux(now.new_image | self.wraps, self.image, self.address)),
            by.eq(Mux(now.new_image, self.offset, Mux(self.wraps, 0, self.stride))),
        ]
        with m.If(now.new_image | now.step):
            m.d.sync += self.address.eq(begin + by)
        return m
