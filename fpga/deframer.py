"""Frames out of the bytes of a line."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from .protocol import CRC_BYTES, ESCAPE, FLAG, FLIP, HEADER, MAX_FRAME, Reason
from .uart_receiver import LineByte


class FrameByte(data.Struct):
    """A byte of a frame, the CRC's included; or, with `end`, no byte: the frame is whole and right
    (data 0) or to be forgotten (data is the Reason)."""
    data: 8
    end: 1


class Deframer(wiring.Component):
    """Removes flags and escapes, checks CRC and length.

    Members: `bytes` in, `frame` out. Every frame that begins ends with one `end`; what lies between two
    flags and is empty is nothing. A broken frame ends at its flag, so that the next one is whole, or when
    no byte has come for `timeout` cycles. longest: bytes of a frame, CRC included. Latency one cycle, throughput one byte per cycle.
    """

    bytes: In(stream.Signature(LineByte))
    frame: Out(stream.Signature(FrameByte))

    def __init__(self, timeout: int, longest: int = MAX_FRAME):
        if timeout < 1:
            raise ValueError(f"a time-out of {timeout} cycles: at least 1")
        self.timeout, self.longest = timeout, longest
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.checksum = crc = CRC32_ISO_HDLC().create()
        byte = self.bytes.p
        count = Signal(range(self.longest + 2))   # bytes of the frame, its flags and escapes apart
        escaped = Signal()
        broken = Signal(range(16))             # Reason why the frame is lost already
        silence = Signal(range(self.timeout + 1))
        inside, room, take, end, expired = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            inside.eq((count != 0) | escaped | (broken != 0)),
            room.eq(~self.frame.valid | self.frame.ready),
            self.bytes.ready.eq(room), take.eq(self.bytes.valid & room),
            expired.eq(inside & ~self.bytes.valid & room & (silence == self.timeout)),
            end.eq(expired | (take & ~byte.framing & (byte.data == FLAG))),
            crc.start.eq(end), crc.data.eq(byte.data ^ Mux(escaped, FLIP, 0)),
        ]
        with m.If(self.frame.ready):
            m.d.sync += self.frame.valid.eq(0)
        with m.If(self.bytes.valid | ~inside):
            m.d.sync += silence.eq(0)
        with m.Elif(silence != self.timeout):
            m.d.sync += silence.eq(silence + 1)
        with m.If(end):
            m.d.sync += [count.eq(0), escaped.eq(0), broken.eq(0), self.frame.p.end.eq(1)]
            m.d.sync += self.frame.valid.eq(inside)
            with m.If((broken != 0)):
                m.d.sync += self.frame.p.data.eq(broken)
            with m.Elif(expired):
                m.d.sync += self.frame.p.data.eq(Reason.TIMEOUT)
            with m.Elif(escaped | ~crc.match_detected | (count < HEADER.size + CRC_BYTES)):
                m.d.sync += self.frame.p.data.eq(Reason.CRC)
            with m.Else():
                m.d.sync += self.frame.p.data.eq(0)
        with m.Elif(take):
            with m.If(byte.framing):
                m.d.sync += broken.eq(Reason.FRAMING)
            with m.Elif(byte.data == ESCAPE):
                m.d.sync += escaped.eq(1)
            with m.Elif(count == self.longest):
                m.d.sync += broken.eq(Reason.TOO_LONG)
            with m.Else():
                m.d.comb += crc.valid.eq(1)
                m.d.sync += [count.eq(count + 1), escaped.eq(0), self.frame.valid.eq(1),
                             self.frame.p.data.eq(crc.data), self.frame.p.end.eq(0)]
        return m
