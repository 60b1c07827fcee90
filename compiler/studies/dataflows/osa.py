"""Output stationary A, SOC-MOP: a block of pixels of one ofmap channel at a time (ISCA 2016,
section IV-B).

An ifmap entry goes into the array once for a filter and on from PE to PE; every weight goes to all
PEs. Register file: the psum, and the entries that a neighbour takes up to one filter row later: U
along the row, U*S towards the next.
"""

from __future__ import annotations

from collections.abc import Iterator

from compiler.studies.dataflows import output_stationary

from .counts import Candidates, Layer, grid, halo, tiles
from .hardware import Hardware

TITLE = "output stationary A"


def register_words(layer: Layer) -> int:
    return 1 + layer.ux + layer.uy * layer.S


def candidates(layer: Layer, hardware: Hardware, orders: str) -> Iterator[Candidates]:
    blocks = grid(p=[1], n=tiles(layer.N), e=tiles(layer.E), f=tiles(layer.F))
    fits = blocks["n"] * blocks["e"] * blocks["f"] <= hardware.pes
    return output_stationary.candidates(
        layer,
        hardware.buffer_words,
        {axis: values[fits] for axis, values in blocks.items()},
        lambda e, f: halo(layer.E, e, layer.uy, layer.R) * halo(layer.F, f, layer.ux, layer.S),
        orders,
    )
