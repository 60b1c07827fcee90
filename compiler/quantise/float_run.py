"""The network in floating point: what calibration observes and what quantised accuracy is
compared with."""

from collections.abc import Callable

import numpy as np

from compiler.graph import Graph, NetworkError
from compiler.layers import Add, Concat, Conv, Pool, Relu
from golden.conv import windows
from golden.pool import divisors


def _conv(layer: Conv, x: np.ndarray) -> np.ndarray:
    view = windows(x, layer.kernel, layer.stride, layer.pads)
    n, _, e, f = view.shape[:4]
    c, m = layer.weights.shape[1], layer.weights.shape[0] // layer.groups
    out = np.empty((n, m * layer.groups, e, f))
    for g in range(layer.groups):
        columns = view[:, g * c : (g + 1) * c].transpose(0, 2, 3, 1, 4, 5).reshape(n * e * f, -1)
        weights = layer.weights[g * m : (g + 1) * m].reshape(m, -1).astype(np.float64)
        out[:, g * m : (g + 1) * m] = (
            (columns @ weights.T).reshape(n, e, f, m).transpose(0, 3, 1, 2)
        )
    return out + layer.bias.astype(np.float64)[:, None, None]


def _pool(layer: Pool, x: np.ndarray) -> np.ndarray:
    (top, left, bottom, right) = layer.pads
    fill = -np.inf if layer.kind == "max" else 0.0
    grow = [max(p, 0) for p in layer.pads]
    padded = np.pad(
        x, ((0, 0), (0, 0), (grow[0], grow[2]), (grow[1], grow[3])), constant_values=fill
    )
    padded = padded[
        :, :, : padded.shape[2] + min(bottom, 0) or None, : padded.shape[3] + min(right, 0) or None
    ]
    view = windows(padded, layer.kernel, layer.stride, (0, 0, 0, 0))
    if layer.kind == "max":
        return view.max(axis=(4, 5))
    by = divisors(x.shape[2:], layer.kernel, layer.stride, layer.pads, layer.count)
    return np.where(by > 0, view.sum(axis=(4, 5)) / np.maximum(by, 1), 0.0)


def float_run(
    graph: Graph,
    images: np.ndarray,
    observe: Callable[[Conv, np.ndarray], None] | None = None,
    keep: set[str] | None = None,
    chunk: int = 500,
) -> dict[str, np.ndarray]:
    """Tensors by name, float64 [N, C, H, W], of raw images [N, C, H, W] (host operations not
    applied).

    keep: the tensors to return (all if None). observe(layer, sums) sees each Conv's output before
    its ReLU. Raises ValueError if the images are not of the network's input shape.
    """
    expected = graph.tensors[graph.input].shape
    if images.ndim != 4 or images.shape[1:] != expected:
        raise ValueError(
            f"images {images.shape}: expected (N, {expected[0]}, {expected[1]}, {expected[2]})"
        )
    parts: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(images), chunk):
        values = {graph.input: graph.scaled(images[start : start + chunk])}
        for layer in graph.layers:
            x = [values[name] for name in layer.inputs]
            match layer:
                case Conv():
                    y = _conv(layer, x[0])
                    if observe:
                        observe(layer, y)
                case Pool():
                    y = _pool(layer, x[0])
                case Add():
                    y = x[0] + x[1]
                case Concat():
                    y = np.concatenate(x, axis=1)
                case Relu():
                    y = x[0]
                case _:
                    raise NetworkError(f"layer {layer.name!r} is of integers")
            values[layer.output] = (
                np.maximum(y, 0) if isinstance(layer, Relu) or getattr(layer, "relu", False) else y
            )
        for name, value in values.items():
            if keep is None or name in keep:
                parts.setdefault(name, []).append(value)
    return {name: np.concatenate(part) for name, part in parts.items()}


def host_run(graph: Graph, output: np.ndarray, number: int = 0) -> np.ndarray:
    """The host's operations on output `number` of a network, real [N, C, H, W]: [N, K] flattened,
    or [N] after an argmax."""
    y = np.asarray(output, np.float64).reshape(len(output), -1)
    for op in graph.results[number].host_ops:
        if op == "argmax":
            return y.argmax(axis=1)
        y = y - y.max(axis=1, keepdims=True)
        y = y - np.log(np.exp(y).sum(axis=1, keepdims=True))
        if op == "softmax":
            y = np.exp(y)
    return y
