"""Quantised ONNX -> Graph of 8-bit integer layers: operators between DequantizeLinear and
QuantizeLinear, QLinear operators, and sums of ConvInteger and MatMulInteger with what scales them.
Everything refused is refused with one line that names the node and its operator."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto

from compiler.frontend.onnx_file import title
from compiler.frontend.onnx_nodes import DOMAINS, FLOATS
from compiler.frontend.onnx_operators import OperatorVisitor
from compiler.frontend.onnx_real import Read, Real, Sums
from compiler.frontend.onnx_real import scaled as times
from compiler.frontend.onnx_values import Hosted, Integers, Raw, Value
from compiler.graph import Graph, NetworkError, Tensor
from golden.integer.affine import Affine

MICROSOFT = "com.microsoft"
QUANTISERS = {
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    *("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
}
EIGHT: dict[int, type] = {TensorProto.INT8: np.int8, TensorProto.UINT8: np.uint8}
ANYWHERE = {"QuantizeLinear", "DequantizeLinear"}  # Microsoft's are the same
AFTER_HOST = {"QuantizeLinear", "DequantizeLinear", "Identity", "Flatten", "Reshape", "Dropout"}
# Attributes of Microsoft's operators.
KINDS = {
    **dict.fromkeys(("kernel_shape", "strides", "pads", "dilations"), AttributeProto.INTS),
    **dict.fromkeys(("transA", "transB", "channels_last", "ceil_mode"), AttributeProto.INT),
    **dict.fromkeys(("count_include_pad", "axis", "opset"), AttributeProto.INT),
    "alpha": AttributeProto.FLOAT,
    "auto_pad": AttributeProto.STRING,
}


def quantised(model: onnx.ModelProto) -> bool:
    """Whether activations of a model are quantised: constants alone may be, in a float network."""
    constant = {"", *(t.name for t in model.graph.initializer)}
    for node in model.graph.node:
        if node.op_type == "Constant" or (node.input and constant.issuperset(node.input)):
            constant.update(node.output)
        elif node.op_type in QUANTISERS or (
            node.domain == MICROSOFT and node.op_type.startswith(("QLinear", "QGemm"))
        ):
            return True
    return False


def unscaled(tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(scale, offset) of an input as it is given, float64 [C]."""
    one, zero = (np.broadcast_to(x, (tensor.channels,)) for x in (1.0, 0.0))
    return one, zero


def load(model: onnx.ModelProto) -> Graph:
    """The Graph of a model as onnx_file.read returns it, its tensors named as those of integers in
    the file.

    Raises NetworkError: an operator, attribute or type without support, floats that are not
    quantised, scales and zero points that are none; the message names the node.
    """
    return Importer(model).run()


class Importer(OperatorVisitor):
    # ---- the frame -----------------------------------------------------------------------
    def run(self) -> Graph:
        """Raises NetworkError, as `load`."""
        info, dims = self.network_input()
        kind, graph = info.type.tensor_type.elem_type, self.graph
        tensor, rank = Tensor(info.name, *dims), len(dims) + 1
        graph.input = info.name
        if kind in EIGHT:
            self.unbound = tensor
            self.input_type = np.dtype(EIGHT[kind])
            self.values[info.name] = Integers(info.name, rank)
        elif kind == TensorProto.FLOAT:
            self.values[info.name] = Raw(rank, tensor.shape, *unscaled(tensor))
        else:
            kinds = {number: name for name, number in TensorProto.DataType.items()}
            raise NetworkError(
                f"input {info.name!r} is {kinds.get(kind, kind)}: FLOAT, INT8 or UINT8 is supported"
            )
        self.input_name = info.name
        for node in self.nodes:
            self.visit(node)
        names = tuple(o.name for o in self.model.graph.output)
        ends = [self.output(name) for name in names]
        graph.outputs, graph.names = tuple(e.tensor for e in ends), names
        graph.host = tuple(e.ops for e in ends)
        graph.host_affine = tuple(e.affine for e in ends)
        graph.check()
        return graph

    def output(self, name: str) -> Hosted:
        """An output's tensor, and what the host makes of it. Raises NetworkError for one that is no
        layer's."""
        value = self.values.get(name)
        match value:
            case None:
                raise NetworkError(
                    f"output {name!r} is constant: no value of input {self.input_name!r} changes it"
                )
            case Hosted():
                end = value
            case Integers():
                end = Hosted(value.tensor, value.rank, ())
            case Real(tensor=str() as tensor):
                end = Hosted(tensor, value.rank, ("dequantise",))
            case Real():
                raise NetworkError(
                    f"output {name!r} is of floats that node {value.name!r} computes: a "
                    "QuantizeLinear is needed after it"
                )
            case _:
                end = Hosted("", value.rank, ())
        if end.tensor in ("", self.graph.input):
            raise NetworkError(
                f"output {name!r} is input {self.input_name!r} itself: there is no layer between "
                "them; a network needs one"
            )
        return end

    def supported(self, node: onnx.NodeProto) -> bool:
        microsoft = node.op_type.startswith("QLinear") or node.op_type == "QGemm"
        standard = node.op_type in ("QLinearConv", "QLinearMatMul")
        if node.domain == MICROSOFT:
            return node.op_type in ANYWHERE or (microsoft and not standard)
        return node.domain in DOMAINS and (standard or not microsoft)

    def visit(self, node: onnx.NodeProto) -> None:
        for a in node.attribute:
            # What the checker knows nothing about.
            kind = KINDS.get(a.name, a.type) if node.domain == MICROSOFT else a.type
            if a.type != kind:
                raise NetworkError(f"{title(node)}: attribute {a.name!r} has the wrong type")
        super().visit(node)

    def follows_host(self) -> bool:
        node = self.node
        for name in node.input:
            value = self.values.get(name)
            if isinstance(value, Hosted) and node.op_type not in AFTER_HOST:
                raise self.error(f"cannot follow {value.ops[-1]}, which runs on the host")
        return False

    # ---- the ends ------------------------------------------------------------------------
    def op_quantizelinear(self) -> None:
        value = self.activation(0)
        self.need(not self.attributes.get("block_size", 0), "blocks are not supported")
        kind = self.attributes.get("output_dtype", 0)
        self.need(kind in (0, *EIGHT), "its output_dtype: int8 and uint8 are supported")
        affine = self.affine(1, 2, np.dtype(EIGHT[kind]) if kind else None)
        match value:
            case Raw():
                self.quantise_input(value, affine)
            case Real():
                self.emit(value, affine)
            case Hosted(ops=(*_, "softmax")):
                self.alias(value, ops=(*value.ops, "quantise"), affine=affine)
            case _:
                raise self.error(f"input {self.node.input[0]!r} is of integers already")

    def quantise_input(self, value: Raw, affine: Affine) -> None:
        graph, out = self.graph, self.node.output[0]
        tensor = Tensor(out, *value.shape, affine=affine)
        if not graph.tensors:
            graph.tensors[out] = tensor
            graph.input, graph.real_input, graph.halves_even = out, self.input_name, True
            graph.input_scale, graph.input_offset = value.scale, value.offset
        else:
            first = graph.tensors[graph.input]
            self.need(
                bool(graph.real_input)
                and dataclasses.replace(tensor, name=first.name) == first
                and np.array_equal(graph.input_scale, value.scale)
                and np.array_equal(graph.input_offset, value.offset),
                "the network's input is quantised in one way only",
            )
            graph.aliases[out] = graph.input
        self.values[out] = Integers(graph.input, value.rank)

    def op_dequantizelinear(self) -> None:
        value = self.activation(0)
        self.need(not self.attributes.get("block_size", 0), "blocks are not supported")
        match value:
            case Integers():
                self.bind(value.tensor, self.affine(1, 2, self.dtype(value)), 0)
                made = Real("", value.rank, self.shape_of(value), Read(value.tensor))
                self.values[self.node.output[0]] = made
            case Real(sums=True, source=Sums() as source):
                scale = self.scale(1)
                self.zero(2, np.dtype(np.int32), scale.size)
                axis = self.attributes.get("axis", 1)
                self.need(
                    scale.size == 1 or axis % value.rank == 1 and scale.size == len(source.unit),
                    f"{scale.size} scales along axis {axis} for {len(source.unit)} filters",
                )
                one = np.ones(len(source.unit))
                self.alias(value, source=times(source, one * scale, 0 * one), sums=False)
            case Hosted(affine=Affine() as affine, ops=(*_, "quantise")):
                self.need(
                    self.affine(1, 2, affine.dtype) == affine,
                    "its scale or zero point are not those of the QuantizeLinear before",
                )
                self.alias(value, ops=(*value.ops, "dequantise"))
            case _:
                raise self.error(f"input {self.node.input[0]!r} is of floats already")

    def op_cast(self) -> None:
        value, to = self.activation(0), self.attributes["to"]
        self.need(to in FLOATS, f"to data type {to}: floating point is supported")
        if self.unbound is not None and isinstance(value, Integers):
            self.need(
                self.uses[self.input_name] == 1, "the network's input is read as integers too"
            )
            raw = Raw(value.rank, self.unbound.shape, *unscaled(self.unbound))
            self.values[self.node.output[0]] = raw
            self.unbound = None
            return
        self.need(isinstance(value, Raw | Real), "of integers whose scale a DequantizeLinear knows")
        self.alias(value, **({"sums": False} if isinstance(value, Real) else {}))

    def softmax(self, tensor: str, rank: int, axis: int) -> Hosted:
        shape = self.graph.tensors[tensor].shape
        self.need(
            (rank == 2 or math.prod(shape) == shape[0]) and axis in (1, 1 - rank),
            f"axis {axis} of {rank}: only over a vector of features is supported",
        )
        made = Hosted(tensor, rank, ("dequantise", "softmax"))
        self.values[self.node.output[0]] = made
        return made

    def op_softmax(self) -> None:
        rank = self.real(0).rank
        axis = self.attributes.get("axis", -1 if self.opset >= 13 else 1)
        self.softmax(self.read(0).name, rank, axis)

    def op_qlinearsoftmax(self) -> None:
        tensor, rank = self.qlinear(0), self.integers(0).rank
        made = self.softmax(tensor.name, rank, self.attributes.get("axis", -1))
        affine = self.made(3, 4, tensor)
        self.alias(made, ops=(*made.ops, "quantise"), affine=affine)

    def laid_out(self, value: Value, shape: tuple[int, ...]) -> bool:
        """Of the input, whose features the host lays out, where nothing else reads it."""
        graph, old = self.graph, self.shape_of(value)
        branches = any(self.uses.get(name, 0) != 1 for name in self.values)
        if math.prod(old) != old[0] or graph.layers or branches:
            return False
        raw = isinstance(value, Raw)
        mapped = (value.scale, value.offset) if raw else (graph.input_scale, graph.input_offset)
        if any(np.ptp(a) for a in mapped):
            return False
        scale, offset = (np.full(shape[0], a[0]) for a in mapped)
        sizes = dict(zip(("channels", "height", "width"), shape))
        if raw:
            self.alias(value, rank=4, shape=shape, scale=scale, offset=offset)
            return True
        if not isinstance(value, Integers) and not (isinstance(value, Real) and value.tensor):
            return False
        if self.unbound is not None:
            self.unbound = dataclasses.replace(self.unbound, **sizes)
        else:
            tensor = graph.tensors[graph.input]
            graph.tensors[graph.input] = dataclasses.replace(tensor, **sizes)
            graph.input_scale, graph.input_offset = scale, offset
        self.alias(value, rank=4, **({"shape": shape} if isinstance(value, Real) else {}))
        return True
