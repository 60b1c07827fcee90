"""RoundShift against golden.fixed at the widths that Requantise does not have."""

import random

import pytest

from golden.fixed import requantise
from hdl.lib.arithmetic.round_shift import RoundShift
from tests.hdl.streams import run


@pytest.mark.parametrize("bits, shift_bits", [(32, 5), (49, 6), (20, 4)])
def test_round_shift(bits, shift_bits):
    rng = random.Random(bits)
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    items = []
    for shift in range(min(1 << shift_bits, 48)):
        half = 1 << shift >> 1
        around = (0, half, -half, low, high, (32768 << shift) - half, (-32768 << shift) - half)
        near = {v + d for v in around for d in (-1, 0, 1)} | {
            rng.randrange(low, high) for _ in range(4)
        }
        items += [(v, shift, relu) for v in near if low <= v <= high for relu in (0, 1)]
    rng.shuffle(items)
    dut = RoundShift(bits, shift_bits)
    got = []

    async def drive(ctx):
        ctx.set(dut.enable, 1)
        for at in range(len(items) + dut.LATENCY):
            if at >= dut.LATENCY:
                got.append(ctx.get(dut.entry))
            value, shift, relu = items[min(at, len(items) - 1)]
            ctx.set(dut.value, value)
            ctx.set(dut.shift, shift)
            ctx.set(dut.relu, relu)
            await ctx.tick()

    run(dut, drive)
    assert got == [int(requantise(*item)) for item in items]
