"""32-bit sums of one scale as 8-bit integers of another: a multiplier of 31 bits and a shift.

A real factor is multiplier * 2**(shift - 31), 2**30 <= multiplier < 2**31: its leading 1 is implied
in 30 stored bits. How the product is rounded differs from kernel to kernel, `ROUNDINGS`.
"""

import math
from dataclasses import dataclass

import numpy as np

from golden.fixed import wrap

DOUBLE, SINGLE, AWAY = ROUNDINGS = ("double", "single", "away")
LEAST_SHIFT, MOST_SHIFT = -31, 30  # factors below 2**-32 are 0


def quantise_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) of a real factor >= 0; (0, 0) for one below 2**-32.

    Source: QuantizeMultiplier, tensorflow/lite/kernels/internal/quantization_util.cc.
    """
    fraction, shift = math.frexp(real)
    multiplier = math.floor(math.ldexp(fraction, 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift + 1
    if multiplier == 0 or shift < LEAST_SHIFT:
        return 0, 0
    return multiplier, shift


def quantise_multipliers(reals) -> tuple[np.ndarray, np.ndarray]:
    """int64 (multipliers, shifts) of real factors, of their shape."""
    pairs = np.array([quantise_multiplier(float(real)) for real in np.ravel(reals)], np.int64)
    shape = np.shape(reals)
    return pairs[:, 0].reshape(shape), pairs[:, 1].reshape(shape)


def round_away(x, shift) -> np.ndarray:
    """int64 x >> shift, rounded, halves away from zero. Source: RoundingDivideByPOT of gemmlowp's
    fixedpoint.h."""
    x, shift = np.asarray(x, np.int64), np.asarray(shift, np.int64)
    half = np.where(shift > 0, (np.int64(1) << np.maximum(shift - 1, 0)) - (x < 0), 0)
    return (x + half) >> shift


def scale(x, multiplier, shift, rounding: str = DOUBLE) -> np.ndarray:
    """int64 x * multiplier * 2**(shift - 31), rounded, of sums x of 32 bits.

    The three arguments broadcast; e = max(-shift, 0). A left shift, and x itself, wrap at 32 bits.

    double: h = ((x << max(shift, 0)) * multiplier + 2**30) >> 31, and that, where e > 0, again:
    (h + 2**(e - 1) - (h < 0)) >> e, halves away from zero.
    Source: SaturatingRoundingDoublingHighMul and RoundingDivideByPOT of gemmlowp's fixedpoint.h,
    as MultiplyByQuantizedMultiplier joins them.

    single: (x * multiplier + 2**(30 - shift)) >> (31 - shift), halves up.
    Source: MultiplyByQuantizedMultiplier with TFLITE_SINGLE_ROUNDING,
    tensorflow/lite/kernels/internal/common.cc.

    away: as single, but halves away from zero: 1 less is added to a negative x.
    Source: average pools, which divide so (golden/integer/pool.py).
    """
    x, m, s = (np.asarray(a, np.int64) for a in (x, multiplier, shift))
    x = wrap(x, 32)
    if rounding == DOUBLE:
        high = (wrap(x << np.maximum(s, 0), 32) * m + (1 << 30)) >> 31
        return round_away(high, np.maximum(-s, 0))
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding {rounding!r}: expected one of {', '.join(ROUNDINGS)}")
    half = (np.int64(1) << (30 - s)) - ((x < 0) if rounding == AWAY else 0)
    return (x * m + half) >> (31 - s)


@dataclass(frozen=True, eq=False)
class Requantiser:
    """clamp(scale(sum) + zero, lo, hi): from sums to q.

    multiplier, shift: int64 [M], one a channel, or of no dimension; rounding: of ROUNDINGS; zero:
    of the output; lo, hi: bounds of q, in which an activation function is contained (ReLU is
    lo = zero).
    """

    multiplier: np.ndarray
    shift: np.ndarray
    rounding: str
    zero: int
    lo: int
    hi: int

    def __call__(self, sums: np.ndarray) -> np.ndarray:
        """int16 q [N, M, E, F] of integer sums of that shape."""
        m, s = (np.reshape(a, (-1, 1, 1)) for a in (self.multiplier, self.shift))
        return np.clip(scale(sums, m, s, self.rounding) + self.zero, self.lo, self.hi).astype(
            np.int16
        )
