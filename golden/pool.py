"""Max and average pooling, in the hardware's arithmetic."""

from collections.abc import Iterator

import numpy as np

from golden.fixed import INT16_MIN, reciprocal, round_shift, saturate
from golden.geometry import Pads, output_size


def _taps(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], pads: Pads, fill: int
) -> Iterator[np.ndarray]:
    """Yields, for each kernel position, the elements [N, C, E, F] under it."""
    e, f = output_size(x.shape[2:], kernel, stride, pads)
    if e < 1 or f < 1:
        raise ValueError(
            f"kernel {kernel[0]}x{kernel[1]} is larger than the padded input of {x.shape[2:]}"
        )
    top, left, bottom, right = (max(p, 0) for p in pads)
    padded = (
        np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
        if any(pads)
        else x
    )
    for y in range(kernel[0]):
        for c in range(kernel[1]):
            yield padded[
                :,
                :,
                y : y + (e - 1) * stride[0] + 1 : stride[0],
                c : c + (f - 1) * stride[1] + 1 : stride[1],
            ]


def max_pool(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], pads: Pads = (0, 0, 0, 0)
) -> np.ndarray:
    """int16 [N, C, E, F] maxima of int16 x [N, C, H, W]; padding never wins, an empty window is
    -32768.

    pads: (top, left, bottom, right), effective as golden.geometry makes them.
    Raises ValueError if there is no window.
    """
    taps = _taps(x, kernel, stride, pads, INT16_MIN)
    out = next(taps).copy()
    for tap in taps:
        out = np.maximum(out, tap)
    return out


def window_sums(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], pads: Pads = (0, 0, 0, 0)
) -> np.ndarray:
    """int64 [N, C, E, F] sums of the windows of zero-padded x. Raises ValueError if there is no
    window."""
    taps = _taps(x, kernel, stride, pads, 0)
    total = next(taps).astype(np.int64)
    for tap in taps:
        total += tap
    return total


def divisors(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], pads: Pads, count: Pads
) -> np.ndarray:
    """[E, F] elements of each window within the box `count` (top, left, bottom, right; half
    open)."""
    axes = []
    for i, n in enumerate(output_size(size, kernel, stride, pads)):
        first = np.arange(n) * stride[i] - pads[i]
        axes.append(
            np.maximum(np.minimum(first + kernel[i], count[i + 2]) - np.maximum(first, count[i]), 0)
        )
    return np.outer(*axes)


def average(total: np.ndarray, by: np.ndarray) -> np.ndarray:
    """int16 of int64 sums [..., E, F] divided by `by` [E, F]: times the reciprocal, rounded half
    up; by 0 gives 0. Since the reciprocal is rounded up, a half below zero goes down unless its
    divisor is a power of two."""
    values, where = np.unique(by, return_inverse=True)
    table = np.array([reciprocal(int(n)) for n in values], np.int64)[where.reshape(by.shape)]
    return saturate(round_shift(total * table[..., 0], 31 - table[..., 1]))


def average_pool(
    x: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Pads = (0, 0, 0, 0),
    count: Pads | None = None,
) -> np.ndarray:
    """int16 [N, C, E, F] averages of int16 x [N, C, H, W].

    count: box of the elements a divisor counts, the input itself if None; a divisor of 0 gives 0.
    Raises ValueError if there is no window.
    """
    by = divisors(
        x.shape[2:], kernel, stride, pads, (0, 0, *x.shape[2:]) if count is None else count
    )
    return average(window_sums(x, kernel, stride, pads), by)
