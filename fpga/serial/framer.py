"""Bytes of a line out of frames."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.crc import Crc32
from fpga.serial.protocol import CRC_BYTES, ESCAPE, FLAG, FLIP


class SentByte(data.Struct):
    data: 8
    last: 1  # of the frame


class Framer(wiring.Component):
    """Adds CRC, escapes and flags.

    Members: `frame` in, `bytes` out. A byte on the line is some hundreds of cycles, so that this
    one is small and slow: latency eleven cycles from a byte to the same on `bytes`, throughput a
    byte every twelve cycles, thirteen with its escape, so for the CRC's four; four cycles more for
    a frame's flags.
    """

    frame: In(stream.Signature(SentByte))
    bytes: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.checksum = crc = Crc32()
        value = Signal(8)  # what is sent next
        bits = Signal(3)
        left = Signal(range(CRC_BYTES + 1))  # bytes of the CRC
        last, special, escape, ending = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [crc.bit.eq(value[0]), self.bytes.payload.eq(Mux(escape, ESCAPE, value))]
        m.d.sync += special.eq((value == FLAG) | (value == ESCAPE))
        with m.FSM():
            with m.State("Open"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [value.eq(FLAG), left.eq(CRC_BYTES), last.eq(0), ending.eq(0)]
                with m.If(self.frame.valid):
                    m.next = "Send"
            with m.State("Byte"):
                m.d.comb += self.frame.ready.eq(1)
                m.d.sync += [value.eq(self.frame.p.data), last.eq(self.frame.p.last)]
                with m.If(self.frame.valid):
                    m.next = "Sum"
            with m.State("Sum"):  # turns it once round
                m.d.comb += crc.enable.eq(1)
                m.d.sync += [value.eq(Cat(value[1:], value[0])), bits.eq(bits + 1)]
                with m.If(bits == 7):
                    m.next = "Look"
            with m.State("CRC"):
                m.d.sync += [value.eq(crc.byte), left.eq(left - 1)]
                m.next = "Shift"
            with m.State("Shift"):
                m.d.comb += crc.drain.eq(1)
                m.d.sync += bits.eq(bits + 1)
                with m.If(bits == 7):
                    m.next = "Look"
            with m.State("Look"):
                m.next = "Stuff"
            with m.State("Stuff"):
                with m.If(special):
                    m.d.sync += escape.eq(1)
                m.next = "Send"
            with m.State("Send"):
                m.d.comb += self.bytes.valid.eq(1)
                with m.If(self.bytes.ready):
                    m.d.sync += escape.eq(0)
                    with m.If(escape):
                        m.d.sync += value.eq(value ^ FLIP)
                    with m.Elif(~last):
                        m.next = "Byte"
                    with m.Elif(left != 0):
                        m.next = "CRC"
                    with m.Elif(~ending):
                        m.d.sync += [value.eq(FLAG), ending.eq(1)]
                    with m.Else():
                        m.next = "Open"
        return m
