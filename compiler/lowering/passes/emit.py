"""Commands of all layers, and the program that they make."""

from __future__ import annotations

from compiler.graph import NetworkError
from compiler.layers import Add, Concat, Conv, Layer, Pool, Relu, Rescale
from compiler.lowering.emission.buffer import Blob
from compiler.lowering.emission.conv import emit_conv
from compiler.lowering.emission.conv_passes import Convolution
from compiler.lowering.emission.scaling import scaling_of
from compiler.lowering.emission.sparse import SparseJob, emit_sparse
from compiler.lowering.emission.store import StoreLayer, emit_store
from compiler.lowering.emission.tile import loaded_words
from compiler.lowering.passes.allocate import ALIGN
from compiler.lowering.structures.commands import Command, Schedule
from compiler.lowering.structures.program import Program, Segment
from compiler.lowering.structures.state import Allocated
from compiler.mapping.layout import View, concat_parts
from compiler.numbers import ceil
from hdl.isa import COMMAND_BYTES


def emit(state: Allocated) -> Program:
    """Emits the layers in order. Raises NetworkError if addresses have too few bits, MappingError
    for a layer that does not fit."""
    emitter = _Emitter(state)
    pools = {pool.name for pool in state.fused.values()}
    for layer in state.graph.layers:
        if layer.name not in pools:
            emitter.layer(layer)
    return emitter.program()


class _Emitter:
    """Commands, constants and segments as they grow. `last`: the last command of the layer before,
    which the next one waits for if they are chained."""

    def __init__(self, state: Allocated):
        self.state = state
        self.schedule, self.blob = Schedule(), Blob(state.constant)
        self.segments: list[Segment] = []
        self.last: Command | None = None

    @property
    def after(self) -> Command | None:
        return self.last if self.state.options.chained else None

    @property
    def now(self) -> int:
        """Commands so far."""
        return len(self.schedule.commands)

    def layer(self, layer: Layer) -> None:
        """Emits a layer and ends its segment."""
        match layer:
            case Conv() if layer.name in self.state.compressed:
                self._sparse(layer)
            case Conv():
                self._conv(layer)
            case Concat():
                self._concat(layer)
            case Pool() | Add() | Relu() | Rescale():
                self._store(layer)
            case _:
                raise NetworkError(f"layer {layer.name!r}: {type(layer).__name__} is not mapped")

    def _end(self, segment: Segment) -> None:
        segment.count = self.now - segment.first
        self.segments.append(segment)

    def _sparse(self, layer: Conv) -> None:
        state, first = self.state, self.now
        numbers = state.network.convs[layer.name]
        job = SparseJob(
            state.compressed[layer.name],
            numbers.bias,
            numbers.shift,
            layer.relu,
            state.views[layer.input],
            state.views[layer.output],
            state.images,
        )
        self.last = emit_sparse(self.schedule, state.config, job, self.blob, self.after)
        segment = Segment(layer.name, "sparse", layer.output, first)
        segment.macs = state.images * numbers.weights.size
        segment.sparse = job.plan
        segment.load_words = loaded_words(self.schedule.commands[first:])
        self._end(segment)

    def _conv(self, layer: Conv) -> None:
        state = self.state
        key = state.reorders.get(layer.name)
        if key is not None and all(segment.output != key for segment in self.segments):
            self._reorder(layer, key)
        first, begin = self.now, self.blob.size
        m, pool = state.mappings[layer.name], state.fused.get(layer.name)
        output = pool.output if pool else layer.output
        _, *size = state.graph.tensors[layer.output].shape
        conv = Convolution(
            layer,
            state.network.convs[layer.name],
            state.source(layer),
            state.views[output],
            state.shapes[layer.name],
            m,
            (size[0], size[1]),
            state.images,
            state.options.mode,
            pool,
        )
        self.last = emit_conv(self.schedule, state.config, conv, self.blob, self.after)

        name = f"{layer.name}+{pool.name}" if pool else layer.name
        segment = Segment(name, "fc" if layer.full else "conv", output, first, layer=layer.name)
        of_image = layer.weights[0].size * state.graph.tensors[layer.output].size
        segment.macs = state.images * of_image
        segment.filter_words = (self.blob.size - begin) // 8
        segment.mapping, segment.pes = m, m.pes
        self._end(segment)

    def _reorder(self, layer: Conv, key: str) -> None:
        """The copy of a layer's input that it reads."""
        first, name = self.now, f"reorder {layer.input}"
        source, target = self.state.views[layer.input], self.state.views[key]
        self._copy(layer.input, source, target, name, self.after)
        self._end(Segment(name, "reorder", key, first, copied=layer.input))

    def _copy(
        self,
        tensor: str,
        source: View,
        target: View,
        name: str,
        after: Command | None,
        channels: int | None = None,
    ) -> None:
        """channels: those of the tensor if not given."""
        state = self.state
        all_channels, height, width = state.graph.tensors[tensor].shape
        count = all_channels if channels is None else channels
        job = StoreLayer([source], target, (height, width), count, name, state.images)
        self.last = emit_store(self.schedule, state.config, job, after)

    def _concat(self, layer: Concat) -> None:
        """What is not in its place yet is copied there."""
        state, first, after = self.state, self.now, self.after
        targets = concat_parts(state.graph, layer, state.views)
        for part, target in zip(layer.inputs, targets, strict=True):
            source = state.views[part]
            if not source.at(target):
                self._copy(part, source, target, layer.name, after, source.extent)
                # The copies of one layer share the buffer, so each waits for the one before.
                after = self.last
        if self.now > first:
            self._end(Segment(layer.name, "copy", layer.output, first))
        else:
            self.segments[-1].joined += (layer.output,)

    def _store(self, layer: Pool | Add | Relu | Rescale) -> None:
        state, first = self.state, self.now
        channels, height, width = state.graph.tensors[layer.inputs[0]].shape
        job = StoreLayer(
            [state.views[name] for name in layer.inputs],
            state.views[layer.output],
            (height, width),
            channels,
            layer.name,
            state.images,
            layer if isinstance(layer, Pool) else None,
            isinstance(layer, Relu) or getattr(layer, "relu", False),
            scaling_of(state.network, layer),
        )
        self.last = emit_store(self.schedule, state.config, job, self.after)
        self._end(Segment(layer.name, type(layer).__name__.lower(), layer.output, first))

    def program(self) -> Program:
        state, blob = self.state, self.blob
        program = ceil(blob.address + blob.size, ALIGN) * ALIGN
        end = program + self.now * COMMAND_BYTES
        if end >= 1 << state.config.address_bits:  # limits of windows have no more bits either
            raise NetworkError(
                f"the program would end at address {end:#x}; "
                f"addresses have {state.config.address_bits} bits"
            )
        return Program(
            state.config,
            state.graph,
            state.images,
            state.options.base,
            blob.address,
            program,
            end,
            self.schedule.pack(),
            blob.bytes(),
            state.views,
            self.segments,
            blob.tables,
        )
