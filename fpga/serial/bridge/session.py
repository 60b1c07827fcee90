"""What is known of the requests before."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.bridge.words import Kind


class Session(wiring.Component):
    """Remembers a HELLO, and the last request if it had a side effect.

    Members: `kind` and `sequence` of a request, `carried`, it is being carried out or answered once
    more. `active`, a HELLO has been carried out since the reset; `again`, this request is the one
    carried out last, and has a side effect: a cycle after `kind`, a cycle after `carried`.
    """

    kind: In(Kind)
    sequence: In(8)
    carried: In(1)
    active: Out(1)
    again: Out(1)

    def elaborate(self, platform):
        m = Module()
        effect, remembered, last_reset = Signal(), Signal(), Signal()
        last_sequence = Signal(8)
        m.d.comb += effect.eq(self.kind.write_register | self.kind.reset)

        with m.If(self.carried):
            m.d.sync += [
                remembered.eq(effect),
                last_reset.eq(self.kind.reset),
                last_sequence.eq(self.sequence),
            ]
            with m.If(self.kind.hello):
                m.d.sync += self.active.eq(1)

        m.d.sync += self.again.eq(
            effect & remembered & (last_reset == self.kind.reset) & (last_sequence == self.sequence)
        )
        return m
