"""The board's end of the line: pins on one side, frames on the other."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.deframer import Deframer, FrameByte
from fpga.serial.framer import Framer, SentByte
from fpga.serial.protocol import RECEIVE_FIFO
from fpga.serial.uart import Uart
from hdl.lib.stream.block_fifo import BlockFifo


class Link(wiring.Component):
    """Members: pins `rx` and `tx`; streams `received` (FrameByte) and `send` (SentByte).

    A FIFO holds RECEIVE_FIFO bytes while `received` waits; beyond it bytes are lost, which the CRC
    tells. timeout: cycles of silence that end a frame. Latency: that of Uart and those of Deframer
    and Framer, and three cycles; throughput: a byte each way every ten bit times.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    received: Out(stream.Signature(FrameByte))
    send: In(stream.Signature(SentByte))

    def __init__(self, clock_hz: int, baud: int, timeout: int):
        self.clock_hz, self.baud, self.timeout = clock_hz, baud, timeout
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.uart = uart = Uart(self.clock_hz, self.baud)
        m.submodules.fifo = fifo = BlockFifo(uart.received.payload.shape(), RECEIVE_FIFO)
        m.submodules.deframer = deframer = Deframer(self.timeout)
        m.submodules.framer = framer = Framer()
        m.d.comb += [
            uart.rx.eq(self.rx),
            self.tx.eq(uart.tx),
            fifo.input.payload.eq(uart.received.payload),
            fifo.input.valid.eq(uart.received.valid),
            uart.received.ready.eq(1),
        ]
        wiring.connect(m, fifo.output, deframer.bytes)
        wiring.connect(m, deframer.frame, wiring.flipped(self.received))
        wiring.connect(m, wiring.flipped(self.send), framer.frame)
        wiring.connect(m, framer.bytes, uart.send)
        return m
