"""A network of 8-bit layers as the machine runs it: padding in the layers that read it, no constant
channels, every sum within the bits of a psum."""

from __future__ import annotations

import dataclasses

import numpy as np

from compiler.graph import Graph, NetworkError
from compiler.layers import IntConv, IntPad, Layer
from compiler.quantise.constants import fold_constants
from compiler.quantise.fixed_point import ConvNumbers, QuantisedGraph
from compiler.quantise.integer_run import affine_of
from golden.integer.affine import Affine
from golden.integer.requantise import DOUBLE, Requantiser


def integer_network(graph: Graph, psum_bits: int) -> QuantisedGraph:
    """The numbers of a graph of integer layers, and the graph that the machine runs: its tensors
    have the names and values of the other's, but for padding that is now in the layers which read
    it, and channels that are constant (`kept` has the others).

    Raises NetworkError naming a layer that is of floats, or whose sums may exceed `psum_bits`.
    """
    for name in graph.tensors:
        affine_of(graph, name)
    graph, kept = fold_constants(without_pads(graph))
    convs = {}
    for layer in graph.layers:
        if isinstance(layer, IntConv):
            bits = sum_bits(layer.weights, affine_of(graph, layer.input))
            if bits > psum_bits:
                raise NetworkError(
                    f"layer {layer.name!r}: its sums take up to {bits} bits, psums have {psum_bits}"
                )
            convs[layer.name] = ConvNumbers(layer.weights, layer.bias, 0, 0, layer.out)
    return QuantisedGraph(graph, psum_bits, {}, convs, {}, kept=kept)


def sum_bits(weights: np.ndarray, affine: Affine) -> int:
    """Bits of the largest sum, without its bias, of a filter over inputs of a scale and zero point,
    or padding."""
    w = weights.reshape(len(weights), -1).astype(np.int64)
    low, high = affine.lo - affine.zero, affine.hi - affine.zero  # padding, 0, is among them
    most = np.maximum(w * low, w * high).sum(1).max()
    least = np.minimum(w * low, w * high).sum(1).min()
    return max(int(most).bit_length(), (-int(least) - 1).bit_length()) + 1


def without_pads(graph: Graph) -> Graph:
    """The padding of an IntPad goes into the convolutions that read it; where something else does,
    it becomes a convolution that copies."""
    graph = dataclasses.replace(graph, layers=list(graph.layers), tensors=dict(graph.tensors))
    for layer in [layer for layer in graph.layers if isinstance(layer, IntPad)]:
        at = graph.layers.index(layer)
        readers = graph.consumers(layer.output)
        foldable = all(isinstance(reader, IntConv) and not reader.full for reader in readers)
        if readers and foldable and layer.output not in graph.outputs:
            for reader in readers:
                graph.layers[graph.layers.index(reader)] = _padded(reader, layer)
            del graph.layers[at], graph.tensors[layer.output]
        else:
            graph.layers[at] = _copy(graph, layer)
    return graph


def _padded(reader: Layer, pad: IntPad) -> IntConv:
    assert isinstance(reader, IntConv)
    top, left, bottom, right = (a + b for a, b in zip(reader.pads, pad.pads, strict=True))
    return dataclasses.replace(reader, input=pad.input, pads=(top, left, bottom, right))


def _copy(graph: Graph, pad: IntPad) -> IntConv:
    """1 x 1 filters that each keep a channel."""
    affine, channels = affine_of(graph, pad.output), graph.tensors[pad.input].channels
    weights = np.eye(channels, dtype=np.int16)[:, :, None, None]
    unit, one = np.full(channels, 1 << 30), np.ones(channels, np.int64)  # 2**30 * 2**(1 - 31)
    out = Requantiser(unit, one, DOUBLE, affine.zero, affine.lo, affine.hi)
    bias = np.zeros(channels, np.int32)
    return IntConv(pad.name, pad.input, pad.output, weights, bias, pads=pad.pads, out=out)
