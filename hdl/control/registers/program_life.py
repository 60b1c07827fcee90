"""The life of a program: start, run, end or error, reset."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import Error, Status

SETTLE = 4  # cycles an end is watched for a late error, and a reset for its end
RESET = 3  # cycles of a reset


class ProgramLife(wiring.Component):
    """STATUS and what moves it.

    Members: `go` and `reset`, pulses, what was asked for; `finished`, everything dispatched and
    idle; `found`, a source is in error; `tell`, a pulse with its `code` and the `place` of its
    command; `quiet`, no AXI transaction is pending; `barked`, nothing has moved for too long;
    `status`, `error`, `error_index`; `running`, and `looking`, while an error counts; `start`, a
    pulse; `halt`, from an error or a reset request until the reset is over; `draining`, a reset
    waits; `core_reset`, RESET cycles; `ended`, a pulse, DONE or ERROR comes; `over`, a reset is.

    `start` comes a cycle after `go`, from IDLE and DONE only. DONE comes after SETTLE + 1 cycles of
    `finished` without an error. A reset waits SETTLE cycles, and until it is `quiet` or has
    `barked`; STATUS is IDLE SETTLE + 1 cycles after `core_reset`, so that what is reset may take as
    long.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "go": In(1),
                "reset": In(1),
                "finished": In(1),
                "found": In(1),
                "tell": In(1),
                "code": In(Error),
                "place": In(config.index_bits),
                "quiet": In(1),
                "barked": In(1),
                "status": Out(Status),
                "error": Out(Error),
                "error_index": Out(config.index_bits),
                "running": Out(1),
                "looking": Out(1),
                "start": Out(1),
                "halt": Out(1),
                "draining": Out(1),
                "core_reset": Out(1),
                "ended": Out(1),
                "over": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        status, resetting, quiet = self.status, Signal(), Signal()
        count = Signal(range(SETTLE + 1))  # cycles of an end
        settled = Signal(range(SETTLE + 1))  # cycles of a reset, that are over or left
        startable = (status == Status.IDLE) | (status == Status.DONE)
        done = Signal()
        m.d.comb += [
            self.running.eq(status == Status.RUNNING),
            self.looking.eq(self.running & ~resetting),
            done.eq(self.looking & ~self.found & (count == SETTLE)),
            self.ended.eq(done | self.tell),
        ]
        m.d.sync += [
            quiet.eq(self.quiet),
            self.halt.eq((status == Status.ERROR) | resetting | self.found),
            self.start.eq(self.go & ~self.reset & ~resetting & ~self.start & startable),
        ]

        # ---- status ---------------------------------------------------------------------
        with m.If(self.looking & ~self.found):
            m.d.sync += count.eq(Mux(self.finished, count + 1, 0))
        with m.If(self.start):
            m.d.sync += [status.eq(Status.RUNNING), count.eq(0)]
        with m.If(done):
            m.d.sync += status.eq(Status.DONE)
        with m.If(self.tell):
            m.d.sync += status.eq(Status.ERROR)
        with m.If(self.over):
            m.d.sync += status.eq(Status.IDLE)
        with m.If(self.start | self.over):
            m.d.sync += [self.error.eq(Error.NONE), self.error_index.eq(0)]
        with m.Elif(self.tell):
            m.d.sync += [self.error.eq(self.code), self.error_index.eq(self.place)]

        # ---- reset ----------------------------------------------------------------------
        with m.FSM():
            with m.State("Ready"):
                m.d.sync += settled.eq(0)
                with m.If(self.reset):
                    m.d.sync += resetting.eq(1)
                    m.next = "Drain"
            with m.State("Drain"):
                m.d.comb += self.draining.eq(1)
                with m.If(settled != SETTLE):
                    m.d.sync += settled.eq(settled + 1)
                with m.If((quiet & (settled == SETTLE)) | self.barked):
                    m.d.sync += [self.core_reset.eq(1), settled.eq(SETTLE)]
                    m.next = "Reset"
            with m.State("Reset"):
                m.d.sync += [
                    settled.eq(settled - 1),
                    self.core_reset.eq(settled > SETTLE + 1 - RESET),
                ]
                with m.If(settled == 0):
                    m.d.comb += self.over.eq(1)
                    m.d.sync += resetting.eq(0)
                    m.next = "Ready"
        return m
