"""Magnitude pruning (Han et al., Deep Compression, ICLR 2016, section 2)."""

import numpy as np


def mask(weights: np.ndarray, density: float) -> np.ndarray:
    """bool, of the shape of `weights`: the round(density * size) largest magnitudes, ties to the
    first in memory order.

    Raises ValueError if the density is outside 0..1 or a weight is not finite.
    """
    if not 0 <= density <= 1:
        raise ValueError(f"density {density}: outside 0..1")
    if not np.isfinite(weights).all():
        raise ValueError("weights hold values that are not finite")
    magnitude = np.abs(weights).ravel()
    keep = round(density * magnitude.size)
    if keep == 0:
        return np.zeros(weights.shape, bool)
    limit = np.partition(magnitude, magnitude.size - keep)[magnitude.size - keep]
    kept = magnitude > limit
    ties = np.flatnonzero(magnitude == limit)
    kept[ties[: keep - np.count_nonzero(kept)]] = True
    return kept.reshape(weights.shape)


def prune(weights: np.ndarray, density: float) -> np.ndarray:
    """`weights` with all but that share of them set to zero. Raises ValueError as `mask`."""
    return np.where(mask(weights, density), weights, weights.dtype.type(0))
