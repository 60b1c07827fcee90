"""ONNX -> Graph. Everything refused is refused with one line that names the node and its
operator."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from compiler.frontend.onnx_file import read, title
from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import Add, Concat, Conv, Layer, Pool, Relu
from golden.geometry import Pads, auto_pads, pool_geometry

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
HOST_OPS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "ArgMax": "argmax"}


@dataclass(frozen=True)
class _Value:
    """What an ONNX name stands for: a tensor of the graph, seen with rank 4 or flattened to rank 2.

    sole: nothing else reads the tensor, so its layer may still be changed. raw: the network's
    input under an affine map not yet given to the graph. host: operations of the host that it is
    behind.
    """

    tensor: str
    rank: int
    sole: bool
    raw: tuple[np.ndarray, np.ndarray] | None = None
    host: tuple[str, ...] = ()


def load(source: str | Path | bytes) -> Graph:
    """The Graph of an ONNX file (a path) or of its bytes.

    Raises NetworkError: a file that cannot be read or is no valid model, an operator or attribute
    without support, or a size beyond the native limits; the message names the node.
    """
    return _Importer(read(source)).run()


class _Importer:
    def __init__(self, model: onnx.ModelProto):
        self.model = model
        self.opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
        self.constants = {t.name: self.initialiser(t) for t in model.graph.initializer}
        self.values: dict[str, _Value] = {}
        self.nodes = self.needed(model.graph)
        self.uses: dict[str, int] = {}
        for names in [
            *(node.input for node in self.nodes if node.op_type != "Shape"),
            [o.name for o in model.graph.output],
        ]:
            for name in names:
                self.uses[name] = self.uses.get(name, 0) + 1
        self.scaling: tuple[np.ndarray, np.ndarray] | None = None
        self.node = onnx.NodeProto()  # the one that is visited
        self.attributes: dict[str, Any] = {}

    @staticmethod
    def initialiser(tensor: onnx.TensorProto) -> np.ndarray:
        if tensor.data_type not in TensorProto.DataType.values():
            raise NetworkError(
                f"initializer {tensor.name!r}: unreadable: data type {tensor.data_type} is unknown"
            )
        try:
            return numpy_helper.to_array(tensor)
        except Exception as error:  # whatever numpy or onnx makes of a damaged tensor
            why = next(iter(str(error).splitlines()), type(error).__name__)
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
    def run(self) -> Graph:
        inputs = [i for i in self.model.graph.input if i.name not in self.constants]
        if len(inputs) != 1:
            raise NetworkError(f"the network has {len(inputs)} inputs: one is supported")
        outputs = [o.name for o in self.model.graph.output]
        if not outputs:
            raise NetworkError("the network has no output: one is needed")
        info = inputs[0]
        dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
        if len(dims) not in (2, 4) or min(dims[1:]) < 1:
            raise NetworkError(
                f"input {info.name!r}: shape {dims}: N x C x H x W or N x K with fixed sizes is "
                "supported"
            )
        self.batch, self.integer_input = (
            max(dims[0], 1),
            info.type.tensor_type.elem_type not in FLOATS,
        )
        tensor = Tensor(info.name, *dims[1:])
        self.graph = Graph(info.name, (), tensors={info.name: tensor})
        self.values[info.name] = _Value(
            info.name, len(dims), False, (np.ones(dims[1]), np.zeros(dims[1]))
        )
        for node in self.nodes:
            self.visit(node)
        values = [self.output(name) for name in outputs]
        self.graph.outputs, self.graph.names = tuple(v.tensor for v in values), tuple(outputs)
        self.graph.host = tuple(v.host for v in values)
        assert self.scaling is not None  # every output is read from a layer, and a layer uses it
        self.graph.input_scale, self.graph.input_offset = self.scaling
        self.graph.check()
        return self.graph

    def output(self, name: str) -> _Value:
        """What an output stands for. Raises NetworkError for one that no layer has computed."""
        if name not in self.values:
            raise NetworkError(
                f"output {name!r} is constant: no value of input {self.graph.input!r} changes it"
            )
        value = self.values[name]
        if value.raw:
            if np.all(value.raw[0] == 1) and not np.any(value.raw[1]):
                what = f"{' of '.join(value.host[::-1])} of input" if value.host else "input"
                raise NetworkError(
                    f"output {name!r} is {what} {self.graph.input!r} itself: "
                    "there is no layer between them; a network needs one"
                )
            # Scaled and nothing else: a depthwise Conv, since an output is what a layer writes.
            self.node = next(node for node in self.nodes if name in node.output)
            value = self.values[name] = self.copy(name, value)
        return value

    def copy(self, name: str, value: _Value) -> _Value:
        """A depthwise Conv of its own for an output that is the scaled input."""
        channels = self.tensor(value).channels
        assert value.raw is not None
        self.need(
            len(value.raw[0]) == channels, "the network's input is used with different scalings"
        )
        weights = np.ones((channels, 1, 1, 1), np.float32)
        self.emit(
            Conv(
                self.name,
                self.use(value),
                name,
                weights,
                np.zeros(channels, np.float32),
                groups=channels,
            ),
            value.rank,
        )
        return dataclasses.replace(self.values[name], host=value.host)

    def error(self, why: str) -> NetworkError:
        return NetworkError(f"{title(self.node)}: {why}")

    @property
    def name(self) -> str:
        return self.node.name

    def visit(self, node: onnx.NodeProto) -> None:
        self.node = node
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise self.error("operator not supported")
        if (
            node.op_type == "Constant"
            or all(name in self.constants for name in node.input if name)
            and node.input
        ):
            self.fold_constant()
            return
        handler = getattr(self, "op_" + node.op_type.lower(), None)
        if handler is None or node.domain not in ("", "ai.onnx"):
            raise self.error("operator not supported")
        for number, name in enumerate(node.output[1:], 2):
            if self.uses.get(name):
                raise self.error(
                    f"output {name!r}, its output {number}, is not supported: only the first is"
                )
        host = [n for n in node.input if n in self.values and self.values[n].host]
        if host and node.op_type not in {*HOST_OPS, "Cast", "Identity", "Flatten", "Reshape"}:
            last = self.values[host[0]].host[-1]
            raise self.error(f"cannot follow {last}, which runs on the host")
        if host and node.op_type not in HOST_OPS:
            self.values[node.output[0]] = self.values[host[0]]
            return
        handler()

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
            raise self.error(
                f"constant cannot be evaluated: {str(error).splitlines()[0]}"
            ) from None
        self.constants.update(zip(self.node.output, map(np.asarray, results)))

    # ---- operands ------------------------------------------------------------------------
    def activation(self, index: int) -> _Value:
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

    def tensor(self, value: _Value) -> Tensor:
        return self.graph.tensors[value.tensor]

    def use(self, value: _Value) -> str:
        """The tensor of a value a layer reads; the first reader of the input fixes its scaling."""
        if value.raw:
            if self.scaling is None:
                self.scaling = value.raw
            elif not all(np.array_equal(a, b) for a, b in zip(self.scaling, value.raw)):
                raise self.error("the network's input is used with different scalings")
        return value.tensor

    def emit(self, layer: Layer, rank: int) -> None:
        try:
            shape = self.graph.output_shape(layer)
        except NetworkError as error:
            raise self.error(str(error)) from None
        self.graph.tensors[layer.output] = Tensor(layer.output, *shape)
        self.graph.layers.append(layer)
        self.values[self.node.output[0]] = _Value(
            layer.output, rank, self.uses.get(self.node.output[0]) == 1
        )

    def alias(self, value: _Value, **changes) -> None:
        """The node's output is its input, seen differently."""
        out = self.node.output[0]
        self.values[out] = dataclasses.replace(
            value, sole=value.sole and self.uses.get(out) == 1, **changes
        )

    def need(self, ok: bool, why: str) -> None:
        if not ok:
            raise self.error(why)

    # ---- layers --------------------------------------------------------------------------
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

    def op_conv(self) -> None:
        value, weights, bias = self.activation(0), self.operand(1), self.constant(2)
        self.need(
            value.rank == 4 and weights.ndim == 4, "only two-dimensional convolution is supported"
        )
        self.need(weights.size > 0, f"weights of shape {weights.shape} are empty")
        stride, pads, mode = self.windowed(weights.shape[2:])
        groups = self.attributes.get("group", 1)
        self.need(groups > 0, f"group {groups}")
        m, c, r, s = weights.shape
        for what, n, allowed in (
            ("filter height", r, range(1, 13)),
            ("filter width", s, range(1, 33)),
            ("vertical stride", stride[0], (1, 2, 4)),
            ("horizontal stride", stride[1], range(1, 13)),
        ):
            text = (
                f"{allowed[0]}..{allowed[-1]}"
                if isinstance(allowed, range)
                else ", ".join(map(str, allowed))
            )
            self.need(n in allowed, f"{what} {n}: {text} supported")
        bias = np.zeros(m) if bias is None else bias
        self.need(bias.shape == (m,), f"bias {bias.shape} for {m} filters")
        self.need(
            tuple(self.attributes.get("kernel_shape", (r, s))) == (r, s),
            f"kernel_shape is not that of weights {r}x{s}",
        )
        try:
            pads = auto_pads(mode, self.tensor(value).shape[1:], (r, s), stride, pads)
        except ValueError as error:
            raise self.error(str(error)) from None
        self.emit(
            Conv(
                self.name,
                self.use(value),
                self.node.output[0],
                weights.astype(np.float32),
                bias.astype(np.float32),
                stride,
                pads,
                groups,
            ),
            4,
        )

    def fully_connected(self, value: _Value, matrix: np.ndarray, bias: np.ndarray) -> None:
        """matrix: [M, K]; over a flattened C x H x W it is a Conv with a filter of that size."""
        tensor = self.tensor(value)
        self.need(value.rank == 2, "the activation must be flattened to N x K")
        self.need(
            matrix.shape[1] == tensor.size,
            f"{matrix.shape[1]} weights per output for {tensor.size} inputs",
        )
        self.emit(
            Conv(
                self.name,
                self.use(value),
                self.node.output[0],
                matrix.reshape(-1, *tensor.shape).astype(np.float32),
                bias.astype(np.float32),
                full=True,
            ),
            2,
        )

    def op_gemm(self) -> None:
        at, matrix, bias = self.attributes, self.operand(1), self.constant(2)
        self.need(not at.get("transA", 0), "transA is not supported")
        self.need(matrix.ndim == 2, f"constant of shape {matrix.shape}: a matrix is supported")
        matrix = matrix if at.get("transB", 0) else matrix.T
        bias = np.zeros(1) if bias is None else bias
        self.need(bias.size in (1, len(matrix)), f"bias {bias.shape}: one per output is supported")
        bias = np.broadcast_to(
            bias.reshape(-1).astype(np.float64) * at.get("beta", 1.0), len(matrix)
        )
        self.fully_connected(self.activation(0), matrix * at.get("alpha", 1.0), bias)

    def op_matmul(self) -> None:
        matrix = self.operand(1)
        self.need(matrix.ndim == 2, f"constant of shape {matrix.shape}: a matrix is supported")
        self.fully_connected(self.activation(0), matrix.T, np.zeros(matrix.shape[1]))

    def pool(self, kind: str) -> None:
        value = self.activation(0)
        kernel = tuple(self.attributes["kernel_shape"])
        stride, pads, mode = self.windowed(kernel)
        self.need(value.rank == 4, "only two-dimensional pooling is supported")
        self.need(
            max(kernel + stride) <= 255,
            f"window {kernel}, stride {stride}: at most 255 is supported",
        )
        try:
            geometry = pool_geometry(
                self.tensor(value).shape[1:],
                kernel,
                stride,
                pads,
                auto_pad=mode,
                ceil_mode=bool(self.attributes.get("ceil_mode", 0)),
                count_include_pad=bool(self.attributes.get("count_include_pad", 0)),
            )
        except ValueError as error:
            raise self.error(str(error)) from None
        self.emit(
            Pool(
                self.name,
                kind,
                self.use(value),
                self.node.output[0],
                kernel,
                stride,
                geometry.pads,
                geometry.count,
            ),
            4,
        )

    def op_maxpool(self) -> None:
        self.pool("max")

    def op_averagepool(self) -> None:
        self.pool("average")

    def op_globalaveragepool(self) -> None:
        size = self.tensor(self.activation(0)).shape[1:]
        self.attributes = {"kernel_shape": size}
        self.pool("average")

    def op_concat(self) -> None:
        values = [self.activation(i) for i in range(len(self.node.input))]
        rank, axis = values[0].rank, self.attributes["axis"]
        self.need(all(v.rank == rank for v in values), "inputs of different rank")
        self.need(axis % rank == 1, f"axis {axis}: only channels are supported")
        self.emit(Concat(self.name, tuple(self.use(v) for v in values), self.node.output[0]), rank)

    def op_relu(self) -> None:
        value = self.activation(0)
        layer = self.graph.producer(value.tensor)
        if value.sole and isinstance(layer, (Conv, Add)):
            layer.relu = True
            self.alias(value)
        else:
            self.emit(Relu(self.name, self.use(value), self.node.output[0]), value.rank)

    # ---- element-wise --------------------------------------------------------------------
    def per_channel(self, constant: np.ndarray, value: _Value) -> np.ndarray:
        """[C] of a constant that is a scalar or has one value for each channel."""
        tensor = self.tensor(value)
        if constant.size == 1:
            return np.full(tensor.channels, float(constant.reshape(())))
        shape = (1,) * (value.rank - constant.ndim) + constant.shape
        flat = value.rank == 2 and tensor.size != tensor.channels
        self.need(
            len(shape) == value.rank and shape[1] == constant.size == tensor.channels and not flat,
            f"constant of shape {constant.shape}: a scalar or one value for each channel is "
            "supported",
        )
        return constant.reshape(-1).astype(np.float64)

    def affine(self, value: _Value, scale: np.ndarray, offset: np.ndarray) -> None:
        """value * scale + offset, [C] each: into the input's scaling, the layer before, or a
        depthwise Conv."""
        layer = self.graph.producer(value.tensor)
        if value.raw:
            self.alias(value, raw=(value.raw[0] * scale, value.raw[1] * scale + offset))
        elif value.sole and isinstance(layer, Conv) and not layer.relu:
            layer.weights = (layer.weights * scale[:, None, None, None]).astype(np.float32)
            layer.bias = (layer.bias * scale + offset).astype(np.float32)
            self.alias(value)
        else:
            self.emit(
                Conv(
                    self.name,
                    self.use(value),
                    self.node.output[0],
                    scale.astype(np.float32)[:, None, None, None],
                    offset.astype(np.float32),
                    groups=len(scale),
                ),
                value.rank,
            )

    def with_constant(self) -> tuple[_Value, np.ndarray, bool]:
        """(value, per-channel constant, constant first) of a node of two operands."""
        first = self.node.input[0] in self.constants
        value = self.activation(1 if first else 0)
        return value, self.per_channel(self.operand(0 if first else 1), value), first

    def op_add(self) -> None:
        if not any(name in self.constants for name in self.node.input):
            a, b = self.activation(0), self.activation(1)
            self.need(a.rank == b.rank, "operands of different rank")
            self.emit(Add(self.name, self.use(a), self.use(b), self.node.output[0]), a.rank)
            return
        value, constant, _ = self.with_constant()
        self.affine(value, np.ones_like(constant), constant)

    def op_sub(self) -> None:
        value, constant, first = self.with_constant()
        self.affine(
            value, np.full_like(constant, -1.0 if first else 1.0), constant if first else -constant
        )

    def op_mul(self) -> None:
        value, constant, _ = self.with_constant()
        self.affine(value, constant, np.zeros_like(constant))

    def op_div(self) -> None:
        value, constant, first = self.with_constant()
        self.need(
            not first and bool(np.all(constant)),
            "only division by a non-zero constant is supported",
        )
        self.affine(value, 1.0 / constant, np.zeros_like(constant))

    def op_batchnormalization(self) -> None:
        value = self.activation(0)
        scale, bias, mean, variance = (self.operand(i).astype(np.float64) for i in range(1, 5))
        self.need(not self.attributes.get("training_mode", 0), "training_mode is not supported")
        self.need(
            len(scale) == self.tensor(value).channels
            and (value.rank == 4 or self.tensor(value).size == len(scale)),
            f"{len(scale)} scales for {self.tensor(value).channels} channels",
        )
        scale = scale / np.sqrt(variance + self.attributes.get("epsilon", 1e-5))
        self.affine(value, scale, bias - mean * scale)

    # ---- views ---------------------------------------------------------------------------
    def op_identity(self) -> None:
        self.alias(self.activation(0))

    def op_dropout(self) -> None:
        training = self.constant(2)
        self.need(training is None or not np.any(training), "training_mode is not supported")
        self.alias(self.activation(0))

    def op_cast(self) -> None:
        value, to = self.activation(0), self.attributes["to"]
        self.need(
            to in FLOATS or value.raw is not None and self.integer_input,
            f"cast of an activation to {TensorProto.DataType.Name(to)} is not supported",
        )
        self.alias(value)

    def op_shape(self) -> None:
        value = self.activation(0)
        tensor = self.tensor(value)
        shape = [self.batch, *(tensor.shape if value.rank == 4 else (tensor.size,))]
        part = slice(self.attributes.get("start", 0), self.attributes.get("end", None))
        self.constants[self.node.output[0]] = np.array(shape[part], np.int64)

    def op_flatten(self) -> None:
        value, axis = self.activation(0), self.attributes.get("axis", 1)
        self.need(axis % value.rank == 1, f"axis {axis}: only 1 is supported")
        self.alias(value, rank=2)

    def op_reshape(self) -> None:
        value, target = self.activation(0), self.operand(1).tolist()
        tensor = self.tensor(value)
        old = [self.batch, *(tensor.shape if value.rank == 4 else (tensor.size,))]
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
            sizes[sizes.index(-1)] = tensor.size // rest if rest else 0
        if (
            target[0] not in (-1, 0, 1, self.batch)
            or math.prod(sizes) != tensor.size
            or min(sizes, default=0) < 1
        ):
            raise fail
        if len(sizes) == 1:
            self.alias(value, rank=2)
        elif len(sizes) == 3 and tuple(sizes) == tensor.shape:
            self.alias(value, rank=4)
        elif (
            len(sizes) == 3
            and tensor.size == tensor.channels
            and value.raw
            and self.scaling is None
            and all(np.ptp(a) == 0 for a in value.raw)
        ):
            self.graph.tensors[tensor.name] = Tensor(tensor.name, *sizes)
            self.alias(value, rank=4, raw=tuple(np.full(sizes[0], a[0]) for a in value.raw))
        else:
            raise fail

    # ---- the host ------------------------------------------------------------------------
    def host(self) -> None:
        value, axis = self.activation(0), self.attributes.get("axis", self.default_axis())
        tensor = self.tensor(value)
        vector = value.rank == 2 or tensor.size == tensor.channels
        self.need(
            vector and axis in (1, 1 - value.rank),
            f"axis {axis} of {value.rank}: only over a vector of features is supported",
        )
        if "argmax" in value.host:
            raise self.error("cannot follow argmax, which runs on the host")
        self.alias(value, host=(*value.host, HOST_OPS[self.node.op_type]))

    def default_axis(self) -> int:
        """Of a Softmax, LogSoftmax or ArgMax. Before opset 13 the first two flatten what is from
        the axis on to a row; of a vector of features, all that is supported, that is the axis."""
        if self.node.op_type == "ArgMax":
            return 0
        return -1 if self.opset >= 13 else 1

    op_softmax = op_logsoftmax = op_argmax = host
