"""Bytes of a line out of frames."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from .protocol import CRC_BYTES, ESCAPE, FLAG, FLIP


class SentByte(data.Struct):
    data: 8
    last: 1     # of the frame


class Framer(wiring.Component):
    """Adds CRC, escapes and flags.

    Members: `frame` in, `bytes` out. Latency one cycle; throughput one byte per cycle, and six more, or up to
    ten, with an escape each for a byte that needs one, for a frame's CRC and flags.
    """

    frame: In(stream.Signature(SentByte))
    bytes: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.checksum = crc = CRC32_ISO_HDLC().create()
        room, escaped = Signal(), Signal()
        left = Signal(range(CRC_BYTES + 1))
        rest = Signal(8 * CRC_BYTES)
        value, special = Signal(8), Signal()
        m.d.comb += [room.eq(~self.bytes.valid | self.bytes.ready), crc.data.eq(self.frame.p.data),
                     special.eq((value == FLAG) | (value == ESCAPE))]
        with m.If(self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)

        def put(byte):
            m.d.sync += [self.bytes.valid.eq(1), self.bytes.payload.eq(byte)]

        def stuffed():
            """Puts `value` in one or two steps; the context in which its last one is put."""
            with m.If(special & ~escaped):
                put(ESCAPE)
                m.d.sync += escaped.eq(1)
            with m.Elif(escaped):
                put(value ^ FLIP)
                m.d.sync += escaped.eq(0)
            with m.Else():
                put(value)
            return m.If(~special | escaped)

        with m.FSM():
            with m.State("Flag"):
                with m.If(room & self.frame.valid):
                    put(FLAG)
                    m.d.comb += crc.start.eq(1)
                    m.next = "Data"
            with m.State("Data"):
                m.d.comb += value.eq(self.frame.p.data)
                with m.If(room & self.frame.valid):
                    with stuffed():
                        m.d.comb += [self.frame.ready.eq(1), crc.valid.eq(1)]
                        with m.If(self.frame.p.last):
                            m.next = "Look at CRC"
            with m.State("Look at CRC"):
                m.d.sync += [rest.eq(crc.crc), left.eq(CRC_BYTES)]
                m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += value.eq(rest[:8])
                with m.If(room):
                    with m.If(left == 0):
                        put(FLAG)
                        m.next = "Flag"
                    with m.Else():
                        with stuffed():
                            m.d.sync += [rest.eq(rest >> 8), left.eq(left - 1)]
        return m
