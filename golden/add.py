"""Element-wise addition of two int16 tensors of different scales."""

import numpy as np

from golden.fixed import requantise


def add(
    a: np.ndarray, b: np.ndarray, shift_a: int, shift_b: int, shift_out: int, relu: bool = False
) -> np.ndarray:
    """int16 of (a << shift_a) + (b << shift_b), rounded right by shift_out, saturated, ReLU."""
    total = (a.astype(np.int64) << shift_a) + (b.astype(np.int64) << shift_b)
    return requantise(total, shift_out, relu)
