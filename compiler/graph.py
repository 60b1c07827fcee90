"""The network between import and mapping: layers on C x H x W tensors, batch left open."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compiler.layers import Concat, Conv, IntPad, Layer, Pool
from golden.geometry import output_size
from golden.integer.affine import Affine


class NetworkError(ValueError):
    """A network that cannot be compiled; one line that names the node and its operator."""


@dataclass(frozen=True)
class Tensor:
    """An activation; a vector of K features is K x 1 x 1. affine: its scale and zero point, if it
    is int8 or uint8; without them it is of floats, which the quantiser makes int16."""

    name: str
    channels: int
    height: int = 1
    width: int = 1
    affine: Affine | None = field(default=None, kw_only=True)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    @property
    def size(self) -> int:
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class Output:
    """An output of a network: its name in the model, its tensor, and what the host does to that:
    'softmax', 'log_softmax', 'argmax', in order; of an 8-bit tensor 'softmax' of integers
    (golden/integer/softmax.py), 'dequantise', after that 'softmax' of floats, and 'quantise' to
    integers of the scale and zero point `affine`."""

    name: str
    tensor: str
    host_ops: tuple[str, ...] = ()
    affine: Affine | None = None


@dataclass
class Graph:
    """A network. outputs: tensors, in the model's order (the name of one is enough); host, names:
    of each output, the host's operations and its name in the model (none, and the tensor's, where
    left out); layers: in topological order; input_scale, input_offset: float64 [C], the network's
    real input is raw * scale + offset, channel by channel; aliases: other names that a model has
    for a tensor, as that of a Reshape's output, to the tensor's; real_input: the model's name of an
    input of floats, which the host quantises to the 8-bit `input`, after input_scale and
    input_offset; halves_even: whether it rounds halves to even, else away from zero; host_affine:
    of each output what 'quantise' of the host makes, None without one; channels_last: the model's
    own arrays are in the order of rows, columns, channels, flattened ones too."""

    input: str
    outputs: tuple[str, ...]
    layers: list[Layer] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    host: tuple[tuple[str, ...], ...] = ()
    names: tuple[str, ...] = ()
    input_scale: np.ndarray = field(default_factory=lambda: np.ones(1))
    input_offset: np.ndarray = field(default_factory=lambda: np.zeros(1))
    aliases: dict[str, str] = field(default_factory=dict)
    real_input: str = ""
    halves_even: bool = False
    host_affine: tuple[Affine | None, ...] = ()
    channels_last: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.outputs, str):
            self.outputs = (self.outputs,)

    @property
    def output(self) -> str:
        """The first output, which classes are read from."""
        return self.outputs[0]

    @output.setter
    def output(self, tensor: str) -> None:
        """Makes it the only output."""
        self.outputs, self.host, self.names, self.host_affine = (tensor,), (), (), ()

    @property
    def integer(self) -> bool:
        """Whether it is of 8-bit integers."""
        return self.tensors[self.input].affine is not None

    @property
    def host_ops(self) -> tuple[str, ...]:
        """What the host does to the first output."""
        return self.results[0].host_ops

    @property
    def results(self) -> list[Output]:
        """The outputs with all that is known about them."""
        host, names = self.host or ((),) * len(self.outputs), self.names or self.outputs
        affine = self.host_affine or (None,) * len(self.outputs)
        return [Output(*each) for each in zip(names, self.outputs, host, affine, strict=True)]

    def producer(self, tensor: str) -> Layer | None:
        """The layer that writes a tensor; None for the network's input."""
        return next((layer for layer in self.layers if layer.output == tensor), None)

    def consumers(self, tensor: str) -> list[Layer]:
        return [layer for layer in self.layers if tensor in layer.inputs]

    def scaled(self, images: np.ndarray) -> np.ndarray:
        """Real input, float64 [N, C, H, W], of raw images of that shape."""
        return images * self.input_scale[:, None, None] + self.input_offset[:, None, None]

    def flat(self, values: np.ndarray) -> np.ndarray:
        """[N, K], in the model's order, of a tensor [N, C, H, W]."""
        ordered = values.transpose(0, 2, 3, 1) if self.channels_last else values
        return ordered.reshape(len(values), -1)

    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(
            layer.weights[0].size * self.tensors[layer.output].size
            for layer in self.layers
            if isinstance(layer, Conv)
        )

    def check(self) -> None:
        """Raises NetworkError, naming the layer, unless shapes and order are consistent."""
        known = {self.input}
        for layer in self.layers:
            missing = [name for name in layer.inputs if name not in known]
            if missing:
                raise NetworkError(
                    f"layer {layer.name!r}: input {missing[0]!r} is not computed before it"
                )
            try:
                expected, got = self.output_shape(layer), self.tensors[layer.output].shape
            except NetworkError as error:
                raise NetworkError(f"layer {layer.name!r}: {error}") from None
            if expected != got:
                raise NetworkError(
                    f"layer {layer.name!r}: output is {got}, its inputs give {expected}"
                )
            known.add(layer.output)
        for output in self.outputs:
            if output not in known:
                raise NetworkError(f"output {output!r} is not computed")

    def output_shape(self, layer: Layer) -> tuple[int, int, int]:
        """(C, H, W) that a layer makes of its inputs. Raises NetworkError if they do not fit it."""
        shapes = [self.tensors[name].shape for name in layer.inputs]
        channels, size = shapes[0][0], shapes[0][1:]
        match layer:
            case Conv():
                if (
                    channels != layer.weights.shape[1] * layer.groups
                    or layer.weights.shape[0] % layer.groups
                ):
                    raise NetworkError(
                        f"{channels} channels in {layer.groups} groups do not "
                        f"fit weights {layer.weights.shape}"
                    )
                out = (
                    layer.weights.shape[0],
                    *output_size(size, layer.kernel, layer.stride, layer.pads),
                )
            case Pool():
                out = (channels, *output_size(size, layer.kernel, layer.stride, layer.pads))
            case IntPad():
                out = (channels, *output_size(size, (1, 1), (1, 1), layer.pads))
            case Concat():
                if any(s[1:] != shapes[0][1:] for s in shapes):
                    raise NetworkError(f"inputs of different size: {shapes}")
                out = (sum(s[0] for s in shapes), *size)
            case _:
                if any(s != shapes[0] for s in shapes):
                    raise NetworkError(f"inputs of different shape: {shapes}")
                out = shapes[0]
        if min(out) < 1:
            raise NetworkError(f"the window is larger than the padded input {shapes[0]}")
        return out
