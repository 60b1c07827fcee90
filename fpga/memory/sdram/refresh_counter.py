"""Refreshes that are owed."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

MOST = 8  # that may be owed; a part can be late by as many


class RefreshCounter(wiring.Component):
    """One more is owed every `period` cycles, up to MOST.

    Members: `beat`, a pulse every `period` cycles; `refreshed`, one has been given; `owed`, some
    are, a cycle late. All outputs are registers.
    """

    def __init__(self, period: int):
        self.period = period
        super().__init__({"beat": Out(1), "refreshed": In(1), "owed": Out(1)})

    def elaborate(self, platform):
        m = Module()
        until = Signal(range(self.period), init=self.period - 1)
        due = Signal(range(MOST + 1))
        m.d.sync += [
            until.eq(Mux(self.beat, self.period - 1, until - 1)),
            self.beat.eq(until == 1),
            due.eq(due + (self.beat & ~due[3]) - self.refreshed),
            self.owed.eq(due != 0),
        ]
        return m
