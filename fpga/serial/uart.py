"""A serial line: receiver and transmitter with the ticks that both count."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.ticks import Ticks, oversampling
from fpga.serial.uart_receiver import LineByte, UartReceiver
from fpga.serial.uart_transmitter import UartTransmitter


class Uart(wiring.Component):
    """Members: pins `rx` and `tx`; streams `received` (LineByte) and `send` (bytes).

    clock_hz, baud: any two with four cycles or more to a bit (Ticks). Latency and throughput are
    those of UartReceiver and UartTransmitter: a byte each way every ten bit times.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    received: Out(stream.Signature(LineByte))
    send: In(stream.Signature(8))

    def __init__(self, clock_hz: int, baud: int):
        self.clock_hz, self.baud = clock_hz, baud
        oversampling(clock_hz, baud)  # refuses what cannot be done
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.ticks = ticks = Ticks(self.clock_hz, self.baud)
        m.submodules.receiver = receiver = UartReceiver(ticks.oversample)
        m.submodules.transmitter = transmitter = UartTransmitter(ticks.oversample)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            receiver.tick.eq(ticks.tick),
            transmitter.tick.eq(ticks.tick),
        ]
        wiring.connect(m, receiver.bytes, wiring.flipped(self.received))
        wiring.connect(m, wiring.flipped(self.send), transmitter.bytes)
        return m
