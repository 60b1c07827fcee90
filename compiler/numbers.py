"""Arithmetic that models, search and emitters share."""

from __future__ import annotations

from typing import overload

import numpy as np


@overload
def ceil(a: int, b: int) -> int: ...


@overload
def ceil(a: np.ndarray, b: np.ndarray | float) -> np.ndarray: ...


@overload
def ceil(a: float, b: np.ndarray) -> np.ndarray: ...


def ceil(a, b):
    """a / b rounded up: of integers, and of arrays, where those of integers stay integers. Those of
    float64 numpy divides four times as fast."""
    for x in (a, b):
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            return np.ceil(np.divide(a, b))
    return -(-a // b)
