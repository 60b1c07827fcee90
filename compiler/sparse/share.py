"""Weight sharing by k-means (Han et al., Deep Compression, ICLR 2016, section 3), and its int16
codebook."""

from dataclasses import dataclass

import numpy as np

from golden.csc import CODEBOOK
from golden.fixed import quantise

SHARED = CODEBOOK - 1  # values left beside the zero of padding


@dataclass(frozen=True, eq=False)
class Shared:
    """centroids: float64 [n <= 15], ascending; index: uint8 of the weights' shape, 0 for zero, i
    for centroids[i - 1]."""

    centroids: np.ndarray
    index: np.ndarray

    def values(self) -> np.ndarray:
        """float64 weights, each zero or a centroid."""
        return np.concatenate(([0.0], self.centroids))[self.index]

    def codebook(self, fraction: int) -> np.ndarray:
        """int16 [16] of `fraction` fractional bits: 0, the centroids, zeros; `codebook[index]` are
        the integer weights.

        Centroids may round to one value, or to 0: the encoder then stores one of them, or nothing.
        """
        book = np.zeros(CODEBOOK, np.int16)
        book[1 : 1 + len(self.centroids)] = quantise(self.centroids, fraction)
        return book


def share(weights: np.ndarray, count: int = SHARED, iterations: int = 100) -> Shared:
    """k-means of the non-zero weights with `count` (1..15) centroids, spread linearly over their
    range at first.

    Weights are sorted once, so an iteration costs a search per centroid and not a pass over them.
    Fewer distinct values than centroids are kept as they are; a centroid that loses its weights
    stays in its place. Raises ValueError for a count outside 1..15 or weights that are not finite.
    """
    if not 1 <= count <= SHARED:
        raise ValueError(f"{count} centroids: outside 1..{SHARED}")
    if not np.isfinite(weights).all():
        raise ValueError("weights hold values that are not finite")
    values = np.sort(weights[weights != 0].astype(np.float64))
    distinct = (
        values[np.flatnonzero(np.diff(values, prepend=np.nan) != 0)] if len(values) else values
    )
    if len(distinct) <= count:
        centroids = distinct
    else:
        centroids = np.linspace(values[0], values[-1], count)
        sums = np.concatenate(([0.0], np.cumsum(values)))
        for _ in range(iterations):
            edges = np.concatenate(
                ([0], np.searchsorted(values, _limits(centroids)), [len(values)])
            )
            counts = np.diff(edges)
            moved = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), centroids)
            if np.array_equal(moved, centroids):
                break
            centroids = np.sort(moved)
    index = np.zeros(weights.shape, np.uint8)
    live = weights != 0
    index[live] = np.searchsorted(_limits(centroids), weights[live], side="right") + 1
    return Shared(centroids, index)


def _limits(centroids: np.ndarray) -> np.ndarray:
    """Half way between neighbours: a value belongs to the upper one from there on."""
    return (centroids[1:] + centroids[:-1]) / 2


def codebook_of(weights: np.ndarray) -> np.ndarray:
    """Codebook int16 [16] of int16 weights that are shared already. Raises ValueError if there
    are over 15 non-zero values."""
    values = np.unique(weights)
    values = values[values != 0]
    if len(values) > SHARED:
        raise ValueError(f"{len(values)} distinct non-zero weights: a codebook holds {SHARED}")
    book = np.zeros(CODEBOOK, np.int16)
    book[1 : 1 + len(values)] = values
    return book
