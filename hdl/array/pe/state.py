"""What a PE does in a cycle, for the counters."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import EVENTS


class PeState(wiring.Component):
    """One bit for every name of EVENTS: exactly one is set, and `gated` beside it.

    Members: `active`, `bubble` and `issue` of the MAC loop; `filters` and `there`, which it waits
    for, as for a place for sums; `gated`; `events`. Combinational.
    """

    active: In(1)
    bubble: In(1)
    issue: In(1)
    filters: In(1)
    there: In(1)
    gated: In(1)
    events: Out(len(EVENTS))

    def elaborate(self, platform):
        m = Module()
        waiting = self.active & ~self.bubble
        able = waiting & self.filters & self.there
        m.d.comb += self.events.eq(
            Cat(
                self.issue,
                self.gated,
                waiting & ~self.filters,
                waiting & self.filters & ~self.there,
                able & ~self.issue,
                self.active & self.bubble,
                ~self.active,
            )
        )
        return m
