"""Layers that only the store engine works on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from compiler.graph import Pool
from compiler.lowering.emission.tile import MOST_BLOCKS, POOL, Tile, output_fields, pool_fields
from compiler.lowering.structures.commands import Command, Schedule
from compiler.mapping.layout import View
from compiler.mapping.mapping import MappingError, chunk_of
from compiler.numbers import ceil
from compiler.quantise.fixed_point import AddNumbers
from hdl import isa
from hdl.config import Config
from hdl.isa import Opcode


@dataclass
class StoreTiles:
    """How a layer that only the store engine works on is cut: output rows, columns and channels of
    a tile, copies of its operands in the global buffer, words of the largest."""

    sources: list[View]
    target: View
    size: tuple[int, int]
    channels: int
    pool: Pool | None
    rows: int = 0
    cols: int = 0
    count: int = 0
    copies: int = 2
    words: int = 0

    def __post_init__(self):
        out = self.target.storage
        self.step = math.lcm(out.block, *(view.storage.block for view in self.sources))
        most = MOST_BLOCKS * out.block // self.step
        self.rows, self.cols, self.count = (
            out.height,
            out.width,
            min(ceil(self.channels, self.step), most) * self.step,
        )

    def span(self, first: int, last: int, axis: int) -> tuple[int, int]:
        """(low, high) of the source that outputs first..last-1 read; never empty."""
        limit = self.size[axis]
        stride, pad, kernel = (
            (self.pool.stride[axis], self.pool.pads[axis], self.pool.kernel[axis])
            if self.pool
            else (1, 0, 1)
        )
        low = min(max(0, first * stride - pad), limit - 1)
        return low, max(low + 1, min(limit, (last - 1) * stride - pad + kernel))

    def boxes(
        self, n: int, rows: tuple[int, int], cols: tuple[int, int], channel: int, count: int
    ) -> list[Tile]:
        (y0, y1), (x0, x1) = self.span(*rows, 0), self.span(*cols, 1)
        out, boxes = self.target.storage.block, []
        stored = ceil(min(count, self.channels - channel), out) * out
        for view in self.sources:
            q = view.storage.block
            blocks = min(ceil(count, q), view.blocks - channel // q)
            boxes.append(
                Tile(
                    view,
                    n,
                    1,
                    y0,
                    y1 - y0,
                    channel // q,
                    blocks,
                    x0,
                    x1 - x0,
                    max(0, ceil(stored, q) - blocks),
                )
            )
        return boxes

    def fit(self, words: int, name: str) -> StoreTiles:
        """Halve rows, then channels, then columns until two tiles fit in `words`."""
        height, width = self.target.storage.height, self.target.storage.width
        while True:
            self.words = max(
                sum(
                    box.words
                    for box in self.boxes(
                        0,
                        (r, min(r + self.rows, height)),
                        (c, min(c + self.cols, width)),
                        0,
                        self.count,
                    )
                )
                for r in range(0, height, self.rows)
                for c in range(0, width, self.cols)
            )
            if self.copies * (self.words + 2) <= words:
                return self
            if self.rows > 1:
                self.rows = ceil(self.rows, 2)
            elif self.count > self.step:
                self.count = ceil(ceil(self.count, self.step), 2) * self.step
            elif self.cols > 1:
                self.cols = ceil(self.cols, 2)
            elif self.copies > 1:
                self.copies = 1
            else:
                raise MappingError(
                    f"layer {name!r}: a window of {self.words} words exceeds the global buffer"
                )

    @property
    def whole(self) -> bool:
        """Whether strips are read and written whole."""
        width = self.target.storage.width
        return self.cols == width and self.span(0, width, 1) == (0, self.size[1])


@dataclass(frozen=True)
class StoreLayer:
    """A layer that only the store engine works on: pool, add, ReLU, copy or reorder.

    sources: one view, or two for `add`; size: (H, W) of the sources; name: for errors.
    """

    sources: list[View]
    target: View
    size: tuple[int, int]
    channels: int
    name: str
    images: int
    pool: Pool | None = None
    add: AddNumbers | None = None
    relu: bool = False


def _add_fields(add: AddNumbers) -> dict[str, int]:
    """SHAPE's scales of an addition of powers of two, rounded halves up."""
    return dict(
        multiplier_a=1 << 11 + add.shift_a,
        multiplier_b=1 << 11 + add.shift_b,
        multiplier=1 << 30,
        shift=1 - add.shift_out,
        rounding=isa.Rounding.SINGLE,
    )


def emit_store(
    schedule: Schedule, config: Config, layer: StoreLayer, after: Command | None = None
) -> Command:
    """Emits a layer; the last STORE. after: the command before it that it waits for.

    Raises MappingError if not even a window fits the global buffer.
    """
    return _Emitter(schedule, config, layer, after).emit()


class _Emitter:
    """Tiles go through two halves of the buffer in turn, or through all of it one by one."""

    def __init__(
        self, schedule: Schedule, config: Config, layer: StoreLayer, after: Command | None
    ):
        self.schedule, self.layer, self.after = schedule, layer, after
        self.tiles = tiles = StoreTiles(
            layer.sources, layer.target, layer.size, layer.channels, layer.pool
        ).fit(config.glb_words, layer.name)
        self.half = ceil(tiles.words, 2) * 2
        blocks = [view.storage.block for view in layer.sources]
        self.chunk = chunk_of(config, layer.target.storage.block, *blocks)
        self.end = ceil(layer.channels, tiles.step) * tiles.step  # channels, filled up
        out = layer.target.storage
        self.units = [
            (n, y, channel, x)
            for n in range(layer.images)
            for y in range(0, out.height, tiles.rows)
            for channel in range(0, self.end, tiles.count)
            for x in range(0, out.width, tiles.cols)
        ]
        self.stores: list[Command] = []
        self.shape: dict[str, int] = {}  # of the SHAPE that the next STORE finds

    def emit(self) -> Command:
        copies = self.tiles.copies
        ready = [self._load(0)]
        for unit in range(len(self.units)):
            if copies == 1 and unit:
                ready.append(self._load(unit))
            self._store(unit, ready[unit])
            if copies > 1 and unit + 1 < len(self.units):
                ready.append(self._load(unit + 1))
        return self.stores[-1]

    def _extent(self, unit: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns of the output."""
        _, y, _, x = self.units[unit]
        out = self.layer.target.storage
        return (y, min(y + self.tiles.rows, out.height)), (x, min(x + self.tiles.cols, out.width))

    def _load(self, unit: int) -> list[tuple[Tile, int, Command]]:
        """Tiles of the sources, their words in the buffer and the LOADs."""
        n, _, channel, _ = self.units[unit]
        tiles, copies = self.tiles, self.tiles.copies
        word = unit % copies * self.half
        loads = []
        count = min(tiles.count, self.end - channel)
        for tile in tiles.boxes(n, *self._extent(unit), channel, count):
            command = tile.load(self.schedule, word)
            if unit >= copies:
                self.schedule.depend(command, self.stores[unit - copies])
            elif unit == 0:
                self.schedule.depend(command, self.after)
            loads.append((tile, word, command))
            word += tile.words
        return loads

    def _shape(self, unit: int, loads: list[tuple[Tile, int, Command]]) -> None:
        """A SHAPE, unless the last said the same."""
        _, y, _, x = self.units[unit]
        pool, add, tile = self.layer.pool, self.layer.add, loads[0][0]
        shape: dict[str, int] = {}
        if pool:
            shape = pool_fields(
                pool, self.layer.size, (y, x), (tile.y, tile.x), (tile.rows, tile.columns)
            )
        if add:
            other, word, _ = loads[1]
            shape = other.strides() | dict(
                base=4 * word + other.lane,
                **_add_fields(add),
            )
        if shape and shape != self.shape:
            self.schedule.add(Opcode.SHAPE, **shape)
            self.shape = shape

    def _store(self, unit: int, loads: list[tuple[Tile, int, Command]]) -> None:
        n, y, channel, x = self.units[unit]
        layer, (tile, word, _) = self.layer, loads[0]
        (_, bottom), (_, right) = self._extent(unit)
        block = layer.target.storage.block
        self._shape(unit, loads)
        store = self.schedule.add(
            Opcode.STORE,
            base=4 * word + tile.lane,
            **tile.strides(),
            ring=tile.rows,
            images=1,
            rows=bottom - y,
            columns=right - x,
            blocks=ceil(min(self.tiles.count, layer.channels - channel), block),
            **output_fields(layer.target, n, y, channel // block, x),
            chunk=self.chunk,
            pool=POOL[layer.pool.kind] if layer.pool else isa.Pool.NONE,
            add=layer.add is not None,
            relu=layer.relu,
        )
        for _, _, command in loads:
            self.schedule.depend(store, command)
        self.stores.append(store)
