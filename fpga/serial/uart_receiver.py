"""From a serial pin to bytes."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


class LineByte(data.Struct):
    """A byte off the line; framing: its stop bit was none."""

    data: 8
    framing: 1


class UartReceiver(wiring.Component):
    """Eight data bits, no parity, one stop bit, the lowest bit first.

    Members: `rx`, the pin, asynchronous; `tick`, of Ticks, `oversample` to a bit; `bytes`, a
    stream. Each bit is the majority of the three ticks around its middle, so that a glitch of one
    tick is not seen; a start bit that does not last to its middle is none. After a missing stop bit
    the line has to be high before the next start bit. A byte that is not taken before the next one
    is whole is lost.

    Latency: a byte is offered three cycles and one tick after the middle of its stop bit;
    throughput: one byte every ten bit times, and down to 9.5 if the sender's clock is fast.
    """

    rx: In(1, init=1)
    tick: In(1)
    bytes: Out(stream.Signature(LineByte))

    def __init__(self, oversample: int):
        if oversample < 4:
            raise ValueError(f"{oversample} ticks a bit: at least 4")
        self.oversample = oversample
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        before = Signal(2, init=3)
        count = Signal(range(self.oversample))
        left = Signal(range(10))
        shift = Signal(9)
        level = Signal()
        decide = Signal()
        a, b, c = line, before[0], before[1]
        m.d.comb += [
            level.eq((a & b) | (a & c) | (b & c)),
            decide.eq(self.tick & (count == (self.oversample + 1) // 2)),
        ]
        with m.If(self.tick):
            m.d.sync += [
                before.eq(Cat(line, before[0])),
                count.eq(Mux(count == self.oversample - 1, 0, count + 1)),
            ]
        with m.If(self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)
        with m.FSM():
            with m.State("Wait for start"):
                with m.If(self.tick & ~line):
                    m.d.sync += count.eq(1)
                    m.next = "Check start"
            with m.State("Check start"):
                with m.If(decide):
                    m.d.sync += left.eq(9)
                    m.next = "Bits"
                    with m.If(level):
                        m.next = "Wait for start"
            with m.State("Bits"):
                with m.If(decide):
                    m.d.sync += [shift.eq(Cat(shift[1:], level)), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.d.sync += [
                            self.bytes.valid.eq(1),
                            self.bytes.p.data.eq(shift[1:]),
                            self.bytes.p.framing.eq(~level),
                        ]
                        m.next = "Wait for start"
                        with m.If(~level):
                            m.next = "Wait for idle"
            with m.State("Wait for idle"):
                with m.If(self.tick & line):
                    m.next = "Wait for start"
        return m
