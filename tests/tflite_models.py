"""TFLite files as tests write them, with the builder functions of the package that reads them, and
LiteRT's reference kernels run on a file."""

from __future__ import annotations

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import pytest
import tflite

from compiler.studies.litert import Reference

TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "int8": tflite.TensorType.INT8,
    "uint8": tflite.TensorType.UINT8,
    "int16": tflite.TensorType.INT16,
    "int32": tflite.TensorType.INT32,
}
# Operator -> name of its options; the others have none.
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "CONCATENATION": "ConcatenationOptions",
    "SOFTMAX": "SoftmaxOptions",
}


@dataclass
class _Tensor:
    name: str
    shape: tuple[int, ...]
    type: str
    scale: tuple[float, ...]
    zero: tuple[int, ...]
    axis: int
    data: bytes | None
    signature: tuple[int, ...] | None


@dataclass
class ModelWriter:
    """A model under way: `tensor` and `op` add to it, `finish` makes the file."""

    tensors: list[_Tensor] = field(default_factory=list)
    ops: list[tuple[str, list[int], list[int], dict]] = field(default_factory=list)

    def tensor(
        self, name, shape, type="int8", scale=(), zero=None, axis=0, data=None, signature=None
    ) -> int:
        """Its number. scale, zero: one or a sequence; data: an array, of a constant."""
        scales = tuple(np.atleast_1d(np.asarray(scale, np.float32)).tolist())
        zeros = (0,) * len(scales) if zero is None else tuple(np.atleast_1d(zero).tolist())
        raw = None if data is None else np.ascontiguousarray(data).tobytes()
        self.tensors.append(_Tensor(name, tuple(shape), type, scales, zeros, axis, raw, signature))
        return len(self.tensors) - 1

    def constant(self, name, data, **quantisation) -> int:
        return self.tensor(name, data.shape, data.dtype.name, data=data, **quantisation)

    def op(self, code: str, inputs, outputs, **options) -> None:
        """options: fields of the operator's options, as StrideH=2."""
        self.ops.append((code, list(inputs), list(outputs), options))

    def finish(self, inputs, outputs, version=3) -> bytes:
        b = flatbuffers.Builder(1024)
        buffers = [self._buffer(b, None)] + [
            self._buffer(b, t.data) for t in self.tensors if t.data is not None
        ]
        codes = sorted({code for code, *_ in self.ops})
        made = [self._code(b, code) for code in codes]
        at, tensors = 0, []
        for t in self.tensors:
            at += t.data is not None
            tensors.append(self._tensor(b, t, at if t.data is not None else 0))
        ops = [self._op(b, codes.index(code), code, *rest) for code, *rest in self.ops]
        graph = self._subgraph(b, tensors, ops, inputs, outputs)
        vectors = [_offsets(b, part) for part in (made, [graph], buffers)]
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, version)
        tflite.ModelAddOperatorCodes(b, vectors[0])
        tflite.ModelAddSubgraphs(b, vectors[1])
        tflite.ModelAddBuffers(b, vectors[2])
        b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
        return bytes(b.Output())

    @staticmethod
    def _buffer(b, data):
        vector = b.CreateByteVector(data) if data else None
        tflite.BufferStart(b)
        if vector is not None:
            tflite.BufferAddData(b, vector)
        return tflite.BufferEnd(b)

    @staticmethod
    def _code(b, code):
        number = getattr(tflite.BuiltinOperator, code)
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
        tflite.OperatorCodeAddBuiltinCode(b, number)
        version = {"FULLY_CONNECTED": 4, "RESHAPE": 1}.get(code, 3 if "CONV_2D" in code else 2)
        tflite.OperatorCodeAddVersion(b, version)
        return tflite.OperatorCodeEnd(b)

    @staticmethod
    def _tensor(b, t, buffer):
        name, shape = b.CreateString(t.name), b.CreateNumpyVector(np.array(t.shape, np.int32))
        signature = None
        if t.signature is not None:
            signature = b.CreateNumpyVector(np.array(t.signature, np.int32))
        quantisation = None
        if t.scale:
            scale = b.CreateNumpyVector(np.array(t.scale, np.float32))
            zero = b.CreateNumpyVector(np.array(t.zero, np.int64))
            tflite.QuantizationParametersStart(b)
            tflite.QuantizationParametersAddScale(b, scale)
            tflite.QuantizationParametersAddZeroPoint(b, zero)
            tflite.QuantizationParametersAddQuantizedDimension(b, t.axis)
            quantisation = tflite.QuantizationParametersEnd(b)
        tflite.TensorStart(b)
        tflite.TensorAddName(b, name)
        tflite.TensorAddShape(b, shape)
        tflite.TensorAddType(b, TYPES[t.type])
        tflite.TensorAddBuffer(b, buffer)
        if signature is not None:
            tflite.TensorAddShapeSignature(b, signature)
        if quantisation is not None:
            tflite.TensorAddQuantization(b, quantisation)
        return tflite.TensorEnd(b)

    @staticmethod
    def _op(b, opcode, code, inputs, outputs, options):
        made, kind = None, OPTIONS.get(code)
        if kind:
            getattr(tflite, kind + "Start")(b)
            for name, value in options.items():
                getattr(tflite, f"{kind}Add{name}")(b, value)
            made = getattr(tflite, kind + "End")(b)
        i, o = (b.CreateNumpyVector(np.array(part, np.int32)) for part in (inputs, outputs))
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, opcode)
        tflite.OperatorAddInputs(b, i)
        tflite.OperatorAddOutputs(b, o)
        if kind:
            tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, kind))
            tflite.OperatorAddBuiltinOptions(b, made)
        return tflite.OperatorEnd(b)

    @staticmethod
    def _subgraph(b, tensors, ops, inputs, outputs):
        t, o = _offsets(b, tensors), _offsets(b, ops)
        ins, outs = (b.CreateNumpyVector(np.array(part, np.int32)) for part in (inputs, outputs))
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, t)
        tflite.SubGraphAddInputs(b, ins)
        tflite.SubGraphAddOutputs(b, outs)
        tflite.SubGraphAddOperators(b, o)
        return tflite.SubGraphEnd(b)


def _offsets(b, parts):
    b.StartVector(4, len(parts), 4)
    for part in reversed(parts):
        b.PrependUOffsetTRelative(part)
    return b.EndVector()


def reference_of(model: bytes):
    """The model on LiteRT's reference kernels; skips without the package."""
    pytest.importorskip(
        "ai_edge_litert.interpreter", reason="ai-edge-litert is absent: the extra tflite"
    )
    return Reference(model)
