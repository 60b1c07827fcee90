"""Integer addition of two tensors of different scales."""

from dataclasses import dataclass

import numpy as np

from golden.integer.requantise import DOUBLE, Requantiser, scale

LEFT_SHIFT = 20  # bits that both operands have below theirs


@dataclass(frozen=True)
class Operand:
    """Multiplier and shift of an operand, its scale / (2 * the larger of both): 2**30 and 0 of the
    operand of the larger scale."""

    multiplier: int
    shift: int


def add(a: np.ndarray, b: np.ndarray, of_a: Operand, of_b: Operand, out: Requantiser) -> np.ndarray:
    """int16 q of int16 a and b, both q - zero and of one shape [N, C, H, W].

    out(scale(a << 20, of a) + scale(b << 20, of b)), all three rounded `double`; out's factor is
    2 * the larger scale / (2**20 * the output's).
    Source: Add of LiteRT's reference/integer_ops/add.h and its Prepare in kernels/add.cc.
    """
    first, second = (
        scale(x.astype(np.int64) << LEFT_SHIFT, of.multiplier, of.shift, DOUBLE)
        for x, of in ((a, of_a), (b, of_b))
    )
    return out(first + second)
