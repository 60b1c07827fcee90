"""Copies of inputs in other blocks."""

from __future__ import annotations

import functools

from compiler.layers import Conv
from compiler.lowering.structures.state import Compressed, Reordered, extend
from compiler.mapping.layout import BLOCK_SIZES, Storage, View
from compiler.mapping.mapper import Search
from compiler.mapping.mapping import chunk_of
from compiler.numbers import ceil

WORTH = 0.9  # of a layer's cost as it is, that a copy and the layer over it must stay below


def reorder(state: Compressed) -> Reordered:
    """Gives convolutions a copy of their input where the estimate gains a tenth of the layer after
    paying for the copy."""
    layers = state.convs if state.options.reorder else []
    copies = state.mapper.settle(
        lambda search: {layer.name: _block(state, layer, search) for layer in layers}
    )
    views, reorders = dict(state.views), {}
    for layer in layers:
        if block := copies[layer.name]:
            tensor, name = state.graph.tensors[layer.input], f"{layer.input}@{block}"
            blocks = ceil(tensor.channels, block)
            storage = Storage(
                name, tensor.height, tensor.width, block, blocks, affine=tensor.affine
            )
            views.setdefault(name, View(storage, 0, views[layer.input].slots))
            reorders[layer.name] = name
    return extend(Reordered, state, views=views, reorders=reorders)


def _block(state: Compressed, layer: Conv, search: Search) -> int | None:
    """Channels in a block of the copy; None if there is to be none."""
    view, config = state.views[layer.input], state.config
    tensor = state.graph.tensors[layer.input]
    if not view.plain:
        return None

    @functools.cache
    def cost(block: int) -> float:
        # A depthwise layer writes whole blocks in a pass, others any.
        out_block = state.views[layer.output].storage.block if layer.depthwise else 1
        shape = state.shape(layer, view.slots, block, out_block)
        found = search(shape)
        return state.cost(found) * shape.repeats(layer.groups) if found else float("inf")

    def copying(block: int) -> float:
        entries = state.images * tensor.size
        moved = 2 * view.storage.bytes_each * entries  # there and back
        if state.mapper.objective == "dram":
            return moved
        reading = entries / chunk_of(config, view.storage.block, block)
        return 300 + max(reading, moved / config.dram_bytes_per_cycle)

    sizes = [q for q in BLOCK_SIZES if q <= tensor.channels and q != view.storage.block]
    best = min(sizes, key=lambda q: cost(q) + copying(q), default=None)
    if best is None or cost(best) + copying(best) >= WORTH * cost(view.storage.block):
        return None
    return best
