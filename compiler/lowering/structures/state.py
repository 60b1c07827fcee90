"""What the passes of the compiler hand on: each structure is the one before and what a pass adds.
Views and their storages are the same objects in all of them; `code` and `allocate` fill in theirs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from compiler.graph import Graph, NetworkError
from compiler.layers import Conv, Pool
from compiler.lowering.structures.options import Options
from compiler.lowering.structures.shape import conv_shape
from compiler.mapping.layout import View
from compiler.mapping.mapper import Mapper
from compiler.mapping.mapping import Mapping as ArrayMapping
from compiler.mapping.mapping import Shape
from compiler.quantise.fixed_point import QuantisedGraph
from compiler.sparse.slicing import SparseLayer
from hdl.config import Config

Stage = TypeVar("Stage", bound="Request")


@dataclass(frozen=True)
class Request:
    """A network, a configuration and options that go together.

    rlc: "auto", "on" or "off"; zeros: share by tensor; mapper: of the configuration.
    """

    network: QuantisedGraph
    config: Config
    options: Options
    rlc: str
    zeros: Mapping[str, float]
    mapper: Mapper

    @property
    def graph(self) -> Graph:
        return self.network.graph

    @property
    def images(self) -> int:
        return self.options.images

    @property
    def uncoded(self) -> Collection[str]:
        """Tensors that are not run-length coded in memory, whatever they hold."""
        return self.graph.tensors if self.rlc == "off" else self.options.dense

    def shape(
        self, layer: Conv, slots: np.ndarray, block: int, out_block: int, pool: Pool | None = None
    ) -> Shape:
        """Of a group of a convolution whose input has these slots, in such blocks."""
        return conv_shape(
            self.graph,
            layer,
            self.images,
            slots,
            block,
            out_block,
            pool,
            mode=self.options.mode,
            zeros=self.zeros,
            uncoded=self.uncoded,
        )

    def cost(self, mapping: ArrayMapping) -> int:
        """What blocks of tensors are chosen by: bytes of traffic, or cycles."""
        return mapping.dram_bytes if self.mapper.objective == "dram" else mapping.cycles


@dataclass(frozen=True)
class Placed(Request):
    """After `layout`. views: tensor -> its blocks; no address yet."""

    views: dict[str, View]


@dataclass(frozen=True)
class Compressed(Placed):
    """After `compress`. compressed: layer -> its cut for the sparse engine; its output's view is
    permuted as its rows are."""

    compressed: dict[str, SparseLayer]

    @property
    def convs(self) -> list[Conv]:
        """The layers of the array."""
        layers = [layer for layer in self.graph.layers if isinstance(layer, Conv)]
        return [layer for layer in layers if layer.name not in self.compressed]


@dataclass(frozen=True)
class Reordered(Compressed):
    """After `reorder`. reorders: layer -> the view 'tensor@block' that it reads instead of its
    input's, and that is written before it."""

    reorders: dict[str, str]

    def source(self, layer: Conv) -> View:
        return self.views[self.reorders.get(layer.name, layer.input)]


@dataclass(frozen=True)
class Mapped(Reordered):
    """After `fuse_and_map`. Layer -> its mapping, the shape that was mapped, the pool that rides on
    it; views of tensors that are never in memory are gone."""

    mappings: dict[str, ArrayMapping]
    shapes: dict[str, Shape]
    fused: dict[str, Pool]


@dataclass(frozen=True)
class Coded(Mapped):
    """After `code`: storages know whether they are run-length coded, and so their size."""


@dataclass(frozen=True)
class Allocated(Coded):
    """After `allocate`: storages have addresses. constant: first byte address after them."""

    constant: int


def extend(kind: type[Stage], state: Request, **more: Any) -> Stage:
    """The next structure: this one and more, or other values of what it has."""
    old = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return kind(**(old | more))


def request(network: QuantisedGraph, config: Config, options: Options) -> Request:
    """Checks what is asked for. Raises NetworkError."""
    if network.psum_bits != config.psum_bits:
        raise NetworkError(
            f"quantised for {network.psum_bits}-bit psums, "
            f"config {config.name!r} has {config.psum_bits}"
        )
    if not 1 <= options.images <= 255:
        raise NetworkError(f"a batch of {options.images}: must be 1..255")
    rlc = options.rlc
    if not config.rlc:
        if rlc == "on":
            raise NetworkError(
                f"config {config.name!r} has no run-length coding (rlc = false): choose auto or off"
            )
        rlc = "off" if rlc == "auto" else rlc
    zeros = network.zeros if options.zeros is None else options.zeros
    return Request(network, config, options, rlc, zeros, options.mapper or Mapper(config))
