"""Tiles of tensors: fields of the LOADs, STOREs and SHAPEs over them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compiler.layers import Pool
from compiler.lowering.structures.commands import Command, Schedule
from compiler.mapping.layout import Storage, View
from compiler.mapping.mapping import MappingError
from compiler.numbers import ceil
from golden.fixed import reciprocal
from golden.pool import divisors
from hdl import isa
from hdl.isa import Opcode, ShapeBody, StoreBody, largest
from hdl.timing import DIVISORS

POOL = {"max": isa.Pool.MAX, "average": isa.Pool.AVERAGE}

MOST_BLOCKS = largest(StoreBody, "blocks")  # of a STORE
WINDOW = largest(ShapeBody, "kernel_y"), largest(ShapeBody, "kernel_x")  # of a pool


def load_fields(dram: int, word: int, length: int, *loops: tuple[int, int]) -> dict[str, int]:
    """LOAD of `length` words in nested loops (count, stride in bytes), outermost first, merged
    where they are contiguous."""
    left = [loop for loop in loops if loop[0] > 1]
    while left and left[-1][1] == 8 * length:
        length *= left.pop()[0]
    left = [(1, 0)] * (3 - len(left)) + left
    fields = dict(dram=dram, word=word, length=length)
    for name, (count, stride) in zip("abc", left, strict=True):
        fields |= {f"count_{name}": count, f"stride_{name}": stride}
    return fields


def loaded_words(commands: list[Command]) -> int:
    """64-bit words that the LOADs among the commands bring from memory."""
    return sum(
        math.prod(c.fields[name] for name in ("length", "count_a", "count_b", "count_c"))
        for c in commands
        if c.opcode is Opcode.LOAD
    )


@dataclass
class Tile:
    """A box of a tensor in the global buffer: rows y.., columns x.., blocks, images. beyond: blocks
    after the last that a STORE reads to fill up its own; what they hold does not matter, but it
    must be in the buffer."""

    view: View
    image: int
    images: int
    y: int
    rows: int
    block: int
    blocks: int
    x: int
    columns: int
    beyond: int = 0

    @property
    def narrow(self) -> bool:
        """Its entries have 8 bits in memory, 16 in the buffer."""
        return self.view.storage.affine is not None

    @property
    def word_entries(self) -> int:
        """Entries of a word in memory."""
        return 8 // self.view.storage.bytes_each

    @property
    def lane(self) -> int:
        """Entries before column x in the first word of a strip in memory, and so in the buffer."""
        return self.x * self.view.storage.block % self.word_entries

    @property
    def length(self) -> int:
        """Words of a strip in memory."""
        return ceil(self.lane + self.columns * self.view.storage.block, self.word_entries)

    @property
    def strip(self) -> int:
        """Words of a strip in the buffer."""
        return self.length * self.word_entries // 4

    @property
    def words(self) -> int:
        return (self.images * self.rows * self.blocks + self.beyond) * self.strip

    def load(self, schedule: Schedule, word: int, *, raw: bool = False) -> Command:
        """raw: 8-bit entries come as q, not as q - zero."""
        s = self.view.storage
        if s.rlc:
            return schedule.add(Opcode.LOAD, **self._coded_fields(word))
        dram = self.view.address(self.image, self.y, self.block)
        dram += self.x * s.block // self.word_entries * 8
        return schedule.add(
            Opcode.LOAD,
            **load_fields(
                dram,
                word,
                self.length,
                (self.images, s.image_bytes),
                (self.rows, s.row_bytes),
                (self.blocks, s.strip_bytes),
            ),
            **narrow_fields(s, raw),
        )

    def _coded_fields(self, word: int) -> dict[str, int]:
        """LOAD of coded strips, which come whole."""
        s, at = self.view.storage, (self.image, self.y, self.block)
        assert (self.x, self.columns) == (0, s.width), s.name
        rows, strips = self.rows, self.blocks
        if strips == s.blocks and rows * strips < 1 << 16:  # rows follow each other
            rows, strips = 1, rows * strips
        return dict(
            dram=self.view.address(*at),
            word=word,
            length=self.length,
            rlc=1,
            slot=s.strip_bytes // 8,
            count_a=self.images,
            stride_a=s.image_bytes,
            count_b=rows,
            stride_b=s.row_bytes,
            count_c=strips,
            stride_c=s.strip_bytes,
            table=self.view.table(*at),
            table_b=s.table_row_bytes,
        )

    def strides(self) -> dict[str, int]:
        """Entry strides of a STORE operand over this tile."""
        block = self.view.storage.block
        strip = 4 * self.strip
        return dict(
            image_stride=self.rows * self.blocks * strip,
            row_stride=self.blocks * strip,
            column_stride=block,
            block=block,
            block_stride=strip,
        )


def narrow_fields(s: Storage, raw: bool = False) -> dict[str, int]:
    """Of a LOAD or STORE of a storage, if its entries have 8 bits; raw: they are q in the buffer,
    not q - zero."""
    if s.affine is None:
        return {}
    return dict(narrow=1, unsigned=int(not s.affine.signed), zero=0 if raw else s.affine.zero)


def output_fields(
    view: View, image: int, row: int, block: int, column: int, raw: bool = False
) -> dict[str, int]:
    s = view.storage
    fields = dict(
        dram=view.address(image, row, block) + column * s.block * s.bytes_each,
        out_image_stride=s.image_bytes,
        out_row_stride=s.row_bytes,
        out_block_stride=s.strip_bytes,
        out_block=s.block,
        **narrow_fields(s, raw),
    )
    if s.rlc:
        assert column == 0, s.name
        fields |= dict(rlc=1, table=view.table(image, row, block), table_row=s.table_row_bytes)
    return fields


def pool_fields(
    pool: Pool,
    size: tuple[int, int],
    first: tuple[int, int],
    origin: tuple[int, int],
    valid: tuple[int, int],
) -> dict[str, int]:
    """SHAPE fields of a pool over a tile; averages are rounded halves up.

    size: (H, W) of the tensor pooled; first: the first output row and column; origin: the
    tensor's row and column at the tile's (0, 0); valid: rows and columns in the tile.
    """
    if any(size > most for size, most in zip(pool.kernel, WINDOW, strict=True)):
        raise MappingError(
            f"{pool.kind} pool {pool.name!r}: a window of {pool.kernel[0]} x {pool.kernel[1]}; up "
            f"to {WINDOW[0]} x {WINDOW[1]} is supported"
        )
    fields = dict(
        kernel_y=pool.kernel[0],
        kernel_x=pool.kernel[1],
        stride_y=pool.stride[0],
        stride_x=pool.stride[1],
        y_first=first[0] * pool.stride[0] - pool.pads[0] - origin[0],
        x_first=first[1] * pool.stride[1] - pool.pads[1] - origin[1],
        height=valid[0],
        width=valid[1],
    )
    if pool.kind == "average":
        counts = np.unique(divisors(size, pool.kernel, pool.stride, pool.pads, pool.count)).tolist()
        top, left, bottom, right = pool.count
        if len(counts) == 1:
            multiplier, shift = reciprocal(counts[0])
            fields |= dict(fixed=1, multiplier=multiplier, shift=shift)
        elif max(counts) > DIVISORS:
            raise MappingError(
                f"average pool {pool.name!r}: windows of {max(counts)} elements with "
                f"differing divisors; up to {DIVISORS} are supported"
            )
        fields |= dict(
            rounding=isa.Rounding.SINGLE,
            count_top=top - origin[0],
            count_bottom=bottom - origin[0],
            count_left=left - origin[1],
            count_right=right - origin[1],
        )
    return fields
