"""Layers of int8 networks: what the arithmetic of docs/quantised.md needs, as integers.

They stand in a Graph beside the layers of floating point. Each reads and writes tensors that have
an Affine: a layer reads v = q - zero, padding is v = 0, and a Requantiser adds the zero point of
the output. Concat is the same layer for both kinds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.geometry import Pads
from golden.integer.add import Operand
from golden.integer.requantise import Requantiser


@dataclass
class IntConv:
    """Convolution, depthwise and grouped too; a fully connected layer is one whose filter covers
    its whole input (`full`), the mean over rows and columns a depthwise one of ones.

    weights: int16 [M, C/groups, R, S], less their zero point, so 9 bits at most; bias: int32 [M];
    stride: (vertical, horizontal); out: multipliers of each channel.
    """

    name: str
    input: str
    output: str
    weights: np.ndarray
    bias: np.ndarray
    out: Requantiser
    stride: tuple[int, int] = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    groups: int = 1
    full: bool = False

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weights.shape[2:]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass
class IntAdd:
    """a + b, element by element, of one shape and each of its own scale."""

    name: str
    a: str
    b: str
    output: str
    of_a: Operand
    of_b: Operand
    out: Requantiser

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.a, self.b


@dataclass
class IntPool:
    """kind: 'max' or 'average'; padding is in neither maximum nor average. lo, hi: bounds of q."""

    name: str
    kind: str
    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: Pads
    lo: int
    hi: int

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


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


IntLayer = IntConv | IntAdd | IntPool | IntPad | Rescale
