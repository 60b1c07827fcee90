"""Output stationary C, MOC-SOP: one pixel of p ofmap channels, of n images (ISCA 2016, section
IV-B).

An ifmap entry is shared by p filters and brought again for every window that it is in; a weight
goes to the PEs of n images. There is no convolutional reuse: a block is a product of matrices.
Register file: the psum.
"""

from __future__ import annotations

from collections.abc import Iterator

from compiler.studies.dataflows import output_stationary

from .counts import Candidates, Layer, grid, tiles
from .hardware import Hardware

TITLE = "output stationary C"


def register_words(layer: Layer) -> int:
    return 1


def candidates(layer: Layer, hardware: Hardware, orders: str) -> Iterator[Candidates]:
    blocks = grid(p=tiles(layer.M), n=tiles(layer.N), e=[1], f=[1])
    fits = blocks["p"] * blocks["n"] <= hardware.pes
    return output_stationary.candidates(
        layer,
        hardware.buffer_words,
        {axis: values[fits] for axis, values in blocks.items()},
        lambda e, f: layer.E * layer.R * layer.F * layer.S,
        orders,
    )
