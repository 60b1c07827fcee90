"""The steps of a request."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.bridge.words import PLACES, REASON, Kind
from fpga.serial.deframer import FrameByte
from fpga.serial.protocol import Reason

RESET_CYCLES = 16
DECODE_CYCLES = 4  # until all that is known of a request is in registers


class Controller(wiring.Component):
    """Receives a request whole, checks it, has it carried out and answered.

    Members: `received`, of which `take` is a byte taken, `broken` the end of a broken frame.
    `decode`, DECODE_CYCLES long, then `judge`: the RequestCheck says whether it is `wrong` and
    `why`. `carried`, a pulse: this request of `kind` is accepted, and carried out but when it comes
    `again`. `move`, its data are moved, until `moved`, with `move_failed` if something answered
    with an error; `system_reset`, RESET_CYCLES long, `place` counts them from 0 on. `answer`, until
    `answered`, by a NAK if `refused` for `reason`, from the identity if `telling`.

    From the end of a broken frame to `answer` one cycle, of a whole one DECODE_CYCLES + 3, and what
    carrying it out takes.
    """

    received: In(stream.Signature(FrameByte))
    take: Out(1)
    broken: Out(1)

    decode: Out(1)
    judge: Out(1)
    wrong: In(1)
    why: In(REASON)
    kind: In(Kind)
    again: In(1)
    carried: Out(1)

    move: Out(1)
    moved: In(1)
    move_failed: In(1)
    place: In(range(PLACES))
    system_reset: Out(1)

    answer: Out(1)
    answered: In(1)
    refused: Out(1)
    reason: Out(REASON)
    telling: Out(1)

    def elaborate(self, platform):
        m = Module()
        wait = Signal(range(DECODE_CYCLES))

        def refuse(why):
            m.d.sync += [self.refused.eq(1), self.reason.eq(why)]

        with m.FSM():
            with m.State("Receive"):
                end = self.received.p.end
                m.d.comb += [
                    self.received.ready.eq(1),
                    self.take.eq(self.received.valid & ~end),
                    self.broken.eq(self.received.valid & end & (self.received.p.data != 0)),
                ]
                m.d.sync += [self.refused.eq(0), self.telling.eq(0)]
                with m.If(self.received.valid & end):
                    m.next = "Decode"
                with m.If(self.broken):
                    refuse(self.received.p.data)
                    m.next = "Answer"
            with m.State("Decode"):
                m.d.comb += self.decode.eq(1)
                m.d.sync += wait.eq(wait + 1)
                with m.If(wait == DECODE_CYCLES - 1):
                    m.next = "Judge"
            with m.State("Judge"):
                m.d.comb += self.judge.eq(1)
                with m.If(self.wrong):
                    refuse(self.why)
                m.next = "Begin"
            with m.State("Begin"):
                m.next = "Answer"
                with m.If(~self.refused):
                    m.d.comb += self.carried.eq(1)
                    m.d.sync += self.telling.eq(self.kind.hello)
                    with m.If(self.kind.reset & ~self.again):
                        m.next = "Reset"
                    with m.Elif(~self.kind.hello & ~self.again):
                        m.next = "Move"
            with m.State("Reset"):
                m.d.comb += self.system_reset.eq(1)
                with m.If(self.place == RESET_CYCLES - 1):
                    m.next = "Answer"
            with m.State("Move"):
                m.d.comb += self.move.eq(1)
                with m.If(self.moved):
                    m.next = "Answer"
                    with m.If(self.move_failed):
                        refuse(Reason.BUS)
            with m.State("Answer"):
                m.d.comb += self.answer.eq(1)
                with m.If(self.answered):
                    m.next = "Receive"
        return m
