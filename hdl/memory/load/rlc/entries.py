"""Levels of run-length coded items to words of four entries."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.memory.words import PAIRS, PLACE, CodedItem, ItemTurn

SLOTS = 2 * LANES - 1  # places of the word under way, and of what one word may leave


class ItemEntries(wiring.Component):
    """Puts the levels of the item under way in their places, after the entries that the items
    before it leave.

    Members: `now`; `item`, that is taken; `behind`: a level lies after the word under way; `data`,
    the word, a cycle after `now.emit`.
    """

    now: In(ItemTurn)
    item: In(CodedItem)
    behind: Out(1)
    data: Out(ENTRY_BITS * LANES)

    def elaborate(self, platform):
        m = Module()
        now, item, pairs = self.now, self.item, range(PAIRS)

        # Places by the word of four entries that they are in, from the one under way on, and by
        # their lane there.
        number = [Signal(PLACE - 2, name=f"number_{n}") for n in pairs]
        lane = [Signal(2, name=f"lane_{n}") for n in pairs]
        value = [Signal(ENTRY_BITS, name=f"value_{n}") for n in pairs]
        far = [Signal(name=f"far_{n}") for n in pairs]  # a level after the word under way

        # The entries there, of which some are kept from the items before.
        kept = [Signal(ENTRY_BITS, name=f"kept_{n}") for n in range(LANES - 1)]
        slots = [Signal(ENTRY_BITS, name=f"slot_{n}") for n in range(SLOTS)]
        for n, (slot, found) in enumerate(zip(slots, [*kept, *[0] * LANES])):
            for of_pair in zip(number, lane, value):
                there = (of_pair[0] == n // LANES) & (of_pair[1] == n % LANES)
                found = found | Mux(there, of_pair[2], 0)
            m.d.comb += slot.eq(found)

        # A word goes, and the levels with it.
        farther = [far[n] & (number[n] != 1) for n in pairs]
        with m.If(now.emit):
            m.d.sync += [self.data.eq(Cat(slots[:LANES])), self.behind.eq(Cat(farther).any())]
            m.d.sync += [entry.eq(0) for entry in kept]
            for n in pairs:
                m.d.sync += [number[n].eq(number[n] - 1), far[n].eq(farther[n])]
                with m.If(number[n] == 0):
                    m.d.sync += value[n].eq(0)

        # What it leaves is kept, but at a strip's end.
        with m.If(now.consume & ~now.done):
            m.d.sync += [
                entry.eq(Mux(now.reach, slots[LANES + n], slots[n])) for n, entry in enumerate(kept)
            ]

        # An item comes.
        ahead = Signal(PAIRS)
        for n in pairs:
            at = Signal(PLACE, name=f"at_{n}")
            m.d.comb += [
                at.eq(item.place[n] + now.offset),
                ahead[n].eq(item.some[n] & (at >= LANES)),
            ]
            with m.If(now.take):
                m.d.sync += [
                    Cat(lane[n], number[n]).eq(at),
                    value[n].eq(item.level[n]),
                    far[n].eq(ahead[n]),
                ]
        with m.If(now.take):
            m.d.sync += self.behind.eq(ahead.any())
        return m
