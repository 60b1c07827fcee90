"""Requantise against golden.fixed.requantise."""

import random

import numpy as np
import pytest

from golden.fixed import requantise
from hdl.config import PRESETS
from hdl.lib.arithmetic.requantise import Requantise
from tests.hdl.streams import run


def corners(bits, shift):
    """Psums around what rounding, saturation and the sign turn on."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    half = 1 << shift >> 1
    around = [
        0,
        half,
        -half,
        low,
        high,
        low + half,
        high - half,
        (32767 << shift) + half,
        (32768 << shift) - half,
        (-32768 << shift) - half,
        1 << shift,
        -1 << shift,
    ]
    near = [v + d for v in around for d in (-1, 0, 1)]
    return sorted({v for v in near if low <= v <= high})


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("bits", [24, 32])
def test_requantise(bits, stall):
    rng = random.Random(bits)
    items = []
    for shift in range(64):
        values = corners(bits, shift) + [
            rng.randrange(-1 << bits - 1, 1 << bits - 1) for _ in range(4)
        ]
        if stall:  # corners in full without stalls only
            values = rng.sample(values, 8)
        values += rng.choices(values, k=-len(values) % 4)
        for relu in (0, 1):
            items += [(values[n : n + 4], shift, relu) for n in range(0, len(values), 4)]
    rng.shuffle(items)  # shift and relu differ from word to word
    dut = Requantise(PRESETS["tiny"].replace(psum_bits=bits))
    got = []

    async def drive(ctx):
        for at in range(len(items) + dut.LATENCY):
            while rng.random() < stall:  # rubbish while the pipeline rests
                ctx.set(dut.enable, 0)
                ctx.set(dut.shift, rng.randrange(64))
                ctx.set(dut.psums, [rng.randrange(-99, 99) for _ in range(4)])
                await ctx.tick()
            if at >= dut.LATENCY:
                got.append([ctx.get(dut.entries[n]) for n in range(4)])
            psums, shift, relu = items[min(at, len(items) - 1)]
            ctx.set(dut.psums, psums)
            ctx.set(dut.shift, shift)
            ctx.set(dut.relu, relu)
            ctx.set(dut.enable, 1)
            await ctx.tick()

    run(dut, drive)
    for (psums, shift, relu), entries in zip(items, got, strict=True):
        wanted = requantise(np.array(psums), shift, bool(relu)).tolist()
        assert entries == wanted, (psums, shift, relu)
