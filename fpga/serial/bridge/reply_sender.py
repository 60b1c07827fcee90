"""Sends a reply."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.framer import SentByte


class ReplySender(wiring.Component):
    """Makes a reply of the header, and sends it and the data, while `go` is set, until its pulse
    `done`.

    Members: `answer`, the FrameHeader becomes a reply's; `opcode`, its lowest byte, `shift`, the
    next one. Of the FrameBuffer: `restart`, `step`, `in_header`, `value`, `whole`; `sized`, its
    size is the header's length now. `send` ends the frame with `last`.

    From `go` to the first byte five cycles; a byte every four cycles.
    """

    go: In(1)
    done: Out(1)

    answer: Out(1)
    opcode: In(8)
    shift: Out(1)

    restart: Out(1)
    step: Out(1)
    in_header: In(1)
    value: In(8)
    sized: Out(1)
    whole: In(1)

    send: Out(stream.Signature(SentByte))

    def elaborate(self, platform):
        m = Module()
        heading = Signal()  # this byte is the header's

        with m.FSM():
            with m.State("Reply"):
                with m.If(self.go):
                    m.d.comb += [self.answer.eq(1), self.restart.eq(1)]
                    m.next = "Size"
            with m.State("Size"):
                m.d.comb += self.sized.eq(1)
                m.next = "Fetch"
            with m.State("Fetch"):
                m.d.comb += self.step.eq(1)
                m.d.sync += heading.eq(self.in_header)
                m.next = "Fetched"
            with m.State("Fetched"):
                m.next = "Form"
            with m.State("Form"):
                m.d.comb += self.shift.eq(heading)
                m.d.sync += [
                    self.send.p.last.eq(self.whole),
                    self.send.p.data.eq(Mux(heading, self.opcode, self.value)),
                ]
                m.next = "Send"
            with m.State("Send"):
                m.d.comb += self.send.valid.eq(1)
                with m.If(self.send.ready):
                    m.next = "Fetch"
                    with m.If(self.send.p.last):
                        m.d.comb += [self.done.eq(1), self.restart.eq(1)]
                        m.next = "Reply"
        return m
