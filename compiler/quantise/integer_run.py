"""A network of 8-bit layers in integers, exactly as its own runtime computes it, on golden's
operators."""

from __future__ import annotations

import numpy as np

from compiler.graph import Graph, NetworkError
from compiler.layers import Concat, IntAdd, IntConv, IntPad, IntPool, Layer, Rescale
from golden.integer.add import add
from golden.integer.affine import Affine
from golden.integer.conv import conv
from golden.integer.pool import average_pool, max_pool
from golden.integer.softmax import softmax


def affine_of(graph: Graph, tensor: str) -> Affine:
    """Scale and zero point of an 8-bit tensor. Raises NetworkError if it is none."""
    affine = graph.tensors[tensor].affine
    if affine is None:
        raise NetworkError(f"tensor {tensor!r} has no scale and zero point")
    return affine


def run_layer(graph: Graph, layer: Layer, x: list[np.ndarray]) -> np.ndarray:
    """q [N, C, H, W] of a layer's output, of its type, from those of its inputs."""
    out = affine_of(graph, layer.output)
    v = [affine_of(graph, name).centred(q) for name, q in zip(layer.inputs, x)]
    match layer:
        case IntConv():
            weights, bias = layer.weights, layer.bias
            q = conv(
                v[0],
                weights,
                bias,
                layer.out,
                stride=layer.stride,
                pads=layer.pads,
                groups=layer.groups,
            )
        case IntAdd():
            q = add(v[0], v[1], layer.of_a, layer.of_b, layer.out)
        case IntPool():
            pool = max_pool if layer.kind == "max" else average_pool
            q = pool(x[0], layer.kernel, layer.stride, layer.pads, layer.lo, layer.hi)
        case IntPad():
            top, left, bottom, right = layer.pads
            return out.restored(np.pad(v[0], ((0, 0), (0, 0), (top, bottom), (left, right))))
        case Rescale():
            q = layer.out(v[0])
        case Concat():
            q = np.concatenate(x, axis=1)
        case _:
            raise NetworkError(f"layer {layer.name!r} is of floats")
    return q.astype(out.dtype)


def centred_layer(graph: Graph, layer: Layer, x: list[np.ndarray]) -> np.ndarray:
    """The same of int16 v = q - zero, as the machine holds them."""
    q = [affine_of(graph, name).restored(v) for name, v in zip(layer.inputs, x)]
    return affine_of(graph, layer.output).centred(run_layer(graph, layer, q))


def integer_run(graph: Graph, images: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor, q [N, C, H, W] of its type, of images of the input's type and shape.

    Raises ValueError if they are of others, NetworkError if a layer is not of integers.
    """
    tensor, dtype = graph.tensors[graph.input], affine_of(graph, graph.input).dtype
    if images.dtype != dtype or images.ndim != 4 or images.shape[1:] != tensor.shape:
        raise ValueError(
            f"images {images.dtype} {images.shape}: expected {dtype} (N, "
            f"{', '.join(map(str, tensor.shape))})"
        )
    values = {graph.input: images}
    for layer in graph.layers:
        values[layer.output] = run_layer(graph, layer, [values[name] for name in layer.inputs])
    return values


def quantised_input(graph: Graph, images: np.ndarray) -> np.ndarray:
    """q [N, C, H, W] of raw images of that shape. An input of floats is quantised, whatever their
    type, as the host does it; of another, images of its type are q, pixels of uint8 are it less 128
    where it is int8, and the scale makes q of floats."""
    affine = affine_of(graph, graph.input)
    if graph.real_input:
        return affine.quantise(graph.scaled(images).astype(np.float32), even=graph.halves_even)
    return affine.of_images(images)


def host_result(
    graph: Graph, tensor: str, q: np.ndarray, ops: tuple[str, ...], to: Affine | None = None
) -> np.ndarray:
    """What the host makes of a tensor by `ops` of an Output: q of its type, or float32 [N, ...].
    to: what 'quantise' makes."""
    affine: Affine | None = affine_of(graph, tensor)
    for op in ops:
        if op == "softmax" and affine:
            q = softmax(q, affine)
            affine = Affine(1 / 256, affine.lo, affine.signed)
        elif op == "softmax":
            powers = np.exp(q - q.max(axis=1, keepdims=True), dtype=np.float64)
            q = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        elif op == "dequantise" and affine:
            q, affine = affine.dequantise(q), None
        elif op == "quantise" and to and not affine:
            q, affine = to.quantise(q, even=graph.halves_even), to
        else:
            raise NetworkError(f"output {tensor!r}: {op} of an 8-bit tensor is not supported")
    return q
