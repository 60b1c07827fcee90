"""The order in which a STORE's strips are found."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.words import StripLast, StripTurn


class StripSequence(wiring.Component):
    """Says what is done in a cycle: `now`, of which each flag is a register, as each enables a
    hundred more.

    Members: `start`, a pulse; `multiplied`: the products are there with the next cycle; `excess`: a
    strip is too long, valid with the first image; `found`: the row pointers stand where the strip
    begins; `again`: they must be brought along the channels once more; `last`, two cycles after the
    strip before; `room` for a strip; `now`; `idle`; `too_long`, until reset.

    A strip is offered until there is room, and comes a cycle later. Three cycles a strip and one
    for each cycle of `again`; of a row's first strip six and those in which a row is sought, and
    one more of an image's.
    """

    start: In(1)
    multiplied: In(1)
    excess: In(1)
    found: In(1)
    again: In(1)
    last: In(StripLast)
    room: In(1)
    now: Out(StripTurn, init={"waiting": 1, "waits": 1})
    idle: Out(1)
    too_long: Out(1)

    def elaborate(self, platform):
        m = Module()
        now, last = self.now, self.last

        # A strip comes a cycle after its offer, and is taken before the next is offered.
        offer, emits = Signal(), Signal()
        m.d.comb += [emits.eq(offer & self.room), self.idle.eq(now.waiting)]
        m.d.sync += [
            now.emit.eq(emits),
            now.waits.eq(~emits),
            now.ends_row.eq(emits & last.block),
            now.ends_image.eq(emits & last.block & last.row),
            now.ends_all.eq(emits & last.block & last.row & last.image),
        ]

        # From a command to its first row.
        m.d.sync += [
            now.waiting.eq(now.waiting & ~self.start | now.ends_all),
            now.multiply.eq(now.waiting & self.start | now.multiply & ~self.multiplied),
            now.new_image.eq(now.multiply & self.multiplied | now.ends_image & ~now.ends_all),
            self.too_long.eq(self.too_long | now.new_image & self.excess),
        ]

        # From a row to its strips; whether it is found is known two cycles after its bounds.
        settled, along = Signal(), now.along & ~self.again
        m.d.comb += now.step.eq(now.seek & settled & ~self.found)
        m.d.sync += [
            now.new_row.eq(now.new_image & ~self.excess | now.ends_row & ~now.ends_image),
            now.bounds.eq(now.new_row),
            settled.eq(now.seek & ~settled),
            now.seek.eq(now.bounds | now.seek & ~(settled & self.found)),
            offer.eq(now.seek & settled & self.found | along | offer & ~self.room),
            now.along.eq(now.emit & ~now.ends_row | now.along & self.again),
        ]
        return m
