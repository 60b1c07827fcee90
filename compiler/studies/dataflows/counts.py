"""Accesses of a mapping, by data type and level of the storage hierarchy (ISCA 2016, section VI-C).

A mapping is described by how many words come *down from* each level, for every data type:

    dram: read from DRAM;  buffer: that leave the buffer;  array: that arrive at PEs;  register:
                           that ALUs take

which are the paper's a, a*b, a*b*c and a*b*c*d, times the words of that type. For psums it is the
sums that are accumulated in a level: every product counts in `register`, those that begin anew in a
PE in `array`, and so on up to the ofmap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from compiler.numbers import ceil

LEVELS = ("dram", "buffer", "array", "register")
KINDS = ("ifmap", "filter", "psum")


@dataclass(frozen=True)
class Layer:
    """One group of a convolution; a fully connected layer is one with E = F = 1. N images; C
    channels, M filters and `groups` of them; R, S filter; E, F ofmap; uy, ux strides. Padding
    counts as ifmap entries, as in the paper's shapes."""

    name: str
    N: int
    C: int
    M: int
    E: int
    F: int
    R: int
    S: int
    uy: int = 1
    ux: int = 1
    groups: int = 1
    full: bool = False

    @property
    def macs(self) -> int:
        """Of a group."""
        return self.filters * self.N * self.E * self.F

    @property
    def filters(self) -> int:
        """Weights of a group."""
        return self.M * self.C * self.R * self.S

    @property
    def ofmaps(self) -> int:
        return self.N * self.M * self.E * self.F

    @property
    def window(self) -> int:
        """Products in a psum."""
        return self.C * self.R * self.S


def tiles(size: int) -> np.ndarray:
    """The tile sizes that differ in how many tiles they make, each the smallest such."""
    return np.unique([ceil(size, count) for count in range(1, size + 1)])


def extent(out, stride: int, kernel: int):
    """Ifmap rows (columns) that `out` ofmap rows need."""
    return (out - 1) * min(stride, kernel) + kernel


def halo(size: int, tile, stride: int, kernel: int):
    """Sum of the ifmap rows (columns) of the tiles of an ofmap."""
    count = ceil(size, tile)
    return size * min(stride, kernel) + count * (kernel - min(stride, kernel))


# candidates looked at together, or one of the first axis: arrays that a cache holds
CHUNK = 1 << 15


def chunks(rows: int, each: int):
    """Slices of `rows` rows with `each` candidates a row."""
    step = max(1, CHUNK // max(1, each))
    return (slice(first, first + step) for first in range(0, rows, step))


def grid(**axes) -> dict[str, np.ndarray]:
    """Every combination of the values, one array a parameter."""
    full = np.meshgrid(*(np.asarray(values, np.int64) for values in axes.values()), indexing="ij")
    return {name: values.ravel() for name, values in zip(axes, full)}


# of each candidate, or of all of them alike
Words = np.ndarray | np.integer


@dataclass
class Moves:
    """Words of a data type that come from each level, arrays over the candidates (see the
    module). register: MACs."""

    dram: Words
    buffer: Words
    array: Words
    register: int


@dataclass
class Candidates:
    """Mappings of one group that fit the hardware. parameters: arrays by name; cycles: with a MAC a
    cycle in every active PE."""

    parameters: dict[str, np.ndarray]
    ifmap: Moves
    filter: Moves
    psum: Moves
    cycles: np.ndarray


def input_accesses(m: Moves) -> dict[str, Words]:
    """Eq. (3): reads at each level. Where a word is used once a level does not count: it passes by
    (the equation's footnote)."""
    return {
        "dram": m.dram,
        "buffer": np.where(m.buffer > m.dram, m.buffer, 0),
        "array": np.where(m.array > m.buffer, m.array, 0),
        "register": np.where(m.register > m.array, m.register, 0),
    }


def psum_accesses(m: Moves, ofmaps: int) -> dict[str, Words]:
    """Eq. (4): reads and writes, but for the array, where a psum only moves on; the first psum of
    an ofmap is not read."""
    return {
        "dram": 2 * m.dram - ofmaps,
        "buffer": 2 * (m.buffer - m.dram),
        "array": m.array - m.buffer,
        "register": 2 * (m.register - m.array),
    }


@dataclass
class Mapped:
    """A layer's best mapping, all its groups. accesses: level -> data type -> words; cycles: with a
    MAC a cycle in every active PE."""

    name: str
    parameters: dict[str, int]
    macs: int
    accesses: dict[str, dict[str, int]]
    cycles: int

    def __str__(self):
        return " ".join(
            f"{name}{value}" for name, value in self.parameters.items() if name != "order"
        )


def _accesses(layer: Layer, c: Candidates) -> dict[str, dict[str, Words]]:
    return {
        "ifmap": input_accesses(c.ifmap),
        "filter": input_accesses(c.filter),
        "psum": psum_accesses(c.psum, layer.ofmaps),
    }


def energies(layer: Layer, c: Candidates, costs: dict[str, float]) -> np.ndarray:
    """Of every candidate, MACs included."""
    total = np.full(c.cycles.shape, layer.macs * costs["mac"])
    for counts in _accesses(layer, c).values():
        for level in LEVELS:
            total += costs[level] * counts[level]
    return total


def accesses_of(layer: Layer, c: Candidates, at: int) -> dict[str, dict[str, int]]:
    """Level -> data type -> words of one candidate."""
    counts = _accesses(layer, c)
    return {
        level: {
            kind: int(np.broadcast_to(counts[kind][level], c.cycles.shape)[at]) for kind in KINDS
        }
        for level in LEVELS
    }


def best(layer: Layer, chunks: Iterable[Candidates], costs: dict[str, float]) -> Mapped | None:
    """The candidate of least energy, of those the fastest; None if there is none. costs: by
    level, and of a MAC."""
    found = None
    for c in chunks:
        if not c.cycles.size:
            continue
        energy = energies(layer, c, costs)
        least = energy.min()
        near = np.flatnonzero(energy <= least * (1 + 1e-12))
        at = int(near[c.cycles[near].argmin()])
        if found is None or (energy[at], c.cycles[at]) < found[0]:
            found = (
                (energy[at], c.cycles[at]),
                {name: int(values[at]) for name, values in c.parameters.items()},
                accesses_of(layer, c, at),
            )
    if found is None:
        return None
    (_, cycles), parameters, counts = found
    return Mapped(
        layer.name,
        parameters,
        layer.groups * layer.macs,
        {
            level: {kind: layer.groups * n for kind, n in kinds.items()}
            for level, kinds in counts.items()
        },
        layer.groups * int(cycles),
    )
