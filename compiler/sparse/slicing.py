"""How a compressed fully connected layer is cut for the sparse engine.

The matrix is cut into bands of rows and, within a band, blocks of columns; every block is
encoded by itself (golden.csc) with the band's placement. A matrix of one block that fits the
engine's memories stays there; the columns of others are streamed (SPARSE_STREAM).
The columns are the positions of the input tensor's storage, so that a vector, or a feature
map of a convolution, goes in as it lies in memory; the output's positions are (local row, PE),
a permutation that the output's View carries and its readers absorb.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.mapping.layout import View
from compiler.mapping.mapping import MappingError
from compiler.numbers import ceil
from compiler.sparse.csc import Sparse, encode, place, records
from golden.csc import Compressed
from hdl.config import Config
from hdl.isa import TableWord, fields


@dataclass
class Block:
    """Columns first .. first + columns - 1 of a band. words: of weights in the fullest PE; table,
    records: of a streamed layer, uint64."""

    first: int
    columns: int
    compressed: Compressed
    words: int
    table: np.ndarray | None = None
    records: np.ndarray | None = None

    @property
    def stream_words(self) -> int:
        """Of a streamed layer: table and records."""
        return sum(len(part) for part in (self.table, self.records) if part is not None)


@dataclass
class Band:
    """Rows computed together. rows: their indices; locals_: local rows of a PE; pe, local:
    the placement."""

    rows: np.ndarray
    locals_: int
    pe: np.ndarray
    local: np.ndarray
    blocks: list[Block]


@dataclass
class SparseLayer:
    """A fully connected layer, cut and encoded for one engine."""

    bands: list[Band]
    slots: np.ndarray  # output position of each row
    positions: int  # output positions
    codebook: np.ndarray
    nonzeros: int
    entries: int  # padding included
    weights: int  # of the dense matrix
    streamed: bool

    def bits_per_weight(self, config: Config) -> float:
        """Stored bits, entries and pointers or counts and tables, for each weight of the dense
        matrix."""
        if self.streamed:
            words = sum(block.stream_words for band in self.bands for block in band.blocks)
            return 64 * words / self.weights
        pointers = sum(
            config.sparse_pes * (block.columns + 1) for band in self.bands for block in band.blocks
        )
        return (8 * self.entries + config.sparse_pointer_bits * pointers) / self.weights


def positions_of(view: View, height: int, width: int) -> np.ndarray:
    """Position of each (channel, row, column) in the entries of the view's storage, int64."""
    s = view.storage
    block, channel = np.divmod(view.slots, s.block)
    return (
        np.arange(height)[None, :, None] * (s.row_bytes // 2)
        + ((view.first_block + block) * (s.strip_bytes // 2) + channel)[:, None, None]
        + np.arange(width)[None, None, :] * s.block
    )


def vector_size(view: View) -> int:
    """Entries of an image in the view's storage."""
    return view.storage.image_bytes // 2


def output_slots(rows: int, config: Config, bands: list[Band]) -> tuple[np.ndarray, int]:
    """(position of each row, positions): bands one after the other, (local row, PE) within."""
    slots, at = np.zeros(rows, np.int64), 0
    for band in bands:
        slots[band.rows] = at + band.local.astype(np.int64) * config.sparse_pes + band.pe
        at += band.locals_ * config.sparse_pes
    return slots, at


def box(matrix: Sparse, row: int, rows: int, column: int, columns: int) -> Sparse:
    """The non-zeros of a part of a matrix."""
    begin, end = matrix.pointers[column], matrix.pointers[column + columns]
    of = np.repeat(np.arange(columns), np.diff(matrix.pointers[column : column + columns + 1]))
    inside = (matrix.row[begin:end] >= row) & (matrix.row[begin:end] < row + rows)
    pointers = np.concatenate(([0], np.cumsum(np.bincount(of[inside], minlength=columns))))
    return Sparse(
        rows,
        columns,
        pointers,
        (matrix.row[begin:end][inside] - row).astype(np.uint16),
        matrix.index[begin:end][inside],
    )


def table_words(words: np.ndarray) -> np.ndarray:
    """uint64 isa.TableWords of records of `words` words, one after the other.

    Raises ValueError for a record or a table beyond their fields.
    """
    (_, _, bits, _), (_, at, lengths, _) = fields(TableWord)
    offset = np.cumsum(words) - words
    if words.max() >> lengths // 4 or offset.max() >> bits:
        raise ValueError(f"{words.max()} words of a column, {words.sum()} of all")
    out = offset[::4].astype(np.uint64)
    for n in range(4):
        out |= words[n::4].astype(np.uint64) << np.uint64(at + n * lengths // 4)
    return out


def stream_blocks(part: Sparse, codebook: np.ndarray, config: Config, placement) -> list[Block]:
    """Blocks of a band whose columns are streamed. Raises OverflowError as `records`."""
    k = config.sparse_pes
    # Three tables and two vectors in half of the global buffer and an eighth
    # (compiler.lowering.emission.sparse).
    limit, blocks, at = min(k * config.sparse_activations, config.glb_words // 2 // k * k), [], 0
    while at < part.columns:
        wide = min(limit, part.columns - at)
        compressed = encode(box(part, 0, part.rows, at, wide), codebook, k, placement)
        words, data = records(compressed, config.sparse_length_bits)
        table = np.zeros(ceil(wide, k) * k, np.int64)
        table[:wide] = words
        try:
            blocks.append(Block(at, wide, compressed, 0, table_words(table), data))
        except ValueError as e:
            if wide <= k:
                raise MappingError(
                    f"columns {at} to {at + wide - 1}: {e}, too many for a table"
                ) from None
            limit = max(k, wide // 2 // k * k)
            continue
        at += wide
    return blocks


def resident_blocks(part: Sparse, codebook: np.ndarray, config: Config, placement) -> list[Block]:
    """Blocks of a band that fit the memories of the PEs."""
    k = config.sparse_pes
    limit, blocks, at = resident_columns(config), [], 0
    while at < part.columns:
        wide = min(limit, part.columns - at)
        while True:
            compressed = encode(box(part, 0, part.rows, at, wide), codebook, k, placement)
            words = max(1, max(ceil(len(e), 8) for e in compressed.entries))
            if words <= config.sparse_words:
                break
            if wide <= k:
                raise MappingError(
                    f"{wide} columns exceed the sparse engine's weight memory of "
                    f"{config.sparse_words} words"
                )
            wide = max(k, wide // 2 // k * k)
        blocks.append(Block(at, wide, compressed, words))
        at += wide
    return blocks


def resident_columns(config: Config) -> int:
    """Columns of a block in the memories of the PEs."""
    k = config.sparse_pes
    return min(k * config.sparse_activations, (config.sparse_pointers - 2) // k * k)


def plan_sparse(
    matrix: Sparse,
    codebook: np.ndarray,
    config: Config,
    placement: str = "balanced",
    stream: bool | None = None,
) -> SparseLayer:
    """Cut and encode a matrix [rows, positions] for an engine.

    stream: whether columns come from DRAM when they are needed, or every block fits the engine's
    memories; None, if one block does not hold all. Raises MappingError if a PE's row of columns
    exceeds its weight memory (unless streamed), or a streamed column its table.
    """
    k = config.sparse_pes
    if stream is None:
        stream = True
        if (
            matrix.rows <= k * config.sparse_rows
            and matrix.columns <= resident_columns(config)
            and matrix.nonzeros <= 8 * k * config.sparse_words
        ):
            try:
                plan = plan_sparse(matrix, codebook, config, placement, stream=False)
                if len(plan.bands[0].blocks) == 1:
                    return plan
            except MappingError:
                pass

    def cut(most: int) -> list[Band]:
        """Bands of at most so many rows of a PE, of equal height: a low one would leave the PEs a
        column's entry or none."""
        per_band = ceil(ceil(matrix.rows, ceil(matrix.rows, k * most)), k) * k
        bands = []
        for first in range(0, matrix.rows, per_band):
            part = box(matrix, first, min(per_band, matrix.rows - first), 0, matrix.columns)
            pe, local = place(part, k, placement)
            blocks = (stream_blocks if stream else resident_blocks)(
                part, codebook, config, (pe, local)
            )
            rows = np.arange(first, first + part.rows)
            bands.append(Band(rows, int(local.max()) + 1, pe, local, blocks))
        return bands

    try:
        bands = cut(config.sparse_rows)
    except OverflowError:  # a PE with an entry in all of its rows may have more than a count holds
        bands = cut((1 << config.sparse_length_bits) - 1)
    slots, positions = output_slots(matrix.rows, config, bands)
    entries = sum(block.compressed.total for band in bands for block in band.blocks)
    return SparseLayer(
        bands,
        slots,
        positions,
        codebook,
        matrix.nonzeros,
        entries,
        matrix.rows * matrix.columns,
        stream,
    )
