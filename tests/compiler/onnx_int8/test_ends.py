"""What is before the first integers of a network and after the last, and operators that only show
a tensor differently, beside onnxruntime."""

import numpy as np
import pytest

from compiler.frontend.onnx_import import load
from compiler.layers import IntConv, Rescale
from compiler.quantise.fixed_point import quantise_input
from compiler.quantise.integer_graph import integer_network
from compiler.quantise.integer_run import host_result, integer_run, quantised_input
from tests.compiler.onnx_int8.nets import MICROSOFT, PSUM_BITS, Net, Runtime, nchw

F32 = np.dtype(np.float32)
CASES = 40


def outputs(graph, values, like):
    """What the host makes of each output, in the shape that onnxruntime gives it."""
    return {
        r.name: host_result(
            graph, r.tensor, values[r.tensor], r.host_ops, graph.results[n].affine
        ).reshape(like[r.name].shape)
        for n, r in enumerate(graph.results)
    }


def relu(net, q, scale, output="y"):
    """A Relu of integers, so that there is a layer: its output has the same scale."""
    real = net.node("Relu", net.real(q, scale), f"{output}_relu")
    return net.quantise(real, scale, output)


@pytest.mark.parametrize("seed", range(CASES))
def test_floats_at_the_ends(seed):
    """Scaled by constants before, halves and floats out of range among them."""
    rng = np.random.default_rng(seed)
    channels, dtype = int(rng.integers(1, 4)), (np.int8, np.uint8)[seed % 2]
    net = Net(rng, (2, channels, 3, 4), F32)
    scale = net.scale("q", dtype, number=2.0 ** rng.integers(-8, 0))
    x, each = "x", (1, channels, 1, 1)
    if seed % 3:
        # By powers of two, so that halves stay halves.
        by = net.constant("by", (2.0 ** rng.integers(-3, 4, each)).astype(np.float32))
        mean = net.constant("mean", (scale.number * rng.integers(-9, 9, each)).astype(np.float32))
        x = net.node(("Div", "Mul")[seed % 3 - 1], f"x {by}", "scaled")
        x = net.node(("Sub", "Add")[seed % 3 - 1], f"{x} {mean}", "shifted")
    q = net.quantise(x, scale, "q")
    net.real(relu(net, q, scale), scale)
    model = net.model("y_real")
    graph = load(model.SerializeToString())
    image = (rng.integers(-600, 600, net.shape) * scale.number / 2).astype(np.float32)
    image[0, 0, 0, :2] = 1e30, -1e30
    got = Runtime(model, graph).run(image)
    assert graph.real_input == "x" and graph.input == "q" and graph.integer
    mine = quantised_input(graph, image)
    assert np.array_equal(mine, got["q"]) and mine.dtype == got["q"].dtype
    values = integer_run(graph, mine)
    assert [type(layer) for layer in graph.layers] == [Rescale]
    assert graph.host_ops == ("dequantise",)
    for name, y in outputs(graph, values, got).items():
        assert y.dtype == np.float32 and np.array_equal(y, got[name])
    v = quantise_input(integer_network(graph, PSUM_BITS), image)
    assert np.array_equal(v, mine.astype(int) - int(scale.point))


def test_images_of_bytes():
    """Pixels are what the file's floats are, as for a network of floats."""
    net = Net(np.random.default_rng(0), (1, 1, 16, 16), F32)
    scale = net.scale("q", np.int8, number=1 / 255, point=-128)
    full = net.constant("full", np.float32(255))
    relu(net, net.quantise(net.node("Div", f"x {full}", "s"), scale, "q"), scale)
    graph = load(net.model("y", dict(y=np.int8)).SerializeToString())
    pixels = np.arange(256, dtype=np.uint8).reshape(net.shape)
    assert np.array_equal(quantised_input(graph, pixels), pixels.astype(int) - 128)


def test_cast_of_bytes():
    """An input of uint8 that the file makes floats of before it quantises it."""
    net = Net(np.random.default_rng(0), (1, 2, 4, 4), np.uint8)
    scale = net.scale("q", np.int8)
    cast = net.node("Cast", "x", "cast", to=1)
    relu(net, net.quantise(cast, scale, "q"), scale)
    model = net.model("y", dict(y=np.int8))
    graph = load(model.SerializeToString())
    image = net.integers(net.shape)
    got = Runtime(model, graph).run(image)
    assert np.array_equal(quantised_input(graph, image), got["q"]) and graph.real_input == "x"


def test_quantised_twice_alike():
    net = Net(np.random.default_rng(0), (1, 3, 4, 4), F32)
    scale = net.scale("q", np.int8)
    parts = [net.quantise("x", scale, name) for name in ("q", "r")]
    out = net.scale("y", np.int8)
    reals = [net.real(part, scale) for part in parts]
    net.quantise(net.node("Add", " ".join(reals), "sum"), out, "y")
    graph = load(net.model("y", dict(y=np.int8)).SerializeToString())
    assert graph.layers[0].inputs == ("q", "q") and graph.aliases == {"r": "q"}


@pytest.mark.parametrize("form", ["floats", "quantised", "both", "QLinear", "QLinear to floats"])
@pytest.mark.parametrize("seed", range(6))
def test_softmax(seed, form):
    rng = np.random.default_rng(seed)
    net = Net(rng, (3, int(rng.integers(1, 40))), (np.int8, np.uint8)[seed % 2])
    logits = net.scale("l", net.dtype, number=2.0 ** rng.uniform(-6, -1))
    soft = net.scale("s", net.dtype, number=1 / 256, point=np.iinfo(net.dtype).min)
    net.quantise(net.real("x", net.x_scale), logits, "l")
    if form.startswith("QLinear"):
        names = f"l {logits.names} {soft.names}"
        net.node("QLinearSoftmax", names, "s", MICROSOFT, axis=1, opset=13)
    else:
        net.node("Softmax", net.real("l", logits), "real", axis=-1)
        if form != "floats":
            net.quantise("real", soft, "s")
    if form in ("both", "QLinear to floats"):
        net.real("s", soft)
    name = {"floats": "real", "quantised": "s", "QLinear": "s"}.get(form, "s_real")
    floats = name.endswith("real")
    model = net.model(name, {name: F32 if floats else net.dtype})
    graph = load(model.SerializeToString())
    image = net.integers(net.shape)
    got = Runtime(model, graph).run(image)
    values = integer_run(graph, nchw(image)) | {"l": nchw(got["l"])}
    ops = ("dequantise", "softmax", "quantise", "dequantise")
    count = {"floats": 2, "quantised": 3, "QLinear": 3}.get(form, 4)
    assert graph.host_ops == ops[:count]
    mine, theirs = outputs(graph, values, got)[name], got[name]
    assert mine.dtype == theirs.dtype
    step = (1e-6 if form == "floats" else 1 / 256) if floats else 1
    assert np.abs(mine.astype(np.float64) - theirs).max() <= step


@pytest.mark.parametrize("form", ["real", "integers", "input", "raw"])
def test_views(form):
    """Flatten, Reshape, Identity and Dropout before a fully connected layer, and of an input N x K
    to rows and columns."""
    rng = np.random.default_rng(3)
    flat = form in ("input", "raw")
    net = Net(rng, ("N", 24) if flat else (2, 2, 3, 4), F32 if form == "raw" else np.int8)
    shape = net.constant("shape", np.array([-1, 2, 3, 4]))
    x, scale = "x", net.scale("q", np.int8) if form == "raw" else net.x_scale
    if form == "raw":
        x = net.quantise(net.node("Reshape", "x shape", "image"), scale, "q")
    if form == "input":
        x = net.node("Reshape", f"{net.real('x', scale)} {shape}", "image")
        x = net.quantise(net.node("Dropout", x, "dropped"), scale, "q")
    filters = net.constant("f", net.integers((2, 2, 1, 1), np.int8))
    w, small = net.scale("f", np.int8, 0.01, 0), net.scale("c", np.int8, 0.02)
    c = net.node("Conv", f"{net.real(x, scale)} {net.real(filters, w)}", "conv")
    if form != "integers":
        c = net.node("Flatten", net.node("Identity", c, "same"), "flat")
    c = net.quantise(c, small, "c")
    if form == "integers":
        c = net.node("Reshape", f"c {net.constant('to', np.array([0, -1]))}", "row")
    matrix, out = net.constant("m", net.integers((24, 5), np.int8)), net.scale("y", np.int8, 0.1)
    m = net.scale("m", np.int8, 0.01, 0)
    net.node("QLinearMatMul", f"{c} {small.names} {matrix} {m.names} {out.names}", "y")
    model = net.model("y", dict(y=np.int8))
    graph = load(model.SerializeToString())
    assert [type(layer) for layer in graph.layers] == [IntConv, IntConv]
    assert graph.tensors[graph.input].shape == (2, 3, 4)
    image = rng.normal(size=(2, 24)) if form == "raw" else net.integers((2, 24), np.int8)
    image = image.astype(net.dtype).reshape((2, 24) if flat else net.shape)
    got = Runtime(model, graph).run(image)
    values = integer_run(graph, quantised_input(graph, image.reshape(2, 2, 3, 4)))
    for name in ("c", "y"):
        theirs = got[name].reshape(values[name].shape).astype(int)
        assert np.abs(values[name] - theirs).max() <= 1
        assert np.count_nonzero(values[name] != theirs) <= 1


def test_several_outputs():
    net = Net(np.random.default_rng(0), (1, 2, 3, 3), np.uint8)
    relu(net, "x", net.x_scale, "y")
    relu(net, "y", net.x_scale, "z")
    net.real("z", net.x_scale)
    graph = load(net.model("z_real y", dict(z_real=F32)).SerializeToString())
    assert [(r.name, r.tensor, r.host_ops) for r in graph.results] == [
        ("z_real", "z", ("dequantise",)),
        ("y", "y", ()),
    ]


def test_layers_of_one_node_have_names_of_their_own():
    """A convolution that is quantised in two ways is two layers."""
    net = Net(np.random.default_rng(0), (1, 2, 3, 3), np.uint8)
    filters = net.constant("f", net.integers((2, 2, 1, 1), np.int8))
    names = f"{net.real('x', net.x_scale)} {net.real(filters, net.scale('f', np.int8, 0.1, 0))}"
    conv = net.node("Conv", names, "conv")
    for name in ("y", "z"):
        net.quantise(conv, net.scale(name, np.uint8), name)
    graph = load(net.model("y z").SerializeToString())
    assert [layer.name for layer in graph.layers] == ["conv_node", "z_node"]
    integer_network(graph, PSUM_BITS)
