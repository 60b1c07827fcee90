"""Floats between a DequantizeLinear and the QuantizeLinear after it, and the integer layers that
they become: what follows a layer's sums is known only when the output's scale is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import Concat, Conv, IntAdd, IntConv, IntPad, IntPool, Layer, Pool, Rescale
from golden.geometry import output_size
from golden.integer.add import POINT, Operand
from golden.integer.affine import Affine
from golden.integer.requantise import (
    MOST_SHIFT,
    SINGLE,
    Requantiser,
    quantise_multiplier,
    quantise_multipliers,
)

COPY = 64  # weight of a copy that adds constants: they are rounded to 1/64 of its input's step
MOST_AVERAGE = 256  # elements whose average STORE divides exactly
MOST_BIAS = 1 << 31


@dataclass(frozen=True)
class Read:
    """(q - zero) * scale of a tensor."""

    tensor: str


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of a convolution or fully connected layer, times `unit`, float64 [M] above 0. layer: its
    weights int16 [M, C/groups, R, S] less their zero point, its bias float64 [M] in sums of 1."""

    layer: Conv
    unit: np.ndarray


@dataclass(frozen=True)
class Total:
    """Sum of two tensors of one shape."""

    a: str
    b: str


@dataclass(frozen=True)
class Window:
    """A pool; its name and output are not used."""

    pool: Pool


@dataclass(frozen=True)
class Padded:
    """Zeros around rows and columns; name and output of its layer are not used."""

    pad: IntPad


@dataclass(frozen=True)
class Joined:
    """Tensors one after the other along the channels."""

    tensors: tuple[str, ...]


Source = Read | Sums | Total | Window | Padded | Joined


@dataclass(frozen=True, eq=False)
class Real:
    """Floats of C x H x W, seen with rank 4 or flattened to rank 2, that node `name` computes.
    low, high: bounds that a Relu or Clip has set; sums: they are int32 sums, not yet floats."""

    name: str
    rank: int
    shape: tuple[int, int, int]
    source: Source
    low: float | None = None
    high: float | None = None
    sums: bool = False

    @property
    def plain(self) -> bool:
        return self.low is None and self.high is None

    @property
    def tensor(self) -> str | None:
        """The tensor that they are, if nothing is done to it."""
        return self.source.tensor if isinstance(self.source, Read) and self.plain else None


class LayerMaker:
    """Adds the layers of a graph. names: of the model's nodes and tensors, so that those of layers
    and tensors between are others."""

    def __init__(self, graph: Graph, names: Iterable[str]):
        self.graph = graph
        self.names = set(names)

    def affine(self, tensor: str) -> Affine:
        affine = self.graph.tensors[tensor].affine
        assert affine is not None  # of every tensor that is added
        return affine

    def fresh(self, base: str) -> str:
        """A name that neither the model nor a layer has."""
        name, number = base, 1
        while name in self.names:
            number += 1
            name = f"{base}_{number}"
        self.names.add(name)
        return name

    def make(self, real: Real, affine: Affine, output: str, name: str) -> str:
        """The tensor of `real` quantised to a scale and zero point, float to nearest.

        Adds the layers that compute it as `output`, the last called `name`; where there is nothing
        to compute it is the tensor that there is. Raises NetworkError, without the node, if no
        layers compute it.
        """
        match real.source:
            case Read(tensor):
                if real.plain and self.affine(tensor) == affine:
                    return tensor
                factor = self.affine(tensor).scale / affine.scale
                out = self.requantiser(factor, real, affine)
                self.add(Rescale(name, tensor, output, out), affine)
            case Sums():
                self.add(self.conv(real.source, real, affine, output, name), affine)
            case Total(a, b):
                self.add(self.sum(a, b, real, affine, output, name), affine)
            case Window(pool):
                self.pool(pool, real, affine, output, name)
            case Padded(pad):
                layer = IntPad(name, pad.input, output, pad.pads)
                self.unscaled(layer, self.affine(pad.input), real, affine)
            case Joined(tensors):
                self.join(tensors, real, affine, output, name)
        return output

    def add(self, layer: Layer, affine: Affine) -> None:
        tensor = Tensor(layer.output, *self.graph.output_shape(layer), affine=affine)
        self.graph.tensors[layer.output] = tensor
        self.graph.layers.append(layer)

    def bounds(self, real: Real, affine: Affine) -> tuple[int, int]:
        """(lo, hi) of q for the bounds that a Relu or Clip has set."""
        lo, hi = (
            None if x is None else int(affine.quantise(np.asarray(x), even=True))
            for x in (real.low, real.high)
        )
        return affine.lo if lo is None else lo, affine.hi if hi is None else hi

    def requantiser(self, factors: np.ndarray | float, real: Real, affine: Affine) -> Requantiser:
        """Of sums that `factors` bring to the scale of an output."""
        most = float(np.max(factors))
        if not (np.isfinite(factors).all() and most < 2.0**MOST_SHIFT):
            raise NetworkError(
                f"its scales give a factor of {most:g}: below 2**{MOST_SHIFT} is supported"
            )
        multiplier, shift = quantise_multipliers(factors)
        return Requantiser(multiplier, shift, SINGLE, affine.zero, *self.bounds(real, affine))

    def unscaled(self, layer: IntPool | IntPad, of: Affine, real: Real, affine: Affine) -> None:
        """A layer whose output has the scale and zero point of its input, and a Rescale to others
        or to bounds that it has not."""
        if of == affine and isinstance(layer, IntPool):
            layer.lo, layer.hi = self.bounds(real, affine)
        if of == affine and (real.plain or isinstance(layer, IntPool)):
            self.add(layer, affine)
            return
        name, output = layer.name, layer.output
        layer.name, layer.output = self.fresh(f"{name}_unscaled"), self.fresh(f"{output}_unscaled")
        self.add(layer, of)
        out = self.requantiser(of.scale / affine.scale, real, affine)
        self.add(Rescale(name, layer.output, output, out), affine)

    def conv(self, sums: Sums, real: Real, affine: Affine, output: str, name: str) -> IntConv:
        layer, bias = sums.layer, np.rint(sums.layer.bias)
        if not (np.abs(bias) < MOST_BIAS).all():
            raise NetworkError("its bias exceeds 32 bits of its sums' scale")
        return IntConv(
            name,
            layer.input,
            output,
            layer.weights,
            bias.astype(np.int32),
            layer.stride,
            layer.pads,
            layer.groups,
            full=layer.full,
            out=self.requantiser(sums.unit / affine.scale, real, affine),
        )

    def sum(self, a: str, b: str, real: Real, affine: Affine, output: str, name: str) -> IntAdd:
        scales = [self.affine(tensor).scale for tensor in (a, b)]
        twice = 2 * max(scales)
        factor = twice / ((1 << POINT) * affine.scale)
        if quantise_multiplier(factor)[1] > 0:
            raise NetworkError(f"its scales give a factor of {factor:g}: below 1 is supported")
        of_a, of_b = (Operand(*quantise_multiplier(s / twice)) for s in scales)
        out = self.requantiser(factor, real, affine)
        return IntAdd(name, a, b, output, of_a=of_a, of_b=of_b, out=out)

    def pool(self, pool: Pool, real: Real, affine: Affine, output: str, name: str) -> None:
        """A maximum of integers; an average of them where the scales are equal and no padding is
        counted, else a depthwise convolution of ones."""
        tensor, of = self.graph.tensors[pool.input], self.affine(pool.input)
        kernel, stride, pads = pool.kernel, pool.stride, pool.pads
        whole, elements = (0, 0, *tensor.shape[1:]), kernel[0] * kernel[1]
        layer = IntPool(
            name, pool.kind, tensor.name, output, kernel, stride, pads, whole, lo=of.lo, hi=of.hi
        )
        equal = of == affine and (pool.count == whole or not any(pads))
        if pool.kind == "max" or equal and elements <= MOST_AVERAGE:
            self.unscaled(layer, of, real, affine)
            return
        if not _inside(pool, tensor.shape[1:]) or min(pads) < 0:
            raise NetworkError(
                f"padding {pads} that is counted in some windows only: supported where it is in "
                "none, and input and output have one scale and zero point"
            )
        channels = tensor.channels
        ones = np.broadcast_to(np.int16(1), (channels, 1, *kernel))
        zeros = np.zeros(channels)
        conv = Conv(name, tensor.name, output, ones, zeros, stride, pads, channels)
        unit = np.full(channels, of.scale / elements)
        self.add(self.conv(Sums(conv, unit), real, affine, output, name), affine)

    def join(
        self, tensors: tuple[str, ...], real: Real, affine: Affine, output: str, name: str
    ) -> None:
        """Concat of tensors that are rescaled before it where need be, each once."""
        scaled: dict[str, str] = {}
        for tensor in tensors:
            if real.plain and self.affine(tensor) == affine:
                scaled[tensor] = tensor
            elif tensor not in scaled:
                shape = self.graph.tensors[tensor].shape
                part = Real(name, 4, shape, Read(tensor), real.low, real.high)
                names = self.fresh(f"{tensor}_in_{output}"), self.fresh(f"{name}_rescale")
                scaled[tensor] = self.make(part, affine, *names)
        self.add(Concat(name, tuple(scaled[tensor] for tensor in tensors), output), affine)


def _inside(pool: Pool, size: tuple[int, int]) -> bool:
    """Whether every window lies in the box whose elements are counted."""
    windows = output_size(size, pool.kernel, pool.stride, pool.pads)
    return all(
        -pool.pads[i] >= pool.count[i]
        and (windows[i] - 1) * pool.stride[i] - pool.pads[i] + pool.kernel[i] <= pool.count[i + 2]
        for i in (0, 1)
    )


def scaled(sums: Sums, scale: np.ndarray, offset: np.ndarray) -> Sums:
    """Sums times a scale plus an offset, float64 [M] each; where a scale is 0 the weights are."""
    size, sign = np.abs(scale), np.sign(scale).astype(np.int16)
    unit = sums.unit * np.where(size > 0, size, 1.0)
    layer = sums.layer
    with np.errstate(all="ignore"):  # a bias that is too large is refused where it is rounded
        bias = layer.bias * sign + offset / unit
    changed = Conv(
        layer.name,
        layer.input,
        layer.output,
        layer.weights * sign[:, None, None, None],
        bias,
        layer.stride,
        layer.pads,
        layer.groups,
        full=layer.full,
    )
    return Sums(changed, unit)


def copied(tensor: Tensor, affine: Affine) -> Sums:
    """A tensor as sums of a depthwise convolution, so that constants can be added to them."""
    channels = tensor.channels
    weights = np.full((channels, 1, 1, 1), COPY, np.int16)
    layer = Conv("", tensor.name, "", weights, np.zeros(channels), groups=channels)
    return Sums(layer, np.full(channels, affine.scale / COPY))
