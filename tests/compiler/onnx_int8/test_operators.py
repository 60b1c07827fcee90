"""Each operator alone, on models that the test writes, in all its forms, beside onnxruntime."""

import numpy as np
import pytest

from compiler.layers import Concat, IntAdd, IntConv, IntPad, IntPool, Rescale
from tests.compiler.onnx_int8.nets import MICROSOFT, Net, Tally

USUAL, MOST = 60, 1000  # random models of a form
INT8, UINT8 = np.dtype(np.int8), np.dtype(np.uint8)
RARE = 1e-3  # share of outputs that may differ where few are halves


def either(rng):
    return INT8 if rng.integers(2) else UINT8


def images(rng, most=9, channels=6):
    return (1, *(int(rng.integers(1, n + 1)) for n in (channels, most, most)))


def result(net, by, least=-12, most=4, name="y", dtype=None):
    """The scale of an output, so that `by` / it is a random factor."""
    number = by / 2.0 ** net.rng.uniform(least, most)
    return net.scale(name, dtype or net.dtype, number=number)


def run(build, cases, window=None):
    """build(rng) makes (net, outputs); prints and returns what was counted."""
    tally, kinds = Tally(**({"window": window} if window else {})), set()
    for seed in range(cases(USUAL, MOST)):
        net, *outputs = build(np.random.default_rng(seed))
        try:
            types = dict(outputs)
            model = net.model(" ".join(types), types)
            graph = tally.check(model, net.images())
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        kinds |= {type(layer) for layer in graph.layers}
    print(tally)
    return tally, kinds


class Filters:
    """A convolution or fully connected layer of a net, of random numbers, its filters along an
    axis. free: uint8 weights of an int8 input, which onnxruntime has for floats between only."""

    def __init__(self, net, shape, axis, free=False):
        self.net, rng = net, net.rng
        filters = shape[axis]
        each = bool(rng.integers(2))
        self.dtype = either(rng) if free or net.dtype == UINT8 else INT8
        point = 0 if rng.integers(2) else int(net.integers((), self.dtype))
        zeros = np.full(filters if each else (), point)  # onnxruntime has one for all filters
        self.axis, self.filters = axis, filters
        number = rng.uniform(0.001, 0.1, filters if each else None)
        self.scale = net.scale("w", self.dtype, number, zeros, filters if each else None)
        net.constant("w", net.integers(shape, self.dtype))
        self.unit = net.x_scale.number * self.scale.number  # float32
        bits = rng.integers(1, 24)
        self.bias = rng.integers(-1 << bits, 1 << bits, filters).astype(np.int32)
        self.out = result(net, float(self.unit.max()), -16, 4, dtype=net.dtype)

    def bias_real(self):
        """The name of a bias of floats, exact or not."""
        net = self.net
        if net.rng.integers(2):
            return net.constant("b", (self.bias * self.unit).astype(np.float32))
        net.constant("b_q", self.bias)
        net.constant("b_q_scale", self.unit)
        attributes = dict(axis=0) if self.unit.ndim else {}
        return net.node("DequantizeLinear", "b_q b_q_scale", "b", **attributes)

    def weights_real(self):
        net, attributes = self.net, dict(axis=self.axis) if self.scale.number.ndim else {}
        return net.real("w", self.scale, **attributes)


def convolution(rng, free=False):
    """A net of a convolution, before what comes after it: (net, filters, attributes)."""
    net = Net(rng, images(rng), either(rng))
    _, c, *size = net.shape
    groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
    kernel = [int(rng.integers(1, min(4, n) + 1)) for n in size]
    filters = Filters(net, (groups * int(rng.integers(1, 5)), c // groups, *kernel), 0, free)
    attributes = dict(group=groups, strides=[int(n) for n in rng.integers(1, 4, 2)])
    pads = rng.integers(0, 3, 4)
    if rng.integers(3):
        attributes["pads"] = [min(int(p), kernel[n % 2] - 1) for n, p in enumerate(pads)]
    else:
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    return net, filters, attributes


def qlinear_conv(rng):
    net, filters, attributes = convolution(rng)
    bias = net.constant("b", filters.bias) if rng.integers(2) else ""
    scales = f"{net.x_scale.names} w {filters.scale.names} {filters.out.names}"
    net.node("QLinearConv", f"x {scales} {bias}", "y", **attributes)
    return net, ("y", filters.out.dtype)


def after_sums(net, real, out):
    """What may come between an operator and its QuantizeLinear."""
    kind = net.rng.integers(4)
    if kind == 1:
        real = net.node("Relu", real, "relu")
    elif kind == 2:
        low = net.constant("low", np.float32(-20.5 * out.number))
        high = net.constant("high", np.float32(33 * out.number))
        names = [f"{low} {high}", low, f"- {high}"][net.rng.integers(3)]
        real = net.node("Clip", f"{real} {names}", "clip")
    net.quantise(real, out, "y")
    return net, ("y", out.dtype)


def qdq_conv(rng):
    net, filters, attributes = convolution(rng, free=True)
    bias = filters.bias_real() if rng.integers(2) else ""
    x, w = net.real("x", net.x_scale), filters.weights_real()
    return after_sums(net, net.node("Conv", f"{x} {w} {bias}", "c", **attributes), filters.out)


def scaled_sums(net, filters, sums, axis):
    """Sums of an Integer operator to y: a Cast and a Mul, or a DequantizeLinear, a bias."""
    rng, shape = net.rng, [-1] + [1] * axis
    unit = filters.unit
    if rng.integers(2):
        net.constant("unit", unit)
        each = dict(axis=1) if unit.ndim else {}
        real = net.node("DequantizeLinear", f"{sums} unit", "real", **each)
    else:
        net.constant("unit", unit.reshape(shape) if unit.ndim else unit)
        cast = net.node("Cast", sums, "cast", to=1)
        real = net.node("Mul", f"{cast} unit" if rng.integers(2) else f"unit {cast}", "real")
    if rng.integers(2):
        bias = net.constant("b", (filters.bias * unit).astype(np.float32).reshape(shape))
        real = net.node("Add", f"{real} {bias}" if rng.integers(2) else f"{bias} {real}", "sum")
    return after_sums(net, real, filters.out)


def integer_conv(rng):
    net, filters, attributes = convolution(rng)
    zero = net.constant("w_point", filters.scale.point.ravel()[0])
    names = f"x w {net.x_scale.zero} {zero}"
    net.node("ConvInteger", names, "sums", **attributes)
    return scaled_sums(net, filters, "sums", 2)


@pytest.mark.parametrize("build", [qlinear_conv, qdq_conv, integer_conv])
def test_conv(build, cases):
    tally, kinds = run(build, cases)
    assert kinds == {IntConv} and tally.share() < RARE


def matrix(rng, turned, free=False):
    """A flat net and weights K x M, or M x K: (net, filters)."""
    net = Net(rng, (1, int(rng.integers(1, 60))), either(rng))
    shape = (net.shape[1], int(rng.integers(1, 12)))
    return net, Filters(net, shape[::-1] if turned else shape, 0 if turned else 1, free)


def qlinear_matmul(rng):
    net, filters = matrix(rng, False)
    scales = f"{net.x_scale.names} w {filters.scale.names} {filters.out.names}"
    net.node("QLinearMatMul", f"x {scales}", "y")
    return net, ("y", filters.out.dtype)


def qgemm(rng):
    net, filters = matrix(rng, turned := int(rng.integers(2)))
    bias = net.constant("b", filters.bias) if rng.integers(2) else "-"
    names = f"x {net.x_scale.names} w {filters.scale.names} {bias} {filters.out.names}"
    net.node("QGemm", names, "y", MICROSOFT, transB=turned, alpha=1.0)
    return net, ("y", filters.out.dtype)


def qdq_gemm(rng):
    net, filters = matrix(rng, turned := int(rng.integers(2)), free=True)
    bias = filters.bias_real() if rng.integers(2) else ""
    x, w = net.real("x", net.x_scale), filters.weights_real()
    real = net.node("Gemm", f"{x} {w} {bias}", "g", transB=turned)
    return after_sums(net, real, filters.out)


def qdq_matmul(rng):
    net, filters = matrix(rng, False, free=True)
    x, w = net.real("x", net.x_scale), filters.weights_real()
    real = net.node("MatMul", f"{x} {w}", "m")
    if rng.integers(2):
        real = net.node("Add", f"{real} {filters.bias_real()}", "sum")
    return after_sums(net, real, filters.out)


def integer_matmul(rng):
    net, filters = matrix(rng, False)
    net.node("MatMulInteger", f"x w {net.x_scale.zero} {filters.scale.zero}", "sums")
    return scaled_sums(net, filters, "sums", 0)


@pytest.mark.parametrize("build", [qlinear_matmul, qgemm, qdq_gemm, qdq_matmul, integer_matmul])
def test_fully_connected(build, cases):
    tally, kinds = run(build, cases)
    assert kinds == {IntConv} and tally.share() < RARE


def two(net):
    """x and two tensors made of it, of scales of their own: [(tensor, scale)]."""
    parts = [("x", net.x_scale)]
    real = net.real("x", net.x_scale)
    for name in ("p", "q"):
        scale = result(net, net.x_scale.number, -4, 4, name)
        parts.append((net.quantise(real, scale, name), scale))
    return parts


def qlinear_add(rng):
    net = Net(rng, images(rng), either(rng))
    parts = two(net)
    (a, of_a), (b, of_b) = (parts[int(rng.integers(3))] for _ in range(2))
    out = result(net, max(of_a.number, of_b.number), -6, 6)
    names = f"{a} {of_a.names} {b} {of_b.names} {out.names}"
    net.node("QLinearAdd", names, "y", MICROSOFT)
    return net, ("y", out.dtype)


def qdq_add(rng):
    net = Net(rng, images(rng), either(rng))
    parts = two(net)
    chosen = [parts[int(rng.integers(3))] for _ in range(2)]
    out = result(net, max(of.number for _, of in chosen), -6, 6)
    reals = [
        net.node("DequantizeLinear", f"{q} {of.names}", f"{n}_r")
        for n, (q, of) in enumerate(chosen)
    ]
    return after_sums(net, net.node("Add", " ".join(reals), "sum"), out)


@pytest.mark.parametrize("build", [qlinear_add, qdq_add])
def test_add(build, cases):
    tally, kinds = run(build, cases, window=2.0**-12)
    assert kinds <= {Rescale, IntAdd} and IntAdd in kinds and tally.share() < 20 * RARE


def constants(net, scale):
    """The name of float constants near a scale: one, or one a channel."""
    shape = (1, net.shape[1], 1, 1) if net.rng.integers(2) else ()
    return net.constant("k", (scale * net.rng.normal(0, 30, shape)).astype(np.float32))


def qdq_constant(rng):
    """A constant of floats, or of integers behind a DequantizeLinear."""
    net = Net(rng, images(rng), either(rng))
    out = result(net, net.x_scale.number, -3, 3)
    op = str(rng.choice(["Add", "Sub", "Mul", "Div"]))
    size = net.x_scale.number if op in ("Add", "Sub") else 1 / 30
    k, x = constants(net, size), net.real("x", net.x_scale)
    if op == "Div":
        net.constants["k"] = np.maximum(np.abs(net.constants["k"]), 0.1).astype(np.float32)
    elif rng.integers(2):
        scale = net.scale("k", net.dtype)
        net.constants["k"] = net.integers(net.constants["k"].shape)
        k = net.real("k", scale)
    names = f"{k} {x}" if op != "Div" and rng.integers(2) else f"{x} {k}"
    return after_sums(net, net.node(op, names, "sum"), out)


def qlinear_add_constant(rng):
    net = Net(rng, images(rng), either(rng))
    scale, out = net.scale("k", net.dtype), result(net, net.x_scale.number, -3, 3)
    net.constant("k", net.integers((1, net.shape[1], 1, 1)))
    parts = [f"k {scale.names}", f"x {net.x_scale.names}"][:: int(rng.choice([1, -1]))]
    net.node("QLinearAdd", f"{parts[0]} {parts[1]} {out.names}", "y", MICROSOFT)
    return net, ("y", out.dtype)


@pytest.mark.parametrize("build", [qdq_constant, qlinear_add_constant])
def test_constants(build, cases):
    """The constant is rounded to 1/64 of the input's step, half of which is 1/16 of the output's
    at most."""
    tally, kinds = run(build, cases, window=2.0**-4)
    assert kinds == {IntConv} and tally.share() < 20 * RARE


def rescale(rng):
    net = Net(rng, images(rng), either(rng))
    out = result(net, net.x_scale.number, -8, 8, dtype=either(rng))
    return after_sums(net, net.real("x", net.x_scale), out)


def test_rescale(cases):
    tally, kinds = run(rescale, cases)
    assert kinds == {Rescale} and tally.share() < RARE


def pool_window(rng, size, most=None):
    kernel = [int(rng.integers(1, min(most or n, n) + 1)) for n in size]
    attributes = dict(kernel_shape=kernel, strides=[int(n) for n in rng.integers(1, 4, 2)])
    kind = rng.integers(3)
    if kind == 1:
        attributes["pads"] = [int(rng.integers(0, kernel[n % 2])) for n in range(4)]
    elif kind == 2:
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        # Where a stride is longer than the window onnxruntime pads by less than 0.
        attributes["strides"] = [min(*pair) for pair in zip(kernel, attributes["strides"])]
    return attributes


def known(net):
    """The input's integers, their scale known from what is before."""
    return net.quantise(net.real("x", net.x_scale), net.x_scale, "x_q")


def max_pool(rng):
    """Of integers, or between floats of one scale or two."""
    net = Net(rng, images(rng, most=20), either(rng))
    attributes = pool_window(rng, net.shape[2:])
    if "auto_pad" not in attributes and rng.integers(2):
        attributes["ceil_mode"] = 1
    form = rng.integers(3)
    if form == 0:
        net.node("MaxPool", known(net), "y", **attributes)
        return net, ("y", net.dtype)
    real = net.node("MaxPool", net.real("x", net.x_scale), "m", **attributes)
    out = net.x_scale if form == 1 else result(net, net.x_scale.number, -3, 3)
    return after_sums(net, real, out)


def test_max_pool(cases):
    tally, kinds = run(max_pool, cases)
    assert kinds == {IntPool, Rescale} and tally.share() < RARE


def qdq_average(rng, same):
    net = Net(rng, images(rng, most=12), either(rng))
    attributes = pool_window(rng, net.shape[2:])
    counted = not same and ("pads" in attributes or "auto_pad" in attributes)
    attributes["count_include_pad"] = int(counted)
    real = net.node("AveragePool", net.real("x", net.x_scale), "m", **attributes)
    out = net.x_scale if same else result(net, net.x_scale.number, -3, 3)
    return after_sums(net, real, out)


def average_of_one_scale(rng):
    return qdq_average(rng, True)


def average_of_two(rng):
    return qdq_average(rng, False)


def qlinear_average(rng):
    net = Net(rng, images(rng, most=12), either(rng))
    attributes = pool_window(rng, net.shape[2:])
    same = rng.integers(2)
    attributes["count_include_pad"] = int(not same)
    out = net.x_scale if same else result(net, net.x_scale.number, -3, 3)
    names = f"x {net.x_scale.names} {out.names}"
    net.node("QLinearAveragePool", names, "y", MICROSOFT, **attributes)
    return net, ("y", out.dtype)


def global_average(rng):
    net = Net(rng, images(rng, most=12), either(rng))
    out = result(net, net.x_scale.number, -5, 1)
    if rng.integers(2):
        names = f"x {net.x_scale.names} {out.names}"
        net.node("QLinearGlobalAveragePool", names, "y", MICROSOFT, channels_last=0)
        return net, ("y", out.dtype)
    real = net.node("GlobalAveragePool", net.real("x", net.x_scale), "m")
    return after_sums(net, real, out)


# Of the averages of one scale many are halves, since few elements are averaged: half of those.
@pytest.mark.parametrize(
    "build, most",
    [
        (average_of_one_scale, 0.1),
        (average_of_two, RARE),
        (qlinear_average, 0.1),
        (global_average, RARE),
    ],
)
def test_average_pool(build, most, cases):
    tally, kinds = run(build, cases)
    assert kinds <= {IntConv, IntPool} and tally.share() < most
    if IntConv not in kinds:
        assert tally.counts["halves"] == tally.counts["differ"]


def concat(rng):
    """Between floats, in Microsoft's form, of integers."""
    net = Net(rng, images(rng), either(rng))
    form = rng.integers(3)
    if form == 0:
        q, m = known(net), net.node("MaxPool", "x_q", "m", kernel_shape=[1, 1])
        net.node("Concat", f"{q} {m} {q}", "y", axis=int(rng.choice([1, -3])))
        return net, ("y", net.dtype)
    parts = two(net)
    chosen = [parts[int(rng.integers(3))] for _ in range(int(rng.integers(1, 4)))]
    out = result(net, max(of.number for _, of in chosen), -1, 3)
    if form == 1:
        names = " ".join(f"{q} {of.names}" for q, of in chosen)
        net.node("QLinearConcat", f"{out.names} {names}", "y", MICROSOFT, axis=1)
        return net, ("y", out.dtype)
    reals = [
        net.node("DequantizeLinear", f"{q} {of.names}", f"{n}_r")
        for n, (q, of) in enumerate(chosen)
    ]
    return after_sums(net, net.node("Concat", " ".join(reals), "joined", axis=1), out)


def test_concat(cases):
    tally, kinds = run(concat, cases)
    assert kinds >= {Concat, Rescale} and tally.share() < RARE


def pad(rng):
    net = Net(rng, images(rng), either(rng))
    sides = [0, 0, *rng.integers(0, 3, 2).tolist(), 0, 0, *rng.integers(0, 3, 2).tolist()]
    net.constant("sides", np.array(sides, np.int64))
    if rng.integers(2):
        net.node("Pad", f"{known(net)} sides {net.x_scale.zero}", "y")
        return net, ("y", net.dtype)
    real = net.node("Pad", f"{net.real('x', net.x_scale)} sides", "padded")
    out = net.x_scale if rng.integers(2) else result(net, net.x_scale.number, -3, 3)
    net.quantise(real, out, "y")
    return net, ("y", out.dtype)


def test_pad(cases):
    tally, kinds = run(pad, cases)
    assert kinds >= {IntPad} and tally.share() < RARE
