"""Convolution and fully connected layers: exact psums, and the psums the hardware holds."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from golden.fixed import wrap

_EXACT = 1 << 53  # integers below this are exact in float64


class Psums(NamedTuple):
    """exact: int64 sums; wrapped: the same modulo 2**psum_bits, two's complement."""

    exact: np.ndarray
    wrapped: np.ndarray

    @property
    def overflows(self) -> int:
        """How many psums wrapped."""
        return int(np.count_nonzero(self.exact != self.wrapped))


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b of integers, exact, int64. Goes through float64 BLAS where no sum can reach 2**53."""
    bound = (
        int(np.abs(a, dtype=np.int64).max(initial=0))
        * int(np.abs(b, dtype=np.int64).max(initial=0))
        * a.shape[-1]
    )
    if bound < _EXACT:
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return a.astype(np.int64) @ b.astype(np.int64)


def windows(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], pads: tuple[int, int, int, int]
) -> np.ndarray:
    """[N, C, E, F, R, S] view of the windows of zero-padded x [N, C, H, W].

    pads: (top, left, bottom, right); E = (H + top + bottom - R) // stride + 1, F likewise.
    Raises ValueError if the kernel is larger than the padded input.
    """
    top, left, bottom, right = pads
    height, width = x.shape[2] + top + bottom, x.shape[3] + left + right
    if kernel[0] > height or kernel[1] > width:
        raise ValueError(
            f"kernel {kernel[0]}x{kernel[1]} is larger than the padded input {height}x{width}"
        )
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))) if any(pads) else x
    return sliding_window_view(padded, kernel, axis=(2, 3))[:, :, :: stride[0], :: stride[1]]


def conv2d(
    ifmap: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    groups: int = 1,
    psum_bits: int = 32,
) -> Psums:
    """Psums [N, M, E, F] of int16 ifmap [N, C, H, W], weights [M, C/groups, R, S], int32 bias [M].

    stride: (vertical, horizontal); pads: (top, left, bottom, right) zeros.
    Raises ValueError on shapes that do not fit each other.
    """
    n, c, _, _ = ifmap.shape
    m, c_group, r, s = weights.shape
    if c != c_group * groups or m % groups:
        raise ValueError(f"{c} channels, {groups} groups: weights {weights.shape} do not fit")
    if bias is not None and bias.shape != (m,):
        raise ValueError(f"bias {bias.shape}: expected ({m},)")
    view = windows(ifmap, (r, s), stride, pads)
    e, f = view.shape[2:4]
    exact = np.empty((n, m, e, f), np.int64)
    each = m // groups
    for g in range(groups):
        part = view[:, g * c_group : (g + 1) * c_group]
        columns = part.transpose(0, 2, 3, 1, 4, 5).reshape(n * e * f, c_group * r * s)
        own = slice(g * each, (g + 1) * each)
        sums = matmul(columns, weights[own].reshape(each, -1).T)
        exact[:, own] = sums.reshape(n, e, f, each).transpose(0, 3, 1, 2)
    if bias is not None:
        exact += bias.astype(np.int64)[:, None, None]
    return Psums(exact, wrap(exact, psum_bits))


def fc(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None, *, psum_bits: int = 32
) -> Psums:
    """Psums [N, M] of int16 x [N, K], weights [M, K], int32 bias [M]. Raises ValueError as
    conv2d."""
    sums = conv2d(x[:, :, None, None], weights[:, :, None, None], bias, psum_bits=psum_bits)
    return Psums(*(s[:, :, 0, 0] for s in sums))
