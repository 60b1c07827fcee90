"""The processing passes of a convolution, and the units of ifmaps, filters and ofmaps between them.

A unit is what one load brings or one store takes. Passes are in the order in which the array runs
them; a unit's number is its place in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from typing import NamedTuple

from compiler.layers import Conv, Pool
from compiler.lowering.emission.tile import Tile
from compiler.mapping.layout import View
from compiler.mapping.mapping import Counts, Mapping, Shape
from compiler.numbers import ceil
from compiler.quantise.fixed_point import ConvNumbers
from hdl.isa import Mode


@dataclass(frozen=True)
class Convolution:
    """What is emitted for a convolution. shape: of a group; size: (E, F) of the convolution, which
    `target` holds pooled if there is a `pool`."""

    layer: Conv
    numbers: ConvNumbers
    source: View
    target: View
    shape: Shape
    mapping: Mapping
    size: tuple[int, int]
    images: int
    mode: Mode
    pool: Pool | None = None

    @property
    def filters(self) -> int:
        """Of a group."""
        return self.shape.M

    @property
    def groups(self) -> int:
        """One after the other; of a depthwise layer those of a pass are one."""
        return ceil(len(self.layer.weights), self.filters)

    def filters_of(self, group: int) -> int:
        """The last part of a depthwise layer may have fewer."""
        return min(self.filters, len(self.layer.weights) - group * self.filters)


class Channel(NamedTuple):
    """Where a pass's channels begin: a block of the source, and channels into it."""

    block: int
    offset: int


class Fold(NamedTuple):
    """Where a pass's filter weights begin, and how many columns of them it has."""

    row: int
    column: int
    width: int


class FilterUnit(NamedTuple):
    """The filters of a pass."""

    group: int
    fb: int
    channel: Channel
    fold: Fold


@dataclass(frozen=True)
class Area:
    """Ofmap pixels: rows and columns of images."""

    image: int
    images: int
    y: int
    rows: int
    x: int
    columns: int


@dataclass
class Pass:
    """A processing pass: filter block `fb` of a group over an area; units of ifmaps, filters,
    ofmaps; first and last: of the passes that accumulate."""

    group: int
    fb: int
    area: Area
    channel: Channel
    fold: Fold
    ifmaps: list[int]
    filters: int
    first: bool
    last: bool
    ofmaps: list[int] = field(default_factory=list)


@dataclass
class Ofmaps:
    """What a slot of the ofmap buffer takes: an area, filters of some blocks."""

    group: int
    area: Area
    blocks: range


@dataclass
class Plan:
    """Passes, and the units that they read and write."""

    ifmaps: list[Tile] = field(default_factory=list)
    filters: list[FilterUnit] = field(default_factory=list)
    ofmaps: list[Ofmaps] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)

    def uses(
        self, units: Sized, of: Callable[[Pass], Iterable[int]]
    ) -> tuple[list[int], list[int]]:
        """The pass that reads a unit first, and last; of: the units that a pass reads."""
        first, last = [len(self.passes)] * len(units), [0] * len(units)
        for v, item in enumerate(self.passes):
            for unit in of(item):
                first[unit], last[unit] = min(first[unit], v), v
        return first, last


class _Planner:
    """Loops over groups, chunks of filter blocks, areas, filter blocks, channels and folds."""

    def __init__(self, conv: Convolution, lowest: list[int]):
        shape, m = conv.shape, conv.mapping
        self.conv, self.lowest = conv, lowest
        self.count = Counts(shape, m)
        self.channels = [
            Channel(block, offset)
            for block in range(0, shape.blocks, m.channel_blocks)
            for offset in range(0, shape.block, m.q * m.split)
        ]
        self.folds = [
            Fold(a * m.height, b * m.width, min(m.width, shape.S - b * m.width))
            for a in range(ceil(shape.R, m.height))
            for b in range(ceil(shape.S, m.width))
        ]
        self.plan = Plan()

    def run(self) -> Plan:
        m, blocks = self.conv.mapping, self.count.blocks
        for group in range(self.conv.groups):
            for c0 in range(0, blocks, m.chunk):
                chunk = range(c0, min(blocks, c0 + m.chunk))
                resident: dict[FilterUnit, int] = {}
                for area in self.areas():
                    self.run_area(group, chunk, area, resident)
        return self.plan

    def areas(self) -> Iterator[Area]:
        """Those of a tile of the mapping."""
        m, (E, F) = self.conv.mapping, self.conv.size
        for n in range(0, self.conv.images, m.n):
            for y in range(0, E, m.e * m.bands):
                for x in range(0, F, m.columns):
                    yield Area(
                        n,
                        min(m.n, self.conv.images - n),
                        y,
                        min(m.e * m.bands, E - y),
                        x,
                        min(m.columns, F - x),
                    )

    def run_area(
        self, group: int, chunk: range, area: Area, resident: dict[FilterUnit, int]
    ) -> None:
        """Passes of a chunk of filter blocks. resident: units of filters that are loaded."""
        m = self.conv.mapping
        kept: dict[int, list[int]] = {}  # units of a block, if ifmaps are resident
        for mb in range(chunk.start, chunk.stop, m.filter_blocks):
            fbs = range(mb, min(chunk.stop, mb + m.filter_blocks))
            for channel in self.channels:
                block = channel.block
                if channel.offset == 0 and not (self.count.ifmap_resident and block in kept):
                    kept[block] = self.ifmap_units(group, block, area)
                for fold in self.folds:
                    for fb in fbs:
                        unit = FilterUnit(group, fb, channel, fold)
                        if not self.count.filters_resident or unit not in resident:
                            resident[unit] = len(self.plan.filters)
                            self.plan.filters.append(unit)
                        self.add(unit, area, kept[block], resident[unit], fbs)

    def add(
        self, unit: FilterUnit, area: Area, ifmaps: list[int], filters: int, fbs: range
    ) -> None:
        """A pass; a last one with its units of ofmaps."""
        place = unit.channel, unit.fold
        item = Pass(
            unit.group,
            unit.fb,
            area,
            *place,
            ifmaps,
            filters,
            first=place == (self.channels[0], self.folds[0]),
            last=place == (self.channels[-1], self.folds[-1]),
        )
        self.plan.passes.append(item)
        if item.last:
            self.ofmap_units(item, fbs)

    def ifmap_units(self, group: int, block: int, area: Area) -> list[int]:
        """New units: what the area reads of some channel blocks, by images."""
        shape, m, (top, left, _, _) = self.conv.shape, self.conv.mapping, self.conv.layer.pads
        span = min(shape.blocks, self.conv.source.blocks - self.lowest[group])
        # An area that lies in the padding still loads a row, which no pass reads.
        y_low = min(max(0, area.y * shape.uy - top), shape.H - 1)
        y_high = (area.y + area.rows - 1) * shape.uy - top + shape.R
        y_high = max(y_low + 1, min(shape.H, y_high))
        x_low = min(max(0, area.x * shape.ux - left), shape.W - 1)
        x_high = (area.x + area.columns - 1) * shape.ux - left + shape.S
        x_high = max(x_low + 1, min(shape.W, x_high))

        begin = len(self.plan.ifmaps)
        for i in range(0, area.images, m.ifmap_images):
            self.plan.ifmaps.append(
                Tile(
                    self.conv.source,
                    area.image + i,
                    min(m.ifmap_images, area.images - i),
                    y_low,
                    y_high - y_low,
                    self.lowest[group] + block,
                    min(m.channel_blocks, span - block),
                    x_low,
                    x_high - x_low,
                )
            )
        return list(range(begin, len(self.plan.ifmaps)))

    def ofmap_units(self, item: Pass, fbs: range) -> None:
        """The slots that a last pass writes: its own, or those that the pass of the block before
        began."""
        m, units, area = self.conv.mapping, self.plan.ofmaps, item.area
        first = fbs.start + (item.fb - fbs.start) // m.store_blocks * m.store_blocks
        if item.fb != first:
            item.ofmaps.append(len(units) - 1)  # with several blocks a slot holds the whole area
            return

        at, blocks = len(units), range(first, min(fbs.stop, first + m.store_blocks))
        if m.store_bands >= m.bands:
            units.append(Ofmaps(item.group, area, blocks))
        else:
            high = m.e * m.store_bands
            for n in range(area.images):
                for y in range(0, area.rows, high):
                    rows = min(high, area.rows - y)
                    part = Area(area.image + n, 1, area.y + y, rows, area.x, area.columns)
                    units.append(Ofmaps(item.group, part, blocks))
        item.ofmaps.extend(range(at, len(units)))


def plan_passes(conv: Convolution, lowest: list[int]) -> Plan:
    """lowest: the first block of the source that a group reads."""
    return _Planner(conv, lowest).run()
