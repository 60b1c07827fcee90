"""Row stationary: a PE convolves filter rows with ifmap rows, out of its register file (ISCA 2016,
section V).

A PE set is R x e PEs, for e ofmap rows; the array has sets of r channels and t filters, and a PE
interleaves p filters and q channels: p*q*S weights, q*S ifmap entries and p psums in its register
file. A pass takes n images one after the other. The buffer holds the psums of m filters, n images
and e rows until the last channel, and the ifmaps of a pass:

    stream    for tile of n images, e rows:  for chunk of m filters:  passes; filters go past the
              buffer    (published)
    filters   for chunk of m filters, kept in the buffer:  for tile
    ifmap     for tile, the ifmaps of all its channels kept:  for chunk
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.numbers import ceil

from .counts import Candidates, Layer, Moves, chunks, extent, grid, halo, tiles
from .hardware import BASELINE, WORD, Hardware

TITLE = "row stationary"
ORDERS = ("stream", "filters", "ifmap")


def register_words(layer: Layer) -> int:
    return BASELINE // WORD


def _rounds(size, inner, outer):
    """Steps of `inner` at a time in each of `outer` places; the rest is spread over the places."""
    full, rest = np.divmod(size, inner * outer)
    return full * inner + ceil(rest, outer)


def candidates(layer: Layer, hardware: Hardware, orders: str) -> Iterator[Candidates]:
    inside = grid(p=tiles(layer.M), q=tiles(layer.C))
    across = grid(e=tiles(layer.E), r=tiles(layer.C), t=tiles(layer.M))
    fits = (
        inside["p"] * (inside["q"] * layer.S + 1) + inside["q"] * layer.S <= hardware.register_words
    )
    inside = {name: values[fits] for name, values in inside.items()}
    fits = layer.R * across["e"] * across["r"] * across["t"] <= hardware.pes
    across = {name: values[fits] for name, values in across.items()}
    within = {"n": tiles(layer.N), "order": [0] if orders == "published" else range(len(ORDERS))}
    for part in chunks(
        len(inside["p"]), len(across["e"]) * len(within["n"]) * len(within["order"])
    ):
        p, q = inside["p"][part], inside["q"][part]
        at = grid(i=np.arange(len(p)), a=np.arange(len(across["e"])))
        p, q, (e, r, t) = p[at["i"]], q[at["i"]], (values[at["a"]] for values in across.values())
        # Sets of more channels or filters than there are would idle.
        used = (r <= ceil(layer.C, q)) & (t <= ceil(layer.M, p))
        p, q, e, r, t = (x[used] for x in (p, q, e, r, t))
        at = grid(i=np.arange(len(p)), **within)
        yield _candidates(
            layer, hardware, *(x[at["i"]] for x in (p, q, e, r, t)), at["n"], at["order"]
        )


def _candidates(layer, hardware, p, q, e, r, t, n, order) -> Candidates:
    rows, width = extent(e, layer.uy, layer.R), extent(layer.F, layer.ux, layer.S)
    channels = np.where(order == 2, layer.C, np.minimum(q * r, layer.C))
    left = hardware.buffer_words - n * channels * rows * width
    each = n * e * layer.F + np.where(order == 1, layer.window, 0)
    m = np.clip(left // each // (p * t) * (p * t), 0, ceil(layer.M, p * t) * p * t)
    fits = (left > 0) & (m > 0)
    p, q, e, r, t, n, m, order = (x[fits] for x in (p, q, e, r, t, n, m, order))
    bands, image_tiles = ceil(layer.E, e), ceil(layer.N, n)
    tiled = layer.N * layer.C * halo(layer.E, e, layer.uy, layer.R) * width
    leaving = layer.filters * image_tiles * bands
    ofmaps = np.int64(layer.ofmaps)
    return Candidates(
        {"m": m, "n": n, "e": e, "p": p, "q": q, "r": r, "t": t, "order": order},
        Moves(
            np.where(order == 2, tiled, tiled * ceil(layer.M, m)),
            tiled * ceil(layer.M, p * t),
            layer.N * layer.C * layer.R * layer.E * width * ceil(layer.M, p),
            layer.macs,
        ),
        Moves(
            np.where(order == 1, layer.filters, leaving),
            leaving,
            layer.filters * image_tiles * layer.E,
            layer.macs,
        ),
        Moves(
            ofmaps, ofmaps * ceil(layer.C, q * r), ofmaps * layer.R * ceil(layer.C, q), layer.macs
        ),
        layer.N * layer.F * layer.S * bands * _rounds(layer.M, p, t) * _rounds(layer.C, q, r),
    )
