"""TFLite -> Graph of 8-bit integer layers. Everything refused is refused with one line that names
the node or tensor."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler.frontend.tflite_file import ModelRecord, OperatorRecord, TensorRecord, read
from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import Concat, IntAdd, IntConv, IntPad, IntPool, Layer, Rescale
from golden.geometry import Pads, auto_pads
from golden.integer.add import POINT, Operand
from golden.integer.affine import Affine
from golden.integer.mean import mean_multiplier
from golden.integer.requantise import (
    DOUBLE,
    LEAST_SHIFT,
    MOST_SHIFT,
    SINGLE,
    Requantiser,
    quantise_multiplier,
    quantise_multipliers,
)
from golden.integer.softmax import LEAST_SCALE

INTEGERS = ("INT8", "UINT8")
PADDINGS = {0: "SAME_UPPER", 1: "VALID"}
ACTIVATIONS = {0: (None, None), 1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}  # bounds of each


@dataclass(frozen=True)
class _Value:
    """What a tensor of the file stands for: one of the graph, seen with rank 4 (N x H x W x C) or
    2. host: what the host does after it; real: the host has made it floats, or quantises them."""

    tensor: str
    rank: int
    host: tuple[str, ...] = ()
    real: bool = False


def load(source: str | Path | bytes) -> Graph:
    """The Graph of a TFLite file (a path) or of its bytes, its tensors named as in the file.

    Raises NetworkError: a file that cannot be read or is no whole model, an operator, option or
    type without support, scales and zero points that are none; the message names the node or the
    tensor.
    """
    return _Importer(read(source)).run()


class _Importer:
    def __init__(self, model: ModelRecord):
        self.model = model
        self.values: dict[int, _Value] = {}
        self.op = OperatorRecord("", "", (), ())  # the one that is visited

    # ---- the frame -----------------------------------------------------------------------
    def run(self) -> Graph:
        model = self.model
        if len(model.inputs) != 1:
            raise NetworkError(f"the network has {len(model.inputs)} inputs: one is supported")
        if not model.outputs:
            raise NetworkError("the network has no output: one is needed")
        number = model.inputs[0]
        record = model.tensors[number]
        self.batch = record.shape[0] if record.shape else 1
        self.graph = Graph(record.name, (), channels_last=True)
        if record.type == "FLOAT32":
            self.values[number] = _Value(record.name, len(record.shape), real=True)
        else:
            self.add_tensor(record)
            self.values[number] = _Value(record.name, len(record.shape))
        for op in model.operators:
            self.visit(op)
        values = [self.output(n) for n in model.outputs]
        graph = self.graph
        graph.outputs, graph.host = tuple(v.tensor for v in values), tuple(v.host for v in values)
        graph.names = tuple(model.tensors[n].name for n in model.outputs)
        graph.check()
        return graph

    def output(self, number: int) -> _Value:
        record = self.model.tensors[number]
        value = self.values.get(number)
        if value is None:
            raise NetworkError(f"output {record.name!r} is not computed from the network's input")
        if value.tensor == self.graph.input or value.tensor not in self.graph.tensors:
            raise NetworkError(
                f"output {record.name!r} is input {self.graph.input!r} itself: "
                "there is no layer between them; a network needs one"
            )
        return value

    def visit(self, op: OperatorRecord) -> None:
        self.op = op
        handler = getattr(self, "op_" + op.code.lower(), None)
        if handler is None:
            raise self.error("operator not supported")
        self.need(len(op.outputs) == 1, f"{len(op.outputs)} outputs: one is supported")
        self.need(
            op.outputs[0] not in self.values and self.record(op.outputs[0]).data is None,
            f"its output {self.record(op.outputs[0]).name!r} is computed before it, or constant",
        )
        handler()

    def error(self, why: str) -> NetworkError:
        return NetworkError(f"{self.op.title}: {why}")

    def need(self, holds: bool, why: str) -> None:
        if not holds:
            raise self.error(why)

    # ---- tensors -------------------------------------------------------------------------
    def record(self, number: int) -> TensorRecord:
        return self.model.tensors[number]

    @property
    def result(self) -> TensorRecord:
        return self.record(self.op.outputs[0])

    def affine(self, record: TensorRecord) -> Affine:
        """Scale and zero point of an activation. Raises NetworkError unless it has one each."""
        title = record.title
        if record.type not in INTEGERS:
            raise NetworkError(f"{title}: type {record.type}: int8 and uint8 are supported")
        if len(record.scale) != 1 or len(record.zero) != 1:
            raise NetworkError(f"{title}: one scale and one zero point are needed")
        scale, zero = float(record.scale[0]), int(record.zero[0])
        if not (math.isfinite(scale) and scale > 0):
            raise NetworkError(f"{title}: scale {scale}: it must be finite and above 0")
        affine = Affine(scale, zero, record.type == "INT8")
        if not affine.lo <= zero <= affine.hi:
            raise NetworkError(
                f"{title}: zero point {zero}: outside {affine.lo}..{affine.hi} of {record.type}"
            )
        return affine

    def add_tensor(self, record: TensorRecord) -> None:
        """To the graph, N x H x W x C as C x H x W."""
        if len(record.shape) not in (2, 4):
            raise NetworkError(
                f"{record.title}: shape {list(record.shape)}: N x H x W x C or N x K is supported"
            )
        if record.shape[0] != self.batch:
            raise NetworkError(
                f"{record.title}: shape {list(record.shape)}: a batch of {self.batch}, that of the "
                "input, is expected"
            )
        height, width, channels = (
            record.shape[1:] if len(record.shape) == 4 else (1, 1, *record.shape[1:])
        )
        self.graph.tensors[record.name] = Tensor(
            record.name, channels, height, width, affine=self.affine(record)
        )

    def activation(self, index: int) -> Tensor:
        """An operand that is an integer tensor of the graph."""
        return self.graph.tensors[self.value(index).tensor]

    def affine_in(self, index: int = 0) -> Affine:
        """Scale and zero point of an operand that is an integer tensor of the graph."""
        affine = self.activation(index).affine
        assert affine is not None  # of every tensor that add_tensor adds
        return affine

    def value(self, index: int, real: bool = False, host: bool = False) -> _Value:
        """What an operand stands for. real: floats are expected; host: of the host, if need be."""
        op = self.op
        number = op.inputs[index] if index < len(op.inputs) else -1
        if number not in self.values:
            name = f" {self.record(number).name!r}" if number >= 0 else ""
            raise self.error(f"input {index}{name} must be computed from the network's input")
        value = self.values[number]
        if value.host and not host:
            raise self.error(f"cannot follow {value.host[-1]}, which runs on the host")
        if value.real != real:
            raise self.error(
                f"input {self.record(number).name!r} is {self.record(number).type}: "
                f"{'FLOAT32' if real else 'INT8 or UINT8'} is expected"
            )
        return value

    def constant(self, index: int, *types: str) -> TensorRecord | None:
        """A constant operand; None if the node leaves it out."""
        number = self.op.inputs[index] if index < len(self.op.inputs) else -1
        if number < 0:
            return None
        record = self.record(number)
        self.need(
            record.data is not None and number not in self.values,
            f"input {record.name!r} must be constant",
        )
        self.need(
            record.type in types,
            f"input {record.name!r} is {record.type}: {' or '.join(types)} is expected",
        )
        return record

    def data(self, index: int, *types: str) -> tuple[TensorRecord, np.ndarray]:
        """A constant operand that the node may not leave out, and its array."""
        record = self.constant(index, *types)
        if record is None or record.data is None:
            raise self.error(f"input {index} is missing")
        return record, record.data

    def emit(self, layer: Layer, rank: int = 4) -> None:
        """Adds a layer that makes the node's output, and that tensor."""
        record = self.result
        self.add_tensor(record)
        self.graph.layers.append(layer)
        made = self.graph.tensors[record.name]
        try:
            shape = self.graph.output_shape(layer)
        except NetworkError as error:
            raise self.error(str(error)) from None
        self.need(
            shape == made.shape and len(record.shape) == rank,
            f"its output has shape {list(record.shape)}, its inputs give {_nhwc(shape, rank)}",
        )
        self.values[self.op.outputs[0]] = _Value(record.name, rank)

    def rank(self, index: int = 0) -> int:
        return self.value(index).rank

    def same_scale(self, tensor: Tensor) -> None:
        """Raises NetworkError unless the output has the scale and zero point of an input."""
        self.need(
            self.affine(self.result) == tensor.affine,
            f"scale or zero point of {tensor.name!r} and of {self.result.name!r} differ",
        )

    # ---- options -------------------------------------------------------------------------
    def option(self, name: str) -> int:
        """An option that the node may not leave out."""
        if name not in self.op.options:
            raise self.error("its options are missing")
        return self.op.options[name]

    def pair(self, first: str, second: str) -> tuple[int, int]:
        """Two options that are 1 at least."""
        a, b = self.option(first), self.option(second)
        self.need(min(a, b) >= 1, f"{first} {a} and {second} {b}: they must be 1 at least")
        return a, b

    def bounds(self) -> tuple[int, int]:
        """(lo, hi) of the output under the node's activation function."""
        function = self.op.options.get("FusedActivationFunction", 0)
        self.need(function in ACTIVATIONS, f"activation function {function} is not supported")
        return self.clamp(*ACTIVATIONS[function])

    def clamp(self, low: float | None, high: float | None) -> tuple[int, int]:
        """(lo, hi) of the output for real bounds."""
        affine = self.affine(self.result)
        lo = affine.lo if low is None else affine.level(low)
        return lo, affine.hi if high is None else affine.level(high)

    def pads(self, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> Pads:
        padding = self.option("Padding")
        self.need(padding in PADDINGS, f"padding {padding} is not supported")
        return auto_pads(PADDINGS[padding], size, kernel, stride)

    def requantiser(
        self, factors: np.ndarray | float, bounds: tuple[int, int], rounding: str = DOUBLE
    ) -> Requantiser:
        """To the output's integers, of sums that `factors` bring to its scale."""
        self.need(
            bool(np.isfinite(factors).all()) and float(np.max(factors)) < 2.0**MOST_SHIFT,
            f"its scales give a factor of {float(np.max(factors)):g}: below 2**{MOST_SHIFT} is "
            "supported",
        )
        multiplier, shift = quantise_multipliers(factors)
        return Requantiser(multiplier, shift, rounding, self.affine(self.result).zero, *bounds)

    # ---- convolutions --------------------------------------------------------------------
    def filters(self, filters: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """(int16 weights less their zero point, float32 scales [M] or [1]) of input 1, whose
        `filters` lie along an axis."""
        record, data = self.data(1, self.record(self.op.inputs[0]).type)
        scale, zero = record.scale.astype(np.float32), record.zero.astype(np.int64)
        if len(scale) not in (1, filters) or len(zero) != len(scale):
            raise NetworkError(
                f"{record.title}: {len(scale)} scales and {len(zero)} zero points for {filters} "
                "filters"
            )
        if len(scale) > 1 and record.axis != axis:
            raise NetworkError(f"{record.title}: scales along axis {record.axis}, not {axis}")
        _check_scales(record)
        signed = record.type == "INT8"
        if zero.any() if signed else len(scale) > 1 or not 0 <= zero[0] <= 255:
            raise NetworkError(
                f"{record.title}: zero points: 0 in int8, one within 0..255 in uint8"
            )
        return data.astype(np.int16) - np.int16(0 if signed else zero[0]), scale

    def bias(self, filters: int) -> np.ndarray:
        record = self.constant(2, "INT32")
        if record is None or record.data is None:
            return np.zeros(filters, np.int32)
        if record.data.shape != (filters,) or record.zero.any():
            raise NetworkError(
                f"{record.title}: shape {list(record.shape)} with zero points "
                f"{record.zero[:1].tolist()}: a bias is [{filters}] of zero point 0"
            )
        # Unread by LiteRT: its sums are of the input's scale times the weights'.
        _check_scales(record)
        return record.data.astype(np.int32)

    def factors(self, scale: np.ndarray, filters: int, single: bool) -> np.ndarray:
        """float64 [M] input scale * weights' / output's. single: the product is float32 first, as
        LiteRT's kernels of one scale a tensor have it."""
        affine, out = self.affine_in(), self.affine(self.result)
        if single:
            with np.errstate(over="ignore"):
                product = (np.float32(affine.scale) * scale).astype(np.float64)
        else:
            product = affine.scale * scale.astype(np.float64)
        return np.broadcast_to(product / out.scale, (filters,))

    def conv(self, weights: np.ndarray, scale: np.ndarray, groups: int) -> None:
        """An IntConv of weights [M, C/groups, R, S]."""
        tensor, filters = self.activation(0), len(weights)
        dilation = self.pair("DilationHFactor", "DilationWFactor")
        self.need(dilation == (1, 1), f"dilations {list(dilation)} are not supported")
        kernel, stride = weights.shape[2:], self.pair("StrideH", "StrideW")
        pads = self.pads(tensor.shape[1:], kernel, stride)
        unsigned = not self.affine_in().signed
        out = self.requantiser(self.factors(scale, filters, unsigned), self.bounds())
        name, output = self.op.name, self.result.name
        bias = self.bias(filters)
        self.emit(IntConv(name, tensor.name, output, weights, bias, stride, pads, groups, out=out))

    def op_conv_2d(self) -> None:
        record, _ = self.data(1, *INTEGERS)
        channels = self.activation(0).channels
        self.need(
            len(record.shape) == 4 and self.rank() == 4 and channels % record.shape[3] == 0,
            f"{channels} channels do not fit filters {list(record.shape)}",
        )
        weights, scale = self.filters(record.shape[0], 0)
        groups = channels // record.shape[3]
        self.conv(np.ascontiguousarray(weights.transpose(0, 3, 1, 2)), scale, groups)

    def op_depthwise_conv_2d(self) -> None:
        record, _ = self.data(1, *INTEGERS)
        channels = self.activation(0).channels
        self.need(
            len(record.shape) == 4
            and self.rank() == 4
            and record.shape[0] == 1
            and record.shape[3] % channels == 0,
            f"{channels} channels do not fit filters {list(record.shape)}",
        )
        weights, scale = self.filters(record.shape[3], 3)
        self.conv(np.ascontiguousarray(weights.transpose(3, 0, 1, 2)), scale, channels)

    def op_fully_connected(self) -> None:
        record, _ = self.data(1, *INTEGERS)
        tensor = self.activation(0)
        c, h, w = tensor.shape
        self.need(not self.op.options.get("WeightsFormat", 0), "shuffled weights are not supported")
        self.need(
            len(record.shape) == 2 and record.shape[1] == tensor.size,
            f"{tensor.size} features do not fit weights {list(record.shape)}",
        )
        filters = record.shape[0]
        weights, scale = self.filters(filters, 0)
        weights = np.ascontiguousarray(weights.reshape(filters, h, w, c).transpose(0, 3, 1, 2))
        factors = self.factors(scale, filters, len(scale) == 1)
        out = self.requantiser(factors, self.bounds(), SINGLE)
        self.emit(
            IntConv(
                self.op.name,
                tensor.name,
                self.result.name,
                weights,
                self.bias(filters),
                full=True,
                out=out,
            ),
            rank=2,
        )

    def op_mean(self) -> None:
        tensor = self.activation(0)
        _, axes = self.data(1, "INT32")
        rank = self.rank()
        self.need(
            rank == 4 and sorted((axes.ravel() % rank).tolist()) == [1, 2],
            f"axes {axes.ravel()[:4].tolist()} of {rank}: rows and columns are supported",
        )
        channels, *size = tensor.shape
        out = self.requantiser(
            self.affine_in().scale / self.affine(self.result).scale, self.clamp(None, None)
        )
        pair = mean_multiplier(int(out.multiplier), int(out.shift), math.prod(size))
        multiplier, shift = (np.full(channels, x, np.int64) for x in pair)
        self.need(int(shift[0]) >= LEAST_SHIFT, "its scales give a factor that is too small")
        out = dataclasses.replace(out, multiplier=multiplier, shift=shift)
        ones = np.broadcast_to(np.int16(1), (channels, 1, *size))
        zeros = np.zeros(channels, np.int32)
        self.emit(
            IntConv(
                self.op.name, tensor.name, self.result.name, ones, zeros, groups=channels, out=out
            ),
            len(self.result.shape),
        )

    # ---- the other layers ----------------------------------------------------------------
    def op_add(self) -> None:
        a, b = self.activation(0), self.activation(1)
        self.need(self.rank(0) == self.rank(1), "operands of different rank")
        scales = [self.affine_in(n).scale for n in (0, 1)]
        twice = 2 * max(scales)
        factor = twice / ((1 << POINT) * self.affine(self.result).scale)
        self.need(
            quantise_multiplier(factor)[1] <= 0,
            f"its scales give a factor of {factor:g}: below 1 is supported",
        )
        of_a, of_b = (Operand(*quantise_multiplier(s / twice)) for s in scales)
        out = self.requantiser(factor, self.bounds())
        self.emit(
            IntAdd(self.op.name, a.name, b.name, self.result.name, of_a=of_a, of_b=of_b, out=out),
            self.rank(),
        )

    def pool(self, kind: str) -> None:
        tensor = self.activation(0)
        self.need(self.rank() == 4, "N x H x W x C is supported")
        kernel, stride = self.pair("FilterHeight", "FilterWidth"), self.pair("StrideH", "StrideW")
        pads = self.pads(tensor.shape[1:], kernel, stride)
        self.same_scale(tensor)
        names, (lo, hi) = (self.op.name, kind, tensor.name, self.result.name), self.bounds()
        whole = (0, 0, *tensor.shape[1:])
        self.emit(IntPool(*names, kernel, stride, pads, whole, lo=lo, hi=hi))

    def op_max_pool_2d(self) -> None:
        self.pool("max")

    def op_average_pool_2d(self) -> None:
        self.pool("average")

    def op_pad(self) -> None:
        tensor = self.activation(0)
        _, widths = self.data(1, "INT32")
        self.need(
            self.rank() == 4 and widths.shape == (4, 2) and not widths[[0, 3]].any(),
            "padding of rows and columns is supported",
        )
        self.need(widths.min() >= 0 and widths.max() < 1 << 16, "a padding is below 0 or too large")
        (top, bottom), (left, right) = widths[1:3].tolist()
        self.same_scale(tensor)
        pads = (top, left, bottom, right)
        self.emit(IntPad(self.op.name, tensor.name, self.result.name, pads))

    def op_concatenation(self) -> None:
        tensors = [self.activation(n) for n in range(len(self.op.inputs))]
        self.need(bool(tensors), "it has no input")
        rank, axis = self.rank(), self.option("Axis")
        self.need(
            all(self.rank(n) == rank for n in range(len(tensors)))
            and axis % rank == rank - 1
            and abs(axis) <= rank
            and (rank == 4 or all(t.size == t.channels for t in tensors)),
            f"axis {axis} of {rank}: along the channels is supported",
        )
        self.need(not self.op.options["FusedActivationFunction"], "an activation is not supported")
        for tensor in tensors:
            self.same_scale(tensor)
        names = tuple(t.name for t in tensors)
        self.emit(Concat(self.op.name, names, self.result.name), rank)

    def rescale(self, low: float | None, high: float | None) -> None:
        tensor = self.activation(0)
        factor = self.affine_in().scale / self.affine(self.result).scale
        out = self.requantiser(factor, self.clamp(low, high))
        self.emit(Rescale(self.op.name, tensor.name, self.result.name, out), self.rank())

    def op_relu(self) -> None:
        self.rescale(0.0, None)

    def op_relu6(self) -> None:
        self.rescale(0.0, 6.0)

    def op_reshape(self) -> None:
        value, record = self.value(0, host=True), self.result
        tensor, shape = self.graph.tensors[value.tensor], record.shape
        target = self.constant(1, "INT32")
        if target is not None and target.data is not None:
            wanted = target.data.ravel().tolist()
            self.need(
                len(wanted) == len(shape) and all(w in (-1, s) for w, s in zip(wanted, shape)),
                f"to {wanted[:4]}, its output has shape {list(shape)}",
            )
        if not value.host:
            self.same_scale(tensor)
        size = math.prod(shape[1:])
        self.need(
            len(shape) in (2, 4) and shape[0] == self.batch and size == tensor.size,
            f"to {list(shape)} from {_nhwc(tensor.shape, value.rank)} per image: N x K, or the "
            "same shape, is supported",
        )
        if len(shape) == 4 and (shape[3], *shape[1:3]) != tensor.shape:
            # Of the input the host lays the elements out.
            self.need(
                tensor.name == self.graph.input
                and not value.host
                and self.readers(tensor.name) == 1,
                f"to {list(shape)} from {_nhwc(tensor.shape, value.rank)}: only of the network's "
                "input, which nothing else reads",
            )
            self.graph.tensors[tensor.name] = dataclasses.replace(
                tensor, channels=shape[3], height=shape[1], width=shape[2]
            )
        self.alias(dataclasses.replace(value, rank=len(shape)))

    def readers(self, name: str) -> int:
        """How many nodes read a tensor of the file."""
        return sum(
            n >= 0 and self.record(n).name == name for op in self.model.operators for n in op.inputs
        )

    def alias(self, value: _Value) -> None:
        """The output is another name of a tensor, or what the host makes of one."""
        self.values[self.op.outputs[0]] = value
        if not value.host:
            self.graph.aliases[self.result.name] = value.tensor

    # ---- the ends ------------------------------------------------------------------------
    def op_quantize(self) -> None:
        number = self.op.inputs[0] if self.op.inputs else -1
        if number in self.values and not self.values[number].real:
            self.rescale(None, None)
            return
        value = self.value(0, real=True)
        self.need(
            not self.graph.tensors and self.readers(value.tensor) == 1,
            "floats are quantised at the network's input only, once",
        )
        record = self.result
        self.add_tensor(record)
        self.need(
            record.shape == self.record(number).shape,
            "its output's shape is not that of its input",
        )
        self.graph.input, self.graph.real_input = record.name, value.tensor
        self.values[self.op.outputs[0]] = _Value(record.name, len(record.shape))

    def op_dequantize(self) -> None:
        value, record = self.value(0, host=True), self.result
        self.need(record.type == "FLOAT32", f"to {record.type}: FLOAT32 is supported")
        self.need(
            record.shape == self.record(self.op.inputs[0]).shape,
            "its output's shape is not that of its input",
        )
        host = (*value.host, "dequantise")
        self.alias(dataclasses.replace(value, host=host, real=True))

    def op_softmax(self) -> None:
        value, record = self.value(0), self.result
        tensor = self.graph.tensors[value.tensor]
        affine, made = self.affine_in(), self.affine(record)
        beta = self.option("Beta")
        self.need(beta == 1, f"beta {beta}: 1 is supported")
        self.need(tensor.size == tensor.channels, "only over a vector of features is supported")
        self.need(
            made == Affine(1 / 256, affine.lo, affine.signed),
            f"output of scale {made.scale} and zero point {made.zero}: 1/256 and {affine.lo} are "
            "expected",
        )
        self.need(affine.scale > LEAST_SCALE, f"scale {affine.scale} of its input is too small")
        self.need(
            record.shape == self.record(self.op.inputs[0]).shape,
            "its output's shape is not that of its input",
        )
        self.alias(dataclasses.replace(value, host=("softmax",)))


def _check_scales(record: TensorRecord) -> None:
    """Raises NetworkError unless all are finite and above 0."""
    if not (np.isfinite(record.scale).all() and (record.scale > 0).all()):
        raise NetworkError(f"{record.title}: scales must be finite and above 0")


def _nhwc(shape: tuple[int, int, int], rank: int) -> list[int]:
    """Sizes of an image of C x H x W as the file has them."""
    channels, height, width = shape
    return [height, width, channels] if rank == 4 else [math.prod(shape)]
