"""What compression does to a layer, stage by stage, and the nine layers of EIE's table as
synthetic matrices."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass

import numpy as np

from compiler.sparse import huffman
from compiler.sparse.csc import Sparse
from golden.csc import CODEBOOK, WORD_ENTRIES, Compressed


@dataclass(frozen=True)
class Report:
    """Sizes are bits of the whole matrix. density: non-zeros / weights; dense: 16 bits a weight.

    pruned: CSC of 16-bit values and 4-bit runs, with pointers; shared: the entries of 8 bits as the
    engine stores them (whole words), the codebook and the pointers; pointers: the part of that at
    `pointer_bits` each; huffman: codebook and Huffman-coded v, z and pointer differences with their
    code tables.
    """

    name: str
    rows: int
    columns: int
    pes: int
    nonzeros: int
    padding: int
    density: float
    pointer_bits: int
    dense: int
    pruned: int
    shared: int
    pointers: int
    huffman: int
    huffman_v: int
    huffman_z: int
    huffman_pointers: int

    @property
    def bits_per_weight(self) -> float:
        """Stored bits over all weights, zeros included."""
        return self.shared / (self.rows * self.columns)

    @property
    def ratio(self) -> float:
        """Dense size over stored size."""
        return self.dense / self.shared

    @property
    def huffman_ratio(self) -> float:
        return self.dense / self.huffman

    def as_dict(self) -> dict:
        """Fit for JSON."""
        return asdict(self) | {
            "bits_per_weight": self.bits_per_weight,
            "ratio": self.ratio,
            "huffman_ratio": self.huffman_ratio,
        }


def report(name: str, compressed: Compressed, pointer_bits: int | None = None) -> Report:
    """Sizes of a layer. pointer_bits: of a stored pointer; the least that reaches the largest
    slice if None."""
    c = compressed
    width = (
        max(1, max(len(e) for e in c.entries).bit_length())
        if pointer_bits is None
        else pointer_bits
    )
    nonzeros, codebook = c.total - c.padding, CODEBOOK * 16
    pointers = c.pes * (c.columns + 1) * width
    words = sum(-(-len(e) // WORD_ENTRIES) for e in c.entries)
    coded = {key: 8 * len(data) for key, data in huffman.encode_streams(c).items()}
    return Report(
        name,
        c.rows,
        c.columns,
        c.pes,
        nonzeros,
        c.padding,
        nonzeros / (c.rows * c.columns),
        width,
        dense=16 * c.rows * c.columns,
        pruned=20 * c.total + pointers,
        shared=64 * words + codebook + pointers,
        pointers=pointers,
        huffman=sum(coded.values()) + codebook,
        huffman_v=coded["v"],
        huffman_z=coded["z"],
        huffman_pointers=coded["pointers"],
    )


def whole(name: str, parts: list[Compressed], pointer_bits: int | None = None) -> Report:
    """Sizes of a layer that is encoded in several parts: their sum."""
    reports = [report(name, part, pointer_bits) for part in parts]
    if len(reports) == 1:
        return reports[0]
    total = {
        key: sum(getattr(r, key) for r in reports)
        for key in (
            "nonzeros",
            "padding",
            "dense",
            "pruned",
            "shared",
            "pointers",
            "huffman",
            "huffman_v",
            "huffman_z",
            "huffman_pointers",
        )
    }
    rows = sum({id(part.pe): part.rows for part in parts}.values())
    weights = total["dense"] // 16
    return Report(
        name,
        rows,
        weights // rows,
        parts[0].pes,
        density=total["nonzeros"] / weights,
        pointer_bits=reports[0].pointer_bits,
        **total,
    )


@dataclass(frozen=True)
class EieLayer:
    """A row of EIE's tables III and IV (ISCA 2016). published: theoretical over actual time,
    calculated from it."""

    columns: int
    rows: int
    weights: float
    activations: float
    published: float


EIE_LAYERS = {
    "Alex-6": EieLayer(9216, 4096, 0.09, 0.351, 28.1 / 30.3),
    "Alex-7": EieLayer(4096, 4096, 0.09, 0.353, 11.7 / 12.2),
    "Alex-8": EieLayer(4096, 1000, 0.25, 0.375, 8.9 / 9.9),
    "VGG-6": EieLayer(25088, 4096, 0.04, 0.183, 28.1 / 34.4),
    "VGG-7": EieLayer(4096, 4096, 0.04, 0.375, 7.9 / 8.7),
    "VGG-8": EieLayer(4096, 1000, 0.23, 0.411, 7.3 / 8.4),
    "NT-We": EieLayer(4096, 600, 0.10, 1.0, 5.2 / 8.0),
    "NT-Wd": EieLayer(600, 8791, 0.11, 1.0, 13.0 / 13.9),
    "NT-LSTM": EieLayer(1201, 2400, 0.10, 1.0, 6.5 / 7.5),
}


@dataclass(frozen=True, eq=False)
class Synthetic:
    """matrix: non-zeros; codebook: int16 [16]; activations: int16 [columns]; bias: int32 [rows]."""

    name: str
    matrix: Sparse
    codebook: np.ndarray
    activations: np.ndarray
    bias: np.ndarray


def random_layer(
    name: str, rows: int, columns: int, weights: float, activations: float
) -> Synthetic:
    """A layer whose every weight and activation is non-zero with these probabilities,
    independently.

    The seed is a hash of the name. Values stay below 2**11, so that no psum of such a layer wraps
    in 32 bits. Time and memory follow the non-zeros. Raises ValueError for a density outside 0..1.
    """
    if not (0 <= weights <= 1 and 0 <= activations <= 1):
        raise ValueError(f"densities {weights}, {activations}: outside 0..1")
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    size, at = rows * columns, []
    last = -1
    while weights and last < size:  # gaps between non-zeros are geometric
        at.append(last + np.cumsum(rng.geometric(weights, int(size * weights) // 8 + 1000)))
        last = at[-1][-1]
    at = np.concatenate(at) if at else np.empty(0, np.int64)
    column, row = np.divmod(at[at < size], rows)
    pointers = np.concatenate(([0], np.cumsum(np.bincount(column, minlength=columns))))
    values = rng.permutation(np.setdiff1d(np.arange(-2047, 2048), [0]))[: CODEBOOK - 1]
    codebook = np.concatenate(([0], np.sort(values))).astype(np.int16)
    matrix = Sparse(
        rows,
        columns,
        pointers,
        row.astype(np.uint16),
        rng.integers(1, CODEBOOK, len(row), np.uint8),
    )
    x = rng.integers(1, 2048, columns) * (rng.random(columns) < activations)
    return Synthetic(
        name, matrix, codebook, x.astype(np.int16), rng.integers(-1 << 20, 1 << 20, rows, np.int32)
    )


def synthetic(name: str) -> Synthetic:
    """A layer of EIE_LAYERS with its sizes and densities. Raises KeyError for another name."""
    layer = EIE_LAYERS[name]
    return random_layer(name, layer.rows, layer.columns, layer.weights, layer.activations)
