"""Integer pools. Their input and output have one scale and zero point."""

import numpy as np

from golden import pool
from golden.geometry import Pads


def max_pool(
    q: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Pads,
    lo: int,
    hi: int,
) -> np.ndarray:
    """int16 q [N, C, E, F] of q [N, C, H, W]: clamp(max, lo, hi); padding never wins.

    Source: MaxPool of LiteRT's reference/integer_ops/pooling.h. Raises ValueError if there is no
    window.
    """
    return np.clip(pool.max_pool(q.astype(np.int16), kernel, stride, pads), lo, hi)


def divide(sums: np.ndarray, by: np.ndarray) -> np.ndarray:
    """int64 sums / by, the nearest integers, halves away from zero. by is above 0."""
    magnitude = (np.abs(sums) + by // 2) // by
    return np.where(sums < 0, -magnitude, magnitude)


def average_pool(
    q: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Pads,
    lo: int,
    hi: int,
) -> np.ndarray:
    """int16 q [N, C, E, F] of q [N, C, H, W]: clamp(divide(sum of q, elements), lo, hi).

    The sums are of q itself, zero point and all, so that halves are rounded by the sign of q, not
    of q - zero; padding is in neither sum nor divisor.
    Source: AveragePool of LiteRT's reference/integer_ops/pooling.h. Raises ValueError if there is
    no window.
    """
    sums = pool.window_sums(q.astype(np.int16), kernel, stride, pads)
    by = pool.divisors(q.shape[2:], kernel, stride, pads, (0, 0, *q.shape[2:]))
    return np.clip(divide(sums, by), lo, hi).astype(np.int16)
