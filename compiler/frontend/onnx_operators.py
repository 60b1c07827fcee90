"""Operators of quantised ONNX models that compute: convolutions, fully connected layers, sums,
pools, padding, Concat. Each in the forms that it has: of floats between DequantizeLinear and
QuantizeLinear, of integers and their scales, of integers alone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from compiler.frontend.onnx_real import Joined, Padded, Read, Real, Sums, Total, Window, copied
from compiler.frontend.onnx_real import scaled as times
from compiler.frontend.onnx_values import Integers, Raw, Scaled, Value, ValueVisitor
from compiler.graph import Tensor
from compiler.layers import Conv, IntPad, Pool
from golden.integer.affine import Affine

EIGHT = (np.int8, np.uint8)
CLOSE = 1e-5  # relative: a bias's scale is that of the sums


class OperatorVisitor(ValueVisitor):
    # ---- convolutions --------------------------------------------------------------------
    def convolution(self, tensor: Tensor, rank: int, x: float, w: Scaled, bias: int) -> Real:
        """x: scale of the input; bias: the operand's number."""
        self.need(rank == 4 and w.data.ndim == 4, "only two-dimensional convolution is supported")
        self.need(w.data.size > 0, f"weights of shape {w.data.shape} are empty")
        unit = x * self.per_filter(w, 0)
        stride, pads, groups = self.conv_window(w.data.shape[2:], tensor.shape[1:])
        weights, sums = w.centred.astype(np.int16), self.bias(bias, unit, vector=True)
        layer = Conv(self.name, tensor.name, "", weights, sums, stride, pads, groups)
        return self.floats(Sums(layer, unit), 4, layer)

    def per_filter(self, w: Scaled, axis: int) -> np.ndarray:
        """float64 [M] scales of weights whose filters lie along an axis."""
        self.need(
            w.data.dtype in EIGHT, f"weights are {w.data.dtype}: int8 and uint8 are supported"
        )
        self.need(
            w.scale.size == 1 and w.zero.size == 1 or w.axis == axis,
            f"scales along axis {w.axis} of the weights: the filters' is {axis}",
        )
        return np.broadcast_to(w.scale, (w.data.shape[axis],))

    def bias(self, index: int, unit: np.ndarray, vector: bool = False) -> np.ndarray:
        """float64 [M] of an operand, in sums of 1, whose scales are `unit`: an int32 constant is so
        already. vector: it must not be a scalar."""
        names, filters = self.node.input, len(unit)
        name = names[index] if index < len(names) else ""
        if not name:
            return np.zeros(filters)
        if name in self.scaled:
            given = self.scaled[name]
            numbers, scale = given.centred.astype(np.float64), given.scale
            if scale.size in (1, filters) and np.allclose(scale, unit, rtol=CLOSE, atol=0):
                scale = unit
            ratio = scale / unit if scale.size in (1, filters) else np.zeros(0)
        else:
            numbers = self.operand(index)
            with np.errstate(divide="ignore", over="ignore"):  # a bias too large is refused
                ratio = np.ones(filters) if numbers.dtype == np.int32 else 1 / unit
            self.need(
                numbers.dtype in (np.int32, np.float32),
                f"bias {name!r} is {numbers.dtype}: int32 or float32 is expected",
            )
        self.need(
            numbers.size == filters
            and (numbers.ndim == 1 or not vector)
            or numbers.size == 1
            and not vector,
            f"bias {name!r} has shape {list(numbers.shape)} for {filters} filters",
        )
        self.need(bool(np.isfinite(numbers).all()), f"bias {name!r} is not finite")
        with np.errstate(over="ignore", invalid="ignore"):
            return np.broadcast_to(numbers.ravel() * ratio, (filters,))

    def weights_of(self, index: int) -> Scaled:
        """Weights that a DequantizeLinear makes floats of."""
        name = self.node.input[index] if index < len(self.node.input) else ""
        if name in self.constants:
            raise self.error(f"weights {name!r} are not quantised: no DequantizeLinear is before")
        if name not in self.scaled:
            raise self.error(f"input {name!r} must be constant")
        return self.scaled[name]

    def op_conv(self) -> None:
        tensor = self.read(0)
        affine, rank = self.maker.affine(tensor.name), self.real(0).rank
        self.convolution(tensor, rank, affine.scale, self.weights_of(1), 2)

    def op_qlinearconv(self) -> None:
        tensor, rank = self.qlinear(0), self.integers(0).rank
        scale = self.maker.affine(tensor.name).scale
        real = self.convolution(tensor, rank, scale, self.weights(3, 4, 5, 0), 8)
        self.emit(real, self.made(6, 7))

    def op_convinteger(self) -> None:
        tensor, rank = self.unscaled(), self.integers(0).rank
        self.summed(self.convolution(tensor, rank, 1.0, self.unscaled_weights(0), 4))

    def unscaled(self) -> Tensor:
        """The tensor of operand 0, whose zero point is operand 2; an input has scale 1 then."""
        value = self.integers(0)
        zero = int(self.zero(2, self.dtype(value), 1)[0])
        known = self.graph.tensors.get(value.tensor)
        scale = known.affine.scale if known and known.affine else 1.0
        self.bind(value.tensor, Affine(scale, zero, self.dtype(value) == np.int8), 0)
        return self.graph.tensors[value.tensor]

    def unscaled_weights(self, axis: int) -> Scaled:
        """Of operand 1, their zero points, operand 3, along an axis."""
        data, zero = self.operand(1), self.constant(3)
        zeros = self.zero(3, data.dtype, 1 if zero is None else zero.size)
        return self.sliced(data, np.ones(1), zeros, axis, self.node.input[1])

    def summed(self, real: Real) -> None:
        """The node's output is sums: a Cast or a DequantizeLinear makes floats of them."""
        self.values[self.node.output[0]] = dataclasses.replace(real, sums=True)

    def full(self, tensor: Tensor, rank: int, x: float, w: Scaled, bias: int) -> Real:
        """A fully connected layer of weights [K, M]."""
        self.need(rank == 2, "the activation must be flattened to N x K")
        self.need(
            w.data.ndim == 2 and w.data.size > 0 and len(w.data) == tensor.size,
            f"weights of shape {list(w.data.shape)} for {tensor.size} inputs: K x M is supported",
        )
        unit = x * self.per_filter(w, 1)
        weights = w.centred.astype(np.int16).T.reshape(-1, *tensor.shape)
        layer = Conv(self.name, tensor.name, "", weights, self.bias(bias, unit), full=True)
        return self.floats(Sums(layer, unit), 2, layer)

    def gemm_weights(self, w: Scaled) -> Scaled:
        """[K, M]; refuses what a fully connected layer has not."""
        at = self.attributes
        self.need(not at.get("transA", 0), "transA is not supported")
        for name in ("alpha", "beta"):
            self.need(at.get(name, 1.0) == 1, f"{name} {at.get(name)}: 1 is supported")
        turned = at.get("transB", 0) and w.data.ndim == 2
        return Scaled(w.data.T, w.scale, w.zero, 1 - w.axis) if turned else w

    def op_gemm(self) -> None:
        tensor = self.read(0)
        affine, rank = self.maker.affine(tensor.name), self.real(0).rank
        self.full(tensor, rank, affine.scale, self.gemm_weights(self.weights_of(1)), 2)

    def op_matmul(self) -> None:
        tensor = self.read(0)
        affine, rank = self.maker.affine(tensor.name), self.real(0).rank
        self.full(tensor, rank, affine.scale, self.weights_of(1), len(self.node.input))

    def op_qgemm(self) -> None:
        tensor, rank = self.qlinear(0), self.integers(0).rank
        w = self.weights(3, 4, 5, 0 if self.attributes.get("transB", 0) else 1)
        scale = self.maker.affine(tensor.name).scale
        real = self.full(tensor, rank, scale, self.gemm_weights(w), 6)
        if len(self.node.input) > 7 and self.node.input[7]:
            self.emit(real, self.made(7, 8, tensor))

    def op_qlinearmatmul(self) -> None:
        tensor, rank = self.qlinear(0), self.integers(0).rank
        scale = self.maker.affine(tensor.name).scale
        real = self.full(tensor, rank, scale, self.weights(3, 4, 5, 1), len(self.node.input))
        self.emit(real, self.made(6, 7))

    def op_matmulinteger(self) -> None:
        tensor, rank = self.unscaled(), self.integers(0).rank
        w = self.unscaled_weights(1)
        self.summed(self.full(tensor, rank, 1.0, w, len(self.node.input)))

    # ---- activations ---------------------------------------------------------------------
    def bounded(self, low: float, high: float) -> None:
        """The node clamps floats, as Clip does where the bounds cross."""
        value = self.real(0)
        self.need(not value.sums, "of sums that are not yet floats")
        self.need(not math.isnan(low + high) or low == -high, "a bound is not a number")
        before = -math.inf if value.low is None else value.low
        after = math.inf if value.high is None else value.high
        low, high = (min(max(x, low), high) for x in (before, after))
        name = self.name if isinstance(value.source, Read) else value.name
        self.alias(
            value,
            name=name,
            low=None if low == -math.inf else low,
            high=None if high == math.inf else high,
        )

    def op_relu(self) -> None:
        self.bounded(0.0, math.inf)

    def op_clip(self) -> None:
        bounds = [self.attributes.get("min", -math.inf), self.attributes.get("max", math.inf)]
        for index in (1, 2):
            if index < len(self.node.input) and self.node.input[index]:
                number = self.number(index)
                self.need(number.size == 1, f"bound of shape {list(number.shape)}")
                bounds[index - 1] = float(number.reshape(()))
        self.bounded(*bounds)

    # ---- sums and constants --------------------------------------------------------------
    def number(self, index: int) -> np.ndarray:
        """A constant operand of floats, or of integers that a DequantizeLinear makes floats of."""
        name = self.node.input[index]
        if name in self.scaled:
            return self.scaled[name].real
        number = self.operand(index)
        self.need(
            number.dtype == np.float32,
            f"constant {name!r} is {number.dtype}: float32 is expected",
        )
        return number

    def with_constant(self) -> tuple[Value, np.ndarray, bool]:
        """(value, per-channel constant, constant first) of a node of two operands."""
        first = self.node.input[0] in (*self.constants, *self.scaled)
        value = self.activation(1 if first else 0)
        self.need(isinstance(value, Raw | Real), "of integers whose scale a DequantizeLinear knows")
        number = self.number(0 if first else 1)
        self.need(bool(np.isfinite(number).all()), "a constant is not finite")
        return value, self.per_channel(number, value), first

    def mapped(self, value: Value, scale: np.ndarray, offset: np.ndarray) -> None:
        """value * scale + offset, [C] each: into the input's scaling, the sums before, or those of
        a copy."""
        if isinstance(value, Raw):
            changed = dict(scale=value.scale * scale, offset=value.offset * scale + offset)
            self.alias(value, **changed)
            return
        assert isinstance(value, Real)
        source, name = value.source, value.name
        self.need(value.plain, f"it must not follow node {name!r} without a QuantizeLinear between")
        if isinstance(source, Read):
            tensor = self.graph.tensors[source.tensor]
            source, name = copied(tensor, self.maker.affine(tensor.name)), self.name
        if not isinstance(source, Sums):
            raise self.error(f"it must not follow node {name!r} without a QuantizeLinear between")
        self.alias(value, source=times(source, scale, offset), name=name)

    def op_add(self) -> None:
        names = {*self.constants, *self.scaled}
        if names.isdisjoint(self.node.input):
            self.total(self.read(0), self.read(1), self.real(0).rank, self.real(1).rank)
            return
        value, constant, _ = self.with_constant()
        self.mapped(value, np.ones_like(constant), constant)

    def op_sub(self) -> None:
        value, constant, first = self.with_constant()
        sign = np.full_like(constant, -1.0 if first else 1.0)
        self.mapped(value, sign, constant if first else -constant)

    def op_mul(self) -> None:
        value, constant, _ = self.with_constant()
        self.mapped(value, constant, np.zeros_like(constant))

    def op_div(self) -> None:
        value, constant, first = self.with_constant()
        self.need(
            not first and bool(np.all(constant)),
            "only division by a non-zero constant is supported",
        )
        self.mapped(value, 1.0 / constant, np.zeros_like(constant))

    def total(self, a: Tensor, b: Tensor, rank: int, other: int) -> Real:
        self.need(rank == other, "operands of different rank")
        self.need(a.shape == b.shape, f"inputs of different shape: {a.shape}, {b.shape}")
        return self.floats(Total(a.name, b.name), rank, shape=a.shape)

    def op_qlinearadd(self) -> None:
        constant = [n for n in (0, 3) if self.node.input[n : n + 1] and self.fixed(n)]
        if not constant:
            a, b = self.qlinear(0), self.qlinear(3)
            ranks = self.integers(0).rank, self.integers(3).rank
            self.emit(self.total(a, b, *ranks), self.made(6, 7, a, b))
            return
        given, at = constant[0], 3 - constant[0]
        tensor, rank = self.qlinear(at), self.integers(at).rank
        added = self.weights(given, given + 1, given + 2, 1).real
        value = Real(self.name, rank, tensor.shape, Read(tensor.name))
        offset = self.per_channel(added, value)
        self.mapped(value, np.ones_like(offset), offset)
        self.emit(self.values[self.node.output[0]], self.made(6, 7, tensor))

    def fixed(self, index: int) -> bool:
        return self.node.input[index] in self.constants

    # ---- pools, padding, Concat ----------------------------------------------------------
    def either(self, index: int = 0) -> tuple[Tensor, int, bool]:
        """(tensor, rank, whether it is read as integers) of an operand of an operator that has no
        scale of its own."""
        value = self.activation(index)
        if isinstance(value, Integers):
            self.need(
                value.tensor in self.graph.tensors,
                f"nothing says which scale input {self.node.input[index]!r} has",
            )
            return self.graph.tensors[value.tensor], value.rank, True
        return self.read(index), self.real(index).rank, False

    def kept(self, real: Real, tensor: Tensor, integers: bool) -> None:
        """Of integers the output has the scale and zero point of a tensor."""
        if integers:
            self.emit(real, self.maker.affine(tensor.name))

    def window(self, kind: str, tensor: Tensor, rank: int) -> Real:
        self.need(rank == 4, "only two-dimensional pooling is supported")
        kernel, stride, geometry = self.pool_window(tensor.shape[1:])
        shape = (kernel, stride, geometry.pads, geometry.count)
        pool = Pool(self.name, kind, tensor.name, "", *shape)
        return self.floats(Window(pool), 4, pool)

    def op_maxpool(self) -> None:
        tensor, rank, integers = self.either()
        self.kept(self.window("max", tensor, rank), tensor, integers)

    def op_averagepool(self) -> None:
        self.window("average", self.read(0), self.real(0).rank)

    def op_globalaveragepool(self) -> None:
        self.attributes = {"kernel_shape": self.shape_of(self.real(0))[1:]}
        self.op_averagepool()

    def op_qlinearaveragepool(self) -> None:
        tensor, rank = self.qlinear(0), self.integers(0).rank
        self.need(not self.attributes.get("channels_last", 0), "channels_last is not supported")
        self.emit(self.window("average", tensor, rank), self.made(3, 4, tensor))

    def op_qlinearglobalaveragepool(self) -> None:
        last = self.attributes.get("channels_last", 0)
        size = self.shape_of(self.integers(0))[1:]
        self.attributes = {"kernel_shape": size, "channels_last": last}
        self.op_qlinearaveragepool()

    def op_pad(self) -> None:
        tensor, rank, integers = self.either()
        at = self.attributes
        self.need(at.get("mode", b"constant") == b"constant", "only zeros are supported")
        widths = np.array(at["pads"]) if "pads" in at else self.operand(1)
        axes = self.constant(3)
        axes = np.arange(rank) if axes is None else axes.ravel()
        self.need(
            rank == 4
            and {axes.dtype, widths.dtype} == {np.dtype(np.int64)}
            and widths.shape == (2 * len(axes),)
            and len({n % rank for n in axes.tolist()}) == len(axes) > 0,
            f"pads of shape {list(widths.shape)} for {len(axes)} axes of {rank}",
        )
        self.need(widths.min() >= 0 and widths.max() < 1 << 16, "a padding is below 0 or too large")
        sides = np.zeros((2, 4), np.int64)
        sides[:, axes] = widths.reshape(2, -1)
        self.need(not sides[:, :2].any(), "padding of rows and columns is supported")
        zero = self.maker.affine(tensor.name).zero if integers else 0
        given = len(self.node.input) > 2 and self.node.input[2]
        value = np.asarray(at.get("value", 0))
        if given:
            value = self.operand(2) if integers else self.number(2)
        self.need(
            value.size == 1 and bool(np.all(value == zero)),
            f"padding of {value.ravel()[:1].tolist()}: zeros are supported",
        )
        top, left, bottom, right = sides[:, 2:].ravel().tolist()
        layer = IntPad(self.name, tensor.name, "", (top, left, bottom, right))
        self.kept(self.floats(Padded(layer), 4, layer), tensor, integers)

    def joined(self, tensors: list[Tensor], ranks: list[int]) -> Real:
        self.need(bool(tensors), "it has no input")
        rank, axis = ranks[0], self.attributes.get("axis", 1)
        self.need(all(r == rank for r in ranks), "inputs of different rank")
        self.need(axis in (1, 1 - rank), f"axis {axis}: only channels are supported")
        flat = rank == 4 or all(t.size == t.channels for t in tensors)
        sizes = {t.shape[1:] for t in tensors}
        self.need(flat and len(sizes) == 1, f"inputs of different size: {[*sizes][:2]}")
        shape = (sum(t.channels for t in tensors), *tensors[0].shape[1:])
        return self.floats(Joined(tuple(t.name for t in tensors)), rank, shape=shape)

    def op_concat(self) -> None:
        parts = [self.either(n) for n in range(len(self.node.input))]
        tensors, ranks = [p[0] for p in parts], [p[1] for p in parts]
        kinds = {p[2] for p in parts}
        self.need(len(kinds) == 1, "integers beside floats")
        real = self.joined(tensors, ranks)
        if kinds == {True}:
            affines = {self.maker.affine(t.name) for t in tensors}
            self.need(len(affines) == 1, "integers of different scales or zero points")
            self.emit(real, affines.pop())

    def op_qlinearconcat(self) -> None:
        count, left = divmod(len(self.node.input) - 2, 3)
        self.need(count > 0 and not left, f"{len(self.node.input)} inputs")
        places = range(2, 2 + 3 * count, 3)
        tensors = [self.qlinear(n) for n in places]
        real = self.joined(tensors, [self.integers(n).rank for n in places])
        self.emit(real, self.made(0, 1, *tensors))
