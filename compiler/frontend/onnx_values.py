"""What a quantised ONNX model's names stand for while it is imported, scales and zero points among
them, and how its nodes read and write them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import onnx

from compiler.frontend.onnx_nodes import NodeVisitor
from compiler.frontend.onnx_real import LayerMaker, Real, Source
from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import Layer
from golden.integer.affine import Affine


@dataclass(frozen=True, eq=False)
class Raw:
    """The network's input, C x H x W floats: what the file is given times `scale` plus `offset`,
    float64 [C]."""

    rank: int
    shape: tuple[int, int, int]
    scale: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class Integers:
    """q of a tensor of the graph."""

    tensor: str
    rank: int


@dataclass(frozen=True)
class Hosted:
    """What the host makes of a tensor by `ops`. affine: of what 'quantise' among them makes."""

    tensor: str
    rank: int
    ops: tuple[str, ...]
    affine: Affine | None = None


Value = Raw | Integers | Real | Hosted


@dataclass(frozen=True, eq=False)
class Scaled:
    """Constant integers: (data - zero) * scale, float64 and int64 [1], or one a slice along
    `axis`."""

    data: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    axis: int

    def along(self, numbers: np.ndarray) -> np.ndarray:
        """scale or zero in a shape that goes with the data's."""
        shape = [1] * self.data.ndim
        if numbers.size > 1:
            shape[self.axis] = -1
        return numbers.reshape(shape)

    @property
    def centred(self) -> np.ndarray:
        """int64 data - zero."""
        return self.data.astype(np.int64) - self.along(self.zero)

    @property
    def real(self) -> np.ndarray:
        """float64."""
        return self.centred * self.along(self.scale)


class ValueVisitor(NodeVisitor):
    """values: of class Value; scaled: constants that a DequantizeLinear makes floats of."""

    def __init__(self, model: onnx.ModelProto):
        super().__init__(model)
        self.scaled: dict[str, Scaled] = {}
        self.graph = Graph("", ())
        self.input_type = np.dtype(np.float32)
        self.unbound: Tensor | None = None  # an input of integers before its scale is known
        names = {name for node in model.graph.node for name in (node.name, *node.output)}
        self.maker = LayerMaker(self.graph, names | {i.name for i in model.graph.input})

    def fold_constant(self) -> None:
        if self.node.op_type != "DequantizeLinear":
            super().fold_constant()
            return
        self.need(not self.attributes.get("block_size", 0), "blocks are not supported")
        axis = self.attributes.get("axis", 1)
        self.scaled[self.node.output[0]] = self.weights(0, 1, 2, axis)

    # ---- scales and zero points ----------------------------------------------------------
    def scale(self, index: int) -> np.ndarray:
        """float32 scales, as float64 of one dimension. Raises NetworkError unless they are
        constant, finite and above 0."""
        scale = self.operand(index)
        name = self.node.input[index]
        self.need(
            scale.dtype == np.float32, f"scale {name!r} is {scale.dtype}: float32 is supported"
        )
        self.need(
            scale.ndim <= 1 and scale.size > 0, f"scale {name!r} has shape {list(scale.shape)}"
        )
        bad = scale[~(np.isfinite(scale) & (scale > 0))].tolist()
        self.need(
            not bad, f"scale {name!r} is {bad[0] if bad else 0}: it must be finite and above 0"
        )
        return scale.reshape(-1).astype(np.float64)

    def zero(self, index: int, dtype: np.dtype, count: int) -> np.ndarray:
        """int64 zero points of one dimension, of a type and as many as there are scales."""
        zero = self.constant(index)
        if zero is None:
            return np.zeros(count, np.int64)
        name = self.node.input[index]
        self.need(zero.dtype == dtype, f"zero point {name!r} is {zero.dtype}, {dtype} is expected")
        self.need(
            zero.ndim <= 1 and zero.size == count > 0,
            f"zero point {name!r} has shape {list(zero.shape)} for {count} scales",
        )
        self.need(
            dtype != np.int32 or not zero.any(), f"zero point {name!r}: 0 is supported in int32"
        )
        return zero.reshape(-1).astype(np.int64)

    def affine(self, scale: int, zero: int, dtype: np.dtype | None = None) -> Affine:
        """Of an activation, from operands. dtype: of its integers; where None, that of the zero
        point, uint8 without one."""
        scales = self.scale(scale)
        self.need(
            scales.size == 1,
            f"scale {self.node.input[scale]!r} has {scales.size} numbers: activations have one",
        )
        if dtype is None:
            given = self.constant(zero)
            dtype = np.dtype(np.uint8) if given is None else given.dtype
        self.need(
            dtype in (np.int8, np.uint8),
            f"activations of {dtype}: int8 and uint8 are supported",
        )
        return Affine(float(scales[0]), int(self.zero(zero, dtype, 1)[0]), dtype == np.int8)

    def weights(self, index: int, scale: int, zero: int, axis: int) -> Scaled:
        """Constant integers of operands, their scales along an axis if there are several."""
        data, scales = self.operand(index), self.scale(scale)
        self.need(
            data.dtype in (np.int8, np.uint8, np.int32),
            f"input {self.node.input[index]!r} is {data.dtype}: int8 or uint8 is expected",
        )
        zeros = self.zero(zero, data.dtype, scales.size)
        return self.sliced(data, scales, zeros, axis, self.node.input[scale])

    def sliced(
        self, data: np.ndarray, scales: np.ndarray, zeros: np.ndarray, axis: int, name: str
    ) -> Scaled:
        rank = data.ndim
        if scales.size > 1 or zeros.size > 1:
            count = max(scales.size, zeros.size)
            self.need(
                -rank <= axis < rank and data.shape[axis] == count,
                f"{name!r} has {count} numbers along axis {axis} of shape {list(data.shape)}",
            )
        return Scaled(data, scales, zeros, axis % max(rank, 1))

    def made(self, scale: int, zero: int, *tensors: Tensor) -> Affine:
        """Of the node's output, from operands. tensors: its inputs, whose type it has."""
        kinds = {self.maker.affine(tensor.name).dtype for tensor in tensors}
        given = self.constant(zero)
        if given is not None and given.dtype in (np.int8, np.uint8):
            kinds.add(given.dtype)
        self.need(len(kinds) <= 1, "int8 beside uint8")
        return self.affine(scale, zero, kinds.pop() if kinds else None)

    def bind(self, tensor: str, affine: Affine, index: int) -> None:
        """A node takes a tensor to be of a scale and zero point; the first to read an input of
        integers says which it has."""
        if self.unbound is not None and self.unbound.name == tensor:
            self.graph.tensors[tensor] = dataclasses.replace(self.unbound, affine=affine)
            self.unbound = None
        found = self.maker.affine(tensor)
        self.need(
            found == affine,
            f"scale or zero point of input {self.node.input[index]!r} are not those of "
            f"{tensor!r}: {affine.scale:g} and {affine.zero}, {found.scale:g} and {found.zero}",
        )

    # ---- operands ------------------------------------------------------------------------
    def real(self, index: int) -> Real:
        """An operand that is of floats, or of sums that have yet to become them."""
        value = self.activation(index)
        if isinstance(value, Raw):
            raise self.error(
                f"input {self.node.input[index]!r} is floats of the network's input: a "
                "QuantizeLinear is needed before"
            )
        if not isinstance(value, Real):
            raise self.error(
                f"input {self.node.input[index]!r} is of integers: a DequantizeLinear is needed "
                "before"
            )
        return value

    def read(self, index: int) -> Tensor:
        """The tensor of an operand that a DequantizeLinear makes floats of."""
        value = self.real(index)
        if value.tensor is None:
            raise self.error(
                f"input {self.node.input[index]!r} is of floats that node {value.name!r} "
                "computes: a QuantizeLinear is needed between"
            )
        return self.graph.tensors[value.tensor]

    def integers(self, index: int) -> Integers:
        value = self.activation(index)
        if not isinstance(value, Integers):
            raise self.error(f"input {self.node.input[index]!r} is of floats: integers expected")
        return value

    def dtype(self, value: Integers) -> np.dtype:
        if self.unbound is not None and self.unbound.name == value.tensor:
            return self.input_type
        return self.maker.affine(value.tensor).dtype

    def qlinear(self, index: int) -> Tensor:
        """The tensor of an operand whose scale and zero point are the two after it."""
        value = self.integers(index)
        self.bind(value.tensor, self.affine(index + 1, index + 2, self.dtype(value)), index)
        return self.graph.tensors[value.tensor]

    def shape_of(self, value: Value) -> tuple[int, int, int]:
        if isinstance(value, (Raw, Real)):
            return value.shape
        if self.unbound is not None and self.unbound.name == value.tensor:
            return self.unbound.shape
        return self.graph.tensors[value.tensor].shape

    # ---- results -------------------------------------------------------------------------
    def alias(self, value: Value, **changes) -> None:
        out, value = self.node.output[0], dataclasses.replace(value, **changes)
        self.values[out] = value
        if isinstance(value, Integers):
            self.graph.aliases[out] = value.tensor

    def floats(
        self,
        source: Source,
        rank: int,
        layer: Layer | None = None,
        shape: tuple[int, int, int] = (1, 1, 1),
    ) -> Real:
        """The node's output as floats. layer: one whose output has their shape."""
        if layer is not None:
            try:
                shape = self.graph.output_shape(layer)
            except NetworkError as error:
                raise self.error(str(error)) from None
        made = Real(self.name, rank, shape, source)
        self.values[self.node.output[0]] = made
        return made

    def emit(self, real: Real, affine: Affine) -> None:
        """The node's output as integers: layers, or another name of a tensor."""
        out, taken = self.node.output[0], {layer.name for layer in self.graph.layers}
        name = self.name if real.name in ("", *taken) else real.name
        of = f"of node {real.name!r}: " if real.name not in ("", self.name) else ""
        try:
            tensor = self.maker.make(real, affine, out, name)
        except NetworkError as error:
            raise self.error(f"{of}{error}") from None
        self.values[out] = Integers(tensor, real.rank)
        if tensor != out:
            self.graph.aliases[out] = tensor
