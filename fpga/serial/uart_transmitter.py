"""From bytes to a serial pin."""

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class UartTransmitter(wiring.Component):
    """Eight data bits, no parity, one stop bit, the lowest bit first.

    Members: `bytes`, a stream; `tick`, of Ticks, `oversample` to a bit; `tx`, the pin, from a
    register. Latency: the start bit begins with the next tick; throughput: one byte every ten bit
    times.
    """

    bytes: In(stream.Signature(8))
    tick: In(1)
    tx: Out(1, init=1)

    def __init__(self, oversample: int):
        self.oversample = oversample
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        shift = Signal(9, init=0x1FF)
        count = Signal(range(self.oversample))
        left = Signal(range(10))  # bits behind the one on the pin
        bit_ends = Signal()
        m.d.comb += [
            bit_ends.eq(self.tick & (count == 0)),
            self.bytes.ready.eq(bit_ends & (left == 0)),
        ]
        with m.If(self.tick & (count != 0)):
            m.d.sync += count.eq(count - 1)
        with m.If(bit_ends):
            m.d.sync += [self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], C(1, 1)))]
            with m.If(left != 0):
                m.d.sync += [left.eq(left - 1), count.eq(self.oversample - 1)]
            with m.Elif(self.bytes.valid):
                m.d.sync += [
                    self.tx.eq(0),
                    shift.eq(Cat(self.bytes.payload, C(1, 1))),
                    left.eq(9),
                    count.eq(self.oversample - 1),
                ]
        return m
