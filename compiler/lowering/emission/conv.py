"""Commands of a convolution: loads, processing passes and stores, group by group."""

from __future__ import annotations

from compiler.lowering.emission.buffer import Blob, Regions, Stream, prefetch
from compiler.lowering.emission.constants import Constants
from compiler.lowering.emission.conv_passes import Convolution, Pass, plan_passes
from compiler.lowering.emission.ofmaps import OfmapBuffer
from compiler.lowering.emission.tile import Tile, load_fields
from compiler.lowering.structures.commands import Command, Schedule
from compiler.mapping.mapping import Counts
from compiler.numbers import ceil
from golden.integer.requantise import Requantiser
from hdl.config import Config
from hdl.isa import ENTRY_ADDR, Opcode, Rounding

MODULUS = 1 << ENTRY_ADDR


def emit_conv(
    schedule: Schedule,
    config: Config,
    conv: Convolution,
    blob: Blob,
    after: Command | None = None,
) -> Command:
    """Emits a convolution, with its pool if there is one; the last STORE.

    after: the command that completes what this layer reads and the buffer space that it takes.
    Raises MappingError if the mapping does not fit the global buffer.
    """
    return _Emitter(schedule, config, conv, blob, after).emit()


class _Emitter:
    """The commands of one convolution. `pending`: what its first load waits for; the others follow
    it in order."""

    def __init__(
        self,
        schedule: Schedule,
        config: Config,
        conv: Convolution,
        blob: Blob,
        after: Command | None,
    ):
        self.schedule, self.conv, self.pending = schedule, conv, after
        self.numbers = conv.numbers
        m = conv.mapping
        self.count = count = Counts(conv.shape, m)
        wanted = [
            ("ifmap", count.ifmap_unit * m.ifmap_slots),
            ("filters", count.filter_unit * m.filter_slots),
            ("ring", count.ring),
            ("ofmap", count.ofmap),
            ("bias", count.bias),
        ]
        self.regions = Regions(config, wanted).start
        self.constants = Constants(blob, conv, config.simd)
        self.plan = plan_passes(conv, self.constants.lowest_block)
        self.ofmaps = OfmapBuffer(
            schedule, config, conv, count, self.regions["ofmap"], self.plan.ofmaps
        )
        self._streams()
        self.scaled: tuple[int, int] | None = None  # group and filter block in OFMAP's table

    def _streams(self) -> None:
        """What is loaded ahead of the passes that read it."""
        m, plan, constants = self.conv.mapping, self.plan, self.constants

        def of_bias(item):
            return [constants.bias_of(item.group, item.fb)]

        self.ifmaps = Stream(
            self.schedule,
            m.ifmap_slots,
            *plan.uses(plan.ifmaps, lambda item: item.ifmaps),
            self._load_ifmap,
        )
        self.filters = Stream(
            self.schedule,
            m.filter_slots,
            *plan.uses(plan.filters, lambda item: [item.filters]),
            self._load_filters,
        )
        self.biases = Stream(self.schedule, 1, *plan.uses(constants.bias, of_bias), self._load_bias)

    # ---- loads ------------------------------------------------------------------------------
    def _after(self, command: Command) -> Command:
        """The layer's first load waits for what came before."""
        if self.pending is not None:
            self.schedule.depend(command, self.pending)
            self.pending = None
        return command

    def _load_ifmap(self, unit: int, slot: int) -> Command:
        word = self.regions["ifmap"] + slot * self.count.ifmap_unit
        return self._after(self.plan.ifmaps[unit].load(self.schedule, word))

    def _load_filters(self, unit: int, slot: int) -> Command:
        address, words = self.constants.filters(self.plan.filters[unit])
        word = self.regions["filters"] + slot * self.count.filter_unit
        fields = load_fields(address, word, words * self.count.tags)
        return self._after(self.schedule.add(Opcode.LOAD, **fields))

    def _load_bias(self, unit: int, slot: int) -> Command:
        address, words = self.constants.bias[unit]
        fields = load_fields(address, self.regions["bias"], words)
        return self._after(self.schedule.add(Opcode.LOAD, **fields))

    # ---- passes -----------------------------------------------------------------------------
    def emit(self) -> Command:
        m = self.conv.mapping
        self.schedule.add(
            Opcode.CONFIG,
            height=m.height,
            groups=1 if m.depthwise else m.r,
            sets=m.sets,
            rows=m.e,
            stride=self.conv.shape.uy,
            mode=m.mode(self.conv.mode),
            depthwise=bool(m.depthwise),
            ring=self.regions["ring"],
            ring_size=int(self.count.ring),
        )
        for v, item in enumerate(self.plan.passes):
            prefetch([self.filters, self.ifmaps, self.biases], v)
            self._ifmap(item)
            self._filter(item)
            self._psum(item)
            self._ofmap(item)
        return next(store for store in reversed(self.ofmaps.stores) if store is not None)

    def _laps(self, item: Pass) -> int:
        """Bands of all images of a pass."""
        return item.area.images * ceil(item.area.rows, self.conv.mapping.e)

    def _window(self, item: Pass) -> int:
        return item.fold.width * self.conv.mapping.q

    def _chunks(self, item: Pass) -> dict[str, int]:
        """The loops of IFMAP over a strip: chunks as long as what a pass reads lies together."""
        shape, m, wide = self.conv.shape, self.conv.mapping, item.fold.width
        columns, block = item.area.columns, shape.block
        together = (columns - 1) * shape.ux + wide  # pixels, if windows overlap or touch
        if shape.ux > wide:
            outer = dict(outer=columns, outer_stride=shape.ux * block)
            if m.q == block:
                return dict(**outer, inner=1, length=wide * m.q)
            return dict(**outer, inner=wide, inner_stride=block, length=m.q)
        if m.q == block:
            return dict(outer=1, inner=1, length=together * m.q)
        return dict(outer=1, inner=together, inner_stride=block, length=m.q)

    def _ifmap(self, item: Pass) -> None:
        for n, unit in enumerate(item.ifmaps):
            fields = self._ifmap_fields(item, unit, self.plan.ifmaps[unit])
            command = self.schedule.add(Opcode.IFMAP, **fields, header=n == 0)
            self.ifmaps.read(unit, command)

    def _ifmap_fields(self, item: Pass, unit: int, tile: Tile) -> dict[str, int]:
        shape, m, block = self.conv.shape, self.conv.mapping, self.conv.shape.block
        top, left, _, _ = self.conv.layer.pads
        strides = tile.strides()
        row_first = item.area.y * shape.uy - top + item.fold.row - tile.y
        column = item.area.x * shape.ux - left + item.fold.column - tile.x
        slot = self.regions["ifmap"] + unit % m.ifmap_slots * self.count.ifmap_unit
        band_rows = m.e * shape.uy
        return dict(
            base=(4 * slot + row_first * strides["row_stride"]) % MODULUS,
            start=column * block + tile.lane + item.channel.offset,
            strip=tile.lane + tile.columns * block,
            images=tile.images,
            image_stride=strides["image_stride"],
            bands=ceil(item.area.rows, m.e),
            band_rows=band_rows,
            band_stride=band_rows * strides["row_stride"] % MODULUS,
            rows=(m.e - 1) * shape.uy + m.height,
            row_first=row_first,
            rows_valid=tile.rows,
            row_stride=strides["row_stride"],
            groups=m.r,
            group_stride=strides["block_stride"] if m.split == 1 else m.q,
            p=self.constants.filters_of(item.fb),
            window=self._window(item),
            step=min(item.fold.width, shape.ux) * m.q,
            positions=item.area.columns,
            laps=self._laps(item),
            channels=m.q - 1 if m.depthwise else 0,
            **self._chunks(item),
        )

    def _filter(self, item: Pass) -> None:
        slot = item.filters % self.conv.mapping.filter_slots
        _, words = self.constants.filters(self.plan.filters[item.filters])
        command = self.schedule.add(
            Opcode.FILTER,
            word=self.regions["filters"] + slot * self.count.filter_unit,
            tags=self.count.tags,
            words=words,
            tail=(self.constants.entry_filters(item.fb) * self._window(item) - 1) % 4 + 1,
        )
        self.filters.read(item.filters, command)

    def _psum(self, item: Pass) -> None:
        m = self.conv.mapping
        command = self.schedule.add(
            Opcode.PSUM,
            from_ring=not item.first,
            zero=item.first and self.numbers.out is not None,
            bias=0 if self.numbers.out else self._bias(item),
            positions=self._laps(item) * item.area.columns,
            rows=m.e,
            sets=m.sets,
            p=self.constants.psums_of(item.fb),
        )
        if item.first and self.numbers.out is None:
            self.biases.read(self.constants.bias_of(item.group, item.fb), command)

    def _bias(self, item: Pass) -> int:
        """The word of a pass's biases, or scales."""
        return self.regions["bias"] + self.constants.bias_at[item.group][item.fb]

    def _scale(self, item: Pass, out: Requantiser) -> None:
        """Scales of the pass's filters, unless OFMAP has them."""
        if self.scaled == (item.group, item.fb):
            return
        self.scaled = item.group, item.fb
        command = self.schedule.add(
            Opcode.SCALE,
            word=self._bias(item),
            channels=self.conv.mapping.sets * ceil(self.constants.psums_of(item.fb), 4) * 4,
            rounding=Rounding[out.rounding.upper()],
            lo=out.lo - out.zero,
            hi=out.hi - out.zero,
        )
        self.biases.read(self.constants.bias_of(item.group, item.fb), command)

    def _ofmap(self, item: Pass) -> None:
        m, layer = self.conv.mapping, self.conv.layer
        p = self.constants.psums_of(item.fb)
        common = dict(positions=item.area.columns, rows=m.e, sets=m.sets, p=p)
        if not item.last:
            self.schedule.add(Opcode.OFMAP, **common, to_ring=1, images=self._laps(item))
            return
        rounding = dict(shift=self.numbers.shift, relu=layer.relu)
        if self.numbers.out is not None:
            self._scale(item, self.numbers.out)
            rounding = dict(scaled=True)
        for unit in item.ofmaps:
            command = None
            for fields in self.ofmaps.fields(unit, item.fb):
                command = self.schedule.add(Opcode.OFMAP, **common, **fields, **rounding)
                self.ofmaps.written(unit, command)
            if command is not None and self.plan.ofmaps[unit].blocks[-1] == item.fb:
                self.ofmaps.store(unit, command)
