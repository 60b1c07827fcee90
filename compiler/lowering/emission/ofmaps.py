"""The ofmap buffer between OFMAP and STORE."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.layers import Pool
from compiler.lowering.emission.conv_passes import Area, Convolution, Ofmaps
from compiler.lowering.emission.tile import POOL, output_fields, pool_fields
from compiler.lowering.structures.commands import Command, Schedule
from compiler.mapping.mapping import Counts, MappingError, chunk_of
from compiler.numbers import ceil
from hdl.config import Config
from hdl.isa import Opcode


class OfmapBuffer:
    """The ofmap buffer: OFMAP writes a slot, STORE empties it. With a fused pool it is a ring
    of rows instead, of which each STORE writes those windows that are complete."""

    def __init__(
        self,
        schedule: Schedule,
        config: Config,
        conv: Convolution,
        count: Counts,
        region: int,
        units: list[Ofmaps],
    ):
        self.schedule, self.conv = schedule, conv
        # Entries of a slot, of an image in it, and of a pixel.
        self.slot, self.image, self.width = (
            int(n) for n in (count.ofmap_slot, count.ofmap_image, count.width)
        )
        self.target, self.shape, self.m = conv.target, conv.shape, conv.mapping
        self.region, self.size, self.pool, self.units = region, conv.size, conv.pool, units
        self.chunk = chunk_of(config, conv.shape.out_block)
        self.stores: list[Command | None] = []
        self.opened: set[int] = set()
        self.pooled: dict[tuple, int] = {}  # pooled rows stored so far, by group and first image

    def _base(self, unit: int) -> int:
        """Entry of the unit's slot."""
        slot = 0 if self.pool else unit % self.m.ofmap_slots
        return 4 * self.region + slot * self.slot

    def fields(self, unit: int, fb: int) -> Iterator[dict[str, int]]:
        """Fields of the OFMAPs that bring filter block `fb` into a unit."""
        u, m = self.units[unit], self.m
        row_stride = m.columns * self.width
        base = self._base(unit) + (fb - u.blocks.start) * m.block_filters
        common = dict(position_stride=self.width, row_stride=row_stride)
        if self.pool:
            ring = m.ring
            at_row = u.area.y % ring
            yield dict(
                common,
                base=base,
                images=u.area.images,
                image_stride=self.image,
                row_first=at_row,
                row_start=at_row * row_stride,
                ring=ring,
                rows_valid=u.area.rows,
            )
        elif m.bands == 1:
            yield dict(
                common,
                base=base,
                images=u.area.images,
                image_stride=self.image,
                ring=m.e,
                rows_valid=m.e,
            )
        else:
            for n in range(u.area.images):
                yield dict(
                    common,
                    base=base + n * self.image,
                    images=ceil(u.area.rows, m.e),
                    image_stride=m.e * row_stride,
                    ring=m.e,
                    rows_valid=m.e,
                )

    def _complete(self, pool: Pool, done: int) -> int:
        """Rows of the pool whose windows end within the first `done` ofmap rows."""
        rows = self.target.storage.height
        if done == self.size[0]:
            return rows
        ended = (done + pool.pads[0] - pool.kernel[0]) // pool.stride[0] + 1
        return min(rows, max(0, ended))

    def written(self, unit: int, writer: Command) -> None:
        """`writer` is the unit's first: what was in its place must have been stored.

        Raises MappingError if a ring is too small.
        """
        if unit in self.opened:
            return
        self.opened.add(unit)
        if self.pool is not None:
            self._overwritten(self.pool, unit, writer)
        elif unit >= self.m.ofmap_slots:
            self.schedule.depend(writer, self.stores[unit - self.m.ofmap_slots])

    def _overwritten(self, pool: Pool, unit: int, writer: Command) -> None:
        """The STORE of the last pooled rows that read what the unit overwrites in the ring."""
        m, (E, _), units = self.m, self.size, self.units
        start = unit - unit % ceil(E, m.e)
        # Rows below this one are overwritten.
        low = units[unit].area.y + units[unit].area.rows - m.ring
        needed = next((store for store in reversed(self.stores[:start]) if store is not None), None)
        begin = 0
        for k in range(start, unit):
            end = self._complete(pool, min(E, units[k].area.y + m.e))
            if low > begin and self.stores[k] is not None:
                needed = self.stores[k]
            begin = max(begin, end * pool.stride[0] - pool.pads[0])  # first row still wanted
        if low > begin and unit > start:
            name = self.conv.layer.name
            raise MappingError(f"layer {name!r}: ring of {m.ring} rows is too small")
        self.schedule.depend(writer, needed)

    def store(self, unit: int, writer: Command) -> None:
        """Empties a unit; `writer` is its last OFMAP."""
        u, m = self.units[unit], self.m
        q_out, each = self.shape.out_block, self.conv.filters
        first = u.blocks.start * m.block_filters
        filters_here = min(self.conv.filters_of(u.group) - first, len(u.blocks) * m.block_filters)
        common = dict(
            base=self._base(unit),
            image_stride=self.image,
            row_stride=m.columns * self.width,
            column_stride=self.width,
            block=q_out,
            block_stride=q_out,
            images=u.area.images,
            blocks=ceil(filters_here, q_out),
            chunk=self.chunk,
        )
        block = (u.group * each + first) // q_out
        if self.pool is None:
            store = self._store_rows(u.area, block, common)
        else:
            store = self._store_pooled(self.pool, u, block, common)
        if store is not None:
            self.schedule.depend(store, writer)
        self.stores.append(store)

    def _store_rows(self, area: Area, block: int, common: dict[str, int]) -> Command:
        return self.schedule.add(
            Opcode.STORE,
            **common,
            **output_fields(self.target, area.image, area.y, block, area.x),
            ring=area.rows,
            rows=area.rows,
            columns=area.columns,
        )

    def _store_pooled(
        self, pool: Pool, u: Ofmaps, block: int, common: dict[str, int]
    ) -> Command | None:
        """The pooled rows that the unit completes; None if there is none."""
        m, (E, F) = self.m, self.size
        done = u.area.y + u.area.rows
        begin = self.pooled.get((u.group, u.area.image), 0)
        end = max(begin, self._complete(pool, done))
        self.pooled[u.group, u.area.image] = end
        if end == begin:
            return None
        origin = min(max(0, begin * pool.stride[0] - pool.pads[0]), E - 1)
        shape = pool_fields(pool, (E, F), (begin, 0), (origin, 0), (done - origin, F))
        self.schedule.add(Opcode.SHAPE, **shape)
        return self.schedule.add(
            Opcode.STORE,
            **common,
            **output_fields(self.target, u.area.image, begin, block, 0),
            ring=m.ring,
            row_first=origin % m.ring,
            rows=end - begin,
            columns=self.target.storage.width,
            pool=POOL[pool.kind],
        )
