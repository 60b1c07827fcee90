"""Dependency tokens between the engines."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import SEMAPHORES

COUNT = 8  # bits of a counter


class Semaphores(wiring.Component):
    """SEMAPHORES counters of 8 bits, for `engines` givers and takers.

    Members: `give[e]` and `take[e]`, masks of engine e; `available`, the counters that are
    not zero; `clear`. A taker takes only what is available; each semaphore has one taker,
    so two never meet. All gives of a cycle count. A gift is available a cycle later.
    The compiler bounds the tokens under way to 255.
    """

    def __init__(self, engines: int):
        self.engines = engines
        super().__init__(
            {
                "give": In(SEMAPHORES).array(engines),
                "take": In(SEMAPHORES).array(engines),
                "available": Out(SEMAPHORES),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for i in range(SEMAPHORES):
            count = Signal(COUNT, name=f"count_{i}")
            gives = sum(self.give[e][i] for e in range(self.engines))
            takes = self.take[0][i]
            for e in range(1, self.engines):
                takes = takes | self.take[e][i]
            m.d.sync += count.eq(count + gives - takes)
            m.d.comb += self.available[i].eq(count != 0)
            with m.If(self.clear):
                m.d.sync += count.eq(0)
        return m
