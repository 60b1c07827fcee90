"""No local reuse: PEs without register files around a large buffer (ISCA 2016, sections IV-C,
VI-A).

q groups of PEs take an ifmap entry each, of different channels, and share it with the weights of p
filters; the products add up over the groups, and the sum goes to the buffer and back for every
filter tap and every block of q channels. The buffer holds all psums of m filters on a tile of n
images, e rows and f columns, the tile's ifmaps and the filters, of q channels at a time; or of all,
and these stay:

    stream    for tile:  for chunk of m filters:  q channels of both           (published)
    filters   for chunk of m filters, kept:  for tile
    ifmap     for tile, its ifmaps kept:  for chunk of m filters
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.numbers import ceil

from .counts import Candidates, Layer, Moves, chunks, extent, grid, halo, tiles
from .hardware import Hardware

TITLE = "no local reuse"
ORDERS = ("stream", "filters", "ifmap")


def register_words(layer: Layer) -> int:
    return 0


def candidates(layer: Layer, hardware: Hardware, orders: str) -> Iterator[Candidates]:
    across = grid(p=tiles(layer.M), q=tiles(layer.C))
    across = {
        name: values[across["p"] * across["q"] <= hardware.pes] for name, values in across.items()
    }
    within = {
        "n": tiles(layer.N),
        "e": tiles(layer.E),
        "f": tiles(layer.F),
        "order": [0] if orders == "published" else range(len(ORDERS)),
    }
    each = len(within["n"]) * len(within["e"]) * len(within["f"]) * len(within["order"])
    for part in chunks(len(across["p"]), each):
        p, q = across["p"][part], across["q"][part]
        at = grid(i=np.arange(len(p)), **within)
        yield _candidates(layer, hardware, p[at["i"]], q[at["i"]], *(at[name] for name in within))


def _candidates(layer, hardware, p, q, n, e, f, order) -> Candidates:
    tile, pixels = extent(e, layer.uy, layer.R) * extent(f, layer.ux, layer.S) * n, n * e * f
    ifmap_channels, filter_channels = (
        np.where(order == 2, layer.C, q),
        np.where(order == 1, layer.C, q),
    )
    # As many filters as fit: m * (psums + weights).
    left = hardware.buffer_words - tile * ifmap_channels
    m = np.clip(
        left // (pixels + filter_channels * layer.R * layer.S) // p * p, 0, ceil(layer.M, p) * p
    )
    fits = (left > 0) & (m > 0)
    p, q, n, e, f, m, order = (x[fits] for x in (p, q, n, e, f, m, order))
    tiled = (
        layer.N
        * layer.C
        * halo(layer.E, e, layer.uy, layer.R)
        * halo(layer.F, f, layer.ux, layer.S)
    )
    ifmap = np.where(order == 2, tiled, tiled * ceil(layer.M, m))
    weights = np.where(
        order == 1,
        layer.filters,
        layer.filters * ceil(layer.N, n) * ceil(layer.E, e) * ceil(layer.F, f),
    )
    macs, ofmaps = np.full_like(p, layer.macs), np.int64(layer.ofmaps)
    reads = layer.N * layer.E * layer.F * layer.window * ceil(layer.M, p)
    taps = layer.R * layer.S * ceil(layer.C, q)
    return Candidates(
        {"p": p, "q": q, "m": m, "n": n, "e": e, "f": f, "order": order},
        Moves(ifmap, reads, macs, layer.macs),
        Moves(weights, macs, macs, layer.macs),
        Moves(ofmaps, ofmaps * taps, macs, layer.macs),
        layer.N * layer.E * layer.F * taps * ceil(layer.M, p),
    )
