"""Integer operators against rational arithmetic; against LiteRT: tests/compiler/tflite."""

import math
from fractions import Fraction

import numpy as np
import pytest

from golden import add as of_powers
from golden.fixed import reciprocal, saturate
from golden.integer.add import POINT, operand
from golden.integer.affine import Affine, round_half_away
from golden.integer.mean import mean_multiplier
from golden.integer.pool import divide
from golden.integer.requantise import (
    AWAY,
    DOUBLE,
    ROUNDINGS,
    SINGLE,
    Requantiser,
    quantise_multiplier,
    quantise_multipliers,
    scale,
)
from golden.integer.softmax import softmax

RNG = np.random.default_rng(0)


def half_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


def half_away(x: Fraction) -> int:
    return -half_up(-x) if x < 0 else half_up(x)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_scale(rounding):
    for _ in range(300):
        shift = int(RNG.integers(-31, 9))
        x = int(RNG.integers(-1 << 22, 1 << 22))
        m = int(RNG.choice([1 << 30, (1 << 31) - 1, int(RNG.integers(1 << 30, 1 << 31))]))
        real = Fraction(x * m) * Fraction(2) ** (shift - 31)
        expected = {
            DOUBLE: half_away(
                Fraction(half_up(Fraction((x << max(shift, 0)) * m, 1 << 31)), 1 << max(-shift, 0))
            ),
            SINGLE: half_up(real),
            AWAY: half_away(real),
        }[rounding]
        assert scale(x, m, shift, rounding) == expected


def test_worked_example():
    """That of docs/quantised.md."""
    m, s = quantise_multiplier(0.05 * 0.02 / 0.1)
    assert (m, s) == (1374389535, -6)
    assert scale(1234, m, s, DOUBLE) == scale(1234, m, s, SINGLE) == 12
    assert [int(scale(x, m, s, DOUBLE)) for x in (49, 50, -49, -50)] == [0, 1, 0, -1]
    out = Requantiser(np.int64(m), np.int64(s), DOUBLE, -10, -10, 127)
    assert out(np.array([1234, -1234, 99999]).reshape(3, 1, 1, 1)).ravel().tolist() == [2, -10, 127]


def test_roundings_differ_at_halves():
    half = quantise_multiplier(0.25)
    got = {r: [int(scale(x, *half, r)) for x in (-6, -2, 2, 6)] for r in ROUNDINGS}
    assert got == {DOUBLE: [-2, -1, 1, 2], SINGLE: [-1, 0, 1, 2], AWAY: [-2, -1, 1, 2]}
    with pytest.raises(ValueError, match="rounding 'up'"):
        scale(1, 1 << 30, 0, "up")


def test_sums_wrap_at_32_bits():
    assert scale((1 << 31) - 1, 1 << 30, 2) == -2  # shifted left by two: -4, times a half
    assert scale(1 << 31, 1 << 30, 0) == -1 << 30


def test_multipliers():
    assert quantise_multiplier(1.0) == (1 << 30, 1)
    assert quantise_multiplier(math.nextafter(1.0, 0)) == (1 << 30, 1)
    assert quantise_multiplier(2.0**-32) == (1 << 30, -31)
    assert quantise_multiplier(2.0**-33) == quantise_multiplier(0.0) == (0, 0)
    m, s = quantise_multipliers(np.array([[0.3, 3.0]]))
    assert m.shape == s.shape == (1, 2) and (m >= 1 << 30).all() and s.tolist() == [[-1, 2]]
    for real in RNG.uniform(1e-6, 8, 100):
        m, s = quantise_multiplier(real)
        assert abs(m * 2.0 ** (s - 31) / real - 1) <= 2.0**-31


def test_average_by_a_reciprocal():
    """Rounding `away` of raw sums is the division, at every half and beside it."""
    for n in range(1, 257):
        middles = np.arange(-128, 128) * n + n // 2
        sums = np.concatenate([middles + d for d in (-1, 0, 1)])
        m, s = reciprocal(n)
        assert 1 << 30 <= m < 1 << 31
        sums = sums[(sums >= -128 * n) & (sums <= 255 * n)]
        assert np.array_equal(scale(sums, m, s, AWAY), divide(sums, np.int64(n))), n


def test_operands_of_an_add():
    """Of q - zero the machine's is the scaling of what is 20 bits longer."""
    v = np.arange(-255, 256)
    for shift in range(-31, 1):
        for multiplier in (1 << 30, (1 << 31) - 1, int(RNG.integers(1 << 30, 1 << 31)), 0):
            want = scale(v << POINT, multiplier, shift)
            assert np.array_equal(operand(v, multiplier, shift), want)


def test_an_add_of_powers_of_two():
    """int16 tensors of powers of two are added with the same operands and a scaled sum."""
    a, b = RNG.integers(-(1 << 15), 1 << 15, (2, 400)).astype(np.int16)
    a[:4], b[:4] = (-32768, -32768, 32767, 32767), (-32768, 32767, -32768, 32767)
    for shift_out in range(32):
        shifts = RNG.integers(0, 15, 2).tolist()
        first, second = (operand(v, 1 << 11 + k, 0) for v, k in zip((a, b), shifts))
        got = saturate(scale(first + second, 1 << 30, 1 - shift_out, SINGLE))
        assert np.array_equal(got, of_powers.add(a, b, *shifts, shift_out))


def test_mean_multiplier():
    m, s = mean_multiplier(*quantise_multiplier(1.0), 49)
    assert abs(m * 2.0 ** (s - 31) * 49 - 1) < 2.0**-28
    assert 1 << 29 <= m < 1 << 31


def test_affine():
    a = Affine(0.5, -3)
    assert a.quantise(np.float32([0.25, -0.25, 1e9, -1e9])).tolist() == [-2, -4, 127, -128]
    assert a.centred(np.int8([-128, 127])).tolist() == [-125, 130]
    assert np.array_equal(a.restored(a.centred(np.int8([-128, 0, 127]))), [-128, 0, 127])
    assert a.dequantise(np.int8([-3, 1])).tolist() == [0.0, 2.0]
    assert a.level(6.0) == 9 and a.level(1000.0) == 127
    assert Affine(0.5, 3, signed=False).quantise(np.float32([-9, 9])).tolist() == [0, 21]
    assert round_half_away(np.float32([0.49999997, 0.5, -0.5, 2.5])).tolist() == [0, 1, -1, 3]


def test_softmax_is_close_to_the_real_one():
    q = RNG.integers(-128, 128, (20, 10, 1, 1)).astype(np.int8)
    real = np.exp((q.astype(int) - q.max(axis=1, keepdims=True)) * 0.1)
    real /= real.sum(axis=1, keepdims=True)
    got = (softmax(q, Affine(0.1, 4)).astype(int) + 128) / 256
    assert np.abs(got - np.minimum(real, 255 / 256)).max() < 1 / 256
