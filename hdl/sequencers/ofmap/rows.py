"""An ofmap row's place in the ring of rows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import OfmapBody


class OfmapRows(wiring.Component):
    """Goes on with every row, from the command's first in every position.

    Members: `body`, stable; `load`, of a command; `next`, to another row, or if `again` to the
    first of the next position; `offset` of the row at hand, entries, a cycle later.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "body": In(OfmapBody),
                "load": In(1),
                "next": In(1),
                "again": In(1),
                "offset": Out(config.glb_entry_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Registers: the row is the ring's last, the one after the ring's first is, the command's
        # first is.
        body, at = self.body, Signal(17)
        last, second_last, first_last = Signal(), Signal(), Signal()
        m.d.sync += [second_last.eq(body.ring == 1), first_last.eq(body.row_first + 1 == body.ring)]
        with m.If(self.load | self.next):
            with m.If(self.load | self.again):
                m.d.sync += [
                    at.eq(body.row_first),
                    self.offset.eq(body.row_start),
                    last.eq(Mux(self.load, body.row_first + 1 == body.ring, first_last)),
                ]
            with m.Elif(last):
                m.d.sync += [at.eq(0), self.offset.eq(0), last.eq(second_last)]
            with m.Else():
                m.d.sync += [
                    at.eq(at + 1),
                    last.eq(at + 2 == body.ring),
                    self.offset.eq(self.offset + body.row_stride),
                ]
        return m
