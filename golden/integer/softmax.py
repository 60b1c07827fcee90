"""Integer softmax over the channels, which the host computes: gemmlowp's fixed point.

A number of k integer bits is raw * 2**(k - 31) in 32 bits. Source: Softmax of LiteRT's
reference/softmax.h, and of gemmlowp's fixedpoint.h what it calls: exp_on_negative_values,
one_over_one_plus_x_for_x_in_0_1, Rescale.
"""

import math

import numpy as np

from golden.fixed import wrap
from golden.integer.affine import Affine
from golden.integer.requantise import quantise_multiplier

EXP_BITS = 5  # integer bits of the exponents
SUM_BITS = 12  # integer bits of the sum of exponentials
ONE = (1 << 31) - 1  # of no integer bits
LEAST_SCALE = 2.0 ** (EXP_BITS - 31)  # of an input: one above it only
INTERVAL = 1 << 24  # 1/4 of EXP_BITS


def _fixed(x: float, integer_bits: int = 0) -> int:
    """Raw of a constant."""
    return math.floor(x * 2 ** (31 - integer_bits) + 0.5)


def multiply(a, b) -> np.ndarray:
    """(2ab + 2**31) >> 32 of raws, a half up: the high word of the doubled product."""
    return (np.asarray(a, np.int64) * b + (1 << 30)) >> 31


def divide_power(x, exponent: int) -> np.ndarray:
    """x / 2**exponent, halves away from zero."""
    if exponent == 0:
        return np.asarray(x, np.int64)
    return (x + (1 << exponent - 1) - (np.asarray(x) < 0)) >> exponent


def _exp_quarter(a: np.ndarray) -> np.ndarray:
    """exp of raws a in [-1/4, 0), no integer bits: a Taylor series about -1/8 of four terms."""
    x = a + (1 << 28)
    square = multiply(x, x)
    cube, fourth = multiply(square, x), multiply(square, square)
    higher = divide_power(fourth, 2) + cube
    tail = divide_power(multiply(higher, _fixed(1 / 3)) + square, 1)
    factor = _fixed(math.exp(-1 / 8))
    return factor + multiply(np.int64(factor), x + tail)


def exp_negative(a: np.ndarray) -> np.ndarray:
    """exp, no integer bits, of raws a <= 0 of EXP_BITS: that of what is left of a multiple of 1/4,
    times those of the bits of the multiple."""
    rest = (a & INTERVAL - 1) - INTERVAL
    result = _exp_quarter(rest << EXP_BITS)
    steps = rest - a
    for exponent in range(-2, EXP_BITS):
        bit = 1 << 26 + exponent
        by = _fixed(math.exp(-(2.0**exponent)))
        result = np.where(steps & bit, multiply(result, by), result)
    return np.where(a == 0, ONE, result)


def reciprocal(total: int) -> tuple[int, int]:
    """(raw of no integer bits, bits over 1) of 1 / a total of SUM_BITS, by Newton's method."""
    zeros = 32 - int(total).bit_length()
    over = SUM_BITS - zeros
    x = (total << zeros) - (1 << 31)  # the fraction behind the leading 1
    half = (x + ONE + 1) >> 1  # (1 + x) / 2, rounded half away
    two = 2  # integer bits of the iterate
    y = _fixed(48 / 17, two) + multiply(half, _fixed(-32 / 17, two))
    for _ in range(3):
        error = (1 << 31 - two) - multiply(half, y)
        step = multiply(y, error)  # of 2 * two integer bits
        y = y + np.clip(step << two, -(1 << 31), ONE)
    return int(np.clip(y << two - 1, -(1 << 31), ONE)), over


def softmax(q: np.ndarray, of: Affine) -> np.ndarray:
    """q [N, C, 1, 1] of the type of the input, scale 1/256 and the least integer for zero point.

    Per image: d = q - max q, times the scale by a multiplier, exp(d) summed, each exp(d) times the
    sum's reciprocal.
    """
    multiplier, shift = quantise_multiplier(min(of.scale * (1 << 31 - EXP_BITS), float(ONE)))
    least = -math.floor(((1 << EXP_BITS) - 1) * (1 << 31 - EXP_BITS) / (1 << shift))
    flat = q.reshape(len(q), -1).astype(np.int64)
    d = flat - flat.max(axis=1, keepdims=True)
    kept = d >= least
    scaled = multiply(wrap(np.where(kept, d, 0) << shift, 32), multiplier)
    powers = np.where(kept, exp_negative(scaled), 0)
    totals = divide_power(powers, SUM_BITS).sum(axis=1, where=kept)
    out = np.empty(flat.shape, np.int64)
    for i, total in enumerate(totals.tolist()):
        raw, over = reciprocal(total)
        out[i] = divide_power(multiply(powers[i], raw), over + 31 - 8)
    return (
        np.where(kept, np.clip(out + of.lo, of.lo, of.hi), of.lo).astype(of.dtype).reshape(q.shape)
    )
