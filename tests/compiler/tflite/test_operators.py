"""Each operator alone, on models that the test writes, against LiteRT's reference kernels."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from compiler.frontend.tflite_import import load
from compiler.quantise.integer_run import host_result, integer_run
from golden.geometry import auto_pads, output_size
from tests.tflite_models import ModelWriter, reference_of

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is absent: the extra tflite")

CASES = settings(
    deadline=None,
    max_examples=30,
    derandomize=True,
    phases=[Phase.generate],  # a case is small as it is
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SCALES = st.floats(2.0**-10, 1.0, width=32)
SIGNED = st.booleans()


class Case:
    """A model under way: input `x`, and what is drawn for it."""

    def __init__(self, draw, shape, signed=True):
        self.draw, self.signed = draw, signed
        self.rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
        self.lo, self.hi = (-128, 127) if signed else (0, 255)
        self.type = "int8" if signed else "uint8"
        self.model = ModelWriter()
        self.scale, self.zero = draw(SCALES), self.zero_point()
        self.shape = shape
        self.x = self.tensor("x", shape, self.scale, self.zero)

    def zero_point(self):
        return self.draw(st.integers(self.lo, self.hi))

    def tensor(self, name, shape, scale, zero):
        return self.model.tensor(name, shape, self.type, scale=scale, zero=zero)

    def integers(self, shape):
        return self.rng.integers(self.lo, self.hi + 1, shape).astype(self.type)

    def images(self):
        """Random, constant and extreme."""
        yield self.integers(self.shape)
        yield np.full(self.shape, self.draw(st.sampled_from([self.lo, self.hi, self.zero])))
        yield np.where(self.rng.random(self.shape) < 0.5, self.lo, self.hi)

    def check(self, output, between=()):
        """golden equals LiteRT in every tensor. between: what the host makes on its way to the
        output, of which it keeps the last only."""
        raw = self.model.finish([self.x], [output])
        graph, reference = load(raw), reference_of(raw)
        for image in self.images():
            image = image.astype(self.type)
            expected = reference.run(image)
            nchw = image.transpose(0, 3, 1, 2) if image.ndim == 4 else image[:, :, None, None]
            got = integer_run(graph, np.ascontiguousarray(nchw))
            got |= {name: got[tensor] for name, tensor in graph.aliases.items()}
            for result in graph.results:
                if result.host_ops:
                    got[result.name] = host_result(
                        graph, result.tensor, got[result.tensor], result.host_ops
                    )
            assert {*got} == reference.computed() - {*between}
            for name, value in got.items():
                want = expected[name]
                value = value.transpose(0, 2, 3, 1).reshape(want.shape)
                assert value.dtype == want.dtype and np.array_equal(value, want), name
        return graph


@st.composite
def images(draw, least=1, most=9, channels=6):
    return (
        1,
        draw(st.integers(least, most)),
        draw(st.integers(least, most)),
        draw(st.integers(1, channels)),
    )


def factor_scale(draw, by, least=-20, most=9):
    """The scale of an output, so that `by` / it is a random factor from 2**least on."""
    return by / 2.0 ** draw(st.floats(least, most))


def window(draw, shape, kernel):
    """(options, height, width) of a window's output."""
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    same = draw(st.booleans())
    size = shape[1:3]
    pads = auto_pads("SAME_UPPER" if same else "VALID", size, kernel, stride)
    options = dict(Padding=int(not same), StrideH=stride[0], StrideW=stride[1])
    return options, *output_size(size, kernel, stride, pads)


def convolve(data, signed, depthwise):
    case = Case(data.draw, data.draw(images()), signed)
    draw, shape = case.draw, case.shape
    kernel = tuple(draw(st.integers(1, min(4, n))) for n in shape[1:3])
    c = shape[3]
    if depthwise:
        filters = c * draw(st.integers(1, 3))
        weights_shape, axis = (1, *kernel, filters), 3
    else:
        groups = draw(st.sampled_from([g for g in range(1, c + 1) if c % g == 0]))
        filters = groups * draw(st.integers(1, 4))
        weights_shape, axis = (filters, *kernel, c // groups), 0
    each = signed and draw(st.booleans())
    scale = case.rng.uniform(0.001, 0.1, filters if each else 1).astype(np.float32)
    zero = None if signed else draw(st.integers(0, 255))
    w = case.model.constant("w", case.integers(weights_shape), scale=scale, zero=zero, axis=axis)
    bits = draw(st.integers(1, 30))
    bias = case.rng.integers(-1 << bits, 1 << bits, filters).astype(np.int32)
    bias = case.model.constant("bias", bias, scale=scale * np.float32(case.scale))
    inputs = [case.x, w, bias]
    options, e, f = window(draw, shape, kernel)
    options |= dict(DilationHFactor=1, DilationWFactor=1)
    options["FusedActivationFunction"] = draw(st.sampled_from([0, 1, 2, 3]))
    if depthwise:
        options["DepthMultiplier"] = filters // c
    most = min(9, 29 - bits)  # a left shift that 32 bits hold
    to = factor_scale(draw, case.scale * float(scale.max()), -20, most)
    y = case.tensor("y", (1, e, f, filters), to, case.zero_point())
    case.model.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, [y], **options)
    case.check(y)


@CASES
@given(st.data(), SIGNED, st.booleans())
def test_conv(data, signed, depthwise):
    convolve(data, signed, depthwise)


@CASES
@given(st.data(), SIGNED)
def test_fully_connected(data, signed):
    draw = data.draw
    flat = draw(st.booleans())
    case = Case(draw, (1, draw(st.integers(1, 50))) if flat else draw(images(most=4)), signed)
    k, filters = int(np.prod(case.shape)), draw(st.integers(1, 12))
    each = signed and draw(st.booleans())
    scale = case.rng.uniform(0.001, 0.1, filters if each else 1).astype(np.float32)
    zero = None if signed else draw(st.integers(0, 255))
    inputs = [case.x, case.model.constant("w", case.integers((filters, k)), scale=scale, zero=zero)]
    if not signed or draw(st.booleans()):
        bias = case.rng.integers(-1 << 20, 1 << 20, filters).astype(np.int32)
        inputs.append(case.model.constant("bias", bias, scale=scale * np.float32(case.scale)))
    to = factor_scale(draw, case.scale * float(scale.max()), -20, 8)
    y = case.tensor("y", (1, filters), to, case.zero_point())
    act = draw(st.sampled_from([0, 1, 3]))
    case.model.op("FULLY_CONNECTED", inputs, [y], FusedActivationFunction=act)
    case.check(y)


@CASES
@given(st.data(), SIGNED)
def test_add(data, signed):
    """Of two rescaled copies of one input."""
    case = Case(data.draw, data.draw(images()), signed)
    draw = case.draw
    scales = [factor_scale(draw, case.scale, -4, 4) for _ in range(2)]
    parts = [case.tensor(f"{n}", case.shape, s, case.zero_point()) for n, s in enumerate(scales)]
    for part in parts:
        case.model.op("QUANTIZE", [case.x], [part])
    to = factor_scale(draw, max(scales), -8, 8)
    y = case.tensor("y", case.shape, to, case.zero_point())
    case.model.op("ADD", parts, [y], FusedActivationFunction=draw(st.sampled_from([0, 1, 3])))
    case.check(y)


@CASES
@given(st.data(), SIGNED, st.sampled_from(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
def test_pool(data, signed, op):
    case = Case(data.draw, data.draw(images(most=20)), signed)
    draw = case.draw
    kernel = tuple(draw(st.integers(1, n)) for n in case.shape[1:3])
    options, e, f = window(draw, case.shape, kernel)
    y = case.tensor("y", (1, e, f, case.shape[3]), case.scale, case.zero)
    options |= dict(FilterHeight=kernel[0], FilterWidth=kernel[1])
    options["FusedActivationFunction"] = draw(st.sampled_from([0, 1, 2, 3]))
    case.model.op(op, [case.x], [y], **options)
    case.check(y)


@CASES
@given(st.data(), SIGNED, st.booleans())
def test_mean(data, signed, keep):
    case = Case(data.draw, data.draw(images(most=20)), signed)
    same = case.draw(st.booleans())
    to, zero = case.scale, case.zero
    if not same:
        to, zero = factor_scale(case.draw, case.scale, -10, 6), case.zero_point()
    axes = case.model.constant("axes", np.array([1, 2], np.int32))
    c = case.shape[3]
    y = case.tensor("y", (1, 1, 1, c) if keep else (1, c), to, zero)
    case.model.op("MEAN", [case.x, axes], [y], KeepDims=keep)
    case.check(y)


@CASES
@given(st.data(), SIGNED)
def test_pad(data, signed):
    case = Case(data.draw, data.draw(images()), signed)
    n, h, w, c = case.shape
    top, bottom, left, right = (case.draw(st.integers(0, 3)) for _ in range(4))
    widths = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    widths = case.model.constant("widths", widths)
    shape = (n, h + top + bottom, w + left + right, c)
    y = case.tensor("y", shape, case.scale, case.zero)
    case.model.op("PAD", [case.x, widths], [y])
    case.check(y)


@CASES
@given(st.data(), SIGNED, st.sampled_from(["RELU", "RELU6", "QUANTIZE"]))
def test_rescale(data, signed, op):
    case = Case(data.draw, data.draw(images()), signed)
    to = factor_scale(case.draw, case.scale, -12, 12)
    y = case.tensor("y", case.shape, to, case.zero_point())
    case.model.op(op, [case.x], [y])
    case.check(y)


@CASES
@given(st.data(), SIGNED)
def test_quantize_to_the_other_type(data, signed):
    case = Case(data.draw, data.draw(images()), signed)
    other = "uint8" if signed else "int8"
    near = case.draw(st.booleans())  # the kernels have a way of their own for 128 apart
    to = case.scale if near else factor_scale(case.draw, case.scale, -8, 8)
    zero = case.draw(st.integers(-128, 127)) + (128 if signed else 0)
    zero = case.zero + (128 if signed else -128) if near else zero
    y = case.model.tensor("y", case.shape, other, scale=to, zero=zero)
    case.model.op("QUANTIZE", [case.x], [y])
    case.check(y)


@CASES
@given(st.data(), SIGNED)
def test_concatenation(data, signed):
    case = Case(data.draw, data.draw(images()), signed)
    pool = dict(Padding=0, StrideH=1, StrideW=1, FilterHeight=2, FilterWidth=2)
    part = case.tensor("part", case.shape, case.scale, case.zero)
    case.model.op("MAX_POOL_2D", [case.x], [part], **pool)
    parts = case.draw(st.permutations([case.x, part, case.x]))
    y = case.tensor("y", (*case.shape[:3], 3 * case.shape[3]), case.scale, case.zero)
    case.model.op("CONCATENATION", parts, [y], Axis=case.draw(st.sampled_from([3, -1])))
    case.check(y)


@CASES
@given(st.data(), SIGNED, st.booleans())
def test_softmax(data, signed, real):
    """Behind a layer, since an output is what a layer writes."""
    case = Case(data.draw, (1, data.draw(st.integers(1, 40))), signed)
    scale = 2.0 ** case.draw(st.floats(-12, 4))
    logits = case.tensor("logits", case.shape, scale, case.zero_point())
    case.model.op("QUANTIZE", [case.x], [logits])
    y = case.tensor("y", case.shape, 1 / 256, case.lo)
    case.model.op("SOFTMAX", [logits], [y], Beta=1.0)
    if real:
        floats = case.model.tensor("floats", case.shape, "float32")
        case.model.op("DEQUANTIZE", [y], [floats])
    case.check(floats if real else y, ["y"] if real else [])


@CASES
@given(st.data(), SIGNED)
def test_floats_at_the_ends(data, signed):
    """QUANTIZE and DEQUANTIZE, halves and what is out of range among the floats."""
    draw = data.draw
    case = Case(draw, draw(images()), signed)
    x = case.model.tensor("real", case.shape, "float32")
    case.model.op("QUANTIZE", [x], [case.x])
    y = case.tensor("y", case.shape, factor_scale(draw, case.scale, -2, 2), case.zero_point())
    case.model.op("RELU", [case.x], [y])
    z = case.model.tensor("z", case.shape, "float32")
    case.model.op("DEQUANTIZE", [y], [z])
    raw = case.model.finish([x], [z])
    graph = load(raw)
    image = case.rng.normal(size=case.shape) * 100 * case.scale
    image += case.rng.integers(-600, 600, case.shape) * case.scale / 2
    image = image.astype(np.float32)
    expected = reference_of(raw).run(image)
    affine = graph.tensors[graph.input].affine
    assert graph.real_input == "real" and affine is not None
    got = integer_run(graph, affine.quantise(image.transpose(0, 3, 1, 2)))
    result = graph.results[0]
    assert result.host_ops == ("dequantise",) and result.name == "z"
    got["z"] = host_result(graph, result.tensor, got[result.tensor], result.host_ops)
    assert set(got) == {"x", "y", "z"}
    for name, value in got.items():
        assert np.array_equal(value.transpose(0, 2, 3, 1), expected[name]), name


@CASES
@given(st.data(), SIGNED)
def test_reshape_into_fully_connected(data, signed):
    """Rows, columns and channels of a flattened tensor meet their weights."""
    case = Case(data.draw, data.draw(images(most=4)), signed)
    k = int(np.prod(case.shape))
    part = case.tensor("part", case.shape, case.scale, case.zero)
    pool = dict(Padding=0, StrideH=1, StrideW=1, FilterHeight=2, FilterWidth=1)
    case.model.op("MAX_POOL_2D", [case.x], [part], **pool)
    flat = case.tensor("flat", (1, k), case.scale, case.zero)
    case.model.op("RESHAPE", [part, case.model.constant("to", np.array([-1, k], np.int32))], [flat])
    zero = None if signed else 100
    w = case.model.constant("w", case.integers((5, k)), scale=0.01, zero=zero)
    y = case.tensor("y", (1, 5), factor_scale(case.draw, case.scale * 0.01, -12, 0), 3)
    case.model.op("FULLY_CONNECTED", [flat, w], [y])
    assert case.check(y).aliases == {"flat": "part"}
