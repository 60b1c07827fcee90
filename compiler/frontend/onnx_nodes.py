"""What importers of ONNX have in common: a walk over the nodes that outputs depend on, constants
evaluated on the way, operands, windows, and operators that only show a tensor differently.

An importer is a subclass: a method `op_conv` is a Conv's handler.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from compiler.frontend.onnx_file import title
from compiler.graph import NetworkError
from golden.geometry import Pads, PoolGeometry, auto_pads, pool_geometry

DOMAINS = ("", "ai.onnx")
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
MOST = 1 << 28  # elements of an input
WINDOW = 255  # most rows and columns of a pool's window and stride


def first_line(error: Exception) -> str:
    """Of what an error says, or its type if it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


class NodeVisitor:
    """A model under import. values: what the name of each computed tensor stands for, of a class
    that each importer has."""

    def __init__(self, model: onnx.ModelProto):
        self.model = model
        self.opset = next((o.version for o in model.opset_import if o.domain in DOMAINS), 1)
        self.constants = {t.name: self.initialiser(t) for t in model.graph.initializer}
        self.values: dict[str, Any] = {}
        self.nodes = self.needed(model.graph)
        self.uses: dict[str, int] = {}
        for names in [
            *(node.input for node in self.nodes if node.op_type != "Shape"),
            [o.name for o in model.graph.output],
        ]:
            for name in names:
                self.uses[name] = self.uses.get(name, 0) + 1
        self.node = onnx.NodeProto()  # the one that is visited
        self.attributes: dict[str, Any] = {}
        self.batch = 1

    @staticmethod
    def initialiser(tensor: onnx.TensorProto) -> np.ndarray:
        if tensor.data_type not in TensorProto.DataType.values():
            raise NetworkError(
                f"initializer {tensor.name!r}: unreadable: data type {tensor.data_type} is unknown"
            )
        try:
            return numpy_helper.to_array(tensor)
        except Exception as error:  # whatever numpy or onnx makes of a damaged tensor
            why = first_line(error)
            raise NetworkError(f"initializer {tensor.name!r}: unreadable: {why}") from None

    @staticmethod
    def needed(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
        """Nodes that the outputs depend on."""
        wanted, nodes = {o.name for o in graph.output}, []
        for node in reversed(graph.node):
            if wanted & set(node.output):
                wanted |= set(node.input)
                nodes.append(node)
        return nodes[::-1]

    # ---- the frame -----------------------------------------------------------------------
    def network_input(self) -> tuple[onnx.ValueInfoProto, tuple[int, ...]]:
        """(the network's input, its sizes but the batch's). Raises NetworkError unless it has one
        input of fixed sizes, and an output."""
        inputs = [i for i in self.model.graph.input if i.name not in self.constants]
        if len(inputs) != 1:
            raise NetworkError(f"the network has {len(inputs)} inputs: one is supported")
        if not self.model.graph.output:
            raise NetworkError("the network has no output: one is needed")
        info = inputs[0]
        dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
        if len(dims) not in (2, 4) or min(dims[1:]) < 1:
            raise NetworkError(
                f"input {info.name!r}: shape {dims}: N x C x H x W or N x K with fixed sizes is "
                "supported"
            )
        if math.prod(dims[1:]) >= MOST:
            raise NetworkError(f"input {info.name!r}: shape {dims} is too large")
        self.batch = max(dims[0], 1)
        return info, tuple(dims[1:])

    def error(self, why: str) -> NetworkError:
        return NetworkError(f"{title(self.node)}: {why}")

    def need(self, ok: bool, why: str) -> None:
        if not ok:
            raise self.error(why)

    @property
    def name(self) -> str:
        return self.node.name

    def supported(self, node: onnx.NodeProto) -> bool:
        """Whether an operator's name means what this importer takes it for."""
        return node.domain in DOMAINS

    def visit(self, node: onnx.NodeProto) -> None:
        """One node, its operands visited before."""
        self.node = node
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise self.error("operator not supported")
        if node.op_type == "Constant" or (
            node.input and all(name in self.constants for name in node.input if name)
        ):
            self.fold_constant()
            return
        handler = getattr(self, "op_" + node.op_type.lower(), None)
        if handler is None or not self.supported(node):
            raise self.error("operator not supported")
        for number, name in enumerate(node.output[1:], 2):
            if self.uses.get(name):
                raise self.error(
                    f"output {name!r}, its output {number}, is not supported: only the first is"
                )
        if not self.follows_host():
            handler()

    def follows_host(self) -> bool:
        """Whether nothing is left to be done for a node that reads what the host computes.

        Raises NetworkError if the node cannot follow it.
        """
        return False

    def fold_constant(self) -> None:
        graph = helper.make_graph(
            [self.node],
            "constant",
            [],
            [helper.make_empty_tensor_value_info(o) for o in self.node.output],
            [numpy_helper.from_array(self.constants[n], n) for n in self.node.input if n],
        )
        try:
            results = ReferenceEvaluator(
                helper.make_model(graph, opset_imports=self.model.opset_import)
            ).run(None, {})
        except Exception as error:
            raise self.error(f"constant cannot be evaluated: {first_line(error)}") from None
        self.constants.update(zip(self.node.output, map(np.asarray, results)))

    # ---- operands ------------------------------------------------------------------------
    def activation(self, index: int) -> Any:
        """The value of an operand that is computed from the network's input."""
        names = self.node.input
        if index >= len(names) or names[index] not in self.values:
            raise self.error(f"input {index} must be computed from the network's input")
        return self.values[names[index]]

    def constant(self, index: int) -> np.ndarray | None:
        """A constant operand; None if the node leaves it out."""
        names = self.node.input
        if index >= len(names) or not names[index]:
            return None
        if names[index] not in self.constants:
            raise self.error(f"input {names[index]!r} must be constant")
        return self.constants[names[index]]

    def operand(self, index: int) -> np.ndarray:
        """A constant operand that the node may not leave out."""
        found = self.constant(index)
        if found is None:
            raise self.error(f"input {index} is missing")
        return found

    def per_channel(self, constant: np.ndarray, value: Any) -> np.ndarray:
        """float64 [C] of a constant that is a scalar or has one number for each channel of a
        value."""
        shape = self.shape_of(value)
        channels = shape[0]
        if constant.size == 1:
            return np.full(channels, float(constant.reshape(())))
        whole = (1,) * (value.rank - constant.ndim) + constant.shape
        flat = value.rank == 2 and math.prod(shape) != channels
        self.need(
            len(whole) == value.rank and whole[1] == constant.size == channels and not flat,
            f"constant of shape {constant.shape}: a scalar or one value for each channel is "
            "supported",
        )
        return constant.reshape(-1).astype(np.float64)

    # ---- windows -------------------------------------------------------------------------
    def windowed(self, kernel) -> tuple[tuple[int, int], Pads, str]:
        """(stride, pads, auto_pad); refuses what is no plain two-dimensional window."""
        at = self.attributes
        self.need(
            len(kernel) == 2, f"{len(kernel)}-dimensional window: two dimensions are supported"
        )
        self.need(
            all(d == 1 for d in at.get("dilations", [])),
            f"dilations {at.get('dilations')} are not supported",
        )
        stride = tuple(at.get("strides", (1, 1)))
        pads = tuple(at.get("pads", (0, 0, 0, 0)))
        if len(stride) != 2 or len(pads) != 4 or min(stride) <= 0:
            raise self.error(f"strides {stride}, pads {pads}: not two-dimensional")
        self.need(min(pads) >= 0, f"pads {pads}: negative ones are not supported")
        return stride, pads, at.get("auto_pad", b"NOTSET").decode()

    def conv_window(
        self, kernel: tuple[int, int], size: tuple[int, int]
    ) -> tuple[tuple[int, int], Pads, int]:
        """(stride, pads, groups) of a convolution over rows and columns of a size (H, W)."""
        stride, pads, mode = self.windowed(kernel)
        groups = self.attributes.get("group", 1)
        self.need(groups > 0, f"group {groups}")
        self.need(
            tuple(self.attributes.get("kernel_shape", kernel)) == kernel,
            f"kernel_shape is not that of weights {kernel[0]}x{kernel[1]}",
        )
        try:
            return stride, auto_pads(mode, size, kernel, stride, pads), groups
        except ValueError as error:
            raise self.error(str(error)) from None

    def pool_window(
        self, size: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int], PoolGeometry]:
        """(kernel, stride, geometry) of a pool over rows and columns of a size (H, W)."""
        at = self.attributes
        kernel = tuple(at["kernel_shape"])
        stride, pads, mode = self.windowed(kernel)
        self.need(
            max(kernel + stride) <= WINDOW,
            f"window {kernel}, stride {stride}: at most {WINDOW} is supported",
        )
        try:
            geometry = pool_geometry(
                size,
                kernel,
                stride,
                pads,
                auto_pad=mode,
                ceil_mode=bool(at.get("ceil_mode", 0)),
                count_include_pad=bool(at.get("count_include_pad", 0)),
            )
        except ValueError as error:
            raise self.error(str(error)) from None
        return kernel, stride, geometry

    # ---- views ---------------------------------------------------------------------------
    def shape_of(self, value: Any) -> tuple[int, int, int]:
        """(C, H, W) of a value, of whatever rank it is seen with."""
        raise NotImplementedError

    def seen(self, value: Any) -> list[int]:
        """Sizes of a value as the model has them, but the batch's."""
        shape = self.shape_of(value)
        return [*shape] if value.rank == 4 else [math.prod(shape)]

    def alias(self, value: Any, **changes) -> None:
        """The node's output is its input, seen differently."""
        raise NotImplementedError

    def op_identity(self) -> None:
        self.alias(self.activation(0))

    def op_dropout(self) -> None:
        training = self.constant(2)
        self.need(training is None or not np.any(training), "training_mode is not supported")
        self.alias(self.activation(0))

    def op_shape(self) -> None:
        shape = [self.batch, *self.seen(self.activation(0))]
        part = slice(self.attributes.get("start", 0), self.attributes.get("end", None))
        self.constants[self.node.output[0]] = np.array(shape[part], np.int64)

    def op_flatten(self) -> None:
        value, axis = self.activation(0), self.attributes.get("axis", 1)
        self.need(axis in (1, 1 - value.rank), f"axis {axis}: only 1 is supported")
        self.alias(value, rank=2)

    def op_reshape(self) -> None:
        value, sizes = self.activation(0), self.operand(1)
        self.need(sizes.dtype == np.int64, f"to sizes of {sizes.dtype}: int64 is expected")
        target = sizes.ravel().tolist()
        old = [self.batch, *self.seen(value)]
        size = math.prod(old[1:])
        fail = self.error(
            f"to {target} from {old[1:]} per image: N x K, or the same shape, is supported"
        )
        if not target or any(t == 0 and i >= len(old) for i, t in enumerate(target)):
            raise fail
        sizes = [
            old[i] if t == 0 and not self.attributes.get("allowzero", 0) else t
            for i, t in enumerate(target)
        ][1:]
        if sizes.count(-1) == 1:
            rest = -math.prod(sizes)
            sizes[sizes.index(-1)] = size // rest if rest else 0
        if (
            target[0] not in (-1, 0, 1, self.batch)
            or math.prod(sizes) != size
            or min(sizes, default=0) < 1
        ):
            raise fail
        if len(sizes) == 1:
            self.alias(value, rank=2)
        elif tuple(sizes) == self.shape_of(value):
            self.alias(value, rank=4)
        elif len(sizes) != 3 or not self.laid_out(value, tuple(sizes)):
            raise fail

    def laid_out(self, value: Any, shape: tuple[int, ...]) -> bool:
        """Whether the node's output is a value in another shape C x H x W, if it can be."""
        return False
