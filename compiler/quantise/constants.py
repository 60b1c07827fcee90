"""Channels of 8-bit networks that have one value whatever the input: they need neither MACs nor
room.

Training leaves filters whose weights are zero or whose bias saturates every sum; a third of the
channels of MLPerf Tiny's MobileNet are such. What they add to the sums of the next layer is a
constant, which goes into its biases.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from compiler.graph import Graph
from compiler.layers import IntConv
from compiler.quantise.integer_run import affine_of
from golden.fixed import wrap
from golden.integer.affine import Affine
from golden.integer.requantise import Requantiser

Channels = dict[str, np.ndarray]  # by tensor, one element a channel


def fold_constants(graph: Graph) -> tuple[Graph, Channels]:
    """The network without the channels that are constant and whose readers can do without them, and
    of each tensor the channels that are left, by their number. Its other tensors have the values of
    the network's; graph: without IntPad."""
    constant = _constants(graph)
    dropped = {}
    for name, (known, values) in constant.items():
        dropped[name] = known & _droppable(graph, name, values)
        if dropped[name].all():
            dropped[name][0] = False  # a tensor has a channel at least
    # A depthwise layer keeps what its output must keep, then its output what its input keeps.
    pairs = [layer for layer in graph.layers if isinstance(layer, IntConv) and _depthwise(layer)]
    for layer in reversed(pairs):
        of_channel = dropped[layer.output].reshape(layer.groups, -1)
        dropped[layer.input] &= of_channel.all(1)
    for layer in pairs:
        each = len(layer.weights) // layer.groups
        dropped[layer.output] &= np.repeat(dropped[layer.input], each)

    kept = {name: np.flatnonzero(~gone) for name, gone in dropped.items()}
    layers = [
        _without(layer, kept, constant[layer.input][1]) if isinstance(layer, IntConv) else layer
        for layer in graph.layers
    ]
    tensors = {
        name: dataclasses.replace(tensor, channels=len(kept[name]))
        for name, tensor in graph.tensors.items()
    }
    return dataclasses.replace(graph, layers=layers, tensors=tensors), kept


def _depthwise(layer: IntConv) -> bool:
    return layer.groups > 1 and layer.weights.shape[1] == 1


def _constants(graph: Graph) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tensor -> (which channels are constant, int64 v of those)."""
    out = {
        name: (np.zeros(tensor.channels, bool), np.zeros(tensor.channels, np.int64))
        for name, tensor in graph.tensors.items()
    }
    for layer in graph.layers:
        if isinstance(layer, IntConv):
            low, high = _sums(layer, affine_of(graph, layer.input), *out[layer.input])
            least, most = (_entries(layer.out, sums) for sums in (low, high))
            # Sums that wrap, or do when they are shifted left, are in no order.
            orderly = (abs(low) < 1 << 31) & (abs(high) < 1 << 31) & (layer.out.shift <= 0)
            out[layer.output] = (least == most) & orderly, least
    return out


def _sums(
    layer: IntConv, affine: Affine, known: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(least, largest) int64 sum of each filter with its bias. A channel that is known has its
    value, or in the padding 0."""
    low = np.where(known, values, affine.lo - affine.zero)
    high = np.where(known, values, affine.hi - affine.zero)
    if any(layer.pads):
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    filters, each = len(layer.weights), layer.weights.shape[1]
    group = np.arange(filters) // (filters // layer.groups)
    channel = group[:, None] * each + np.arange(each)  # [M, C/groups]
    w = layer.weights.astype(np.int64)
    a, b = (w * bound[channel][..., None, None] for bound in (low, high))
    bias = layer.bias.astype(np.int64)
    least, most = np.minimum(a, b), np.maximum(a, b)
    return bias + least.sum((1, 2, 3)), bias + most.sum((1, 2, 3))


def _entries(out: Requantiser, sums: np.ndarray) -> np.ndarray:
    """int64 v of one sum a channel."""
    return out(sums[None, :, None, None]).astype(np.int64).reshape(-1) - out.zero


def _droppable(graph: Graph, name: str, values: np.ndarray) -> np.ndarray | bool:
    """Channels of a tensor that its readers can do without, if they are constant: all are
    convolutions of one group, or depthwise, in whose padding the channel has no other value."""
    readers = [layer for layer in graph.consumers(name) if isinstance(layer, IntConv)]
    inner = name != graph.input and name not in graph.outputs
    if not inner or not readers or len(readers) < len(graph.consumers(name)):
        return False
    # Other groups must stay equal in size.
    maker = graph.producer(name)
    touching = [*readers, *([maker] if isinstance(maker, IntConv) else [])]
    if not all(layer.groups == 1 or _depthwise(layer) for layer in touching):
        return False
    return True if not any(any(reader.pads) for reader in readers) else values == 0


def _without(layer: IntConv, kept: Channels, values: np.ndarray) -> IntConv:
    """The layer over the channels that are left, with what the others add in its biases."""
    inputs, outputs = kept[layer.input], kept[layer.output]
    out = layer.out
    if _depthwise(layer):
        weights, bias, groups = layer.weights[outputs], layer.bias[outputs], len(inputs)
    else:
        w = layer.weights[outputs].astype(np.int64)
        gone = np.ones(len(values), bool)
        gone[inputs] = False
        added = np.einsum("mcrs,c->m", w, values * gone) if layer.groups == 1 else 0
        bias = wrap(layer.bias[outputs] + added, 32).astype(np.int32)
        weights = w[:, inputs].astype(np.int16) if layer.groups == 1 else layer.weights[outputs]
        groups = layer.groups
    scales = (np.broadcast_to(a, len(layer.bias))[outputs] for a in (out.multiplier, out.shift))
    out = dataclasses.replace(out, **dict(zip(("multiplier", "shift"), scales)))
    return dataclasses.replace(layer, weights=weights, bias=bias, groups=groups, out=out)
