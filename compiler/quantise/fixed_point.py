"""Dynamic fixed point: a power-of-two format for each tensor, chosen by calibration, and the
integer network.

An activation of format f stands for integer * 2**-f. Pool, Concat and Relu keep the format of their
inputs; Conv and Add requantise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from compiler.graph import Graph, NetworkError
from compiler.layers import Add, Concat, Conv, IntAdd, IntConv, IntPool, Pool, Relu, Rescale
from compiler.quantise.float_run import float_run
from compiler.quantise.integer_run import centred_layer, quantised_input
from golden import fixed
from golden.add import add
from golden.conv import conv2d
from golden.integer.requantise import Requantiser
from golden.pool import average_pool, max_pool
from hdl.config import ENTRY_BITS

MAX_SHIFT = 47  # OFMAP.shift
MAX_ALIGN = 14  # of an operand of an addition: the sum has 31 bits
MAX_ADD_SHIFT = 31  # of its sum, to the right
FRACTIONS = range(-16, 31)  # formats a tensor or a layer's weights may take


@dataclass(frozen=True)
class ConvNumbers:
    """weights int16 [M, C/g, R, S] of `fraction` fractional bits; bias int32 [M] at the psums'
    scale; `shift` takes the psums to the output's format. Of an IntConv `out` does, and adds the
    zero point of the output; its bias is added to a sum of 32 bits, behind the psums."""

    weights: np.ndarray
    bias: np.ndarray
    fraction: int
    shift: int
    out: Requantiser | None = None


@dataclass(frozen=True)
class AddNumbers:
    """((a << shift_a) + (b << shift_b)) rounded right by shift_out."""

    shift_a: int
    shift_b: int
    shift_out: int


@dataclass
class QuantisedGraph:
    """A Graph and its numbers. formats: tensor -> f, of those without an Affine; convs, adds: layer
    -> numbers; peaks: layer -> largest |psum| seen in calibration; zeros: tensor -> share of its
    elements that were 0 then; bits: tensor -> width that its values saturate to, 16 where not
    named; kept: of a network of integers, tensor -> its channels that are left of the model's."""

    graph: Graph
    psum_bits: int
    formats: dict[str, int]
    convs: dict[str, ConvNumbers]
    adds: dict[str, AddNumbers]
    peaks: dict[str, int] = field(default_factory=dict)
    zeros: dict[str, float] = field(default_factory=dict)
    bits: dict[str, int] = field(default_factory=dict)
    kept: dict[str, np.ndarray] = field(default_factory=dict)

    def summary(self) -> dict:
        """Formats, shifts and observed psums, fit for JSON."""
        layers = []
        for layer in self.graph.layers:
            row = {
                "name": layer.name,
                "kind": type(layer).__name__.lower(),
                "output": layer.output,
                "shape": list(self.graph.tensors[layer.output].shape),
                "fraction": self.formats[layer.output],
            }
            if isinstance(layer, Conv):
                n = self.convs[layer.name]
                row |= {
                    "weight_fraction": n.fraction,
                    "shift": n.shift,
                    "psum_peak": self.peaks.get(layer.name, 0),
                }
            elif isinstance(layer, Add):
                n = self.adds[layer.name]
                row |= {"shift_a": n.shift_a, "shift_b": n.shift_b, "shift_out": n.shift_out}
            layers.append(row)
        return {
            "psum_bits": self.psum_bits,
            "input": self.graph.input,
            "input_fraction": self.formats[self.graph.input],
            "layers": layers,
        }


@dataclass
class GoldenRun:
    """tensors: int16 [N, C, H, W] by name; wrapped: Conv layer -> final psums that wrapped; peaks:
    Conv layer -> largest |psum| before wrapping; zeros: tensor -> share of its elements that are 0.
    """

    tensors: dict[str, np.ndarray]
    wrapped: dict[str, int]
    peaks: dict[str, int]
    zeros: dict[str, float] = field(default_factory=dict)


def _largest(peak: float, limit: float) -> int:
    """The largest format with peak * 2**f <= limit."""
    if peak <= 0:
        return FRACTIONS[-1]
    return min(max(math.floor(math.log2(limit / peak)), FRACTIONS[0]), FRACTIONS[-1])


def _greatest(bits: int) -> int:
    """The largest value of a width."""
    return (1 << bits - 1) - 1


def _saturate(q: QuantisedGraph, tensor: str, values: np.ndarray) -> np.ndarray:
    """int16 values within the width of a tensor."""
    most = _greatest(q.bits.get(tensor, ENTRY_BITS))
    return values if most == fixed.INT16_MAX else np.clip(values, -most - 1, most)


def _shared(graph: Graph) -> dict[str, str]:
    """Tensor -> a representative of the tensors that must have its format."""
    root = {name: name for name in graph.tensors}

    def find(name):
        while root[name] != name:
            name = root[name]
        return name

    for layer in graph.layers:
        if isinstance(layer, (Pool, Concat, Relu)):
            for name in layer.inputs:
                root[find(name)] = find(layer.output)
    return {name: find(name) for name in root}


class _Search:
    """Formats that meet every constraint; they only ever go down, so the search ends."""

    def __init__(
        self,
        graph: Graph,
        images: np.ndarray,
        psum_bits: int,
        margin: float,
        activation_bits: dict[str, int],
        weight_bits: dict[str, int],
    ):
        self.graph, self.psum_bits, self.margin, self.weight_bits = (
            graph,
            psum_bits,
            margin,
            weight_bits,
        )
        for layer in graph.layers:
            if isinstance(layer, Conv) and not (
                np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all()
            ):
                raise NetworkError(f"layer {layer.name!r} (Conv): weights or bias are not finite")
        self.peaks: dict[str, float] = {}  # largest |output before ReLU| of a Conv

        def observe(layer, sums):
            self.peaks[layer.name] = max(
                self.peaks.get(layer.name, 0.0), float(np.abs(sums).max(initial=0))
            )

        values = float_run(graph, images, observe)
        self.shared = _shared(graph)
        # Tensors of one format have one width, the least that is asked of them.
        least: dict[str, int] = {}
        for name, bits in activation_bits.items():
            least[self.shared[name]] = min(bits, least.get(self.shared[name], ENTRY_BITS))
        self.bits = {
            name: least[owner]
            for name, owner in self.shared.items()
            if least.get(owner, ENTRY_BITS) < ENTRY_BITS
        }
        self.formats = {}
        for name, value in values.items():
            owner = self.shared[name]
            f = _largest(
                float(np.abs(value).max(initial=0)) * margin,
                _greatest(self.bits.get(name, ENTRY_BITS)),
            )
            self.formats[owner] = min(f, self.formats.get(owner, f))
        self.convs = [layer for layer in graph.layers if isinstance(layer, Conv)]
        # bits taken off after a golden run
        self.lower = dict.fromkeys((layer.name for layer in self.convs), 0)

    def f(self, tensor: str) -> int:
        return self.formats[self.shared[tensor]]

    def limit(self, tensor: str, f: int) -> bool:
        """Whether a tensor's format had to come down to f."""
        if self.f(tensor) <= f:
            return False
        self.formats[self.shared[tensor]] = f
        return True

    def weight_fraction(self, layer: Conv) -> int:
        f_in, f_out = self.f(layer.input), self.f(layer.output)
        bias = float(np.abs(layer.bias).max(initial=0))
        peak = max(self.peaks[layer.name], bias)
        return (
            min(
                _largest(
                    float(np.abs(layer.weights).max(initial=0)),
                    _greatest(self.weight_bits.get(layer.name, ENTRY_BITS)),
                ),
                _largest(bias, (1 << 31) - 1) - f_in if bias else FRACTIONS[-1],
                math.floor(math.log2(((1 << self.psum_bits - 2) - 1) / (peak * self.margin))) - f_in
                if peak
                else FRACTIONS[-1],
                f_out + MAX_SHIFT - f_in,
            )
            - self.lower[layer.name]
        )

    def settle(self) -> None:
        changed = True
        while changed:
            changed = False
            for layer in self.graph.layers:
                if isinstance(layer, Conv):
                    changed |= self.limit(
                        layer.output, self.f(layer.input) + self.weight_fraction(layer)
                    )
                elif isinstance(layer, Add):
                    low = min(self.f(layer.a), self.f(layer.b))
                    changed |= self.limit(layer.a, low + MAX_ALIGN) | self.limit(
                        layer.b, low + MAX_ALIGN
                    )
                    changed |= self.limit(layer.output, max(self.f(layer.a), self.f(layer.b)))

    def numbers(self) -> QuantisedGraph:
        convs, adds = {}, {}
        for layer in self.graph.layers:
            if isinstance(layer, Conv):
                fraction = self.weight_fraction(layer)
                scale = self.f(layer.input) + fraction
                bias = np.floor(np.ldexp(layer.bias.astype(np.float64), scale) + 0.5)
                convs[layer.name] = ConvNumbers(
                    fixed.quantise(layer.weights, fraction),
                    bias.astype(np.int32),
                    fraction,
                    scale - self.f(layer.output),
                )
            elif isinstance(layer, Add):
                top = max(self.f(layer.a), self.f(layer.b))
                numbers = AddNumbers(
                    top - self.f(layer.a), top - self.f(layer.b), top - self.f(layer.output)
                )
                if numbers.shift_out > MAX_ADD_SHIFT:
                    raise NetworkError(
                        f"layer {layer.name!r} (Add): its operands are 2**{numbers.shift_out} "
                        "times finer than its output"
                    )
                adds[layer.name] = numbers
        formats = {name: self.f(name) for name in self.graph.tensors}
        return QuantisedGraph(self.graph, self.psum_bits, formats, convs, adds, bits=self.bits)


def quantise(
    graph: Graph,
    images: np.ndarray,
    *,
    psum_bits: int = 32,
    margin: float = 2.0,
    activation_bits: dict[str, int] | None = None,
    weight_bits: dict[str, int] | None = None,
) -> QuantisedGraph:
    """Formats from raw calibration images [N, C, H, W]: the finest in which every activation
    observed, times `margin`, fits int16, and every final psum observed, times `margin`, stays below
    2**(psum_bits - 2). A psum that wraps ruins its image, so the margin is worth its bit.
    activation_bits, by tensor, and weight_bits, by layer: widths below 16 that formats are to fit
    instead (for studies: the hardware has 16); tensors that share a format share the least of
    theirs.

    Raises ValueError if there is no image or its shape is not the network's, NetworkError if no
    format fits a layer.
    """
    if integers := [t.name for t in graph.tensors.values() if t.affine is not None]:
        raise NetworkError(f"tensor {integers[0]!r} is of 8 bits already")
    if len(images) == 0:
        raise ValueError("calibration needs at least one image")
    if not np.isfinite(images).all():
        raise ValueError("calibration images hold values that are not finite")
    search = _Search(graph, images, psum_bits, margin, activation_bits or {}, weight_bits or {})
    while True:
        search.settle()
        result = search.numbers()
        run = golden_run(result, quantise_input(result, images), keep=set())
        over = [name for name, peak in run.peaks.items() if peak >= 1 << psum_bits - 2]
        if not over:
            result.peaks, result.zeros = run.peaks, run.zeros
            return result
        for name in over:
            search.lower[name] += 1
            if search.lower[name] > 32:
                raise NetworkError(
                    f"layer {name!r} (Conv): no weight format keeps its psums within {psum_bits} "
                    "bits"
                )


def quantise_input(q: QuantisedGraph, images: np.ndarray) -> np.ndarray:
    """int16 input of raw images [N, C, H, W]: scaled as the network asks, rounded half up,
    saturated. Of an 8-bit input v = q - zero, of the q of `quantised_input`."""
    if (affine := q.graph.tensors[q.graph.input].affine) is not None:
        return affine.centred(quantised_input(q.graph, images))
    return _saturate(
        q, q.graph.input, fixed.quantise(q.graph.scaled(images), q.formats[q.graph.input])
    )


def dequantise(q: QuantisedGraph, tensor: str, values: np.ndarray) -> np.ndarray:
    """Real values, float64, of the integers of a tensor."""
    return fixed.dequantise(values, q.formats[tensor])


def _run_layer(q: QuantisedGraph, layer, x: list[np.ndarray], run: GoldenRun) -> np.ndarray:
    match layer:
        case IntConv() | IntAdd() | IntPool() | Rescale():
            run.wrapped[layer.name] = 0  # integer_network has checked that
            return centred_layer(q.graph, layer, x)
        case Conv():
            n = q.convs[layer.name]
            sums = conv2d(
                x[0],
                n.weights,
                n.bias,
                stride=layer.stride,
                pads=layer.pads,
                groups=layer.groups,
                psum_bits=q.psum_bits,
            )
            peak = max(int(sums.exact.max(initial=0)), -int(sums.exact.min(initial=0)))
            run.peaks[layer.name] = max(run.peaks.get(layer.name, 0), peak)
            run.wrapped[layer.name] = run.wrapped.get(layer.name, 0) + sums.overflows
            return fixed.requantise(sums.wrapped, n.shift, layer.relu)
        case Pool(kind="max"):
            return max_pool(x[0], layer.kernel, layer.stride, layer.pads)
        case Pool():
            return average_pool(x[0], layer.kernel, layer.stride, layer.pads, layer.count)
        case Add():
            n = q.adds[layer.name]
            return add(x[0], x[1], n.shift_a, n.shift_b, n.shift_out, layer.relu)
        case Concat():
            return np.concatenate(x, axis=1)
        case _:
            return np.maximum(x[0], np.int16(0))


def golden_run(
    q: QuantisedGraph, images: np.ndarray, keep: set[str] | None = None, chunk: int = 250
) -> GoldenRun:
    """Bit-exact run of int16 images [N, C, H, W], `chunk` at a time.

    keep: the tensors to return (all if None). Raises ValueError if the images are not int16 of the
    network's input shape.
    """
    expected = q.graph.tensors[q.graph.input].shape
    if images.dtype != np.int16 or images.ndim != 4 or images.shape[1:] != expected:
        raise ValueError(
            f"images {images.dtype} {images.shape}: expected int16 (N, {expected[0]}, "
            f"{expected[1]}, {expected[2]})"
        )
    run, parts = GoldenRun({}, {}, {}), {}
    for start in range(0, len(images), chunk):
        values = {q.graph.input: images[start : start + chunk]}
        for layer in q.graph.layers:
            result = _run_layer(q, layer, [values[name] for name in layer.inputs], run)
            values[layer.output] = _saturate(q, layer.output, result)
        for name, value in values.items():
            share = (value.size - int(np.count_nonzero(value))) / (value[0].size * len(images))
            run.zeros[name] = run.zeros.get(name, 0.0) + share
            if keep is None or name in keep:
                parts.setdefault(name, []).append(value)
    run.tensors = {name: np.concatenate(part) for name, part in parts.items()}
    return run
