"""Mappings of convolutions, and pools that ride on the convolution before them."""

from __future__ import annotations

from compiler.graph import NetworkError
from compiler.layers import Conv, IntConv, IntPool, Pool
from compiler.lowering.emission.tile import MOST_BLOCKS
from compiler.lowering.structures.state import Mapped, Reordered, extend
from compiler.mapping.mapper import Search
from compiler.mapping.mapping import Mapping, Shape
from compiler.numbers import ceil

# Layer -> its mapping, its shape, the pool fused into it.
Choices = tuple[dict[str, Mapping], dict[str, Shape], dict[str, Pool]]


def fuse_and_map(state: Reordered) -> Mapped:
    """Maps every convolution, with its pool where one mapping holds both.

    Raises NetworkError for a layer that does not fit the global buffer.
    """
    mappings, shapes, fused = state.mapper.settle(lambda search: _choose(state, search))
    silent = {layer.output for layer in state.graph.layers if layer.name in fused}
    views = {name: view for name, view in state.views.items() if name not in silent}
    return extend(Mapped, state, views=views, mappings=mappings, shapes=shapes, fused=fused)


def _choose(state: Reordered, search: Search) -> Choices:
    mappings: dict[str, Mapping] = {}
    shapes: dict[str, Shape] = {}
    fused: dict[str, Pool] = {}
    for layer in state.convs:
        pool = _pool_of(state, layer) if state.options.fuse else None
        shape = _shape(state, layer, pool) if pool else None
        found = search(shape) if shape and _one_store(layer, shape) else None
        if found is not None and pool and shape:
            mappings[layer.name], shapes[layer.name] = found, shape.of(found)
            fused[layer.name] = pool
            continue
        shape = _shape(state, layer, None)
        found = search(shape)
        if found is None:
            raise NetworkError(
                f"layer {layer.name!r}: no mapping fits the global buffer of {state.config.name!r}"
            )
        mappings[layer.name], shapes[layer.name] = found, shape.of(found)
    return mappings, shapes, fused


def _pool_of(state: Reordered, layer: Conv) -> Pool | None:
    """The pool that alone reads the layer's output."""
    readers = state.graph.consumers(layer.output)
    if len(readers) != 1 or layer.output in state.graph.outputs:
        return None
    pool = readers[0]
    if not isinstance(pool, Pool) or isinstance(layer, IntConv) and not _rides(pool, layer):
        return None
    return pool


def _rides(pool: Pool, layer: IntConv) -> bool:
    """Whether a STORE of the layer's ofmaps, which scales nothing, can pool them: a maximum whose
    bounds are those of the layer or wider. An average is of q, not of q - zero."""
    narrower = isinstance(pool, IntPool) and (pool.lo > layer.out.lo or pool.hi < layer.out.hi)
    return pool.kind == "max" and not narrower


def _shape(state: Reordered, layer: Conv, pool: Pool | None) -> Shape:
    source = state.source(layer)
    target = state.views[pool.output if pool else layer.output]
    return state.shape(layer, source.slots, source.storage.block, target.storage.block, pool)


def _one_store(layer: Conv, shape: Shape) -> bool:
    """Whether a group ends on a block, and one STORE takes all of its filters."""
    ends = layer.groups == 1 or shape.depthwise or shape.M % shape.out_block == 0
    return ends and ceil(shape.M, shape.out_block) <= MOST_BLOCKS
