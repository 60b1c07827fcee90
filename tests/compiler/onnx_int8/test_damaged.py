"""Bad quantised ONNX files: one line that names the node or what else is wrong, and no other
exception."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cli import main
from compiler.frontend.onnx_import import load
from compiler.graph import NetworkError
from tests.compiler.onnx_int8.nets import MICROSOFT, Net

USUAL, MOST = 300, 5000  # mutated files
F32, INT8 = np.dtype(np.float32), np.dtype(np.int8)


def net() -> onnx.ModelProto:
    """A small network of most operators, in all forms."""
    n = Net(np.random.default_rng(0), ("N", 2, 6, 6), F32)
    n.quantise(n.node("Div", f"x {n.constant('full', np.float32(255))}", "s"), q(n, "a"), "a")
    n.constant("w", np.arange(4 * 9 * 2, dtype=np.int8).reshape(4, 2, 3, 3))
    w = n.scale("w", np.int8, [0.1, 0.2, 0.3, 0.4], [0] * 4)
    b = n.constant("b", np.arange(4, dtype=np.int32))
    b = n.node("DequantizeLinear", f"b {n.constant('b_scale', w.number * 0.1)}", "b_real", axis=0)
    real = n.real("w", w, axis=0)
    c = n.node("Conv", f"{n.real('a', q(n, 'a'))} {real} {b}", "conv", pads=[1] * 4)
    n.quantise(n.node("Relu", c, "relu"), q(n, "c", 0.5), "c")
    n.node("QLinearConv", f"c {q(n, 'c').names} w {w.names} {q(n, 'd').names} b", "d", group=2)
    pools = [
        n.node(
            op, n.real(f"{name}", q(n, name)), f"{name}_pool", kernel_shape=[2, 2], strides=[2, 2]
        )
        for op, name in (("MaxPool", "c"), ("AveragePool", "d"))
    ]
    n.quantise(pools[0], q(n, "c"), "e")
    n.quantise(pools[1], q(n, "f"), "f")
    n.node("Pad", f"f {n.constant('sides', np.array([0, 0, 0, 0, 0, 0, 1, 1]))} f_zero", "g")
    n.node(
        "QLinearAdd", f"e {q(n, 'c').names} g {q(n, 'f').names} {q(n, 'h').names}", "h", MICROSOFT
    )
    names = f"{q(n, 'i').names} h {q(n, 'h').names} e {q(n, 'c').names}"
    n.node("QLinearConcat", names, "i", MICROSOFT, axis=1)
    n.node("Reshape", f"i {n.constant('to', np.array([-1, 72]))}", "flat")
    n.constant("m", np.ones((72, 3), np.int8))
    n.node("MatMulInteger", f"flat m i_zero {n.constant('m_zero', np.int8(1))}", "sums")
    n.node("Cast", "sums", "cast", to=1)
    n.node("Mul", f"cast {n.constant('unit', np.float32(0.01))}", "product")
    n.quantise(
        n.node("Clip", f"product {n.constant('low', np.float32(-1))}", "clip"), q(n, "j"), "j"
    )
    n.node("Softmax", n.real("j", q(n, "j")), "y", axis=1)
    n.dtype = F32
    return n.model("y i", {"y": F32, "i": INT8})


def q(n, name, number=0.1):
    """A scale by its name, the same for each use."""
    if f"{name}_scale" in n.constants:
        number = n.constants[f"{name}_scale"]
    return n.scale(name, np.int8, number, -3)


def changed(change) -> onnx.ModelProto:
    model = net()
    change(model)
    return model


def constant(name, value):
    """A change: another constant."""

    def change(model):
        old = next(t for t in model.graph.initializer if t.name == name)
        old.CopyFrom(numpy_helper.from_array(np.asarray(value), name))

    return change


def node(name, **fields):
    """A change of a node: its operator, its inputs and outputs, or attributes."""

    def change(model):
        found = next(n for n in model.graph.node if n.output[0] == name)
        for key, value in fields.items():
            if key in ("op_type", "domain"):
                setattr(found, key, value)
            elif key in ("input", "output"):
                names = getattr(found, key)
                del names[:]
                names.extend(value.split())
            else:
                kept = [a for a in found.attribute if a.name != key]
                del found.attribute[:]
                found.attribute.extend([*kept, helper.make_attribute(key, value)])

    return change


def both(*changes):
    def change(model):
        for each in changes:
            each(model)

    return change


def shape(*sizes):
    def change(model):
        dims = model.graph.input[0].type.tensor_type.shape.dim
        del dims[:]
        for size in sizes:
            new = dims.add()
            if isinstance(size, str):
                new.dim_param = size
            else:
                new.dim_value = size

    return change


def short(model):
    """A buffer that has lost its end."""
    w = next(t for t in model.graph.initializer if t.name == "w")
    w.raw_data = w.raw_data[:-1]


def without(*names):
    """Nodes are left out, their outputs are their first inputs."""

    def change(model):
        for name in names:
            found = next(n for n in model.graph.node if n.output[0] == name)
            for other in model.graph.node:
                for i, read in enumerate(other.input):
                    if read == name:
                        other.input[i] = found.input[0]
            model.graph.node.remove(found)

    return change


def test_the_network_itself():
    graph = load(net().SerializeToString())
    assert [layer.name for layer in graph.layers] == [
        "conv_node",
        "d_node",
        "c_pool_node",
        "d_pool_node",
        "g_node",
        "h_node",
        "i_node_rescale",
        "i_node",
        "sums_node",
    ]
    assert [r.host_ops for r in graph.results] == [("dequantise", "softmax"), ()]


NAN, INF = float("nan"), float("inf")
REFUSED = [
    (constant("a_scale", np.float32(0)), "node 'a_node' (QuantizeLinear): scale 'a_scale' is 0.0"),
    (constant("c_scale", np.float32(NAN)), "(QuantizeLinear): scale 'c_scale' is nan: it must be"),
    (constant("d_scale", np.float32(INF)), "node 'd_node' (QLinearConv): scale 'd_scale' is inf"),
    (constant("h_scale", np.float32(-1)), "node 'h_node' (QLinearAdd): scale 'h_scale' is -1.0"),
    (constant("w_scale", np.float32([1, 1, 0, 1])), "(DequantizeLinear): scale 'w_scale' is 0.0"),
    (constant("w_scale", np.float32([1, 1])), "zero point 'w_zero' has shape [4] for 2 scales"),
    (constant("a_scale", np.float32([1, 2])), "'a_scale' has 2 numbers: activations have one"),
    (constant("a_scale", np.float64(1)), "'a_scale' is float64: float32 is supported"),
    (
        constant("a_scale", np.float32(1e-30)),
        "node 'c_node' (QuantizeLinear): of node 'conv_node': its bias exceeds 32 bits",
    ),
    (constant("f_scale", np.float32(1e-30)), "of node 'd_pool_node': its scales give a factor of"),
    (constant("unit", np.float32(NAN)), "node 'product_node' (Mul): a constant is not finite"),
    (constant("low", np.float32(NAN)), "node 'clip_node' (Clip): a bound is not a number"),
    (constant("a_zero", np.int16(300)), "(QuantizeLinear): activations of int16: int8 and uint8"),
    (constant("a_zero", np.int32(-129)), "(QuantizeLinear): activations of int32: int8 and uint8"),
    (constant("a_zero", np.int8([1, 2])), "zero point 'a_zero' has shape [2] for 1 scales"),
    (constant("c_zero", np.uint8(3)), "'h_node' (QLinearAdd): int8 beside uint8"),
    (constant("h_zero", np.uint8(3)), "'h_node' (QLinearAdd): int8 beside uint8"),
    (
        node("d", input="c a_scale c_zero w w_scale w_zero d_scale d_zero b"),
        "scale or zero point of input 'c' are not those of 'c': 0.1 and -3, 0.5 and -3",
    ),
    (
        node("sums", input="flat m m_zero m_zero"),
        "scale or zero point of input 'flat' are not those of 'i': 0.1 and 1, 0.1 and -3",
    ),
    (constant("w_zero", np.uint8([0] * 4)), "zero point 'w_zero' is uint8, int8 is expected"),
    (constant("w", np.ones((4, 2, 3, 3), np.int16)), "input 'w' is int16: int8 or uint8"),
    (constant("w", np.ones((4, 2, 3, 3), np.float32)), "input 'w' is float32: int8 or uint8"),
    (constant("w", np.ones((4, 3, 3, 3), np.int8)), "(Conv): 2 channels in 1 groups do not fit"),
    (constant("w", np.ones((3, 2, 3, 3), np.int8)), "'w_scale' has 4 numbers along axis 0 of"),
    (constant("b", np.arange(3, dtype=np.int32)), "'b_scale' has 4 numbers along axis 0 of"),
    (constant("b", np.arange(4, dtype=np.int64)), "input 'b' is int64: int8 or uint8"),
    (constant("m", np.ones((71, 3), np.int8)), "'sums_node' (MatMulInteger): weights of shape"),
    (constant("sides", np.array([0, 1, 0, 0, 0, 0, 1, 1])), "(Pad): padding of rows and columns"),
    (node("g", input="f sides w"), "node 'g_node' (Pad): padding of [0]: zeros are supported"),
    (node("g", input="f sides f_zero to"), "'g_node' (Pad): pads of shape [8] for 2 axes of 4"),
    (node("i", axis=5), "node 'i_node' (QLinearConcat): axis 5: only channels are supported"),
    (constant("to", np.array([-1, 71])), "node 'flat_node' (Reshape): to [-1, 71] from"),
    (shape("N", 2, "H", 6), "input 'x': shape [0, 2, 0, 6]: N x C x H x W or N x K with fixed"),
    (shape("N", 2), "'conv_node' (Conv): only two-dimensional convolution is supported"),
    (node("relu", op_type="LeakyRelu"), "node 'relu_node' (LeakyRelu): operator not supported"),
    (
        node("a", op_type="DynamicQuantizeLinear", input="s", output="a s1 s2"),
        "(DynamicQuantizeLinear): operator not",
    ),
    (node("h", op_type="QLinearMul"), "node 'h_node' (QLinearMul): operator not supported"),
    (node("conv", dilations=[2, 2]), "node 'conv_node' (Conv): dilations [2, 2] are not supported"),
    (node("i", axis=2), "node 'i_node' (QLinearConcat): axis 2: only channels are supported"),
    (node("i", axis=1.5), "node 'i_node' (QLinearConcat): attribute 'axis' has the wrong type"),
    (node("y", axis=0), "node 'y_node' (Softmax): axis 0 of 2: only over a vector of features"),
    (
        both(node("d_pool", pads=[1] * 4), constant("f_scale", np.float32(0.2))),
        "of node 'd_pool_node': padding (1, 1, 1, 1) that is counted in some windows only",
    ),
    (without("c", "c_real"), "input 'relu' is of floats"),
    (
        without("a", "a_real"),
        "(Conv): input 's' is floats of the network's input: a QuantizeLinear",
    ),
    (without("w_real"), "node 'conv_node' (Conv): weights 'w' are not quantised"),
    (without("j", "j_real"), "input 'clip' is of floats that node"),
    (without("a_real"), "node 'conv_node' (Conv): input 'a' is of integers: a DequantizeLinear"),
    (short, "initializer 'w': TensorProto (tensor name: w) raw_data size (71 bytes) is too small"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused_in_one_line(number):
    change, message = REFUSED[number]
    with pytest.raises(NetworkError) as error:
        load(changed(change).SerializeToString())
    assert message in str(error.value) and "\n" not in str(error.value)


def test_status_and_nothing_written(tmp_path, capsys):
    """eyrie compile: one line, exit 2, no file."""
    file, out = tmp_path / "net.onnx", tmp_path / "out"
    file.write_bytes(changed(constant("c_scale", np.float32(0))).SerializeToString())
    images = tmp_path / "images.npy"
    np.save(images, np.zeros((1, 2, 6, 6), np.float32))
    words = ["compile", str(file), "--config", "demo", "--calib", str(images), "-o", str(out)]
    assert main(words) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said and not out.exists()
    assert "node 'c_node' (QuantizeLinear): scale 'c_scale' is 0.0" in said


def test_broken_files(tmp_path):
    whole = net().SerializeToString()
    for size in (0, 40, len(whole) // 2, len(whole) - 1):
        with pytest.raises(NetworkError) as error:
            load(whole[:size])
        assert "\n" not in str(error.value)


def outputs_without_a_layer():
    n = Net(np.random.default_rng(0), (1, 4))
    yield n.real("x", n.x_scale), n
    n = Net(np.random.default_rng(0), (1, 4), F32)
    yield n.quantise("x", q(n, "a"), "a"), n


def test_outputs_without_a_layer():
    for name, n in outputs_without_a_layer():
        with pytest.raises(NetworkError, match="is input 'x' itself: there is no layer between"):
            load(n.model(name, {name: F32}).SerializeToString())


def test_weights_alone_quantised_are_a_float_network():
    n = Net(np.random.default_rng(0), (1, 4), F32)
    n.constant("w", n.integers((4, 3), np.int8))
    n.node("MatMul", f"x {n.real('w', n.scale('w', np.int8))}", "y")
    assert not load(n.model("y").SerializeToString()).integer


def mutated_bytes(raw: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut out, or the end missing."""
    data = np.frombuffer(raw, np.uint8).copy()
    kind, at = rng.integers(4), int(rng.integers(len(data)))
    if kind == 0:
        return raw[:at]
    if kind == 1:
        return raw[:at] + raw[at + int(rng.integers(1, 9)) :]
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data)))
        data[at] = rng.integers(256) if kind == 2 else data[at] ^ 1 << rng.integers(8)
    return data.tobytes()


def mutated_model(rng: np.random.Generator) -> bytes:
    """A constant, an attribute, an operand, an operator or a size of another value."""
    model = net()
    graph = model.graph
    found = graph.node[int(rng.integers(len(graph.node)))]
    kind = rng.integers(6)
    names = [*(t.name for t in graph.initializer), *(n.output[0] for n in graph.node), ""]
    if kind == 0:
        constant_of_another_kind(graph.initializer[int(rng.integers(len(graph.initializer)))], rng)
    elif kind == 1 and found.attribute:
        change_attribute(found.attribute[int(rng.integers(len(found.attribute)))], rng)
    elif kind == 2:
        found.input[int(rng.integers(len(found.input)))] = str(rng.choice(names))
    elif kind == 3:
        other = graph.node[int(rng.integers(len(graph.node)))]
        found.op_type, found.domain = other.op_type, str(rng.choice([other.domain, found.domain]))
    elif kind == 4:
        graph.input[0].type.tensor_type.elem_type = int(rng.integers(0, 12))
        sizes = rng.choice([0, 1, 2, 6, 1 << 40, -1], int(rng.integers(5))).tolist()
        if rng.integers(2):
            shape(*sizes)(model)
    else:
        del found.input[int(rng.integers(len(found.input))) :]
    return model.SerializeToString()


def constant_of_another_kind(tensor: onnx.TensorProto, rng: np.random.Generator) -> None:
    old = numpy_helper.to_array(tensor)
    new = old.astype(rng.choice([np.int8, np.uint8, np.int32, np.int64, np.float32, np.float64]))
    if rng.integers(2):
        new = new.reshape(-1)[: int(rng.integers(0, 5))]
    if rng.integers(2) and new.size:
        values = [0, -1, 1, 127, NAN, INF, -INF, 1e-38, 3e38]
        with np.errstate(invalid="ignore", over="ignore"):
            new = np.full_like(new, np.array(rng.choice(values)).astype(new.dtype))
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(new), tensor.name))


def change_attribute(attribute: onnx.AttributeProto, rng: np.random.Generator) -> None:
    values = [0, 1, -1, 2, 7, 1 << 40, -(1 << 62)]
    drawn = [int(n) for n in rng.choice(values, int(rng.integers(0, 5)))]
    new = [drawn, int(rng.choice(values)), 0.5, "SAME_UPPER", drawn][int(rng.integers(5))]
    made = helper.make_attribute(attribute.name, new, attr_type=None if new != [] else 7)
    attribute.CopyFrom(made)


def test_mutated_files(cases):
    whole, refused, count = net().SerializeToString(), 0, cases(USUAL, MOST)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        raw = mutated_model(rng) if seed % 2 else mutated_bytes(whole, rng)
        try:
            load(raw)
        except NetworkError as error:
            refused += 1
            assert "\n" not in str(error), seed
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    assert refused > count // 3
