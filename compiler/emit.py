"""Commands of one layer: loads, passes and stores over its tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compiler.commands import Command, Schedule
from compiler.graph import Pool
from compiler.layout import View
from compiler.mapping import Mapping, MappingError, Shape, ceil, sizes
from compiler.stored import Kind, Table
from golden.fixed import reciprocal
from golden.pool import divisors
from hdl import isa
from hdl.config import Config
from hdl.isa import ENTRY_ADDR, Opcode

MODULUS = 1 << ENTRY_ADDR
TABLE = 16  # divisors whose reciprocals the pool unit knows


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
    """Units loaded into `copies` buffers in turn, ahead of the commands that read them."""

    def __init__(self, schedule: Schedule, copies: int, load):
        self.schedule, self.copies, self.load = schedule, copies, load
        self.loads: list[Command] = []
        self.last_reader: dict[int, Command] = {}

    def fetch(self, unit: int) -> None:
        """Emit the load of `unit` (the next one, or one that is already there)."""
        if unit < len(self.loads):
            return
        command = self.load(unit, unit % self.copies)
        self.schedule.depend(command, self.last_reader.get(unit - self.copies))
        self.loads.append(command)

    def read(self, unit: int, reader: Command) -> None:
        self.schedule.depend(reader, self.loads[unit])
        self.last_reader[unit] = reader


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
    return sum(math.prod(c.fields[name] for name in ("length", "count_a", "count_b", "count_c"))
               for c in commands if c.opcode is Opcode.LOAD)


@dataclass
class Tile:
    """A box of a tensor in the global buffer: rows y.., columns x.., blocks, images."""
    view: View
    image: int
    images: int
    y: int
    rows: int
    block: int
    blocks: int
    x: int
    columns: int

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
        return self.images * self.rows * self.blocks * self.strip

    def load(self, schedule: Schedule, word: int) -> Command:
        s = self.view.storage
        if s.rlc:
            return schedule.add(Opcode.LOAD, **self._coded_fields(word))
        dram = self.view.address(self.image, self.y, self.block) + self.x * s.block // 4 * 8
        return schedule.add(Opcode.LOAD, **load_fields(
            dram, word, self.strip, (self.images, s.image_bytes), (self.rows, s.row_bytes),
            (self.blocks, s.strip_bytes)))

    def _coded_fields(self, word: int) -> dict[str, int]:
        """LOAD of coded strips, which come whole."""
        s, at = self.view.storage, (self.image, self.y, self.block)
        assert (self.x, self.columns) == (0, s.width), s.name
        rows, strips = self.rows, self.blocks
        if strips == s.blocks and rows * strips < 1 << 16:   # rows follow each other
            rows, strips = 1, rows * strips
        return dict(
            dram=self.view.address(*at), word=word, length=self.strip, rlc=1, slot=s.strip_bytes // 8,
            count_a=self.images, stride_a=s.image_bytes, count_b=rows, stride_b=s.row_bytes,
            count_c=strips, stride_c=s.strip_bytes, table=self.view.table(*at), table_a=s.image_bytes,
            table_b=s.table_row_bytes)

    def strides(self) -> dict[str, int]:
        """Entry strides of a STORE operand over this tile."""
        block = self.view.storage.block
        strip = 4 * self.strip
        return dict(image_stride=self.rows * self.blocks * strip,
                    row_stride=self.blocks * strip, column_stride=block, block=block,
                    block_stride=strip)


def chunk_of(*blocks: int) -> int:
    """Entries a STORE moves at once: the largest up to 4 that divides every block size."""
    common = math.gcd(*blocks)
    return max(n for n in (1, 2, 3, 4) if common % n == 0)


def output_fields(view: View, image: int, row: int, block: int, column: int) -> dict[str, int]:
    s = view.storage
    fields = dict(dram=view.address(image, row, block) + column * s.block * 2,
                  out_image_stride=s.image_bytes, out_row_stride=s.row_bytes,
                  out_block_stride=s.strip_bytes, out_block=s.block)
    if s.rlc:
        assert column == 0, s.name
        fields |= dict(rlc=1, table=view.table(image, row, block), table_image=s.image_bytes,
                       table_row=s.table_row_bytes)
    return fields


def pool_fields(pool: Pool, size: tuple[int, int], first: tuple[int, int], origin: tuple[int, int],
                valid: tuple[int, int]) -> dict[str, int]:
    """SHAPE fields of a pool over a tile.

    size: (H, W) of the tensor pooled; first: the first output row and column; origin: the
    tensor's row and column at the tile's (0, 0); valid: rows and columns in the tile.
    """
    fields = dict(
        kernel_y=pool.kernel[0], kernel_x=pool.kernel[1], stride_y=pool.stride[0],
        stride_x=pool.stride[1],
        y_first=first[0] * pool.stride[0] - pool.pads[0] - origin[0],
        x_first=first[1] * pool.stride[1] - pool.pads[1] - origin[1],
        height=valid[0], width=valid[1])
    if pool.kind == "average":
        counts = np.unique(divisors(size, pool.kernel, pool.stride, pool.pads, pool.count)).tolist()
        top, left, bottom, right = pool.count
        if len(counts) == 1:
            scale, shift = reciprocal(counts[0])
            fields |= dict(fixed=1, reciprocal=scale, shift=shift)
        elif max(counts) > TABLE:
            raise MappingError(f"average pool {pool.name!r}: windows of {max(counts)} elements with "
                               f"differing divisors; up to {TABLE} are supported")
        fields |= dict(count_top=top - origin[0], count_bottom=bottom - origin[0],
                       count_left=left - origin[1], count_right=right - origin[1])
    return fields


POOL = {"max": isa.Pool.MAX, "average": isa.Pool.AVERAGE}


def emit_conv(schedule: Schedule, config: Config, layer, numbers, source: View, target: View,
              shapes: list[Shape], m: Mapping, blob: Blob, size: tuple[int, int], mode: isa.Mode,
              images: int, pool: Pool | None = None, after: Command | None = None) -> Command:
    """A convolution, group by group, with an optional fused pool; the last STORE is returned.

    shapes: of each group (the same but for nothing that the mapping depends on); size: (E, F)
    of the convolution; after: the command that completes what this layer reads and the
    buffer space that it takes.
    """
    shape = shapes[0]
    count = sizes(shape, m)
    E, F = size
    q_in, q_out = shape.block, shape.out_block
    top, left = layer.pads[:2]
    weights, groups = numbers.weights, layer.groups
    filters_each = len(weights) // groups
    s_out = target.storage
    of_rows = m.ring or m.e * m.ofmap_buffers
    width = count["width"]
    regions = Regions(config, [
        *((f"ifmap{n}", count["ifmap"]) for n in range(m.ifmap_buffers)),
        *([("filters", count["filters"])] if m.filters_resident else
          [(f"filter{n}", count["filter"]) for n in range(m.filter_buffers)]),
        ("ring", count["ring"]), ("ofmap", count["ofmap"]), ("bias", count["bias"])]).start
    schedule.add(Opcode.CONFIG, height=m.height, groups=m.r, sets=m.t, rows=m.e, stride=shape.uy,
                 mode=mode, ring=regions["ring"], ring_size=count["ring"])
    pending = [after]

    def first_load(command):
        """The layer's first load waits for what came before; the others follow it in order."""
        if pending[0] is not None:
            schedule.depend(command, pending[0])
            pending[0] = None
        return command

    # ---- filters and biases, in the order of the passes ---------------------------------
    channel_passes = [(block, offset) for block in range(0, shape.blocks, m.r)
                      for offset in range(0, q_in, m.q)]
    folds = [(a * m.height, b * m.width, min(m.width, shape.S - b * m.width))
             for a in range(ceil(shape.R, m.height)) for b in range(ceil(shape.S, m.width))]
    blocks = count["blocks"]

    def filters_of(block):
        """p of a filter block: the last spreads what is left over its t sets."""
        left_over = filters_each - block * m.p * m.t
        return min(m.p, ceil(left_over, m.t))

    lowest_block, placed = [], []  # per group: first input block, weights in slots
    for g in range(groups):
        channels = slice(g * shape.C, (g + 1) * shape.C)
        slots = source.slots[channels]
        lowest = int(slots.min()) // q_in
        lowest_block.append(lowest)
        span = ceil(shape.blocks, m.r) * m.r * q_in
        rows, columns = ceil(shape.R, m.height) * m.height, shape.S
        full = np.zeros((blocks * m.p * m.t, span, rows, columns), np.int16)
        full[:filters_each, slots - lowest * q_in, :shape.R] = \
            weights[g * filters_each:(g + 1) * filters_each]
        placed.append(full)

    filter_words: dict[tuple, tuple[int, int]] = {}  # -> DRAM address, words of a tag

    def filter_region(g, fb, channel, fold):
        key = (g, fb, channel, fold)
        if key not in filter_words:
            p = filters_of(fb)
            block, offset = channel
            row, column, wide = fold
            part = placed[g][fb * m.p * m.t:fb * m.p * m.t + p * m.t,
                             block * q_in:(block + m.r) * q_in, row:row + m.height,
                             column:column + wide]
            part = part.reshape(m.t, p, m.r, q_in, m.height, wide)[:, :, :, offset:offset + m.q]
            # tag (set, group, filter row); entry (column, channel, filter)
            part = part.transpose(0, 2, 4, 5, 3, 1).reshape(m.t * m.r * m.height, -1)
            words = ceil(part.shape[1], 4)
            padded = np.zeros((len(part), words * 4), np.int16)
            padded[:, :part.shape[1]] = part
            data = padded.reshape(len(part), words, 4).transpose(1, 0, 2)
            filter_words[key] = blob.add(np.ascontiguousarray(data).tobytes()), words
        return filter_words[key]

    tags = count["tags"]
    bias_words, bias_at = [], []
    for g in range(groups):
        table = []
        for fb in range(blocks):
            p = filters_of(fb)
            lanes = ceil(p, 4) * 4
            own = np.zeros((m.t, lanes), np.int32)
            first = g * filters_each + fb * m.p * m.t
            part = numbers.bias[first:min(first + p * m.t, (g + 1) * filters_each)]
            flat = np.zeros(m.t * p, np.int32)
            flat[:len(part)] = part
            own[:, :p] = flat.reshape(m.t, p)
            table.append(own.reshape(-1))
        at = np.cumsum([0] + [len(part) // 2 for part in table])
        bias_at.append([int(x) for x in at])
        bias_words.append(blob.add(np.concatenate(table).tobytes()))

    # ---- units and passes ---------------------------------------------------------------
    tiles = [(n0, y0, f0) for n0 in range(0, images, m.n) for y0 in range(0, E, m.e)
             for f0 in range(0, F, m.columns)]
    ifmap_units: list[Tile] = []
    passes = []  # (group, ifmap unit, tile, filter blocks of the psum block, fb, channel, fold)
    ofmap_units = []  # (group, tile, first filter block, after last)
    for g in range(groups):
        for tile in tiles:
            n0, y0, f0 = tile
            n, f = min(m.n, images - n0), min(m.columns, F - f0)
            y_low = max(0, y0 * shape.uy - top)
            # a tile that lies in the padding still loads a row, which no pass reads
            y_low = min(y_low, shape.H - 1)
            y_high = max(y_low + 1, min(shape.H, (y0 + m.e - 1) * shape.uy - top + shape.R))
            x_low = min(max(0, f0 * shape.ux - left), shape.W - 1)
            x_high = max(x_low + 1, min(shape.W, (f0 + f - 1) * shape.ux - left + shape.S))

            def box(block, blocks_):
                return Tile(source, n0, n, y_low, y_high - y_low, lowest_block[g] + block, blocks_,
                            x_low, x_high - x_low)
            span = min(shape.blocks, source.blocks - lowest_block[g])
            if m.ifmap_resident:
                ifmap_units.append(box(0, span))
            for fb0 in range(0, blocks, m.filter_blocks):
                fbs = range(fb0, min(blocks, fb0 + m.filter_blocks))
                ofmap_units.append((g, tile, fbs))
                for number, channel in enumerate(channel_passes):
                    if not m.ifmap_resident and channel[1] == 0:
                        ifmap_units.append(box(channel[0], min(m.r, span - channel[0])))
                    for fold in folds:
                        for fb in fbs:
                            passes.append((g, len(ifmap_units) - 1, tile, len(ofmap_units) - 1,
                                           fb, channel, fold))

    if m.filters_resident:
        bases = []
        for g in range(groups):
            order = [filter_region(g, fb, channel, fold) for channel in channel_passes
                     for fold in folds for fb in range(blocks)]
            bases.append((order[0][0], sum(words * tags for _, words in order)))

        def load_filters(unit, copy):
            address, words = bases[unit]
            return first_load(schedule.add(Opcode.LOAD, **load_fields(address, regions["filters"], words)))
        filters = Stream(schedule, 1, load_filters)
    else:
        def load_filters(unit, copy):
            g, _, _, _, fb, channel, fold = passes[unit]
            address, words = filter_region(g, fb, channel, fold)
            return first_load(schedule.add(Opcode.LOAD, **load_fields(
                address, regions[f"filter{copy}"], words * tags)))
        filters = Stream(schedule, m.filter_buffers, load_filters)

    def load_ifmap(unit, copy):
        return first_load(ifmap_units[unit].load(schedule, regions[f"ifmap{copy}"]))
    ifmaps = Stream(schedule, m.ifmap_buffers, load_ifmap)

    def load_bias(unit, copy):
        return first_load(schedule.add(Opcode.LOAD, **load_fields(
            bias_words[unit], regions["bias"], bias_at[unit][-1])))
    biases = Stream(schedule, 1, load_bias)

    # ---- stores -------------------------------------------------------------------------
    stores: list[Command] = []
    pooled: dict[tuple, int] = {}  # pooled rows stored so far, by group and first image

    def store_unit(unit, writer):
        g, (n0, y0, f0), fbs = ofmap_units[unit]
        n, f = min(m.n, images - n0), min(m.columns, F - f0)
        rows = min(m.e, E - y0)
        first = fbs[0] * m.p * m.t
        filters_here = min(filters_each - first, len(fbs) * m.p * m.t)
        block = (g * filters_each + first) // q_out
        common = dict(base=regions["ofmap"] * 4, image_stride=of_rows * m.columns * width,
                      row_stride=m.columns * width, column_stride=width, block=q_out,
                      block_stride=q_out, ring=of_rows, images=n,
                      blocks=ceil(filters_here, q_out), chunk=chunk_of(q_out))
        if pool is None:
            store = schedule.add(Opcode.STORE, **common, **output_fields(target, n0, y0, block, f0),
                                 row_first=unit % m.ofmap_buffers * m.e, rows=rows, columns=f)
            schedule.depend(store, writer)
            stores.append(store)
            return
        pe, pf = s_out.height, s_out.width
        done = y0 + rows
        after_rows = [y for y in range(pe)
                      if done == E or y * pool.stride[0] - pool.pads[0] + pool.kernel[0] <= done]
        begin = pooled.get((g, n0), 0)
        end = max(begin, after_rows[-1] + 1 if after_rows else 0)
        pooled[g, n0] = end
        if end == begin:
            stores.append(None)
            return
        origin = min(max(0, begin * pool.stride[0] - pool.pads[0]), E - 1)
        schedule.add(Opcode.SHAPE, **pool_fields(
            pool, (E, F), (begin, 0), (origin, 0), (done - origin, F)))
        store = schedule.add(Opcode.STORE, **common, **output_fields(target, n0, begin, block, 0),
                             row_first=origin % of_rows, rows=end - begin, columns=pf,
                             pool=POOL[pool.kind])
        schedule.depend(store, writer)
        stores.append(store)

    def room(unit, writer):
        """The unit's rows in the ofmap buffer must have been stored."""
        if pool is None:
            if unit >= m.ofmap_buffers:
                schedule.depend(writer, stores[unit - m.ofmap_buffers])
            return
        g, (n0, y0, _), _ = ofmap_units[unit]
        per_image = ceil(E, m.e)
        start = unit - unit % per_image
        # rows below this one are overwritten
        low = y0 + min(m.e, E - y0) - of_rows
        needed = next((store for store in reversed(stores[:start]) if store is not None), None)
        begin = 0
        for k in range(start, unit):
            rows_done = min(E, ofmap_units[k][1][1] + m.e)
            ends = [y for y in range(s_out.height) if rows_done == E or
                    y * pool.stride[0] - pool.pads[0] + pool.kernel[0] <= rows_done]
            end = ends[-1] + 1 if ends else 0
            lowest = end * pool.stride[0] - pool.pads[0]  # first row still wanted
            if low > begin:
                if stores[k] is not None:
                    needed = stores[k]
            begin = max(begin, lowest)
        if low > begin and unit > start:
            raise MappingError(f"layer {layer.name!r}: ring of {of_rows} rows is too small")
        schedule.depend(writer, needed)

    # ---- emission, with the loads one unit ahead -----------------------------------------
    filter_base = {}
    if m.filters_resident:
        for g in range(groups):
            for channel in channel_passes:
                for fold in folds:
                    for fb in range(blocks):
                        filter_base[g, fb, channel, fold] = \
                            regions["filters"] + (filter_region(g, fb, channel, fold)[0] - bases[g][0]) // 8
    opened: set[int] = set()
    last_of_unit = {}
    for v, item in enumerate(passes):
        last_of_unit[item[3]] = v
    for v, (g, unit, tile, of_unit, fb, channel, fold) in enumerate(passes):
        n0, y0, f0 = tile
        n, f = min(m.n, images - n0), min(m.columns, F - f0)
        p = filters_of(fb)
        row, column, wide = fold
        window, step = wide * m.q, min(wide, shape.ux) * m.q
        _, words = filter_region(g, fb, channel, fold)
        f_unit = g if m.filters_resident else v
        ifmaps.fetch(unit)
        filters.fetch(f_unit)
        biases.fetch(g)
        if not m.filters_resident and m.filter_buffers > 1 and v + 1 < len(passes):
            filters.fetch(v + 1)
        if m.ifmap_buffers > 1 and unit + 1 < len(ifmap_units):
            ifmaps.fetch(unit + 1)

        box = ifmap_units[unit]
        strides = box.strides()
        row_first = y0 * shape.uy - top + row - box.y
        block = channel[0] if m.ifmap_resident else 0
        start = (f0 * shape.ux - left + column - box.x) * q_in + box.lane + channel[1]
        base = 4 * regions[f"ifmap{unit % m.ifmap_buffers}"] + row_first * strides["row_stride"] \
            + block * strides["block_stride"]
        if shape.ux <= wide and m.q == q_in:
            chunks = dict(outer=1, inner=1, length=((f - 1) * shape.ux + wide) * m.q)
        elif shape.ux <= wide:
            chunks = dict(outer=1, inner=(f - 1) * shape.ux + wide, inner_stride=q_in, length=m.q)
        elif m.q == q_in:
            chunks = dict(outer=f, outer_stride=shape.ux * q_in, inner=1, length=wide * m.q)
        else:
            chunks = dict(outer=f, outer_stride=shape.ux * q_in, inner=wide, inner_stride=q_in,
                          length=m.q)
        ifmap = schedule.add(
            Opcode.IFMAP, base=base % MODULUS, start=start,
            strip=box.lane + box.columns * q_in, images=n, image_stride=strides["image_stride"],
            rows=(m.e - 1) * shape.uy + m.height, row_first=row_first, rows_valid=box.rows,
            row_stride=strides["row_stride"], groups=m.r, group_stride=strides["block_stride"],
            p=p, window=window, step=step, positions=f, **chunks)
        ifmaps.read(unit, ifmap)
        at = filter_base[g, fb, channel, fold] if m.filters_resident else \
            regions[f"filter{v % m.filter_buffers}"]
        filters.read(f_unit, schedule.add(Opcode.FILTER, word=at, tags=tags, words=words,
                                          tail=(p * window - 1) % 4 + 1))
        first = channel == channel_passes[0] and fold == folds[0]
        last = channel == channel_passes[-1] and fold == folds[-1]
        psum = schedule.add(Opcode.PSUM, from_ring=not first, bias=regions["bias"] + bias_at[g][fb],
                            positions=n * f, rows=m.e, sets=m.t, p=p)
        if first:
            biases.read(g, psum)
        fields = dict(images=n, positions=f, rows=m.e, sets=m.t, p=p)
        if last:
            fbs = ofmap_units[of_unit][2]
            at_row = y0 % of_rows if pool else of_unit % m.ofmap_buffers * m.e
            fields |= dict(
                base=regions["ofmap"] * 4 + (fb - fbs[0]) * m.p * m.t,
                image_stride=of_rows * m.columns * width, position_stride=width,
                row_stride=m.columns * width, row_first=at_row,
                row_start=at_row * m.columns * width, ring=of_rows,
                rows_valid=min(m.e, E - y0), shift=numbers.shift, relu=layer.relu)
        else:
            fields |= dict(to_ring=1)
        ofmap = schedule.add(Opcode.OFMAP, **fields)
        if last and of_unit not in opened:
            opened.add(of_unit)
            room(of_unit, ofmap)
        if last_of_unit[of_unit] == v:
            store_unit(of_unit, ofmap)
    return next(store for store in reversed(stores) if store is not None)


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
        self.rows, self.cols, self.count = out.height, out.width, ceil(self.channels, self.step) * self.step

    def span(self, first: int, last: int, axis: int) -> tuple[int, int]:
        """(low, high) of the source that outputs first..last-1 read; never empty."""
        limit = self.size[axis]
        stride, pad, kernel = ((self.pool.stride[axis], self.pool.pads[axis], self.pool.kernel[axis])
                               if self.pool else (1, 0, 1))
        low = min(max(0, first * stride - pad), limit - 1)
        return low, max(low + 1, min(limit, (last - 1) * stride - pad + kernel))

    def boxes(self, n: int, rows: tuple[int, int], cols: tuple[int, int], channel: int, count: int) -> list[Tile]:
        (y0, y1), (x0, x1) = self.span(*rows, 0), self.span(*cols, 1)
        return [Tile(view, n, 1, y0, y1 - y0, channel // view.storage.block,
                     min(ceil(count, view.storage.block), view.blocks - channel // view.storage.block),
                     x0, x1 - x0) for view in self.sources]

    def fit(self, words: int, name: str) -> StoreTiles:
        """Halve rows, then channels, then columns until two tiles fit in `words`."""
        height, width = self.target.storage.height, self.target.storage.width
        while True:
            self.words = max(
                sum(box.words for box in self.boxes(0, (r, min(r + self.rows, height)),
                                                    (c, min(c + self.cols, width)), 0, self.count))
                for r in range(0, height, self.rows) for c in range(0, width, self.cols))
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
                raise MappingError(f"layer {name!r}: a window of {self.words} words exceeds the global buffer")

    @property
    def whole(self) -> bool:
        """Whether strips are read and written whole."""
        width = self.target.storage.width
        return self.cols == width and self.span(0, width, 1) == (0, self.size[1])


def emit_store(schedule: Schedule, config: Config, sources: list[View], target: View, images: int,
               size: tuple[int, int], channels: int, name: str, *, pool: Pool | None = None,
               add=None, relu: bool = False, after: Command | None = None) -> Command:
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
    units = [(n, r, ch, c) for n in range(images) for r in range(0, out_rows, rows)
             for ch in range(0, ceil(channels, step) * step, count) for c in range(0, out_columns, cols)]

    def load(unit):
        n, r, ch, c = units[unit]
        at = unit % copies * half
        loads = []
        for box in tiles.boxes(n, (r, min(r + rows, out_rows)), (c, min(c + cols, out_columns)), ch,
                         min(count, ceil(channels, step) * step - ch)):
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
            shape = pool_fields(pool, (height, width), (r, c), (box.y, box.x), (box.rows, box.columns))
        if add:
            other, at_b, _ = loads[1]
            shape = other.strides() | dict(base=4 * at_b + other.lane, shift_a=add.shift_a,
                                           shift_b=add.shift_b, shift_out=add.shift_out)
        if shape and shape != shaped:
            schedule.add(Opcode.SHAPE, **shape)
            shaped = shape
        blocks = ceil(min(count, channels - ch), q_out)
        store = schedule.add(
            Opcode.STORE, base=4 * at + box.lane, **box.strides(), ring=box.rows, images=1,
            rows=r1 - r, columns=c1 - c, blocks=blocks, **output_fields(target, n, r, ch // q_out, c),
            chunk=chunk_of(q_out, *(view.storage.block for view in sources)),
            pool=POOL[pool.kind] if pool else isa.Pool.NONE, add=add is not None, relu=relu)
        for _, _, command in loads:
            schedule.depend(store, command)
        stores.append(store)
        if copies > 1 and unit + 1 < len(units):
            ready.append(load(unit + 1))
    return stores[-1]
