"""Commands of one layer: loads, passes and stores over its tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from compiler.graph import Pool
from compiler.lowering.commands import Command, Schedule
from compiler.mapping.layout import View
from compiler.mapping.mapping import Counts, Mapping, MappingError, Shape, ceil, chunk_of
from compiler.sparse.stored import Kind, Table
from golden.fixed import reciprocal
from golden.pool import divisors
from hdl import isa
from hdl.config import Config
from hdl.isa import ENTRY_ADDR, Opcode
from hdl.timing import DIVISORS

MODULUS = 1 << ENTRY_ADDR
MOST_BLOCKS = (1 << 11) - 1  # of a STORE


class Blob:
    """Constant data of a program; addresses are offsets until it is placed."""

    def __init__(self, address: int):
        self.address = address
        self._parts: list[bytes] = []
        self.size = 0
        self.tables: list[Table] = []  # streams of the sparse engine, counted from `address`

    def add(self, data: bytes) -> int:
        """Address of the data, on an 8-byte boundary."""
        at = self.address + self.size
        padded = data + bytes(-len(data) % 8)
        self._parts.append(padded)
        self.size += len(padded)
        return at

    def add_table(self, kind: Kind, data: np.ndarray) -> int:
        """Address of a stream of the sparse engine, [pes, words]."""
        at = self.add(data.tobytes())
        self.tables.append(Table(kind, at - self.address, data.nbytes, data.nbytes // len(data)))
        return at

    def bytes(self) -> bytes:
        return b"".join(self._parts)


class Regions:
    """Bump allocator of the global buffer, in words; regions start on a pair of banks where
    there is room, so that streams do not meet at a bank."""

    def __init__(self, config: Config, wanted: list[tuple[str, int]]):
        pair = 2 * config.glb_depth
        for align in (pair, 2):
            at, self.start = 0, {}
            for name, words in wanted:
                at = ceil(at, align) * align
                self.start[name] = at
                at += words
            if at <= config.glb_words:
                return
        raise MappingError(f"regions of {at} words exceed the global buffer of {config.glb_words}")


class Stream:
    """Units loaded in order into `slots` places of the buffer in turn, ahead of the commands
    that read them. `first`, `last`: the pass that reads a unit first, last."""

    def __init__(self, schedule: Schedule, slots: int, first: list[int], last: list[int], load):
        self.schedule, self.slots, self.first, self.last, self.load = (
            schedule,
            slots,
            first,
            last,
            load,
        )
        self.loads: list[Command] = []
        self.last_reader: dict[int, Command] = {}

    def wanted(self, now: int) -> int | None:
        """The pass that the next unit is for, None if its place is not free before pass `now`."""
        unit = len(self.loads)
        if unit == len(self.first) or (unit >= self.slots and self.last[unit - self.slots] >= now):
            return None
        return self.first[unit]

    def fetch(self) -> None:
        unit = len(self.loads)
        command = self.load(unit, unit % self.slots)
        self.schedule.depend(command, self.last_reader.get(unit - self.slots))
        self.loads.append(command)

    def read(self, unit: int, reader: Command) -> None:
        self.schedule.depend(reader, self.loads[unit])
        self.last_reader[unit] = reader


AHEAD = 6  # passes that loads run ahead of the one they are for


def prefetch(streams: list[Stream], now: int) -> None:
    """Loads for pass `now` and those that may run ahead of it, in the order of their use."""
    while True:
        ready = [
            (wanted, n)
            for n, stream in enumerate(streams)
            if (wanted := stream.wanted(now)) is not None
        ]
        if not ready or min(ready)[0] > now + AHEAD:
            return
        streams[min(ready)[1]].fetch()


def load_fields(dram: int, word: int, length: int, *loops: tuple[int, int]) -> dict[str, int]:
    """LOAD of `length` words in nested loops (count, stride in bytes), outermost first, merged
    where they are contiguous."""
    loops = [loop for loop in loops if loop[0] > 1]
    while loops and loops[-1][1] == 8 * length:
        length *= loops.pop()[0]
    loops = [(1, 0)] * (3 - len(loops)) + loops
    fields = dict(dram=dram, word=word, length=length)
    for name, (count, stride) in zip("abc", loops):
        fields |= {f"count_{name}": count, f"stride_{name}": stride}
    return fields


def loaded_words(commands: list[Command]) -> int:
    """64-bit words that the LOADs among the commands bring."""
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
    def lane(self) -> int:
        """Entries before column x in the first word of a strip."""
        return self.x * self.view.storage.block % 4

    @property
    def strip(self) -> int:
        """Words of a strip."""
        return ceil(self.lane + self.columns * self.view.storage.block, 4)

    @property
    def words(self) -> int:
        return (self.images * self.rows * self.blocks + self.beyond) * self.strip

    def load(self, schedule: Schedule, word: int) -> Command:
        s = self.view.storage
        if s.rlc:
            return schedule.add(Opcode.LOAD, **self._coded_fields(word))
        dram = self.view.address(self.image, self.y, self.block) + self.x * s.block // 4 * 8
        return schedule.add(
            Opcode.LOAD,
            **load_fields(
                dram,
                word,
                self.strip,
                (self.images, s.image_bytes),
                (self.rows, s.row_bytes),
                (self.blocks, s.strip_bytes),
            ),
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
            length=self.strip,
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


def output_fields(view: View, image: int, row: int, block: int, column: int) -> dict[str, int]:
    s = view.storage
    fields = dict(
        dram=view.address(image, row, block) + column * s.block * 2,
        out_image_stride=s.image_bytes,
        out_row_stride=s.row_bytes,
        out_block_stride=s.strip_bytes,
        out_block=s.block,
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
    """SHAPE fields of a pool over a tile.

    size: (H, W) of the tensor pooled; first: the first output row and column; origin: the
    tensor's row and column at the tile's (0, 0); valid: rows and columns in the tile.
    """
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
            scale, shift = reciprocal(counts[0])
            fields |= dict(fixed=1, reciprocal=scale, shift=shift)
        elif max(counts) > DIVISORS:
            raise MappingError(
                f"average pool {pool.name!r}: windows of {max(counts)} elements with "
                f"differing divisors; up to {DIVISORS} are supported"
            )
        fields |= dict(
            count_top=top - origin[0],
            count_bottom=bottom - origin[0],
            count_left=left - origin[1],
            count_right=right - origin[1],
        )
    return fields


POOL = {"max": isa.Pool.MAX, "average": isa.Pool.AVERAGE}


@dataclass
class Pass:
    """A processing pass: filter block `fb` of a group over `rows` ofmap rows and `columns`
    columns of a tile from (y, x); units of ifmaps, filters, ofmaps; first and last: of the
    passes that accumulate."""

    group: int
    fb: int
    images: int
    y: int
    rows: int
    x: int
    columns: int
    channel: tuple[int, int]
    fold: tuple[int, int, int]
    ifmaps: list[int]
    filters: int
    first: bool
    last: bool
    ofmaps: list[int] = field(default_factory=list)


@dataclass
class Ofmaps:
    """What a slot of the ofmap buffer takes: rows of images, filters of some blocks."""

    group: int
    image: int
    images: int
    y: int
    rows: int
    x: int
    columns: int
    blocks: range


def _ofmap_units(units: list[Ofmaps], item: Pass, image: int, m: Mapping, fbs: range) -> None:
    """The slots that a last pass writes: its own, or those that the pass of the block before
    began."""
    first = fbs.start + (item.fb - fbs.start) // m.store_blocks * m.store_blocks
    mine = range(first, min(fbs.stop, first + m.store_blocks))
    if item.fb == first:
        at = len(units)
        if m.store_bands >= m.bands:
            units.append(
                Ofmaps(
                    item.group, image, item.images, item.y, item.rows, item.x, item.columns, mine
                )
            )
        else:
            high = m.e * m.store_bands
            for n in range(item.images):
                for y in range(0, item.rows, high):
                    units.append(
                        Ofmaps(
                            item.group,
                            image + n,
                            1,
                            item.y + y,
                            min(high, item.rows - y),
                            item.x,
                            item.columns,
                            mine,
                        )
                    )
        item.ofmaps.extend(range(at, len(units)))
    else:
        k = len(units) - 1  # with several blocks a slot holds the whole tile
        item.ofmaps.append(k)


class Constants:
    """Filters and biases of a layer, in the order of the passes that read them."""

    def __init__(
        self, blob: Blob, layer, numbers, source: View, shape: Shape, m: Mapping, simd: int
    ):
        self.blob, self.shape, self.m, self.simd = blob, shape, m, simd
        self.each = len(numbers.weights) // layer.groups
        blocks = ceil(self.each, m.p * m.t)
        self.lowest_block: list[int] = []  # of each group: its first block of the input
        self._placed = []  # weights in the slots of their channels
        self.bias_blocks = m.bias_blocks or blocks
        # of each group, by so many filter blocks: DRAM address, words
        self.bias: list[tuple[int, int]] = []
        # of each group: the word of each filter block in its part
        self.bias_at: list[list[int]] = []
        self._filters: dict[tuple, tuple[int, int]] = {}
        q_in = shape.block
        for g in range(layer.groups):
            mine = slice(g * self.each, (g + 1) * self.each)
            slots = source.slots[g * shape.C : (g + 1) * shape.C]
            lowest = int(slots.min()) // q_in
            self.lowest_block.append(lowest)
            full = np.zeros(
                (
                    blocks * m.p * m.t,
                    ceil(shape.blocks, m.channel_blocks) * m.channel_blocks * q_in,
                    ceil(shape.R, m.height) * m.height,
                    shape.S,
                ),
                np.int16,
            )
            full[: self.each, slots - lowest * q_in, : shape.R] = numbers.weights[mine]
            self._placed.append(full)
            table = []
            for fb in range(blocks):
                p = self.filters_of(fb)
                own = np.zeros((m.t, ceil(p, 4) * 4), np.int32)
                flat = np.zeros(m.t * p, np.int32)
                part = numbers.bias[mine][fb * m.p * m.t :][: m.t * p]
                flat[: len(part)] = part
                own[:, :p] = flat.reshape(m.t, p)
                table.append(own.reshape(-1))
            self.bias_at.append([])
            for first in range(0, blocks, self.bias_blocks):
                part = table[first : first + self.bias_blocks]
                at = np.cumsum([0] + [len(own) // 2 for own in part]).tolist()
                self.bias_at[-1] += at[:-1]
                self.bias.append((blob.add(np.concatenate(part).tobytes()), at[-1]))
        self.bias_parts = ceil(blocks, self.bias_blocks)

    def bias_of(self, group: int, fb: int) -> int:
        """Index in `bias` of the part that holds a filter block's."""
        return group * self.bias_parts + fb // self.bias_blocks

    def filters_of(self, fb: int) -> int:
        """p of a filter block: the last spreads what is left over its t sets. A multiple of
        `simd`; what fills up is zero."""
        return min(
            self.m.p, ceil(self.each - fb * self.m.p * self.m.t, self.m.t * self.simd) * self.simd
        )

    def filters(
        self, g: int, fb: int, channel: tuple[int, int], fold: tuple[int, int, int]
    ) -> tuple[int, int]:
        """(DRAM address, words of a tag) of a pass's filters."""
        key = (g, fb, channel, fold)
        if key not in self._filters:
            m, q_in, p = self.m, self.shape.block, self.filters_of(fb)
            (block, offset), (row, column, wide) = channel, fold
            part = self._placed[g][
                fb * m.p * m.t : fb * m.p * m.t + p * m.t,
                block * q_in : (block + m.channel_blocks) * q_in,
                row : row + m.height,
                column : column + wide,
            ]
            part = part.reshape(m.t, p, m.channel_blocks, q_in, m.height, wide)[
                :, :, :, offset : offset + m.q * m.split
            ]
            part = part.reshape(m.t, p, m.r, m.q, m.height, wide)
            # tag (set, group, filter row); entry (column, channel, filter)
            part = part.transpose(0, 2, 4, 5, 3, 1).reshape(m.t * m.r * m.height, -1)
            words = ceil(part.shape[1], 4)
            padded = np.zeros((len(part), words * 4), np.int16)
            padded[:, : part.shape[1]] = part
            data = padded.reshape(len(part), words, 4).transpose(1, 0, 2)
            self._filters[key] = self.blob.add(np.ascontiguousarray(data).tobytes()), words
        return self._filters[key]


class Stores:
    """The ofmap buffer: OFMAP writes a slot, STORE empties it. With a fused pool it is a ring
    of rows instead, of which each STORE writes those windows that are complete."""

    def __init__(
        self,
        schedule: Schedule,
        config: Config,
        layer,
        target: View,
        shape: Shape,
        m: Mapping,
        count: Counts,
        region: int,
        size: tuple[int, int],
        pool: Pool | None,
        units: list[Ofmaps],
    ):
        self.schedule, self.layer, self.target, self.shape, self.m = (
            schedule,
            layer,
            target,
            shape,
            m,
        )
        self.count, self.region, self.size, self.pool, self.units = count, region, size, pool, units
        self.each = len(layer.weights) // layer.groups
        self.chunk = chunk_of(config, shape.out_block)
        self.stores: list[Command | None] = []
        self.opened: set[int] = set()
        self.pooled: dict[tuple, int] = {}  # pooled rows stored so far, by group and first image

    def _base(self, unit: int) -> int:
        """Entry of the unit's slot."""
        slot = 0 if self.pool else unit % self.m.ofmap_slots
        return 4 * self.region + slot * self.count.ofmap_slot

    def ofmap_fields(self, unit: int, fb: int):
        """Fields of the OFMAPs that bring filter block `fb` into a unit."""
        u, m, count = self.units[unit], self.m, self.count
        row_stride = m.columns * count.width
        base = self._base(unit) + (fb - u.blocks.start) * m.p * m.t
        common = dict(position_stride=count.width, row_stride=row_stride)
        if self.pool:
            ring = m.ring
            at_row = u.y % ring
            yield dict(
                common,
                base=base,
                images=u.images,
                image_stride=count.ofmap_image,
                row_first=at_row,
                row_start=at_row * row_stride,
                ring=ring,
                rows_valid=u.rows,
            )
        elif m.bands == 1:
            yield dict(
                common,
                base=base,
                images=u.images,
                image_stride=count.ofmap_image,
                ring=m.e,
                rows_valid=m.e,
            )
        else:
            for n in range(u.images):
                yield dict(
                    common,
                    base=base + n * count.ofmap_image,
                    images=ceil(u.rows, m.e),
                    image_stride=m.e * row_stride,
                    ring=m.e,
                    rows_valid=m.e,
                )

    def complete(self, done: int) -> int:
        """Rows of the pool whose windows end within the first `done` ofmap rows."""
        rows, pool = self.target.storage.height, self.pool
        return (
            rows
            if done == self.size[0]
            else min(rows, max(0, (done + pool.pads[0] - pool.kernel[0]) // pool.stride[0] + 1))
        )

    def written(self, unit: int, writer: Command) -> None:
        """`writer` is the unit's first: what was in its place must have been stored."""
        if unit in self.opened:
            return
        self.opened.add(unit)
        if self.pool is None:
            if unit >= self.m.ofmap_slots:
                self.schedule.depend(writer, self.stores[unit - self.m.ofmap_slots])
            return
        m, pool, (E, _), units = self.m, self.pool, self.size, self.units
        start = unit - unit % ceil(E, m.e)
        # rows below this one are overwritten
        low = units[unit].y + units[unit].rows - m.ring
        needed = next((store for store in reversed(self.stores[:start]) if store is not None), None)
        begin = 0
        for k in range(start, unit):
            end = self.complete(min(E, units[k].y + m.e))
            if low > begin and self.stores[k] is not None:
                needed = self.stores[k]
            begin = max(begin, end * pool.stride[0] - pool.pads[0])  # first row still wanted
        if low > begin and unit > start:
            raise MappingError(f"layer {self.layer.name!r}: ring of {m.ring} rows is too small")
        self.schedule.depend(writer, needed)

    def store(self, unit: int, writer: Command) -> None:
        u, m, count, pool = self.units[unit], self.m, self.count, self.pool
        E, F = self.size
        q_out = self.shape.out_block
        first = u.blocks.start * m.p * m.t
        filters_here = min(self.each - first, len(u.blocks) * m.p * m.t)
        block = (u.group * self.each + first) // q_out
        common = dict(
            base=self._base(unit),
            image_stride=count.ofmap_image,
            row_stride=m.columns * count.width,
            column_stride=count.width,
            block=q_out,
            block_stride=q_out,
            images=u.images,
            blocks=ceil(filters_here, q_out),
            chunk=self.chunk,
        )
        if pool is None:
            store = self.schedule.add(
                Opcode.STORE,
                **common,
                **output_fields(self.target, u.image, u.y, block, u.x),
                ring=u.rows,
                rows=u.rows,
                columns=u.columns,
            )
            self.schedule.depend(store, writer)
            self.stores.append(store)
            return
        done = u.y + u.rows
        begin = self.pooled.get((u.group, u.image), 0)
        end = max(begin, self.complete(done))
        self.pooled[u.group, u.image] = end
        if end == begin:
            self.stores.append(None)
            return
        origin = min(max(0, begin * pool.stride[0] - pool.pads[0]), E - 1)
        self.schedule.add(
            Opcode.SHAPE, **pool_fields(pool, (E, F), (begin, 0), (origin, 0), (done - origin, F))
        )
        store = self.schedule.add(
            Opcode.STORE,
            **common,
            **output_fields(self.target, u.image, begin, block, 0),
            ring=m.ring,
            row_first=origin % m.ring,
            rows=end - begin,
            columns=self.target.storage.width,
            pool=POOL[pool.kind],
        )
        self.schedule.depend(store, writer)
        self.stores.append(store)


def emit_conv(
    schedule: Schedule,
    config: Config,
    layer,
    numbers,
    source: View,
    target: View,
    shape: Shape,
    m: Mapping,
    blob: Blob,
    size: tuple[int, int],
    mode: isa.Mode,
    images: int,
    pool: Pool | None = None,
    after: Command | None = None,
) -> Command:
    """A convolution, group by group, with an optional fused pool; the last STORE is returned.

    shape: of a group; size: (E, F) of the convolution; after: the command that completes what
    this layer reads and the buffer space that it takes.
    """
    count = Counts(shape, m)
    E, F = size
    q_in = shape.block
    top, left = layer.pads[:2]
    groups = layer.groups
    blocks = count.blocks
    regions = Regions(
        config,
        [
            ("ifmap", count.ifmap_unit * m.ifmap_slots),
            ("filters", count.filter_unit * m.filter_slots),
            ("ring", count.ring),
            ("ofmap", count.ofmap),
            ("bias", count.bias),
        ],
    ).start
    schedule.add(
        Opcode.CONFIG,
        height=m.height,
        groups=m.r,
        sets=m.t,
        rows=m.e,
        stride=shape.uy,
        mode=mode,
        ring=regions["ring"],
        ring_size=count.ring,
    )
    pending = [after]

    def first_load(command):
        """The layer's first load waits for what came before; the others follow it in order."""
        if pending[0] is not None:
            schedule.depend(command, pending[0])
            pending[0] = None
        return command

    channel_passes = [
        (block, offset)
        for block in range(0, shape.blocks, m.channel_blocks)
        for offset in range(0, q_in, m.q * m.split)
    ]
    folds = [
        (a * m.height, b * m.width, min(m.width, shape.S - b * m.width))
        for a in range(ceil(shape.R, m.height))
        for b in range(ceil(shape.S, m.width))
    ]
    constants = Constants(blob, layer, numbers, source, shape, m, config.simd)

    # ---- units and passes ---------------------------------------------------------------
    ifmap_units: list[Tile] = []
    filter_units: list[tuple] = []  # (group, filter block, channel, fold)
    ofmap_units: list[Ofmaps] = []
    passes: list[Pass] = []
    for g in range(groups):
        lowest = constants.lowest_block[g]
        span = min(shape.blocks, source.blocks - lowest)
        for c0 in range(0, blocks, m.chunk):
            chunk = range(c0, min(blocks, c0 + m.chunk))
            resident: dict[tuple, int] = {}
            for n0, y0, f0 in (
                (n0, y0, f0)
                for n0 in range(0, images, m.n)
                for y0 in range(0, E, m.e * m.bands)
                for f0 in range(0, F, m.columns)
            ):
                n, f = min(m.n, images - n0), min(m.columns, F - f0)
                tile_rows = min(m.e * m.bands, E - y0)
                # a tile that lies in the padding still loads a row, which no pass reads
                y_low = min(max(0, y0 * shape.uy - top), shape.H - 1)
                y_high = max(
                    y_low + 1, min(shape.H, (y0 + tile_rows - 1) * shape.uy - top + shape.R)
                )
                x_low = min(max(0, f0 * shape.ux - left), shape.W - 1)
                x_high = max(x_low + 1, min(shape.W, (f0 + f - 1) * shape.ux - left + shape.S))
                kept: dict[int, list[int]] = {}  # units of a block, if ifmaps are resident
                for mb in range(c0, chunk.stop, m.filter_blocks):
                    fbs = range(mb, min(chunk.stop, mb + m.filter_blocks))
                    for channel in channel_passes:
                        block = channel[0]
                        if channel[1] == 0 and not (count.ifmap_resident and block in kept):
                            kept[block] = []
                            for i in range(0, n, m.ifmap_images):
                                kept[block].append(len(ifmap_units))
                                ifmap_units.append(
                                    Tile(
                                        source,
                                        n0 + i,
                                        min(m.ifmap_images, n - i),
                                        y_low,
                                        y_high - y_low,
                                        lowest + block,
                                        min(m.channel_blocks, span - block),
                                        x_low,
                                        x_high - x_low,
                                    )
                                )
                        for fold in folds:
                            for fb in fbs:
                                key = (g, fb, channel, fold)
                                if not count.filters_resident or key not in resident:
                                    resident[key] = len(filter_units)
                                    filter_units.append(key)
                                passes.append(
                                    Pass(
                                        g,
                                        fb,
                                        n,
                                        y0,
                                        tile_rows,
                                        f0,
                                        f,
                                        channel,
                                        fold,
                                        kept[block],
                                        resident[key],
                                        first=channel == channel_passes[0] and fold == folds[0],
                                        last=channel == channel_passes[-1] and fold == folds[-1],
                                    )
                                )
                                if passes[-1].last:
                                    _ofmap_units(ofmap_units, passes[-1], n0, m, fbs)

    def uses(units, of):
        first, last = [len(passes)] * len(units), [0] * len(units)
        for v, item in enumerate(passes):
            for unit in of(item):
                first[unit], last[unit] = min(first[unit], v), v
        return first, last

    def load_ifmap(unit, slot):
        return first_load(
            ifmap_units[unit].load(schedule, regions["ifmap"] + slot * count.ifmap_unit)
        )

    def load_filters(unit, slot):
        address, words = constants.filters(*filter_units[unit])
        return first_load(
            schedule.add(
                Opcode.LOAD,
                **load_fields(
                    address, regions["filters"] + slot * count.filter_unit, words * count.tags
                ),
            )
        )

    def load_bias(unit, slot):
        address, words = constants.bias[unit]
        return first_load(schedule.add(Opcode.LOAD, **load_fields(address, regions["bias"], words)))

    ifmaps = Stream(
        schedule, m.ifmap_slots, *uses(ifmap_units, lambda item: item.ifmaps), load_ifmap
    )
    filters = Stream(
        schedule, m.filter_slots, *uses(filter_units, lambda item: [item.filters]), load_filters
    )
    biases = Stream(
        schedule,
        1,
        *uses(constants.bias, lambda item: [constants.bias_of(item.group, item.fb)]),
        load_bias,
    )
    stores = Stores(
        schedule, config, layer, target, shape, m, count, regions["ofmap"], size, pool, ofmap_units
    )

    # ---- emission -----------------------------------------------------------------------
    for v, item in enumerate(passes):
        p = constants.filters_of(item.fb)
        row, column, wide = item.fold
        block, offset = item.channel
        window, step = wide * m.q, min(wide, shape.ux) * m.q
        bands = ceil(item.rows, m.e)
        laps = item.images * bands
        prefetch([filters, ifmaps, biases], v)
        for n, unit in enumerate(item.ifmaps):
            box = ifmap_units[unit]
            strides = box.strides()
            row_first = item.y * shape.uy - top + row - box.y
            start = (item.x * shape.ux - left + column - box.x) * q_in + box.lane + offset
            base = (
                4 * (regions["ifmap"] + unit % m.ifmap_slots * count.ifmap_unit)
                + row_first * strides["row_stride"]
            )
            if shape.ux <= wide and m.q == q_in:
                chunks = dict(outer=1, inner=1, length=((item.columns - 1) * shape.ux + wide) * m.q)
            elif shape.ux <= wide:
                chunks = dict(
                    outer=1,
                    inner=(item.columns - 1) * shape.ux + wide,
                    inner_stride=q_in,
                    length=m.q,
                )
            elif m.q == q_in:
                chunks = dict(
                    outer=item.columns, outer_stride=shape.ux * q_in, inner=1, length=wide * m.q
                )
            else:
                chunks = dict(
                    outer=item.columns,
                    outer_stride=shape.ux * q_in,
                    inner=wide,
                    inner_stride=q_in,
                    length=m.q,
                )
            band_rows = m.e * shape.uy
            ifmaps.read(
                unit,
                schedule.add(
                    Opcode.IFMAP,
                    base=base % MODULUS,
                    start=start,
                    strip=box.lane + box.columns * q_in,
                    images=box.images,
                    image_stride=strides["image_stride"],
                    bands=bands,
                    band_rows=band_rows,
                    band_stride=band_rows * strides["row_stride"] % MODULUS,
                    rows=(m.e - 1) * shape.uy + m.height,
                    row_first=row_first,
                    rows_valid=box.rows,
                    row_stride=strides["row_stride"],
                    groups=m.r,
                    group_stride=strides["block_stride"] if m.split == 1 else m.q,
                    p=p,
                    window=window,
                    step=step,
                    positions=item.columns,
                    header=n == 0,
                    laps=laps,
                    **chunks,
                ),
            )
        _, words = constants.filters(item.group, item.fb, item.channel, item.fold)
        filters.read(
            item.filters,
            schedule.add(
                Opcode.FILTER,
                word=regions["filters"] + item.filters % m.filter_slots * count.filter_unit,
                tags=count.tags,
                words=words,
                tail=(p * window - 1) % 4 + 1,
            ),
        )
        psum = schedule.add(
            Opcode.PSUM,
            from_ring=not item.first,
            bias=regions["bias"] + constants.bias_at[item.group][item.fb],
            positions=laps * item.columns,
            rows=m.e,
            sets=m.t,
            p=p,
        )
        if item.first:
            biases.read(constants.bias_of(item.group, item.fb), psum)
        common = dict(positions=item.columns, rows=m.e, sets=m.t, p=p)
        if not item.last:
            schedule.add(Opcode.OFMAP, **common, to_ring=1, images=laps)
            continue
        for unit in item.ofmaps:
            for fields in stores.ofmap_fields(unit, item.fb):
                ofmap = schedule.add(
                    Opcode.OFMAP, **common, **fields, shift=numbers.shift, relu=layer.relu
                )
                stores.written(unit, ofmap)
            if ofmap_units[unit].blocks[-1] == item.fb:
                stores.store(unit, ofmap)
    return next(store for store in reversed(stores.stores) if store is not None)


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


def emit_store(
    schedule: Schedule,
    config: Config,
    sources: list[View],
    target: View,
    images: int,
    size: tuple[int, int],
    channels: int,
    name: str,
    *,
    pool: Pool | None = None,
    add=None,
    relu: bool = False,
    after: Command | None = None,
) -> Command:
    """A layer that only the store engine works on: pool, add, ReLU, copy or reorder.

    sources: one view, or two for `add` (golden numbers shift_a, shift_b, shift_out); size:
    (H, W) of the sources. Returns the last STORE.
    """
    height, width = size
    out_rows, out_columns = target.storage.height, target.storage.width
    q_out = target.storage.block
    tiles = StoreTiles(sources, target, size, channels, pool).fit(config.glb_words, name)
    rows, cols, count, copies, step = tiles.rows, tiles.cols, tiles.count, tiles.copies, tiles.step
    half = ceil(tiles.words, 2) * 2
    stores: list[Command] = []
    shaped = None
    units = [
        (n, r, ch, c)
        for n in range(images)
        for r in range(0, out_rows, rows)
        for ch in range(0, ceil(channels, step) * step, count)
        for c in range(0, out_columns, cols)
    ]

    def load(unit):
        n, r, ch, c = units[unit]
        at = unit % copies * half
        loads = []
        for box in tiles.boxes(
            n,
            (r, min(r + rows, out_rows)),
            (c, min(c + cols, out_columns)),
            ch,
            min(count, ceil(channels, step) * step - ch),
        ):
            command = box.load(schedule, at)
            if unit >= copies:
                schedule.depend(command, stores[unit - copies])
            elif unit == 0:
                schedule.depend(command, after)
            loads.append((box, at, command))
            at += box.words
        return loads

    ready = [load(0)]
    for unit, (n, r, ch, c) in enumerate(units):
        if copies == 1 and unit:
            ready.append(load(unit))
        loads = ready[unit]
        r1, c1 = min(r + rows, out_rows), min(c + cols, out_columns)
        box, at, _ = loads[0]
        shape = {}
        if pool:
            shape = pool_fields(
                pool, (height, width), (r, c), (box.y, box.x), (box.rows, box.columns)
            )
        if add:
            other, at_b, _ = loads[1]
            shape = other.strides() | dict(
                base=4 * at_b + other.lane,
                shift_a=add.shift_a,
                shift_b=add.shift_b,
                shift_out=add.shift_out,
            )
        if shape and shape != shaped:
            schedule.add(Opcode.SHAPE, **shape)
            shaped = shape
        blocks = ceil(min(count, channels - ch), q_out)
        store = schedule.add(
            Opcode.STORE,
            base=4 * at + box.lane,
            **box.strides(),
            ring=box.rows,
            images=1,
            rows=r1 - r,
            columns=c1 - c,
            blocks=blocks,
            **output_fields(target, n, r, ch // q_out, c),
            chunk=chunk_of(config, q_out, *(view.storage.block for view in sources)),
            pool=POOL[pool.kind] if pool else isa.Pool.NONE,
            add=add is not None,
            relu=relu,
        )
        for _, _, command in loads:
            schedule.depend(store, command)
        stores.append(store)
        if copies > 1 and unit + 1 < len(units):
            ready.append(load(unit + 1))
    return stores[-1]
