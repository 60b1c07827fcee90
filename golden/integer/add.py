"""Integer addition of two tensors of different scales."""

from dataclasses import dataclass

import numpy as np

from golden.fixed import wrap
from golden.integer.requantise import DOUBLE, Requantiser, round_away, scale

POINT = 20  # bits that both operands have below theirs


@dataclass(frozen=True)
class Operand:
    """Multiplier and shift of an operand, its scale / (2 * the larger of both): 2**30 and 0 of the
    operand of the larger scale."""

    multiplier: int
    shift: int


def operand(v, multiplier: int, shift: int) -> np.ndarray:
    """int64 of v of 16 bits, scaled as the machine does it: scale(v << 20, multiplier, shift) of v
    << 20 as a whole, wrapped at 32 bits before the shift (-31..0). Of q - zero it is the same as
    in `add`."""
    high = np.asarray(v, np.int64) * multiplier + (1 << 30 - POINT) >> 31 - POINT
    return round_away(wrap(high, 32), -shift)


def add(a: np.ndarray, b: np.ndarray, of_a: Operand, of_b: Operand, out: Requantiser) -> np.ndarray:
    """int16 q of int16 a and b, both q - zero and of one shape [N, C, H, W].

    out(scale(a << 20, of a) + scale(b << 20, of b)), all three rounded `double`; out's factor is
    2 * the larger scale / (2**20 * the output's).
    Source: Add of LiteRT's reference/integer_ops/add.h and its Prepare in kernels/add.cc.
    """
    first, second = (
        scale(x.astype(np.int64) << POINT, of.multiplier, of.shift, DOUBLE)
        for x, of in ((a, of_a), (b, of_b))
    )
    return out(first + second)
