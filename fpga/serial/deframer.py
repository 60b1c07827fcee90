"""Frames out of the bytes of a line."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.crc import Crc32
from fpga.serial.protocol import CRC_BYTES, ESCAPE, FLAG, HEADER, MAX_FRAME, Reason
from fpga.serial.uart_receiver import LineByte


class FrameByte(data.Struct):
    """A byte of a frame, the CRC's included; or, with `end`, no byte: the frame is whole and right
    (data 0) or to be forgotten (data is the Reason)."""

    data: 8
    end: 1


class Deframer(wiring.Component):
    """Removes flags and escapes, checks CRC and length.

    Members: `bytes` in, `frame` out. Every frame that begins ends with one `end`; what lies between
    two flags and is empty is nothing. A broken frame ends at its flag, so that the next one is
    whole, or when no byte has come for `timeout` cycles. longest: bytes of a frame, CRC included.

    A byte on the line is some hundreds of cycles, so that this one is small and slow: latency ten
    cycles, of an end three; throughput a byte every eleven cycles, a flag or an escape in four at
    most.
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
        m.submodules.checksum = crc = Crc32()
        value, framing = Signal(8), Signal()  # the byte; at an end the verdict
        bits = Signal(3)
        count = Signal(range(self.longest + 2))  # bytes of the frame, its flags and escapes apart
        full, short = Signal(), Signal()  # of `count`, a cycle late
        inside = Signal()  # a frame has begun
        escaped, expired = Signal(), Signal()
        broken = Signal(range(16))  # Reason why the frame is lost already
        silence = Signal(range(self.timeout + 1))
        waiting, over = Signal(), Signal()  # over: the silence has been too long
        m.d.comb += [crc.bit.eq(value[0]), self.frame.p.data.eq(value)]
        m.d.sync += [
            full.eq(count == self.longest),
            short.eq(count < HEADER.size + CRC_BYTES),
            over.eq(waiting & (silence == 0)),
            silence.eq(self.timeout),
        ]
        with m.If(waiting & (silence != 0)):
            m.d.sync += silence.eq(silence - 1)
        with m.FSM():
            with m.State("Wait for byte"):
                m.d.comb += [self.bytes.ready.eq(1), waiting.eq(inside & ~self.bytes.valid)]
                with m.If(self.bytes.valid):
                    m.d.sync += [value.eq(self.bytes.p.data), framing.eq(self.bytes.p.framing)]
                    m.next = "Judge"
                with m.Elif(over):
                    m.d.sync += expired.eq(1)
                    m.next = "Verdict"
            with m.State("Judge"):
                m.next = "Wait for byte"
                with m.If(framing):
                    m.d.sync += [broken.eq(Reason.FRAMING), inside.eq(1)]
                with m.Elif(value == FLAG):
                    with m.If(inside):
                        m.next = "Verdict"
                with m.Else():
                    m.d.sync += inside.eq(1)
                    with m.If(value == ESCAPE):
                        m.d.sync += escaped.eq(1)
                    with m.Elif(full):
                        m.d.sync += broken.eq(Reason.TOO_LONG)
                    with m.Else():
                        m.d.sync += [
                            value[5].eq(value[5] ^ escaped),
                            escaped.eq(0),
                            count.eq(count + 1),
                        ]
                        m.next = "Sum"
            with m.State("Sum"):  # turns it once round
                m.d.comb += crc.enable.eq(1)
                m.d.sync += [value.eq(Cat(value[1:], value[0])), bits.eq(bits + 1)]
                with m.If(bits == 7):
                    m.next = "Offer"
            with m.State("Offer"):
                m.d.comb += self.frame.valid.eq(1)
                with m.If(self.frame.ready):
                    m.next = "Wait for byte"
            with m.State("Verdict"):
                m.d.sync += value.eq(0)
                with m.If(broken != 0):
                    m.d.sync += value.eq(broken)
                with m.Elif(expired):
                    m.d.sync += value.eq(Reason.TIMEOUT)
                with m.Elif(escaped | ~crc.match | short):
                    m.d.sync += value.eq(Reason.CRC)
                m.next = "End"
            with m.State("End"):
                m.d.comb += [self.frame.valid.eq(1), self.frame.p.end.eq(1), crc.start.eq(1)]
                m.d.sync += [count.eq(0), inside.eq(0), escaped.eq(0), expired.eq(0), broken.eq(0)]
                with m.If(self.frame.ready):
                    m.next = "Wait for byte"
        return m
