import numpy as np
import pytest
from onnx import TensorProto, helper

from compiler.frontend.onnx_import import load
from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import Add, Concat, Conv, Pool, Relu
from compiler.quantise.float_run import float_run, host_run
from tests.data import shared
from tests.onnx_models import model, node, runtime

RNG = np.random.default_rng(0)


def f32(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def check(nodes, shape=(2, 3, 8, 9), constants=None, kinds=None, **options):
    """Import, run in floating point, compare with onnxruntime; returns the graph."""
    m = model(nodes, shape, constants, **options)
    graph = load(m.SerializeToString())
    real = [3 if isinstance(d, str) else d for d in shape]
    x = RNG.normal(size=real).astype(np.float32)
    expected = runtime(m, x)
    images = x.reshape(real[0], *graph.tensors[graph.input].shape)
    got = host_run(graph, float_run(graph, images)[graph.output])
    assert np.allclose(got.reshape(expected.shape), expected, atol=1e-4, rtol=1e-4)
    if kinds is not None:
        assert [type(layer) for layer in graph.layers] == kinds
    return graph


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        dict(pads=[1, 0, 2, 1], strides=[2, 3]),
        dict(auto_pad="SAME_UPPER", strides=[2, 2]),
        dict(auto_pad="SAME_LOWER"),
        dict(auto_pad="VALID", strides=[4, 1]),
    ],
)
def test_conv(attributes):
    check(
        [node("Conv", "x w b", **attributes)],
        constants={"w": f32(4, 3, 4, 3), "b": f32(4)},
        kinds=[Conv],
    )


def test_grouped_conv_without_bias_and_symbolic_batch():
    check([node("Conv", "x w", group=3)], ("N", 3, 5, 5), {"w": f32(6, 1, 2, 2)}, [Conv])


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        dict(kernel_shape=[3, 2], strides=[2, 2]),
        dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 1], ceil_mode=1),
        dict(kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1),
        dict(kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2]),
        dict(kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
        dict(kernel_shape=[2, 3], auto_pad="VALID"),
        dict(
            kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=1
        ),
    ],
)
def test_pool(op, attributes):
    if op == "MaxPool":
        attributes = {k: v for k, v in attributes.items() if k != "count_include_pad"}
    graph = check([node(op, "x", **attributes)], kinds=[Pool])
    layer = graph.layers[0]
    assert layer.kind == {"MaxPool": "max", "AveragePool": "average"}[op]


def test_global_average_pool_then_gemm():
    graph = check(
        [
            node("GlobalAveragePool", "x", "p"),
            node("Flatten", "p", "f"),
            node("Gemm", "f w b", transB=1),
        ],
        constants={"w": f32(5, 3), "b": f32(5)},
        kinds=[Pool, Conv],
    )
    assert graph.layers[0].kernel == (8, 9) and graph.layers[1].weights.shape == (5, 3, 1, 1)


BN = {"s": f32(4), "o": f32(4), "m": f32(4), "v": np.abs(f32(4)) + 0.5}


def test_batch_norm_and_relu_fold_into_conv():
    graph = check(
        [
            node("Conv", "x w b", "c"),
            node("BatchNormalization", "c s o m v", "n", epsilon=1e-3),
            node("Relu", "n"),
        ],
        constants={"w": f32(4, 3, 3, 3), "b": f32(4), **BN},
        kinds=[Conv],
    )
    assert graph.layers[0].relu


def test_batch_norm_alone_is_a_depthwise_conv():
    graph = check(
        [node("MaxPool", "x", "p", kernel_shape=[2, 2]), node("BatchNormalization", "p s o m v")],
        (2, 4, 5, 5),
        BN,
        [Pool, Conv],
    )
    assert graph.layers[1].groups == 4 and graph.layers[1].kernel == (1, 1)


def test_batch_norm_does_not_fold_where_the_conv_is_read_twice():
    check(
        [
            node("Conv", "x w", "c"),
            node("BatchNormalization", "c s o m v", "n"),
            node("Add", "c n"),
        ],
        constants={"w": f32(4, 3, 3, 3), **BN},
        kinds=[Conv, Conv, Add],
    )


def test_batch_norm_after_gemm():
    check(
        [node("Gemm", "x w", "g"), node("BatchNormalization", "g s o m v", "n"), node("Relu", "n")],
        (3, 6),
        {"w": f32(6, 4), **BN},
        [Conv],
    )


@pytest.mark.parametrize(
    "op,constant,kinds",
    [
        ("Add", f32(1, 4, 1, 1), [Conv]),
        ("Mul", f32(4, 1, 1), [Conv]),
        ("Sub", f32(1), [Conv]),
        ("Div", np.float32(3), [Conv]),
    ],
)
def test_constants_fold_into_conv(op, constant, kinds):
    check(
        [node("Conv", "x w", "c"), node(op, "c k")],
        constants={"w": f32(4, 3, 3, 3), "k": constant},
        kinds=kinds,
    )
    check(
        [node("Conv", "x w", "c"), node("Relu", "c", "r"), node(op, "r k")],
        constants={"w": f32(4, 3, 3, 3), "k": constant},
        kinds=[Conv, Conv],
    )


def test_constant_minus_activation():
    check(
        [node("Conv", "x w", "c"), node("Sub", "k c")],
        constants={"w": f32(4, 3, 3, 3), "k": f32(4, 1, 1)},
        kinds=[Conv],
    )


def test_residual_and_concat():
    graph = check(
        [
            node("Conv", "x w0", "a", pads=[1, 1, 1, 1]),
            node("Relu", "a", "ar"),
            node("Conv", "ar w1", "b", pads=[1, 1, 1, 1]),
            node("Add", "ar b", "s"),
            node("Relu", "s", "sr"),
            node("Conv", "sr w2", "c"),
            node("Conv", "sr w3", "d"),
            node("Concat", "c d", "e", axis=1),
            node("Relu", "e"),
        ],
        constants={
            "w0": f32(4, 3, 3, 3),
            "w1": f32(4, 4, 3, 3),
            "w2": f32(3, 4, 1, 1),
            "w3": f32(5, 4, 1, 1),
        },
        kinds=[Conv, Conv, Add, Conv, Conv, Concat, Relu],
    )
    assert graph.layers[2].relu and not graph.layers[1].relu
    assert graph.tensors[graph.output].channels == 8


def test_relu_does_not_fold_where_the_sum_is_read_before_it():
    check(
        [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Add", "c r")],
        constants={"w": f32(3, 3, 1, 1)},
        kinds=[Conv, Relu, Add],
    )


@pytest.mark.parametrize("target", [[0, -1], [-1, 36], [2, 36], [2, -1]])
def test_reshape_into_fully_connected(target):
    graph = check(
        [
            node("Conv", "x w", "c"),
            node("Reshape", "c t", "f"),
            node("MatMul", "f m", "g"),
            node("Add", "g b", "h"),
            node("Relu", "h"),
        ],
        (2, 3, 4, 4),
        {"w": f32(4, 3, 2, 2), "t": np.int64(target), "m": f32(36, 5), "b": f32(5)},
        [Conv, Conv],
    )
    layer = graph.layers[1]
    assert layer.full and layer.relu and layer.weights.shape == (5, 4, 3, 3)


def test_reshape_computed_from_the_shape():
    check(
        [
            node("MaxPool", "x", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("Shape", "p", "s"),
            node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n zero1", "n1"),
            node("Concat", "n1 minus", "t", axis=0),
            node("Reshape", "p t", "f"),
            node("Gemm", "f w"),
        ],
        ("N", 3, 4, 4),
        {"zero": np.int64(0), "zero1": np.int64([0]), "minus": np.int64([-1]), "w": f32(12, 2)},
        [Pool, Conv],
    )


def test_gemm_with_alpha_and_beta_on_a_flat_network():
    check(
        [
            node("Identity", "x", "i"),
            node("Gemm", "i w b", "g", alpha=0.5, beta=2.0),
            node("Dropout", "g", "d"),
            node("Softmax", "d", axis=1),
        ],
        ("N", 7),
        {"w": f32(7, 4), "b": f32(1, 4)},
        [Conv],
    )


def test_flat_input_reshaped_to_an_image():
    graph = check(
        [node("Div", "x k", "d"), node("Reshape", "d t", "i"), node("Conv", "i w")],
        ("N", 48),
        {"k": np.float32(4), "t": np.int64([-1, 3, 4, 4]), "w": f32(2, 3, 3, 3)},
        [Conv],
    )
    assert graph.tensors["x"].shape == (3, 4, 4)


def test_input_scaling_per_channel():
    mean, deviation = f32(1, 3, 1, 1), np.abs(f32(3, 1, 1)) + 1
    graph = check(
        [
            node("Cast", "x", "a", to=TensorProto.FLOAT),
            node("Div", "a k", "d"),
            node("Sub", "d m", "s"),
            node("Div", "s v", "t"),
            node("Conv", "t w", pads=[1, 1, 1, 1]),
        ],
        constants={"k": np.float32(255), "m": mean, "v": deviation, "w": f32(4, 3, 3, 3)},
        kinds=[Conv],
    )
    assert np.allclose(graph.input_scale, 1 / 255 / deviation.ravel())
    assert np.allclose(graph.input_offset, -mean.ravel() / deviation.ravel())


@pytest.mark.parametrize(
    "ops,expected",
    [
        (["Softmax"], ("softmax",)),
        (["LogSoftmax"], ("log_softmax",)),
        (["Softmax", "ArgMax"], ("softmax", "argmax")),
    ],
)
def test_host_operations(ops, expected):
    nodes, last = [node("Flatten", "x", "f"), node("Gemm", "f w", "h0")], "h0"
    for i, op in enumerate(ops):
        extra = dict(axis=1, keepdims=0) if op == "ArgMax" else dict(axis=-1)
        nodes.append(node(op, last, last := f"h{i + 1}", **extra))
    nodes.append(node("Identity", last))
    kind = TensorProto.INT64 if "ArgMax" in ops else TensorProto.FLOAT
    assert (
        check(nodes, (2, 3, 2, 2), {"w": f32(12, 5)}, [Conv], output_type=kind).host_ops == expected
    )


@pytest.mark.parametrize(
    "op,shape,axis",
    [
        ("Softmax", (2, 5), {}),
        ("Softmax", (2, 5, 1, 1), {}),
        ("LogSoftmax", (2, 5, 1, 1), {}),
        ("Softmax", (2, 5, 1, 1), dict(axis=1)),
        ("LogSoftmax", (2, 5), dict(axis=-1)),
        ("Softmax", (2, 5, 1, 1), dict(axis=-3)),
    ],
)
@pytest.mark.parametrize("opset", [11, 12, 13, 19])
def test_axis_of_softmax(op, shape, axis, opset):
    """Its default is 1 before opset 13 and the last axis from there on, which of N x C x 1 x 1 is
    no vector."""
    w = f32(5, 5, 1, 1) if len(shape) == 4 else f32(5, 5)
    first = "Conv" if len(shape) == 4 else "Gemm"
    m = model([node(first, "x w", "c"), node(op, "c", **axis)], shape, {"w": w})
    m.opset_import[0].version = opset
    if opset >= 13 and len(shape) == 4 and not axis:
        with pytest.raises(NetworkError, match=rf"y_node.*{op}.*axis -1 of 4"):
            load(m.SerializeToString())
        return
    graph = load(m.SerializeToString())
    x = RNG.normal(size=shape).astype(np.float32)
    got = host_run(graph, float_run(graph, x.reshape(2, 5, 1, 1))[graph.output])
    expected = runtime(m, x)  # the reference evaluator knows no default but that of opset 13
    assert np.allclose(got.reshape(expected.shape), expected, atol=1e-5)


@pytest.mark.parametrize("opset", [11, 13])
def test_axis_of_argmax_is_the_batch_unless_given(opset):
    given = {}, dict(axis=1), dict(axis=2), dict(axis=5)
    for axis, fits in zip(given, (False, True, False, False), strict=True):
        m = model(
            [node("Conv", "x w", "c"), node("ArgMax", "c", **axis)],
            (1, 3, 1, 1),
            {"w": f32(4, 3, 1, 1)},
            output_type=TensorProto.INT64,
        )
        m.opset_import[0].version = opset
        if fits:
            assert load(m.SerializeToString()).host_ops == ("argmax",)
        else:
            why = rf"y_node.*ArgMax.*axis {axis.get('axis', 0)} of 4"
            with pytest.raises(NetworkError, match=why):
                load(m.SerializeToString())


@pytest.mark.parametrize(
    "nodes",
    [
        [node("BatchNormalization", "x s o m v")],
        [node("Div", "x k", "d"), node("Flatten", "d")],
        [node("Sub", "x k", "d"), node("GlobalAveragePool", "x", "p"), node("Identity", "d")],
        [node("Mul", "x c", "a"), node("Add", "a c")],
    ],
    ids=["norm", "flat", "beside", "channels"],
)
def test_an_affine_map_alone_is_a_depthwise_conv(nodes):
    graph = check(nodes, (2, 4, 5, 5), {**BN, "k": np.float32(3), "c": f32(4, 1, 1)}, [Conv])
    assert graph.layers[0].groups == 4 and graph.layers[0].name == "y_node"


def test_nodes_in_any_order():
    """Sorted, and those in order stay as they are."""
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("MaxPool", "a", "b", kernel_shape=[2, 2]),
        node("Conv", "b w2", "c"),
        node("Relu", "b", "d"),
        node("Conv", "d w2", "e"),
        node("Add", "c e"),
    ]
    constants = {"w": f32(4, 3, 3, 3), "w2": f32(4, 4, 2, 2)}
    names = [layer.name for layer in check(nodes, constants=constants).layers]
    in_order = model(nodes, (2, 3, 8, 9), constants)
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(nodes))
        m = model([nodes[n] for n in order], (2, 3, 8, 9), constants)
        graph, x = load(m.SerializeToString()), f32(2, 3, 8, 9)
        assert sorted(layer.name for layer in graph.layers) == sorted(names)
        got = float_run(graph, x)[graph.output]
        assert np.allclose(got, runtime(in_order, x), atol=1e-4, rtol=1e-4)
    assert [layer.name for layer in load(in_order.SerializeToString()).layers] == names


W = {"w": f32(4, 3, 3, 3)}
BRANCH = helper.make_graph(
    [helper.make_node("Relu", ["x"], ["r"])],
    "branch",
    [],
    [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
)
REFUSED = [
    ([node("Conv", "x w", dilations=[2, 2])], W, "y_node.*Conv.*dilations"),
    ([node("Conv", "x w")], {"w": f32(4, 3, 13, 1)}, "y_node.*filter height 13"),
    ([node("Conv", "x w")], {"w": f32(4, 3, 1, 33)}, "y_node.*filter width 33"),
    ([node("Conv", "x w", strides=[3, 1])], W, "y_node.*vertical stride 3: 1, 2, 4"),
    ([node("Conv", "x w", strides=[1, 13])], W, "y_node.*horizontal stride 13"),
    ([node("Conv", "x w")], {"w": f32(4, 2, 1, 1)}, "y_node.*do not fit weights"),
    ([node("Conv", "x w")], {"w": f32(4, 3, 3)}, "y_node.*two-dimensional"),
    (
        [node("Conv", "x w")],
        {"w": f32(0, 3, 3, 3)},
        r"y_node.*weights of shape \(0, 3, 3, 3\) are empty",
    ),
    (
        [node("If", "c", then_branch=BRANCH, else_branch=BRANCH)],
        {"c": np.array(True)},
        "y_node.*If.*operator not supported",
    ),
    ([node("Conv", "x x")], {}, "y_node.*must be constant"),
    ([node("Conv", "x w")], {"w": f32(4, 3, 12, 12)}, "y_node.*Conv.*larger than"),
    ([node("Sigmoid", "x")], {}, "y_node.*Sigmoid.*not supported"),
    (
        [
            node("MaxPool", "x", "p i", kernel_shape=[2, 2]),
            node("Cast", "i", "c", to=1),
            node("Add", "p c"),
        ],
        {},
        "p_node.*MaxPool.*output 'i'",
    ),
    ([node("MaxPool", "x", kernel_shape=[9, 9])], {}, "y_node.*MaxPool.*larger"),
    ([node("AveragePool", "x", kernel_shape=[2, 2], dilations=[2, 1])], {}, "y_node.*dilations"),
    ([node("Concat", "x x", axis=2)], {}, "y_node.*axis 2"),
    ([node("Reshape", "x t")], {"t": np.int64([-1, 3, 9, 8])}, "y_node.*Reshape"),
    ([node("Reshape", "x t")], {"t": np.int64([3, -1])}, "y_node.*Reshape"),
    ([node("Softmax", "x", axis=1)], {}, "y_node.*Softmax.*axis"),
    (
        [node("Flatten", "x", "f"), node("Softmax", "f", "s"), node("Gemm", "s w")],
        {"w": f32(216, 2)},
        "y_node.*Gemm.*softmax",
    ),
    ([node("Gemm", "x w")], {"w": f32(3, 2)}, "y_node.*flattened"),
    ([node("Flatten", "x", "f"), node("Gemm", "f w")], {"w": f32(9, 2)}, "y_node.*9 weights"),
    (
        [node("Conv", "x w", "c"), node("Add", "c k")],
        {**W, "k": f32(1, 4, 6, 7)},
        "y_node.*Add.*scalar or one value",
    ),
    ([node("Conv", "x w", "c"), node("Add", "x c")], W, "y_node.*Add.*different shape"),
    (
        [node("Div", "x k", "d"), node("Add", "x d")],
        {"k": np.float32(2)},
        "y_node.*different scalings",
    ),
    (
        [
            node("Div", "x k", "d"),
            node("Flatten", "d", "f"),
            node("Conv", "x w", "c"),
            node("Flatten", "c", "g"),
            node("Concat", "f g", axis=1),
        ],
        {**W, "k": np.float32(2)},
        "y_node.*different scalings",
    ),
    ([node("Conv", "x w", "c"), node("Cast", "c", to=TensorProto.INT32)], W, "y_node.*Cast.*INT32"),
]


@pytest.mark.parametrize("nodes,constants,message", REFUSED, ids=range(len(REFUSED)))
def test_refused_in_one_line(nodes, constants, message):
    with pytest.raises(NetworkError, match=message) as raised:
        load(model(nodes, (2, 3, 8, 9), constants).SerializeToString())
    assert "\n" not in str(raised.value)


def test_broken_files(tmp_path):
    good = model([node("Conv", "x w")], (1, 3, 8, 9), W).SerializeToString()
    path = tmp_path / "net.onnx"
    for content, message in (
        (good[: len(good) // 2], "net.onnx"),
        (b"", "net.onnx"),
        (b"not a model at all", "net.onnx"),
    ):
        path.write_bytes(content)
        with pytest.raises(NetworkError, match=message) as raised:
            load(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(NetworkError, match="absent.onnx: No such file"):
        load(tmp_path / "absent.onnx")
    with pytest.raises(NetworkError, match="one is supported"):
        m = model([node("Add", "x x2")], (1, 3, 8, 9))
        m.graph.input.add().CopyFrom(m.graph.input[0])
        m.graph.input[1].name = "x2"
        load(m.SerializeToString())


def test_damaged_initialiser_and_geometry():
    m = model([node("Conv", "x w", strides=[1])], (1, 3, 8, 9), W)
    with pytest.raises(NetworkError, match="y_node.*not two-dimensional"):
        load(m.SerializeToString())
    m.graph.initializer[0].dims[0] = 5
    with pytest.raises(NetworkError, match="name: w"):
        load(m.SerializeToString())
    for constants, message in (
        ({**W, "b": f32(3)}, r"bias \(3,\) for 4"),
        ({**W, "b": f32(4, 1)}, "bias"),
    ):
        with pytest.raises(NetworkError, match=f"y_node.*{message}"):
            load(model([node("Conv", "x w b")], (1, 3, 8, 9), constants).SerializeToString())


def test_check_names_the_layer():
    tensors = {"a": Tensor("a", 1), "b": Tensor("b", 2)}
    with pytest.raises(NetworkError, match="layer 'r'.*output is"):
        Graph("a", "b", [Relu("r", "a", "b")], tensors).check()
    with pytest.raises(NetworkError, match="layer 'r'.*not computed before"):
        Graph("a", "b", [Relu("r", "b", "b")], tensors).check()


def test_images_of_another_shape_are_refused():
    graph = load(model([node("Conv", "x w")], (1, 3, 8, 9), W).SerializeToString())
    with pytest.raises(ValueError, match="expected"):
        float_run(graph, np.zeros((1, 3, 9, 8)))


def test_mnist_model():
    graph = load(shared("mnist_uint8.onnx"))
    assert [type(layer) for layer in graph.layers] == [Conv, Pool, Conv, Pool, Conv]
    assert graph.layers[-1].weights.shape == (10, 16, 4, 4) and graph.host_ops == ("argmax",)
    assert np.allclose(graph.input_scale, 1 / 255) and graph.macs() == 322_560
