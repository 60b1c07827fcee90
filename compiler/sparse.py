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
from compiler.csc import encode, place, sparse
from compiler.emit import Blob, Regions, load_fields, output_fields
from compiler.layout import View
from compiler.mapping import MappingError, ceil
from compiler.share import codebook_of
from golden.csc import Compressed, pack
from hdl.config import Config
from hdl.isa import Opcode, Target

QUAD = 4  # PEs that share a word of activations


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


def output_slots(rows: int, config: Config, pe: list[np.ndarray], local: list[np.ndarray],
                 counts: list[int]) -> tuple[np.ndarray, int]:
    """(position of each row, positions): bands one after the other, (local row, PE) within."""
    slots, at, first = np.zeros(rows, np.int64), 0, 0
    for p, l, n in zip(pe, local, counts):
        slots[first:first + len(p)] = at + l.astype(np.int64) * config.sparse_pes + p
        first, at = first + len(p), at + n * config.sparse_pes
    return slots, at


def plan_sparse(weights: np.ndarray, config: Config, placement: str = "balanced") -> SparseLayer:
    """Cut and encode int16 weights [rows, positions] of at most 15 distinct non-zero values.

    Raises MappingError if they have more.
    """
    k = config.sparse_pes
    rows, columns = weights.shape
    try:
        codebook = codebook_of(weights)
    except ValueError as e:
        raise MappingError(str(e)) from None
    per_band = k * config.sparse_rows
    bands, entries = [], 0
    for first in range(0, rows, per_band):
        part = weights[first:first + per_band]
        pe, local = place(sparse(part, codebook), k, placement)
        locals_ = int(local.max()) + 1
        limit = min(k * config.sparse_activations, config.sparse_pointers - 2) // k * k
        if limit < k:
            raise MappingError(f"config {config.name!r}: sparse_pointers must exceed sparse_pes by 2")
        blocks, at = [], 0
        while at < columns:
            wide = min(limit, columns - at)
            while True:
                compressed = encode(np.ascontiguousarray(part[:, at:at + wide]), codebook, k, (pe, local))
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
        bands.append(Band(np.arange(first, first + len(part)), locals_, pe, local, blocks))
    slots, positions = output_slots(rows, config, [b.pe for b in bands], [b.local for b in bands],
                                    [b.locals_ for b in bands])
    return SparseLayer(bands, slots, positions, codebook, int(np.count_nonzero(weights)), entries)


def emit_sparse(schedule: Schedule, config: Config, plan: SparseLayer, bias: np.ndarray, shift: int,
                relu: bool, source: View, target: View, images: int, blob: Blob,
                after: Command | None = None, queue: int = 0) -> Command:
    """The layer's commands; returns the last STORE.

    bias: int32 [rows]; queue: columns that wait at most in a PE, 0 for all. One resident block
    is filled once for all images; more are streamed through the engine image by image.
    """
    k = config.sparse_pes
    groups = k // QUAD
    vector = vector_size(source)
    act_words = ceil(vector, 4)
    widest = max(ceil(block.columns, k) * groups for band in plan.bands for block in band.blocks)
    most_rows = max(band.locals_ for band in plan.bands)
    small = {"bias": 2 * groups * most_rows, "codebook": 4, "act0": widest, "act1": widest,
             "out": groups * most_rows}
    room = (config.glb_words - sum(small.values()) - 16) // 2
    if room < 16:
        raise MappingError(f"config {config.name!r}: the global buffer is too small for the sparse engine's vectors")
    stage = min(room, 1024)
    at = Regions(config, [*small.items(), ("stage0", stage), ("stage1", stage)]).start
    pending = [after]

    def load(dram, word, words):
        command = schedule.add(Opcode.LOAD, **load_fields(dram, word, words))
        if pending[0] is not None:
            schedule.depend(command, pending[0])
            pending[0] = None
        return command

    # ---- weights and pointers: chunks through two staging buffers -----------------------
    constants = {}

    def chunks(band_index, block_index):
        """(DRAM address, words, FILL fields) of a block's weights and pointers."""
        key = band_index, block_index
        if key not in constants:
            block = plan.bands[band_index].blocks[block_index]
            c = block.compressed
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
                address = blob.add(data.tobytes())
                if count <= stage:
                    each = stage // count
                    for pe in range(0, k, each):
                        n = min(each, k - pe)
                        out.append((address + 8 * pe * count, n * count,
                                    dict(target=kind, pe=pe, pes=n, count=count)))
                else:
                    for pe in range(k):
                        for first in range(0, count, stage):
                            n = min(stage, count - first)
                            out.append((address + 8 * (pe * count + first), n,
                                        dict(target=kind, pe=pe, pes=1, address=first, count=n)))
            constants[key] = out
        return constants[key]

    staged: list[Command] = []  # FILLs that read the staging buffers
    running: list[Command | None] = [None]

    def fill_block(band_index, block_index):
        for address, words, fields in chunks(band_index, block_index):
            slot = len(staged) % 2
            command = load(address, at[f"stage{slot}"], words)
            schedule.depend(command, staged[-2] if len(staged) > 1 else None)
            fill = schedule.add(Opcode.SPARSE_FILL, word=at[f"stage{slot}"], **fields)
            schedule.depend(fill, command)
            schedule.depend(fill, running[0])
            staged.append(fill)

    book = load(blob.add(plan.codebook.tobytes()), at["codebook"], 4)
    fill = schedule.add(Opcode.SPARSE_FILL, target=Target.CODEBOOK, word=at["codebook"], pes=1, count=4)
    schedule.depend(fill, book)
    resident = len(plan.bands) == 1 and len(plan.bands[0].blocks) == 1
    if resident:
        fill_block(0, 0)

    bias_at = []
    for band in plan.bands:
        table = np.zeros((band.locals_, k), np.int32)
        table[band.local, band.pe] = bias[band.rows]
        bias_at.append(blob.add(table.tobytes()))
    acts: list[Command] = []
    bias_fill, store = None, None
    for image in range(images):
        out_position = 0
        for b, band in enumerate(plan.bands):
            if bias.any():
                command = load(bias_at[b], at["bias"], 2 * groups * band.locals_)
                schedule.depend(command, bias_fill)
                bias_fill = schedule.add(Opcode.SPARSE_FILL, target=Target.ACCUMULATORS, word=at["bias"],
                                         pes=1, count=band.locals_)
                schedule.depend(bias_fill, command)
                schedule.depend(bias_fill, running[0])
            for n, block in enumerate(band.blocks):
                if not resident:
                    fill_block(b, n)
                slot, count = len(acts) % 2, ceil(block.columns, k)
                word = block.first // 4
                region = at[f"act{slot}"]
                command = load(source.storage.address + image * source.storage.image_bytes + 8 * word,
                               region, min(count * groups, act_words - word))
                schedule.depend(command, acts[-2] if len(acts) > 1 else None)
                fill = schedule.add(Opcode.SPARSE_FILL, target=Target.ACTIVATIONS, word=region, pes=1,
                                    count=count, half=0)
                schedule.depend(fill, command)
                schedule.depend(fill, running[0])
                acts.append(fill)
                run = schedule.add(Opcode.SPARSE_RUN, half=0, count=count, base=0, queue=queue)
                schedule.depend(run, fill)
                running[0] = run
            output = schedule.add(Opcode.SPARSE_OUTPUT, rows=band.locals_, shift=shift, relu=relu, half=1)
            dump = schedule.add(Opcode.SPARSE_DUMP, half=1, count=band.locals_, word=at["out"])
            schedule.depend(dump, store)
            running[0] = output
            fields = output_fields(target, image, 0, 0, 0)
            block = target.storage.block
            store = schedule.add(
                Opcode.STORE, base=4 * at["out"], column_stride=block, block=block, block_stride=block,
                ring=1, images=1, rows=1, columns=1, chunk=4,
                **fields | dict(dram=fields["dram"] + 2 * out_position,
                                blocks=ceil(band.locals_ * k, block)))
            schedule.depend(store, dump)
            out_position += band.locals_ * k
    return store
