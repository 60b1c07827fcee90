"""Bench of Requantise against golden.fixed: every shift, with the pipeline stopping at random
and not."""

import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from golden.fixed import requantise
from hdl.config import PRESETS
from hdl.lib.arithmetic.requantise import Requantise

CONFIG = PRESETS["tiny"]
BITS = CONFIG.psum_bits


def component():
    return Requantise(CONFIG)


def psum(shift):
    """A psum, as a rule near a value where rounding or saturation turns."""
    low, high = -1 << BITS - 1, (1 << BITS - 1) - 1
    half = 1 << shift >> 1
    near = random.choice(
        [
            0,
            half,
            -half,
            low,
            high,
            (32767 << shift) + half,
            (-32768 << shift) - half,
            random.randint(low, high),
        ]
    ) + random.randint(-2, 2)
    return min(max(near, low), high)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4])
async def words(dut, stall):
    Clock(dut.clk, 2, unit="step").start()
    dut.enable.value, dut.rst.value = 0, 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    pipe = []
    for n in range(4000):
        shift, relu = n // 4 % 64 if n < 1024 else random.randrange(64), random.randrange(2)
        values = [psum(shift) for _ in range(4)]
        enable = random.random() >= stall
        dut.enable.value, dut.shift.value, dut.relu.value = int(enable), shift, relu
        dut.psums.value = sum((v & (1 << BITS) - 1) << BITS * k for k, v in enumerate(values))
        await ReadOnly()
        if len(pipe) >= Requantise.LATENCY:
            wanted, text = pipe[-Requantise.LATENCY]
            got = int(dut.entries.value)
            assert [got >> 16 * k & 0xFFFF for k in range(4)] == [
                int(v) & 0xFFFF for v in wanted
            ], text
        await RisingEdge(dut.clk)
        if enable:
            pipe.append((requantise(np.array(values), shift, bool(relu)), (values, shift, relu)))
