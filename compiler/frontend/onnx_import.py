"""ONNX -> Graph. Everything refused is refused with one line that names the node and its
operator."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from compiler.frontend import onnx_integers
from compiler.frontend.onnx_file import read
from compiler.frontend.onnx_nodes import FLOATS, NodeVisitor
from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import Add, Concat, Conv, Layer, Pool, Relu

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
    """The Graph of an ONNX file (a path) or of its bytes: of integer layers if its activations are
    quantised.

    Raises NetworkError: a file that cannot be read or is no valid model, an operator or attribute
    without support, or a size beyond the native limits; the message names the node.
    """
    model = read(source)
    if onnx_integers.quantised(model):
        return onnx_integers.load(model)
    return _Importer(model).run()


class _Importer(NodeVisitor):
    def __init__(self, model: onnx.ModelProto):
        super().__init__(model)
        self.scaling: tuple[np.ndarray, np.ndarray] | None = None

    # ---- the frame -----------------------------------------------------------------------
    def run(self) -> Graph:
        info, dims = self.network_input()
        outputs = [o.name for o in self.model.graph.output]
        self.integer_input = info.type.tensor_type.elem_type not in FLOATS
        tensor = Tensor(info.name, *dims)
        self.graph = Graph(info.name, (), tensors={info.name: tensor})
        self.values[info.name] = _Value(
            info.name, len(dims) + 1, False, (np.ones(dims[0]), np.zeros(dims[0]))
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

    def follows_host(self) -> bool:
        node = self.node
        host = [n for n in node.input if n in self.values and self.values[n].host]
        if host and node.op_type not in {*HOST_OPS, "Cast", "Identity", "Flatten", "Reshape"}:
            last = self.values[host[0]].host[-1]
            raise self.error(f"cannot follow {last}, which runs on the host")
        if host and node.op_type not in HOST_OPS:
            self.values[node.output[0]] = self.values[host[0]]
            return True
        return False

    # ---- operands ------------------------------------------------------------------------
    def tensor(self, value: _Value) -> Tensor:
        return self.graph.tensors[value.tensor]

    def shape_of(self, value: _Value) -> tuple[int, int, int]:
        return self.tensor(value).shape

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

    # ---- layers --------------------------------------------------------------------------
    def op_conv(self) -> None:
        value, weights, bias = self.activation(0), self.operand(1), self.constant(2)
        self.need(
            value.rank == 4 and weights.ndim == 4, "only two-dimensional convolution is supported"
        )
        self.need(weights.size > 0, f"weights of shape {weights.shape} are empty")
        m, _, r, s = weights.shape
        stride, pads, groups = self.conv_window((r, s), self.tensor(value).shape[1:])
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
        self.need(value.rank == 4, "only two-dimensional pooling is supported")
        kernel, stride, geometry = self.pool_window(self.tensor(value).shape[1:])
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
    def op_cast(self) -> None:
        value, to = self.activation(0), self.attributes["to"]
        self.need(
            to in FLOATS or value.raw is not None and self.integer_input,
            f"cast of an activation to {TensorProto.DataType.Name(to)} is not supported",
        )
        self.alias(value)

    def laid_out(self, value: _Value, shape: tuple[int, ...]) -> bool:
        """Of the input, whose features the host lays out."""
        tensor = self.tensor(value)
        if (
            tensor.size != tensor.channels
            or not value.raw
            or self.scaling is not None
            or any(np.ptp(a) for a in value.raw)
        ):
            return False
        self.graph.tensors[tensor.name] = Tensor(tensor.name, *shape)
        self.alias(value, rank=4, raw=tuple(np.full(shape[0], a[0]) for a in value.raw))
        return True

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
