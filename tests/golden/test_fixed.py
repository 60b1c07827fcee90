import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import fixed
from golden.add import add

CORNERS = [
    -(1 << 31),
    -(1 << 31) + 1,
    -32769,
    -32768,
    -3,
    -2,
    -1,
    0,
    1,
    2,
    3,
    32767,
    32768,
    (1 << 31) - 1,
]


def exact_round(x: int, shift: int) -> int:
    return math.floor(Fraction(x, 1 << shift) + Fraction(1, 2))


@pytest.mark.parametrize("bits", [24, 27, 32])
def test_wrap_is_twos_complement(bits):
    for x in [
        *CORNERS,
        (1 << bits - 1) - 1,
        1 << bits - 1,
        -(1 << bits - 1),
        -(1 << bits - 1) - 1,
        3 << bits,
    ]:
        y = int(fixed.wrap(x, bits))
        assert -(1 << bits - 1) <= y < 1 << bits - 1 and (y - x) % (1 << bits) == 0


@pytest.mark.parametrize("shift", range(48))
@pytest.mark.parametrize("relu", [False, True])
def test_requantise_corners_at_every_shift(shift, relu):
    half = [
        v
        for s in (shift, shift + 15)
        for v in (-(1 << s), (1 << s), (1 << s) - 1)
        if abs(v) < 1 << 47
    ]
    halves = (
        [] if shift == 0 else [k * (1 << shift - 1) + d for k in (-3, -1, 1, 3) for d in (-1, 0, 1)]
    )
    values = CORNERS + half + halves
    expected = [min(max(exact_round(v, shift), 0 if relu else -32768), 32767) for v in values]
    got = fixed.requantise(np.array(values), shift, relu)
    assert got.dtype == np.int16 and got.tolist() == expected


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(0, 47))
def test_round_shift_is_half_up(x, shift):
    assert int(fixed.round_shift(x, shift)) == exact_round(x, shift)


def test_round_shift_takes_a_shift_for_each_element():
    assert fixed.round_shift([3, 3, 3], [0, 1, 2]).tolist() == [3, 2, 1]


@pytest.mark.parametrize("fraction", [-3, 0, 7, 15, 30])
def test_quantise_rounds_half_up_and_saturates(fraction):
    lsb = 2.0**-fraction
    x = np.array([-1e30, -1.5, -0.5, -0.25, 0, 0.5, 1.5, 2.49, 1e30]) * lsb
    assert fixed.quantise(x, fraction).tolist() == [-32768, -1, 0, 0, 0, 1, 2, 2, 32767]
    every = np.arange(-32768, 32768)
    assert np.array_equal(fixed.quantise(fixed.dequantise(every, fraction), fraction), every)


def test_reciprocal_of_every_divisor():
    assert fixed.reciprocal(0) == (0, 0)
    for n in range(1, 1 << 16):
        multiplier, shift = fixed.reciprocal(n)
        assert 1 << 30 <= multiplier < 1 << 31 and shift == 1 - (n - 1).bit_length()
        assert 0 <= multiplier * n - (1 << 31 - shift) < n
    for n in (-1, 1 << 16):
        with pytest.raises(ValueError, match="divisor"):
            fixed.reciprocal(n)


@given(
    st.integers(-32768, 32767),
    st.integers(-32768, 32767),
    st.integers(0, 14),
    st.integers(0, 14),
    st.integers(0, 31),
    st.booleans(),
)
def test_add_against_fractions(a, b, shift_a, shift_b, shift_out, relu):
    exact = exact_round((a << shift_a) + (b << shift_b), shift_out)
    got = add(np.int16([a]), np.int16([b]), shift_a, shift_b, shift_out, relu)
    assert got.tolist() == [min(max(exact, 0 if relu else -32768), 32767)]


def test_add_against_the_reference():
    from tests.onnx_models import model, node, reference

    rng = np.random.default_rng(0)
    a, b = rng.integers(-8192, 8192, (2, 2, 3, 4, 5))
    expected = reference(
        model([node("Add", "x b")], a.shape, {"b": b.astype(np.float32)}), a.astype(np.float32)
    )
    assert np.array_equal(add(a.astype(np.int16), b.astype(np.int16), 0, 0, 0), expected)
