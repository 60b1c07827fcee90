"""Powers the part up, and refreshes it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.sdram.sdram_timing import SdramCycles
from fpga.memory.sdram.words import MODE, NOP, PRECHARGE, REFRESH

SETTLE = 16  # cycles after a reset in which what was under way ends
REFRESHES = 8  # of a part that is powered up


class Upkeep(wiring.Component):
    """After a reset waits for the part, closes all rows, refreshes, sets the mode and hands over;
    then, whenever `begin` asks, closes all rows, refreshes once and hands over.

    Members: `begin`, a pulse; `over`, a pulse in the cycle before accesses may go on; `issue`, the
    command given in this cycle, NOP while it has nothing to do; `all_banks`, it is a precharge of
    all; `refreshed`, it is a refresh that was owed; `initial`, the part is not ready yet; `beat`,
    once every timing.refresh cycles; `may_open`, `may_close` (CommandTimers). From `begin` to
    `over` rp + rfc + 1 cycles. Only the first reset after power-up waits for the part.
    """

    def __init__(self, timing: SdramCycles):
        self.timing = timing
        super().__init__(
            {
                "begin": In(1),
                "over": Out(1),
                "issue": Out(3, init=NOP),
                "all_banks": Out(1),
                "refreshed": Out(1),
                "initial": Out(1, init=1),
                "beat": In(1),
                "may_open": In(1),
                "may_close": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # beats, of power-up and of another reset
        cold, again = (-(-cycles // self.timing.refresh) for cycles in (self.timing.init, SETTLE))
        waited = Signal(range(max(cold, again) + 2))
        warm = Signal(reset_less=True)  # powered up before: only a reset has come between
        left = Signal(range(REFRESHES + 1))

        with m.FSM():
            with m.State("Wait for part"):
                m.d.sync += [waited.eq(waited + self.beat), left.eq(REFRESHES)]
                with m.If(waited == Mux(warm, again, cold)):
                    m.next = "Precharge"
            with m.State("Away"):
                with m.If(self.begin):
                    m.next = "Close"
            with m.State("Close"):
                m.d.sync += left.eq(1)
                with m.If(self.may_close):
                    m.next = "Precharge"
            with m.State("Precharge"):
                m.d.comb += [self.issue.eq(PRECHARGE), self.all_banks.eq(1)]
                m.next = "Settle"
            with m.State("Settle"):
                with m.If(self.may_open):
                    with m.If(left != 0):
                        m.next = "Refresh"
                    with m.Elif(self.initial):
                        m.next = "Set mode"
                    with m.Else():
                        m.d.comb += self.over.eq(1)
                        m.next = "Away"
            with m.State("Refresh"):
                m.d.comb += [self.issue.eq(REFRESH), self.refreshed.eq(~self.initial)]
                m.d.sync += left.eq(left - 1)
                m.next = "Settle"
            with m.State("Set mode"):
                m.d.comb += self.issue.eq(MODE)
                m.d.sync += [self.initial.eq(0), warm.eq(1)]
                m.next = "Settle"
        return m
