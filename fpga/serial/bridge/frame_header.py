"""The header of a request, which becomes that of its reply."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.bridge.words import REASON, Header
from fpga.serial.protocol import IDENTITY, NAK, REPLY


class FrameHeader(wiring.Component):
    """A shift register, filled and emptied by bytes: `header`, the lowest one is its opcode.

    Members: `shift` takes `byte` at the end, a byte a cycle. `forget` makes the sequence number 0,
    `introduce` the length that of the identity. `answer` makes a reply of a request, of no length
    with `empty`; with `refused` a NAK for `reason`. Of these one at a time; all last one cycle.
    """

    shift: In(1)
    byte: In(8)
    forget: In(1)
    introduce: In(1)
    answer: In(1)
    empty: In(1)
    refused: In(1)
    reason: In(REASON)
    header: Out(Header)

    def elaborate(self, platform):
        m = Module()
        header = self.header

        with m.If(self.shift):
            m.d.sync += header.eq((self.header.as_value() >> 8) | (self.byte << 56))

        with m.If(self.forget):
            m.d.sync += header.sequence.eq(0)
        with m.If(self.introduce):
            m.d.sync += header.length.eq(IDENTITY.size)

        with m.If(self.answer):
            m.d.sync += header.opcode.eq(header.opcode | REPLY)
            with m.If(self.empty | self.refused):
                m.d.sync += header.length.eq(0)
            with m.If(self.refused):
                m.d.sync += [header.opcode.eq(NAK), header.address.eq(self.reason)]
        return m
