"""Commands of a compressed fully connected layer on the sparse engine.

The matrix is cut into bands of rows and, within a band, blocks of columns that fit the
engine's memories; every block is encoded by itself (golden.csc) with the band's placement.
The columns are the positions of the input tensor's storage, so that a vector, or a feature
map of a convolution, goes in as it lies in memory; the output's positions are (local row, PE),
a permutation that the output's View carries and its readers absorb.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.commands import Command, Schedule
from compiler.csc import Sparse, encode, place
from compiler.emit import Blob, Regions, load_fields, output_fields
from compiler.layout import View
from compiler.mapping import MappingError, ceil
from compiler.stored import Kind
from golden.csc import Compressed, pack
from hdl.config import LANES, Config
from hdl.isa import Opcode, Target


@dataclass
class Block:
    """Columns first .. first + columns - 1 of a band."""
    first: int
    columns: int
    compressed: Compressed
    words: int  # of weights in the fullest PE


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
    slots: np.ndarray     # output position of each row
    positions: int        # output positions
    codebook: np.ndarray
    nonzeros: int
    entries: int          # padding included
    weights: int          # of the dense matrix

    def bits_per_weight(self, config: Config) -> float:
        """Stored bits, entries and pointers, for each weight of the dense matrix."""
        pointers = sum(config.sparse_pes * (block.columns + 1) for band in self.bands for block in band.blocks)
        return (8 * self.entries + config.sparse_pointer_bits * pointers) / self.weights


def positions_of(view: View, height: int, width: int) -> np.ndarray:
    """Position of each (channel, row, column) in the entries of the view's storage, int64."""
    s = view.storage
    block, channel = np.divmod(view.slots, s.block)
    return (np.arange(height)[None, :, None] * (s.row_bytes // 2)
            + ((view.first_block + block) * (s.strip_bytes // 2) + channel)[:, None, None]
            + np.arange(width)[None, None, :] * s.block)


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
    of = np.repeat(np.arange(columns), np.diff(matrix.pointers[column:column + columns + 1]))
    inside = (matrix.row[begin:end] >= row) & (matrix.row[begin:end] < row + rows)
    pointers = np.concatenate(([0], np.cumsum(np.bincount(of[inside], minlength=columns))))
    return Sparse(rows, columns, pointers, (matrix.row[begin:end][inside] - row).astype(np.uint16),
                  matrix.index[begin:end][inside])


def plan_sparse(matrix: Sparse, codebook: np.ndarray, config: Config, placement: str = "balanced") -> SparseLayer:
    """Cut and encode a matrix [rows, positions] for an engine.

    Raises MappingError if a PE's row of columns exceeds its weight memory.
    """
    k = config.sparse_pes
    # Bands of equal height: a low one would leave the PEs a column's entry or none.
    per_band = ceil(ceil(matrix.rows, ceil(matrix.rows, k * config.sparse_rows)), k) * k
    limit = min(k * config.sparse_activations, (config.sparse_pointers - 2) // k * k)
    bands, entries = [], 0
    for first in range(0, matrix.rows, per_band):
        rows = min(per_band, matrix.rows - first)
        pe, local = place(box(matrix, first, rows, 0, matrix.columns), k, placement)
        blocks, at = [], 0
        while at < matrix.columns:
            wide = min(limit, matrix.columns - at)
            while True:
                compressed = encode(box(matrix, first, rows, at, wide), codebook, k, (pe, local))
                words = max(1, max(ceil(len(e), 8) for e in compressed.entries))
                if words <= config.sparse_words:
                    break
                if wide <= k:
                    raise MappingError(f"{wide} columns exceed the sparse engine's weight memory "
                                       f"of {config.sparse_words} words")
                wide = max(k, wide // 2 // k * k)
            blocks.append(Block(at, wide, compressed, words))
            entries += compressed.total
            at += wide
        bands.append(Band(np.arange(first, first + rows), int(local.max()) + 1, pe, local, blocks))
    slots, positions = output_slots(matrix.rows, config, bands)
    return SparseLayer(bands, slots, positions, codebook, matrix.nonzeros, entries,
                       matrix.rows * matrix.columns)


class SparseEmitter:
    """Emits the commands of one layer, a piece at a time, in the order of their execution.

    queue: columns that wait at most in a PE, 0 for all that are built. The pieces keep the
    dependencies between load, fill and sparse engines.
    """

    def __init__(self, schedule: Schedule, config: Config, plan: SparseLayer, blob: Blob,
                 after: Command | None = None):
        self.schedule, self.config, self.plan, self.blob = schedule, config, plan, blob
        self.groups = config.sparse_pes // LANES
        widest = max(ceil(block.columns, config.sparse_pes) * self.groups
                     for band in plan.bands for block in band.blocks)
        most_rows = max(band.locals_ for band in plan.bands)
        small = {"bias": 2 * self.groups * most_rows, "codebook": 4, "act0": widest, "act1": widest,
                 "out": self.groups * most_rows}
        room = (config.glb_words - sum(small.values()) - 16) // 2
        if room < 16:
            raise MappingError(f"config {config.name!r}: the global buffer is too small for the "
                               "sparse engine's vectors")
        self.stage = min(room, 1024)
        self.at = Regions(config, [*small.items(), ("stage0", self.stage), ("stage1", self.stage)]).start
        self.pending = after
        self.staged: list[Command] = []         # fills that read the staging buffers
        self.vectors: list[Command] = []        # fills of activations
        self.bias_fill: Command | None = None
        self.running: Command | None = None     # the last RUN or OUTPUT
        self.stored: Command | None = None
        self._chunks: dict[int, list] = {}
        self._biases: dict[int, int] = {}

    def _load(self, dram: int, word: int, words: int) -> Command:
        command = self.schedule.add(Opcode.LOAD, **load_fields(dram, word, words))
        if self.pending is not None:
            self.schedule.depend(command, self.pending)
            self.pending = None
        return command

    def _fill(self, load: Command, **fields) -> Command:
        fill = self.schedule.add(Opcode.SPARSE_FILL, **fields)
        self.schedule.depend(fill, load)
        self.schedule.depend(fill, self.running)
        return fill

    def codebook(self) -> None:
        load = self._load(self.blob.add(self.plan.codebook.tobytes()), self.at["codebook"], 4)
        self._fill(load, target=Target.CODEBOOK, word=self.at["codebook"], pes=1, count=4)

    def weights(self, block: Block) -> None:
        """A block's weights and pointers, through two staging buffers."""
        for address, words, fields in self._chunks_of(block):
            slot = f"stage{len(self.staged) % 2}"
            load = self._load(address, self.at[slot], words)
            self.schedule.depend(load, self.staged[-2] if len(self.staged) > 1 else None)
            self.staged.append(self._fill(load, word=self.at[slot], **fields))

    def _chunks_of(self, block: Block) -> list[tuple[int, int, dict]]:
        """(DRAM address, words, SPARSE_FILL fields)."""
        if id(block) not in self._chunks:
            c, k = block.compressed, self.config.sparse_pes
            weights = np.zeros((k, block.words), np.uint64)
            # Activations come in rows of PEs: the columns that fill the last row are empty.
            pairs = ceil(ceil(c.columns, k) * k + 1, 2)
            pointers = np.zeros((k, 2 * pairs), np.uint32)
            for n in range(k):
                words = pack(c.entries[n])
                weights[n, :len(words)] = words
                pointers[n, :c.columns + 1] = c.pointers[n]
                pointers[n, c.columns + 1:] = c.pointers[n][-1]
            out = []
            for data, count, kind in ((weights, block.words, Target.WEIGHTS),
                                      (pointers.view(np.uint64), pairs, Target.POINTERS)):
                address = self.blob.add_table(Kind.ENTRIES if kind == Target.WEIGHTS else Kind.POINTERS, data)
                each = max(1, self.stage // count)  # PEs a chunk
                for pe in range(0, k, each):
                    pes = min(each, k - pe)
                    for first in range(0, count, self.stage):
                        n = min(self.stage, count - first)
                        out.append((address + 8 * (pe * count + first), pes * n,
                                    dict(target=kind, pe=pe, pes=pes, address=first, count=n)))
            self._chunks[id(block)] = out
        return self._chunks[id(block)]

    def bias(self, band: Band, bias: np.ndarray) -> None:
        if id(band) not in self._biases:
            table = np.zeros((band.locals_, self.config.sparse_pes), np.int32)
            table[band.local, band.pe] = bias[band.rows]
            self._biases[id(band)] = self.blob.add(table.tobytes())
        load = self._load(self._biases[id(band)], self.at["bias"], 2 * self.groups * band.locals_)
        self.schedule.depend(load, self.bias_fill)
        self.bias_fill = self._fill(load, target=Target.ACCUMULATORS, word=self.at["bias"], pes=1,
                                    count=band.locals_)

    def activations(self, block: Block, vector: int, words: int) -> None:
        """A block's part of the vector of `words` words at address `vector`."""
        region = self.at[f"act{len(self.vectors) % 2}"]
        count, first = ceil(block.columns, self.config.sparse_pes), block.first // LANES
        load = self._load(vector + 8 * first, region, min(count * self.groups, words - first))
        self.schedule.depend(load, self.vectors[-2] if len(self.vectors) > 1 else None)
        self.vectors.append(self._fill(load, target=Target.ACTIVATIONS, word=region, pes=1, count=count))

    def run(self, block: Block, queue: int = 0) -> None:
        command = self.schedule.add(Opcode.SPARSE_RUN, count=ceil(block.columns, self.config.sparse_pes),
                                    queue=queue)
        fills = [*self.staged[-1:], *self.vectors[-1:], *([self.bias_fill] if self.bias_fill else [])]
        if fills:  # the fill engine works in order
            self.schedule.depend(command, max(fills, key=lambda fill: fill.order))
        self.running = command

    def output(self, band: Band, shift: int, relu: bool) -> None:
        self.running = self.schedule.add(Opcode.SPARSE_OUTPUT, rows=band.locals_, shift=shift, relu=relu, half=1)

    def store(self, band: Band, target: View, image: int, position: int) -> Command:
        """The band's outputs to positions from `position` on of the target."""
        dump = self.schedule.add(Opcode.SPARSE_DUMP, half=1, count=band.locals_, word=self.at["out"])
        self.schedule.depend(dump, self.stored)
        block = target.storage.block
        fields = output_fields(target, image, 0, 0, 0)
        fields["dram"] += 2 * position
        self.stored = self.schedule.add(
            Opcode.STORE, base=4 * self.at["out"], column_stride=block, block=block, block_stride=block,
            ring=1, images=1, rows=1, columns=1, chunk=LANES,
            blocks=ceil(band.locals_ * self.config.sparse_pes, block), **fields)
        self.schedule.depend(self.stored, dump)
        return self.stored


def emit_sparse(schedule: Schedule, config: Config, plan: SparseLayer, bias: np.ndarray, shift: int,
                relu: bool, source: View, target: View, images: int, blob: Blob,
                after: Command | None = None) -> Command:
    """A layer's commands; returns the last STORE.

    bias: int32 [rows]. A matrix of one block is filled once for all images; the blocks of a
    larger one are streamed through the engine for every image.
    """
    emitter = SparseEmitter(schedule, config, plan, blob, after)
    emitter.codebook()
    resident = len(plan.bands) == 1 and len(plan.bands[0].blocks) == 1
    if resident:
        emitter.weights(plan.bands[0].blocks[0])
    words = ceil(vector_size(source), LANES)
    for image in range(images):
        position = 0
        for band in plan.bands:
            # OUTPUT leaves zeros, but a run that was aborted before may have left sums.
            if bias.any() or (image == 0 and band is plan.bands[0]):
                emitter.bias(band, bias)
            for block in band.blocks:
                if not resident:
                    emitter.weights(block)
                emitter.activations(block, source.storage.address + image * source.storage.image_bytes, words)
                emitter.run(block)
            emitter.output(band, shift, relu)
            emitter.store(band, target, image, position)
            position += band.locals_ * config.sparse_pes
    return emitter.stored
