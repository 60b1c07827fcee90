"""Output stationary B, MOC-MOP: pixels along an ofmap row of p channels (ISCA 2016, sections IV-B,
VI-A).

An ifmap entry is shared by p filters and, along the row, by neighbouring pixels: each of R filter
rows brings it once more. A weight goes to the PEs of all pixels. Register file: the psum, and U
entries on their way along the row.
"""

from __future__ import annotations

from collections.abc import Iterator

from compiler.studies.dataflows import output_stationary

from .counts import Candidates, Layer, grid, halo, tiles
from .hardware import Hardware

TITLE = "output stationary B"


def register_words(layer: Layer) -> int:
    return 1 + layer.ux


def candidates(layer: Layer, hardware: Hardware, orders: str) -> Iterator[Candidates]:
    blocks = grid(p=tiles(layer.M), n=tiles(layer.N), e=[1], f=tiles(layer.F))
    fits = blocks["p"] * blocks["n"] * blocks["f"] <= hardware.pes
    return output_stationary.candidates(
        layer,
        hardware.buffer_words,
        {axis: values[fits] for axis, values in blocks.items()},
        lambda e, f: layer.E * layer.R * halo(layer.F, f, layer.ux, layer.S),
        orders,
    )
