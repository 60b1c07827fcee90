"""Layers of a graph: of floats, and of the integers of int8 networks.

An integer layer has what the arithmetic of docs/quantised.md needs, and reads and writes tensors
that have an Affine: it reads v = q - zero, padding is v = 0, and a Requantiser adds the zero point
of the output. Concat is the same layer for both kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from golden.geometry import Pads
from golden.integer.add import Operand
from golden.integer.requantise import Requantiser


@dataclass
class Conv:
    """Convolution. A fully connected layer is one whose filter covers its whole input (`full`).

    weights: float32 [M, C/groups, R, S]; bias: float32 [M]; stride: (vertical, horizontal).
    """

    name: str
    input: str
    output: str
    weights: np.ndarray
    bias: np.ndarray
    stride: tuple[int, int] = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    groups: int = 1
    relu: bool = False
    full: bool = False

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weights.shape[2:]

    @property
    def depthwise(self) -> bool:
        """Whether each channel has filters of its own."""
        return self.groups > 1 and self.weights.shape[1] == 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass
class Pool:
    """kind: 'max' or 'average'. pads and count as golden.geometry.PoolGeometry: pads are effective
    (output size is plain arithmetic, a negative one crops), count is the box that an average's
    divisor counts."""

    name: str
    kind: str
    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: Pads
    count: Pads

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass
class Add:
    """a + b, element by element, of one shape."""

    name: str
    a: str
    b: str
    output: str
    relu: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.a, self.b


@dataclass
class Concat:
    """Inputs one after the other along the channels."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass
class Relu:
    """A ReLU that no Conv or Add before it could take in."""

    name: str
    input: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass
class IntConv(Conv):
    """Convolution of integers, depthwise and grouped too; the mean over rows and columns is a
    depthwise one of ones.

    weights: int16 [M, C/groups, R, S], less their zero point, so 9 bits at most; bias: int32 [M];
    out: multipliers of each channel, its bounds the activation function.
    """

    out: Requantiser = field(kw_only=True)


@dataclass
class IntAdd(Add):
    """a + b, element by element, of one shape and each of its own scale."""

    of_a: Operand = field(kw_only=True)
    of_b: Operand = field(kw_only=True)
    out: Requantiser = field(kw_only=True)


@dataclass
class IntPool(Pool):
    """Padding is in neither maximum nor average, and input and output have one scale and zero
    point. lo, hi: bounds of q."""

    lo: int = field(kw_only=True)
    hi: int = field(kw_only=True)


@dataclass
class IntPad:
    """Zero points around rows and columns."""

    name: str
    input: str
    output: str
    pads: Pads

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass
class Rescale:
    """The same values of another scale, zero point or bounds: a ReLU that stands alone too."""

    name: str
    input: str
    output: str
    out: Requantiser

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


Layer = Conv | Pool | Add | Concat | Relu | IntPad | Rescale
