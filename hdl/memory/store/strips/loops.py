"""The loops of a STORE's strips: image, row, block."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import StoreBody
from hdl.memory.words import BLOCK, StripLast, StripTurn


class StripLoops(wiring.Component):
    """Counts images, rows and blocks.

    Members: `now`; `store`, stable; `block`; `last`, the last-iteration flag of each loop, two
    cycles after the strip before, which a loop's counter is earlier than it ends.
    """

    now: In(StripTurn)
    store: In(StoreBody)
    block: Out(BLOCK)
    last: Out(StripLast)

    def elaborate(self, platform):
        m = Module()
        now, store, last = self.now, self.store, self.last
        image, row = Signal(8), Signal(16)

        # Each loop begins when the one around it goes on.
        for index, flag, size, begins, goes_on in (
            (image, last.image, store.images, now.waiting, now.ends_image),
            (row, last.row, store.rows, now.new_image, now.ends_row),
            (self.block, last.block, store.blocks, now.new_row, now.emit),
        ):
            following = Signal.like(index, name="following")
            m.d.comb += following.eq(index + 1)
            m.d.sync += flag.eq(following == size)
            with m.If(begins):
                m.d.sync += index.eq(0)
            with m.Elif(goes_on):
                m.d.sync += index.eq(following)
        return m
