"""UART: exact bits at many rates, tolerance, framing errors, full throughput."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.ticks import oversampling
from fpga.serial.uart import Uart
from fpga.serial.uart_receiver import LineByte
from tests.hdl.streams import holds, idle, receive, run, send, shared

RATES = [
    (4_000_000, 1_000_000),
    (80_000_000, 3_000_000),
    (25_000_000, 3_000_000),
    (48_000_000, 921_600),
]


class Loop(wiring.Component):
    """A Uart that hears itself."""

    send: In(stream.Signature(8))
    received: Out(stream.Signature(LineByte))

    def __init__(self, clock_hz, baud):
        self.uart = Uart(clock_hz, baud)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.uart = uart = self.uart
        m.d.comb += uart.rx.eq(uart.tx)
        wiring.connect(m, wiring.flipped(self.send), uart.send)
        wiring.connect(m, uart.received, wiring.flipped(self.received))
        return m


def wave(data, cycles_per_bit, *, stop=1, lead=5.0):
    """The line, a value a cycle: bytes with no gap between them."""
    bits = [b for byte in data for b in (0, *((byte >> i) & 1 for i in range(8)), stop)]
    total = int(lead + len(bits) * cycles_per_bit)
    return [
        1 if t < lead else bits[min(len(bits) - 1, int((t - lead) / cycles_per_bit))]
        for t in range(total)
    ]


def listen(clock_hz, baud, line, count, extra=2000):
    dut, out = shared(Uart, clock_hz, baud), []

    async def drive(ctx):
        for level in line:
            ctx.set(dut.rx, level)
            await ctx.tick()
        ctx.set(dut.rx, 1)
        await idle(ctx, extra)

    run(
        dut,
        drive,
        background=[lambda ctx: receive(ctx, dut.received, None, out), holds(dut.received)],
        cycles=len(line) + extra + 100,
    )
    assert len(out) == count
    return [(b.data, b.framing) for b in out]


@pytest.mark.parametrize("clock_hz, baud", RATES)
def test_no_stalls(clock_hz, baud):
    """Bytes without a gap: ten bit times each, on the average exactly."""
    dut, out, times = shared(Loop, clock_hz, baud), [], []
    data = random.Random(1).randbytes(30)
    run(
        dut,
        lambda ctx: send(ctx, dut.send, data),
        lambda ctx: receive(ctx, dut.received, 30, out, times=times),
        background=[holds(dut.received)],
        cycles=60_000,
    )
    assert bytes(b.data for b in out) == data and not any(b.framing for b in out)
    assert abs((times[-1] - times[0]) - 290 * clock_hz / baud) <= 2


def test_random_stalls():
    dut, out = shared(Loop, *RATES[0]), []
    data = random.Random(2).randbytes(30)

    async def sender(ctx):
        rng = random.Random(3)
        for byte in data:
            await idle(ctx, rng.choice((0, 0, 1, 7, 50)))
            await send(ctx, dut.send, [byte])

    run(
        dut,
        sender,
        lambda ctx: receive(ctx, dut.received, 30, out, stall=0.8),
        background=[holds(dut.received)],
    )
    assert bytes(b.data for b in out) == data


@pytest.mark.parametrize("clock_hz, baud", RATES)
@pytest.mark.parametrize("off", [-0.02, 0.02])
def test_the_other_clock_is_off(clock_hz, baud, off):
    data = random.Random(4).randbytes(20)
    if clock_hz // baud == 4:
        off /= 2  # a quarter of a bit is a tick
    got = listen(clock_hz, baud, wave(data, clock_hz / baud * (1 + off)), 20)
    assert bytes(b for b, _ in got) == data and not any(f for _, f in got)


def test_framing_error_and_break():
    bit = 16
    line = wave(b"\x55", bit, stop=0) + [0] * 400 + [1] * 40 + wave(b"\xa3", bit)
    assert listen(16_000_000, 1_000_000, line, 2) == [(0x55, 1), (0xA3, 0)]


def test_glitches():
    """A glitch shorter than a tick or two is no start bit, and none inside a bit changes it."""
    line = wave(b"\x0f\xf0", 32)
    for t in range(20, len(line) - 20, 47):
        line[t] ^= 1
    line = [1, 1, 0, 0, 1, 1] + [1] * 50 + line
    assert listen(32_000_000, 1_000_000, line, 2) == [(0x0F, 0), (0xF0, 0)]


def test_lost_when_not_taken():
    """The line does not wait: of two bytes the newer stays."""
    dut, out = shared(Loop, *RATES[0]), []

    async def late(ctx):
        await send(ctx, dut.send, b"ab")
        await idle(ctx, 100)
        await receive(ctx, dut.received, 1, out)
        await idle(ctx, 100)
        assert not ctx.get(dut.received.valid)

    run(dut, late)
    assert out[0].data == ord("b")


def test_bad_rates():
    with pytest.raises(ValueError, match="3000000 baud at a clock of 8000000 Hz"):
        Uart(8_000_000, 3_000_000)
    assert oversampling(12_000_000, 3_000_000) == 4 and oversampling(80_000_000, 9600) == 16
