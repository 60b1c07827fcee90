"""Fixed-point arithmetic: wrap, round, saturate, requantise, reciprocal (docs/architecture.md,
"Numbers").

All functions take scalars or arrays and compute in int64.
"""

import numpy as np

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1


def wrap(x, bits: int) -> np.ndarray:
    """x modulo 2**bits as a two's complement number of `bits` bits (2..63)."""
    x = np.asarray(x, np.int64)
    half = 1 << bits - 1
    return ((x + half) & ((1 << bits) - 1)) - half


def round_shift(x, shift) -> np.ndarray:
    """(x + half an LSB) >> shift: rounds half up (towards +infinity). Shift 0 adds nothing."""
    x, shift = np.asarray(x, np.int64), np.asarray(shift, np.int64)
    half = np.where(shift > 0, np.left_shift(1, np.maximum(shift - 1, 0)), 0)
    return (x + half) >> shift


def saturate(x) -> np.ndarray:
    """x clamped to the range of int16, as int16."""
    return np.clip(x, INT16_MIN, INT16_MAX).astype(np.int16)


def requantise(psum, shift: int, relu: bool = False) -> np.ndarray:
    """int16 of a psum: round right by `shift` (0..47), saturate, ReLU."""
    y = saturate(round_shift(psum, shift))
    return np.maximum(y, np.int16(0)) if relu else y


def quantise(x, fraction: int) -> np.ndarray:
    """int16 nearest to x * 2**fraction, a half rounded up as the hardware does; saturates."""
    scaled = np.floor(np.ldexp(np.asarray(x, np.float64), fraction) + 0.5)
    return np.clip(scaled, INT16_MIN, INT16_MAX).astype(np.int16)


def dequantise(x, fraction: int) -> np.ndarray:
    """The real value of integers with `fraction` fractional bits, float64."""
    return np.ldexp(np.asarray(x, np.float64), -fraction)


def reciprocal(n: int) -> tuple[int, int]:
    """(multiplier, shift) of 1 / n ~ multiplier * 2**(shift - 31), as golden.integer.requantise has
    them: 31 bits, rounded up; (0, 0) for n = 0.

    Rounded "away", a sum of n 8-bit integers, n up to 256, becomes the nearest integer to its
    average, halves away from zero: no half falls short. Raises ValueError if n is outside 0..65535.
    """
    if not 0 <= n < 1 << 16:
        raise ValueError(f"divisor {n}: outside 0..65535")
    if n == 0:
        return 0, 0
    shift = 1 - (n - 1).bit_length()
    return -(-(1 << 31 - shift) // n), shift
