"""Fully connected layers for the sparse engine."""

from __future__ import annotations

import numpy as np

from compiler.graph import NetworkError
from compiler.layers import Concat, Conv, IntConv, Layer
from compiler.lowering.emission.tile import MOST_BLOCKS
from compiler.lowering.structures.state import Compressed, Placed, extend
from compiler.mapping.layout import Storage, View
from compiler.mapping.mapping import MappingError
from compiler.numbers import ceil
from compiler.sparse.csc import sparse
from compiler.sparse.share import SHARED, codebook_of
from compiler.sparse.slicing import SparseLayer, plan_sparse, positions_of, vector_size


def compress(state: Placed) -> Compressed:
    """Chooses and encodes the layers, in the order of the network: each one's rows are permuted,
    and the permutation is its output's view.

    Raises NetworkError for a switch of a layer that is not there or cannot be compressed,
    MappingError for one that the engine cannot hold.
    """
    options, graph = state.options, state.graph
    names = [layer.name for layer in graph.layers]
    for name in options.switches:
        if name not in names:
            raise NetworkError(f"no layer {name!r}: choose from {', '.join(names)}")

    views, plans = dict(state.views), {}
    for layer in graph.layers:
        switch = options.switches.get(layer.name)
        reason = _incompressible(state, layer)
        if switch and reason:
            raise NetworkError(f"layer {layer.name!r} cannot be compressed: {reason}")
        if reason or switch is False or not isinstance(layer, Conv):
            continue
        weights = state.network.convs[layer.name].weights
        if switch is None and np.count_nonzero(weights) > options.compress * weights.size:
            continue
        plans[layer.name] = plan = _encode(state, layer, views[layer.input])
        views[layer.output] = _permuted(state, layer, views[layer.output], plan)
    return extend(Compressed, state, views=views, compressed=plans)


def _incompressible(state: Placed, layer: Layer) -> str | None:
    """Why a layer cannot run on the sparse engine; None if it can."""
    graph = state.graph
    if not state.config.sparse_pes:
        return f"config {state.config.name!r} has no sparse engine"
    if (
        not isinstance(layer, Conv)
        or layer.groups != 1
        or any(layer.pads)
        or layer.kernel != graph.tensors[layer.input].shape[1:]
    ):
        return "it is not a fully connected layer"
    if isinstance(layer, IntConv):
        return "its sums are scaled by channel"
    if any(graph.tensors[name].affine for name in (layer.input, layer.output)):
        return "its input or output has 8 bits"
    values = np.count_nonzero(np.unique(state.network.convs[layer.name].weights))
    if values > SHARED:
        return f"it has {values} distinct non-zero weights, a codebook holds {SHARED}"
    if any(isinstance(reader, Concat) for reader in graph.consumers(layer.output)):
        return "a Concat reads its output"
    return None


def _encode(state: Placed, layer: Conv, source: View) -> SparseLayer:
    """A layer cut for the engine. Raises MappingError naming it."""
    graph, weights = state.graph, state.network.convs[layer.name].weights
    _, height, width = graph.tensors[layer.input].shape
    matrix = np.zeros((len(weights), vector_size(source)), np.int16)
    columns = positions_of(source, height, width).reshape(-1)
    matrix[:, columns] = weights.reshape(len(weights), -1)
    codebook = codebook_of(weights)
    # Only convolutions and the host undo a permutation.
    free = all(isinstance(reader, Conv) for reader in graph.consumers(layer.output))
    placement = state.options.placement if free else "modulo"
    try:
        return plan_sparse(sparse(matrix, codebook), codebook, state.config, placement)
    except MappingError as e:
        raise MappingError(f"layer {layer.name!r}: {e}") from None


def _permuted(state: Placed, layer: Conv, view: View, plan: SparseLayer) -> View:
    """Where the engine leaves a layer's outputs."""
    block = view.storage.block if view.storage.block % 4 == 0 else 4
    most = state.config.sparse_pes * state.config.sparse_rows  # stored at once
    while ceil(most, block) > MOST_BLOCKS:
        block *= 2
    storage = Storage(layer.output, 1, 1, block, ceil(plan.positions, block))
    return View(storage, 0, plan.slots)
