"""When a decoded item is taken, and when a word of four entries is known."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.isa import WORD_ADDR, Error
from hdl.memory.words import PLACE, CodedItem, ItemTurn


class ItemWalk(wiring.Component):
    """Counts the words of four entries that an item makes known, and those that a strip has.

    Members: `items`; `behind`: a level of the item under way lies after the word under way; `now`;
    `free`: a word may go; `last`: that which went is the last of a strip marked last; `error`, of
    the strip that the words would have gone on with, after which nothing goes, until reset; `idle`:
    there is no item under way.

    An item goes with the last word that it makes known, or in the next cycle if it makes none; the
    next may come in the same cycle.
    """

    items: In(stream.Signature(CodedItem))
    behind: In(1)
    free: In(1)
    now: Out(ItemTurn)
    last: Out(1)
    error: Out(Error)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        item, now = self.items.p, self.now
        have, sound = Signal(), Signal(init=1)  # an item; no error yet
        closes, closes_last = Signal(), Signal()  # the item is its strip's last
        left, final_word = Signal(WORD_ADDR), Signal()  # words of the strip to come out

        # Registers, found with the places: a word is known; one at most is; one may go out.
        spent, offers, whole = Signal(), Signal(), Signal(PLACE - 2)

        # The item goes with a word, or to be kept without one.
        ready, flawed, goes, stays = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            ready.eq(have & offers & sound & self.free),
            flawed.eq(final_word & (~closes | self.behind)),
            goes.eq(
                offers & Mux(closes, final_word & ~self.behind, ~final_word & spent & now.reach)
            ),
            stays.eq(~closes & spent & ~now.reach),
            now.emit.eq(ready & ~flawed),
            now.done.eq(now.emit & final_word),
            now.consume.eq((now.emit & goes) | (have & stays)),
            self.items.ready.eq(sound & (~have | stays | (goes & self.free))),
            now.take.eq(self.items.valid & self.items.ready),
            self.idle.eq(~have),
        ]

        # A word goes.
        with m.If(ready & flawed):
            m.d.sync += [self.error.eq(Error.RLC_STREAM), sound.eq(0)]
        with m.If(now.emit):
            m.d.sync += [
                self.last.eq(closes_last & now.done),
                left.eq(left - 1),
                final_word.eq(left == 2),
                whole.eq(whole - 1),
                now.reach.eq(whole != 1),
                spent.eq(whole <= 2),
                offers.eq(closes | (whole != 1)),
            ]
        with m.If(now.consume):
            m.d.sync += have.eq(0)

        # An item comes, whose places go on from the entries that the items before leave.
        known = Signal(PLACE)
        m.d.comb += known.eq(item.total + now.offset)
        with m.If(now.take):
            m.d.sync += [
                have.eq(1),
                whole.eq(known[2:]),
                closes.eq(item.final),
                self.error.eq(item.flaw),
                sound.eq(item.flaw == Error.NONE),
                now.reach.eq(known >= LANES),
                spent.eq(known < 2 * LANES),
                offers.eq(item.final | (known >= LANES)),
                now.offset.eq(Mux(item.final, 0, known[:2])),
            ]
        with m.If(now.take & item.first):
            m.d.sync += [
                left.eq(item.words),
                final_word.eq(item.words == 1),
                closes_last.eq(item.last),
            ]
        return m
