"""Scaler and OperandScaler against golden.integer and golden.fixed, and their parts."""

import random

import numpy as np
import pytest

from golden.fixed import requantise, wrap
from golden.integer.requantise import LEAST_SHIFT, MOST_SHIFT, scale
from hdl.isa import Rounding
from hdl.lib.arithmetic.away_shift import AwayShift
from hdl.lib.arithmetic.bound import Bound
from hdl.lib.arithmetic.left_shift import LeftShift
from hdl.lib.arithmetic.operand_scaler import OperandScaler
from hdl.lib.arithmetic.scaler import Scaler
from tests.hdl.lib.arithmetic.pipeline import passed
from tests.hdl.streams import shared

EACH = {0.0: 24, 0.4: 5}  # random values of a shift and a rounding, by the chance of a stall
LOW, HIGH = -(1 << 31), (1 << 31) - 1
MULTIPLIERS = (1 << 30, (1 << 31) - 1, 1 << 29, (1 << 30) + 1)
stalls = pytest.mark.parametrize("stall", EACH)


def word(value):
    """Of 32 bits."""
    return (value - LOW) % (1 << 32) + LOW


def values(rng, shift, multiplier, count):
    """Corners, what lies near halves of an entry, and any, of those that are to be shifted."""
    out = [LOW, HIGH, -1, 0, 1]
    step = ((1 << 31) / max(multiplier, 1)) * 2.0**-shift  # of a unit of the result
    for _ in range(count):
        near = (rng.randrange(-300, 300) + rng.choice((0, 0.5))) * step
        far = rng.choice((-32768.5, -32768, 32767, 32767.5)) * step
        out += [word(round(near) + rng.randrange(-1, 2)), word(round(far) + rng.randrange(-1, 2))]
        out += [rng.randrange(LOW, HIGH), rng.randrange(-(1 << 15), 1 << 15)]
    return out


def bounds(rng):
    """Those of int16, of ReLU, of 8 bits and any."""
    any_of = sorted(rng.randrange(-(1 << 15), 1 << 15) for _ in range(2))
    return rng.choice(((-32768, 32767), (0, 32767), (-128, 127), any_of))


def scaled(dut, cases, stall):
    """What a Scaler makes of (value, multiplier, left, right, rounding, (lo, hi))."""
    names = ("value", "multiplier", "left", "right", "rounding")
    late = [dict(lo=lo, hi=hi) for *_, (lo, hi) in cases]
    items = [dict(zip(names, case)) for case in cases]
    return passed(dut, items, dut.entry, dut.LATENCY, stall=stall, late=late)


@stalls
@pytest.mark.parametrize("rounding", Rounding)
def test_scaler(rounding, stall):
    """All shifts, in any order: a value, its multiplier and bounds differ from cycle to cycle."""
    rng, dut, cases = random.Random(rounding), shared(Scaler), []
    for shift in range(LEAST_SHIFT, MOST_SHIFT + 1):
        for _ in range(3):
            multiplier = rng.choice((*MULTIPLIERS, rng.randrange(1 << 30, 1 << 31)))
            if shift <= 0:
                multiplier = rng.choice((multiplier, 0, rng.randrange(1 << 31)))
            for value in values(rng, shift, multiplier, EACH[stall] // 4):
                cases.append(
                    (value, multiplier, max(shift, 0), max(-shift, 0), rounding, bounds(rng))
                )
    rng.shuffle(cases)
    got = scaled(dut, cases, stall)
    x, m, left, right = np.array([case[:4] for case in cases]).T
    want = scale(x, m, left - right, rounding.name.lower())
    lo, hi = np.array([case[5] for case in cases]).T
    assert got == np.clip(want, lo, hi).tolist()


@stalls
def test_requantise(stall):
    """golden.fixed.requantise is a scaling by a power of two, and 0 where the shift is far."""
    rng, dut, cases, want = random.Random(5), shared(Scaler), [], []
    for shift in range(64):
        for value in values(rng, 1 - shift, 1 << 30, EACH[stall] // 4):
            relu, right = rng.randrange(2), max(shift - 1, 0)
            limits = (0 if relu else -32768, 32767)
            cases.append((value, 1 << 30, int(shift == 0), right, Rounding.SINGLE, limits))
            want.append(int(requantise(value, shift, bool(relu))))
    assert scaled(dut, cases, stall) == want


@stalls
def test_far_right(stall):
    """Nothing is left of what is shifted by 32 and more."""
    rng, dut = random.Random(6), shared(Scaler)
    cases = [
        (rng.choice((LOW, HIGH, -1)), HIGH, 0, rng.randrange(32, 64), rounding, (-5, 5))
        for rounding in Rounding
        for _ in range(40)
    ]
    assert scaled(dut, cases, stall) == [0] * len(cases)


@stalls
def test_operand(stall):
    rng, dut, cases = random.Random(7), shared(OperandScaler), []
    for right in range(32):
        for _ in range(20 * EACH[stall]):
            multiplier = rng.choice((*MULTIPLIERS, rng.randrange(1 << 31), 1 << rng.randrange(31)))
            value = rng.choice((-32768, 32767, 0, rng.randrange(-256, 256)))
            cases.append((rng.choice((value, rng.randrange(-32768, 32768))), multiplier, right))
    rng.shuffle(cases)
    items = [dict(zip(("value", "multiplier", "right"), case)) for case in cases]
    got = passed(dut, items, dut.scaled, dut.LATENCY, stall=stall)
    v, m, right = np.array(cases).T
    high = wrap((v * m + (1 << 10)) >> 11, 32)
    half = np.where(right > 0, (1 << np.maximum(right, 1) - 1) - (high < 0), 0)
    assert got == ((high + half) >> right).tolist()

    fits = np.abs(v) < 1 << 11  # shifted left by 20, it is of 32 bits
    want = scale(v[fits] << 20, m[fits], -right[fits])
    assert fits.sum() > 500 and (np.array(got)[fits] == want).all()


@stalls
def test_left_shift(stall):
    rng, dut, items, want = random.Random(8), shared(LeftShift), [], []
    for shift in range(32):
        edges = (LOW >> shift, HIGH >> shift, -1, 0, 1, LOW, HIGH)
        for value in [edge + near for edge in edges for near in (-1, 0, 1)]:
            value = max(LOW, min(HIGH, value))
            items.append(dict(value=value, shift=shift))
            want.append((word(value << shift), LOW <= value << shift <= HIGH))
    rng.shuffle(pairs := list(zip(items, want)))
    items, want = zip(*pairs)
    for out, of in ((dut.out, [w[0] for w in want]), (dut.lost, [not w[1] for w in want])):
        assert passed(dut, items, out, dut.LATENCY, stall=stall) == of


@stalls
def test_away_shift(stall):
    rng, dut, items, want = random.Random(9), shared(AwayShift), [], []
    for shift in range(32):
        for _ in range(4 * EACH[stall]):
            half = rng.randrange(-99, 99) << shift  # of a unit, or of two of them
            value = rng.choice((half, half + rng.randrange(-2, 3), 2 * LOW, 2 * HIGH + 1))
            value = max(2 * LOW, min(2 * HIGH, value))
            rest, away = rng.randrange(2), rng.randrange(2)
            items.append(dict(value=value, rest=rest, shift=shift, away=away))
            quarters = 2 * value + rest
            down = away and value < 0
            want.append((quarters + (2 << shift) - down) >> shift + 2)
    assert passed(dut, items, dut.out, dut.LATENCY, stall=stall) == want


@stalls
def test_bound(stall):
    rng, dut, items, want = random.Random(10), shared(Bound), [], []
    for _ in range(60 * EACH[stall]):
        lo, hi = bounds(rng)
        near = rng.choice((lo, hi, 0, LOW + 1, HIGH - 1, -65536, 65535)) + rng.randrange(-1, 2)
        value = rng.choice((near, rng.randrange(LOW, HIGH)))
        over, negative = rng.random() < 0.2, rng.randrange(2)
        items.append(dict(value=value, over=over, negative=negative, lo=lo, hi=hi))
        want.append((lo if negative else hi) if over else max(lo, min(hi, value)))
    assert passed(dut, items, dut.entry, dut.LATENCY, stall=stall) == want


def test_latencies():
    """Each value comes so many cycles after it went in, one a cycle: `passed` holds it so."""
    assert (Scaler.LATENCY, OperandScaler.LATENCY) == (10, 7)
