"""SPARSE_STREAMs under way, and when each has been decoded."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.timing import IN_FLIGHT


class StreamTracker(wiring.Component):
    """Members: `begun`, a pulse for each STREAM, of IN_FLIGHT at most; `mark`, a pulse when its
    last word has gone to the PEs, not while `marked`; `pending`, of the PEs, which have words of
    it; `marked`, from `mark` on until none has; `passed`, a pulse then; `any`, a STREAM is under
    way.

    Latency from the last of `pending` to `passed` one cycle.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "begun": In(1),
                "mark": In(1),
                "pending": In(config.sparse_pes),
                "marked": Out(1),
                "passed": Out(1),
                "any": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # A mark is out until every PE has decoded what lies before it.
        m.d.sync += self.passed.eq(self.marked & ~self.pending.any() & ~self.passed)
        with m.If(self.mark):
            m.d.sync += self.marked.eq(1)
        with m.Elif(self.passed):
            m.d.sync += self.marked.eq(0)

        # How many there are.
        count = Signal(range(IN_FLIGHT + 1))
        m.d.sync += count.eq(count + self.begun - self.passed)
        m.d.comb += self.any.eq(count != 0)
        return m
