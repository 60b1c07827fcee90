"""Blocks of tensors: those that suit the layers that read and write them
(compiler/mapping/layout.py)."""

from __future__ import annotations

import functools
import math

import numpy as np

from compiler.layers import Concat, Conv, Pool
from compiler.lowering.structures.state import Placed, Request, extend
from compiler.mapping.layout import plan_views
from compiler.mapping.mapper import Search
from compiler.mapping.mapping import chunk_of


def layout(state: Request) -> Placed:
    """Chooses blocks so that all layers together cost least, by the mapper's estimate."""
    views = state.mapper.settle(
        lambda search: plan_views(
            state.graph,
            functools.partial(_reading, state, search),
            functools.partial(_writing, state),
        )
    )
    return extend(Placed, state, views=views)


def _reading(
    state: Request, search: Search, layer: Conv, block: int, out_block: int | None
) -> float:
    """Cost of a layer over its input in such blocks; out_block None: not known yet."""
    graph = state.graph
    channels = np.arange(graph.tensors[layer.input].channels)
    sizes = [out_block] if out_block else [min(8, len(layer.weights))]
    if not out_block and (layer.depthwise or not layer.full and not graph.consumers(layer.output)):
        # Nothing else decides the blocks of what it writes; a depthwise one may not have these.
        sizes += [4, 1] if layer.depthwise else [4]
    shapes = [state.shape(layer, channels, block, n) for n in sizes]
    found = [m for shape in shapes if (m := search(shape))]
    cost = min((state.cost(m) for m in found), default=float("inf"))
    return cost * shapes[0].repeats(layer.groups)


def _writing(state: Request, name: str, block: int) -> float:
    """Cycles by which storing a tensor in such blocks outlasts the layer that makes it; traffic
    does not mind."""
    graph, config = state.graph, state.config
    layer = graph.producer(name)
    if layer is None or isinstance(layer, Concat) or state.mapper.objective == "dram":
        return 0
    entries, reads, macs = state.images * graph.tensors[name].size, 1, 0
    if isinstance(layer, Pool):
        reads = math.prod(layer.kernel)
        layer = graph.producer(layer.input)
    if isinstance(layer, Conv):
        macs = state.images * layer.weights[0].size * graph.tensors[layer.output].size
    storing = entries * reads / chunk_of(config, block)
    written = entries * (2 if graph.tensors[name].affine is None else 1)  # bytes
    making = max(macs / config.multipliers, written / config.dram_bytes_per_cycle)
    return max(0, storing - making)
