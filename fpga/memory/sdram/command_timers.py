"""Which commands the part may be given."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.sdram.sdram_timing import SdramCycles
from fpga.memory.sdram.words import ACTIVE, BURST, MODE, NOP, PRECHARGE, READ, REFRESH, WRITE


class CommandTimers(wiring.Component):
    """Counts what the data sheet asks for between commands.

    Members: `issue`, the command given in this cycle; for those that may be given in the next but
    one, when the next is spent on looking: `may_open` (ACTIVE, REFRESH, MODE), `may_close`
    (PRECHARGE), `may_move` (READ, WRITE); `may_write`, the part's words have left the pins. delay:
    cycles that they come later. All outputs compare registers.
    """

    def __init__(self, timing: SdramCycles, delay: int):
        self.timing, self.delay = timing, delay
        super().__init__(
            {
                "issue": In(3, init=NOP),
                "may_open": Out(1),
                "may_close": Out(1),
                "may_move": Out(1),
                "may_write": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        t = self.timing
        # A precharge ends what rc asks for too, so that an ACTIVE needs to look at rp only.
        ras = max(t.ras, t.rc - t.rp)
        read = t.cas + self.delay + BURST + 1

        # timer -> cycles that it runs, by command
        starts = {
            "opened": {PRECHARGE: t.rp, REFRESH: t.rfc, MODE: t.mrd, ACTIVE: t.rrd},
            "columns": {ACTIVE: t.rcd},
            "row_kept": {ACTIVE: ras},
            "written": {WRITE: BURST - 1 + t.wr},
            "slot": {READ: BURST, WRITE: BURST},
            "turned": {READ: read},
        }
        soon = {}
        for name, cycles in starts.items():
            value = Signal(range(max(cycles.values()) + 1), name=name)
            with m.If(value != 0):
                m.d.sync += value.eq(value - 1)
            with m.Switch(self.issue):
                for command, number in cycles.items():
                    with m.Case(command):
                        m.d.sync += value.eq(number - 1)
            soon[name] = ~value[1:].any()  # over in the next cycle

        m.d.comb += [
            self.may_open.eq(soon["opened"]),
            self.may_close.eq(soon["row_kept"] & soon["written"] & soon["slot"]),
            self.may_move.eq(soon["columns"] & soon["slot"]),
            self.may_write.eq(soon["turned"]),
        ]
        return m
