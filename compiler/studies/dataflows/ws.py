"""Weight stationary: a weight comes once, from DRAM into its PE, and runs through all images (ISCA
2016, sections IV-A, VI-A).

R x S PEs hold a filter plane, one weight each; the array holds r channels of t filters. Every ifmap
entry is broadcast to them, from DRAM, for every block of t filters. The products of a filter row
add up from PE to PE, over r channels, as the entries of an ifmap row come by; the next row comes a
whole ifmap row later, so the sum waits in the buffer: R times for every block of channels. All
psums of t filters wait there until the last channel: N*t*E*F. Register file: the weight. There is
one order only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.numbers import ceil

from .counts import Candidates, Layer, Moves, extent, grid, tiles
from .hardware import Hardware

TITLE = "weight stationary"


def register_words(layer: Layer) -> int:
    return 1


def candidates(layer: Layer, hardware: Hardware, orders: str) -> Iterator[Candidates]:
    c = grid(r=tiles(layer.C), t=tiles(layer.M))
    r, t = c["r"], c["t"]
    fits = (r * t * layer.R * layer.S <= hardware.pes) & (
        layer.N * t * layer.E * layer.F <= hardware.buffer_words
    )
    r, t = r[fits], t[fits]
    entries = (
        layer.N * layer.C * extent(layer.E, layer.uy, layer.R) * extent(layer.F, layer.ux, layer.S)
    )
    ifmap, weights, ofmaps = (
        entries * ceil(layer.M, t),
        np.full_like(t, layer.filters),
        np.int64(layer.ofmaps),
    )
    yield Candidates(
        {"r": r, "t": t},
        Moves(ifmap, ifmap, np.full_like(t, layer.macs), layer.macs),
        Moves(weights, weights, weights, layer.macs),
        Moves(ofmaps, ofmaps * layer.R * ceil(layer.C, r), np.full_like(t, layer.macs), layer.macs),
        layer.N * layer.E * layer.F * ceil(layer.C, r) * ceil(layer.M, t),
    )
