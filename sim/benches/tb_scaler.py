"""Bench of Scaler against golden: every shift and rounding of sums, and the shifts of int16
networks, with the pipeline stopping at random and not."""

import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from golden.fixed import requantise
from golden.integer.requantise import ROUNDINGS, scale
from hdl.isa import Rounding
from hdl.lib.arithmetic.scaler import Scaler

UNIT = 1 << 30  # the multiplier of a shift alone


def component():
    return Scaler()


def near(values):
    """A sum of 32 bits, as a rule close to one of the values."""
    value = random.choice([*values, random.randint(-1 << 31, (1 << 31) - 1)])
    return min(max(value + random.randint(-2, 2), -1 << 31), (1 << 31) - 1)


def shifted(n):
    """(inputs, bounds, entry) of an int16 network's requantisation."""
    shift, relu = n // 4 % 64, random.randrange(2)
    half = 1 << shift >> 1
    value = near([0, half, -half, (32767 << shift) + half, (-32768 << shift) - half])
    inputs = dict(value=value, multiplier=UNIT, left=int(shift == 0), right=max(shift - 1, 0))
    bounds = (0 if relu else -32768, 32767)
    entry = requantise(np.array([value]), shift, bool(relu))[0]
    return inputs | dict(rounding=int(Rounding.SINGLE)), bounds, int(entry)


def scaled(n):
    """The same of an int8 network's."""
    rounding, shift = ROUNDINGS[n % 3], n // 3 % 62 - 31
    multiplier = random.choice([UNIT, 2 * UNIT - 1, random.randrange(UNIT, 2 * UNIT)])
    lo, hi = random.choice([(-128, 127), (0, 255), (-32768, 32767)])
    value = near([0, 1 << max(-shift, 0), -1 << max(-shift, 0), -1 << 31])
    inputs = dict(value=value, multiplier=multiplier, left=max(shift, 0), right=max(-shift, 0))
    entry = int(np.clip(scale(value, multiplier, shift, rounding), lo, hi))
    return inputs | dict(rounding=int(Rounding[rounding.upper()])), (lo, hi), entry


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4])
async def sums(dut, stall):
    Clock(dut.clk, 2, unit="step").start()
    dut.enable.value, dut.rst.value = 0, 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    pipe = []
    for n in range(4000):
        inputs, bounds, entry = random.choice([shifted, scaled])(n)
        enable = random.random() >= stall
        dut.enable.value = int(enable)
        for name, value in inputs.items():
            getattr(dut, name).value = value & 0xFFFFFFFF if name == "value" else value
        if len(pipe) >= Scaler.LATENCY - 1:  # bounds of what is about to come out
            lo, hi = pipe[1 - Scaler.LATENCY][1]
            dut.lo.value, dut.hi.value = lo & 0xFFFF, hi & 0xFFFF
        await ReadOnly()
        if len(pipe) >= Scaler.LATENCY:
            inside, _, wanted = pipe[-Scaler.LATENCY]
            assert int(dut.entry.value) == wanted & 0xFFFF, inside
        await RisingEdge(dut.clk)
        if enable:
            pipe.append((inputs, bounds, entry))
