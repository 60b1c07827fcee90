"""A TFLite file as plain records: read with the generated classes of the package `tflite`.

Nothing in a flatbuffer is checked when it is opened: what a damaged one makes those classes do is
caught here, and is one line that says which part could not be read.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from compiler.graph import NetworkError

# What reading beyond a buffer, or something that is not there, raises.
DAMAGE = (struct.error, ValueError, IndexError, TypeError, AttributeError, OverflowError)
VERSION = 3  # of the schema, the only one in use
MOST = 1 << 31  # elements of a tensor
DTYPES = {"FLOAT32": np.float32, "INT8": np.int8, "UINT8": np.uint8, "INT32": np.int32}
# Operator -> options that it has, and their fields that are read.
POOL = ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction")
CONV = ("Padding", "StrideH", "StrideW", "FusedActivationFunction")
DILATION = ("DilationHFactor", "DilationWFactor")
OPTIONS = {
    "CONV_2D": ("Conv2DOptions", CONV + DILATION),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", CONV + DILATION),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat")),
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "AVERAGE_POOL_2D": ("Pool2DOptions", POOL),
    "MAX_POOL_2D": ("Pool2DOptions", POOL),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
}


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


OPERATORS, TYPES = _names(tflite.BuiltinOperator), _names(tflite.TensorType)
OPTION_KINDS = _names(tflite.BuiltinOptions)


@dataclass(frozen=True, eq=False)
class TensorRecord:
    """A tensor of the file. name: unique; type: as of tflite.TensorType; scale, zero: one each, or
    one a slice along `axis`, or none; data: the constant, None if it is computed."""

    name: str
    shape: tuple[int, ...]
    type: str
    scale: np.ndarray
    zero: np.ndarray
    axis: int
    data: np.ndarray | None

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"tensor {self.name!r}"


@dataclass(frozen=True)
class OperatorRecord:
    """An operator. inputs, outputs: numbers of tensors, -1 for one left out; options: by the names
    of the schema, empty if the file has none."""

    name: str
    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"node {self.name!r} ({self.code})"


@dataclass(frozen=True)
class ModelRecord:
    tensors: list[TensorRecord]
    operators: list[OperatorRecord]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read(source: str | Path | bytes) -> ModelRecord:
    """The model of a TFLite file (a path) or of its bytes.

    Raises NetworkError: a file that cannot be read, or is no whole model.
    """
    file = "TFLite data" if isinstance(source, bytes) else f"{source}"
    try:
        raw = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise NetworkError(f"{file}: {error.strerror or error}") from None
    if raw[4:8] != b"TFL3":
        raise NetworkError(f"{file}: not a TFLite file")
    try:
        return _Reader(raw).model()
    except NetworkError as error:
        raise NetworkError(f"{file}: {error}") from None


@contextmanager
def _part(what: str) -> Iterator[None]:
    """Names the part of a damaged file."""
    try:
        yield
    except NetworkError:
        raise
    except DAMAGE:
        raise NetworkError(f"{what} cannot be read: the file is damaged or truncated") from None


class _Reader:
    def __init__(self, raw: bytes):
        self.raw = raw

    def count(self, length: int) -> int:
        """Of a vector of tables: each takes four bytes of the file at least."""
        if not 0 <= length <= len(self.raw) // 4:
            raise IndexError
        return length

    @staticmethod
    def vector(values: np.ndarray | int) -> np.ndarray:
        """What the generated classes return, who have 0 for a vector that is absent."""
        return np.zeros(0, np.int64) if isinstance(values, int) else values

    def model(self) -> ModelRecord:
        with _part("the model"):
            model = tflite.Model.GetRootAs(self.raw, 0)
            version, subgraphs = model.Version(), model.SubgraphsLength()
            if version != VERSION:
                raise NetworkError(f"version {version} of the format: {VERSION} is supported")
            if subgraphs != 1:
                raise NetworkError(f"{subgraphs} subgraphs: one is supported")
            graph = model.Subgraphs(0)
            if graph is None:
                raise IndexError
            numbers = range(self.count(graph.TensorsLength()))
            operators = range(self.count(graph.OperatorsLength()))
            inputs, outputs = (
                tuple(self.vector(part).tolist())
                for part in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
            )
        names: set[str] = set()
        tensors = [self.tensor(model, graph, n, names) for n in numbers]
        made = [self.operator(model, graph, n, len(tensors)) for n in operators]
        for what, ends in (("input", inputs), ("output", outputs)):
            if not all(0 <= n < len(tensors) for n in ends):
                raise NetworkError(f"an {what} of the network is no tensor")
        return ModelRecord(tensors, made, inputs, outputs)

    def tensor(self, model: Any, graph: Any, number: int, names: set[str]) -> TensorRecord:
        with _part(f"tensor {number}"):
            tensor = graph.Tensors(number)
            name = _distinct((tensor.Name() or b"").decode() or f"tensor_{number}", names)
        with _part(f"tensor {name!r}"):
            shape = tuple(self.vector(tensor.ShapeAsNumpy()).tolist())
            signature = self.vector(tensor.ShapeSignatureAsNumpy()).tolist()
            if min(shape, default=1) < 1 or min(signature[1:], default=1) < 1:
                raise NetworkError(
                    f"tensor {name!r}: shape {signature or list(shape)}: fixed sizes, but for the "
                    "batch, are supported"
                )
            if math.prod(shape) >= MOST:
                raise NetworkError(f"tensor {name!r}: shape {list(shape)} is too large")
            if tensor.Sparsity() is not None or tensor.IsVariable():
                raise NetworkError(
                    f"tensor {name!r}: sparse and variable tensors are not supported"
                )
            kind = TYPES.get(tensor.Type(), str(tensor.Type()))
            quantisation = tensor.Quantization()
            scale = zero = np.zeros(0)
            axis = 0
            if quantisation is not None:
                if quantisation.DetailsType():
                    raise NetworkError(f"tensor {name!r}: its quantisation is not of scales")
                scale = self.vector(quantisation.ScaleAsNumpy())
                zero = self.vector(quantisation.ZeroPointAsNumpy())
                axis = quantisation.QuantizedDimension()
            data = self.data(model, tensor.Buffer(), name, kind, shape)
        return TensorRecord(name, shape, kind, scale, zero, axis, data)

    def data(
        self, model: Any, buffer: int, name: str, kind: str, shape: tuple[int, ...]
    ) -> np.ndarray | None:
        if buffer >= self.count(model.BuffersLength()):
            raise NetworkError(f"tensor {name!r}: buffer {buffer} is not in the file")
        found = model.Buffers(buffer)
        if found.Offset() > 1:
            raise NetworkError(f"tensor {name!r}: data beside the model is not supported")
        raw = self.vector(found.DataAsNumpy())
        if not buffer or not len(raw):
            return None
        if kind not in DTYPES:
            raise NetworkError(f"tensor {name!r}: a constant of type {kind} is not supported")
        dtype = np.dtype(DTYPES[kind]).newbyteorder("<")
        size = math.prod(shape) * dtype.itemsize
        if len(raw) != size:
            raise NetworkError(
                f"tensor {name!r}: its buffer has {len(raw)} bytes, its shape {list(shape)} takes "
                f"{size}"
            )
        return raw.view(dtype).reshape(shape)

    def operator(self, model: Any, graph: Any, number: int, tensors: int) -> OperatorRecord:
        with _part(f"node {number}"):
            operator = graph.Operators(number)
            index = operator.OpcodeIndex()
            if index >= self.count(model.OperatorCodesLength()):
                raise IndexError
            opcode = model.OperatorCodes(index)
            value = max(opcode.BuiltinCode(), opcode.DeprecatedBuiltinCode())
            code = OPERATORS.get(value, str(value))
            inputs, outputs = (
                tuple(self.vector(part).tolist())
                for part in (operator.InputsAsNumpy(), operator.OutputsAsNumpy())
            )
        name = f"{code.lower()}_{number}"
        with _part(f"node {name!r} ({code})"):
            record = OperatorRecord(name, code, inputs, outputs, self.options(operator, code))
            if not all(-1 <= n < tensors for n in inputs) or not all(
                0 <= n < tensors for n in outputs
            ):
                raise NetworkError(f"{record.title}: an operand of it is no tensor")
        return record

    @staticmethod
    def options(operator: Any, code: str) -> dict[str, Any]:
        if code not in OPTIONS:
            return {}
        kind, names = OPTIONS[code]
        table, given = operator.BuiltinOptions(), operator.BuiltinOptionsType()
        if table is None or OPTION_KINDS.get(given) != kind:
            return {}
        options = getattr(tflite, kind)()
        options.Init(table.Bytes, table.Pos)
        return {name: getattr(options, name)() for name in names}


def _distinct(name: str, taken: set[str]) -> str:
    """The name, with a number if another tensor has it."""
    number, made = 1, name
    while made in taken:
        number += 1
        made = f"{name}_{number}"
    taken.add(made)
    return made
