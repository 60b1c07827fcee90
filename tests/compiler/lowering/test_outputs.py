"""Networks of several outputs, each against onnxruntime: golden, interpreter and C driver."""

import ctypes
import json
import subprocess

import numpy as np
import pytest
from onnx import TensorProto

import cli
from compiler.export.export import export
from compiler.frontend.onnx_import import load
from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import Relu
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import dequantise, golden_run, quantise, quantise_input
from compiler.quantise.float_run import float_run, host_run
from compiler.runtime.device import run_program
from compiler.runtime.interpreter import Interpreter
from compiler.runtime.run import run_network
from hdl.config import PRESETS
from tests.onnx_models import model, node, runtimes

TINY = PRESETS["tiny"]
RNG = np.random.default_rng(3)
IMAGES = 2


def f32(*shape):
    return (RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def shared(m, k):
    """Weights of few values, most of them zero: for the sparse engine."""
    values = RNG.choice([-0.5, 0.25, 0.5], (m, k))
    return np.where(RNG.random((m, k)) < 0.2, values, 0).astype(np.float32)


W, V, M = {"w": f32(4, 3, 3, 3)}, {"v": f32(5, 4, 3, 3)}, {"m": f32(144, 10)}
SCORES = [node("Flatten", "x", "f"), node("Gemm", "f m", "g")]
NETWORKS = {  # nodes, constants, outputs, those that are integers
    "read later": (
        [node("Conv", "x w", "a"), node("Relu", "a"), node("Conv", "y v", "z")],
        {**W, **V},
        "y z",
        "",
    ),
    "the later one first": ([node("Conv", "x w"), node("Conv", "y v", "z")], {**W, **V}, "z y", ""),
    "a view of the other": ([node("Conv", "x w"), node("Flatten", "y", "z")], W, "y z", ""),
    "before and after ReLU": ([node("Conv", "x w"), node("Relu", "y", "z")], W, "y z", ""),
    "before a pool": (
        [node("Conv", "x w"), node("MaxPool", "y", "z", kernel_shape=[2, 2], strides=[2, 2])],
        W,
        "z y",
        "",
    ),
    "before a norm": (
        [node("Conv", "x w"), node("Mul", "y k", "z")],
        {**W, "k": np.float32(3)},
        "y z",
        "",
    ),
    "with softmax and without": ([*SCORES, node("Softmax", "g")], M, "y g", ""),
    "classes and scores": (
        [*SCORES, node("Softmax", "g"), node("ArgMax", "y", "z", axis=1)],
        M,
        "z y g",
        "z",
    ),
    "two heads": (
        [*SCORES, node("Gemm", "f n", "h"), node("Softmax", "h", "z"), node("LogSoftmax", "g")],
        {**M, "n": f32(144, 6)},
        "y z",
        "",
    ),
    "one tensor twice": ([node("Conv", "x w"), node("Identity", "y", "z")], W, "y z y", ""),
    "a part of a concat": (
        [node("Conv", "x w"), node("Conv", "x u", "b"), node("Concat", "y b", "z", axis=1)],
        {**W, "u": f32(3, 3, 3, 3)},
        "y z b",
        "",
    ),
    "the scaled input": (
        [node("Div", "x k"), node("Conv", "y w", "z")],
        {**W, "k": np.float32(4)},
        "z y",
        "",
    ),
    "compressed": (
        [
            node("Flatten", "x", "f"),
            node("Gemm", "f p", "a", transB=1),
            node("Relu", "a"),
            node("Gemm", "y q", "z", transB=1),
        ],
        {"p": shared(21, 144), "q": shared(9, 21)},
        "y z",
        "",
    ),
}


def run_whole(program, device):
    return run_program(
        device,
        program.program,
        program.command_count,
        read_window=(program.base, program.end),
        write_window=(program.base, program.constant),
    ).ok


@pytest.fixture(params=NETWORKS)
def case(request):
    """(model, graph, raw images, what onnxruntime makes of them by output)."""
    nodes, constants, outputs, integers = NETWORKS[request.param]
    m = model(nodes, ("N", 3, 8, 6), constants, output=outputs)
    for info in m.graph.output:
        integer = info.name in integers.split()
        info.type.tensor_type.elem_type = TensorProto.INT64 if integer else TensorProto.FLOAT
    x = np.random.default_rng(0).normal(size=(IMAGES, 3, 8, 6)).astype(np.float32)
    return m, load(m.SerializeToString()), x, runtimes(m, x)


def test_floats(case):
    m, graph, x, expected = case
    assert graph.names == tuple(o.name for o in m.graph.output)
    assert len(graph.outputs) == len(expected)
    floats = float_run(graph, x)
    for n, (each, want) in enumerate(zip(graph.results, expected)):
        got = host_run(graph, floats[each.tensor], n)
        assert np.allclose(got.reshape(want.shape), want, atol=1e-4), each


@pytest.mark.parametrize("chained", [False, True])
def test_golden_and_interpreter(case, chained):
    _, graph, x, expected = case
    network = quantise(graph, x, psum_bits=TINY.psum_bits)
    golden = golden_run(network, quantise_input(network, x)).tensors
    for n, (each, want) in enumerate(zip(graph.results, expected)):
        real = dequantise(network, each.tensor, golden[each.tensor])
        got = host_run(graph, real, n).reshape(want.shape)
        assert np.abs(got - want).max() <= 0.002 * max(1, np.abs(want).max()), each
    program = compile_network(network, TINY, Options(images=IMAGES, chained=chained))
    device = Interpreter(TINY, program.end)
    device.write(0, b"\x5a" * program.end)
    if chained:
        program.load(device)
        program.write_input(device, quantise_input(network, x))
        assert run_whole(program, device)
    else:
        assert run_network(program, network, device, x).mismatches == 0
    for name in graph.outputs:
        assert np.array_equal(program.read_tensor(device, name), golden[name]), name


def test_driver_reads_every_output(case, tmp_path):
    _, graph, x, _ = case
    network = quantise(graph, x, psum_bits=TINY.psum_bits)
    fixed = quantise_input(network, x)
    golden = golden_run(network, fixed).tensors
    program = export(network, TINY, tmp_path / "out", images=IMAGES)
    listed = json.loads((tmp_path / "out" / "map.json").read_text())
    assert listed["outputs"] == [
        {"name": r.name, "tensor": r.tensor, "host_ops": list(r.host_ops)} for r in graph.results
    ]
    assert listed["output"] == graph.output and listed["host_ops"] == list(graph.host_ops)
    assert {t["name"] for t in listed["tensors"] if t["role"] == "output"} == set(graph.outputs)
    device = Interpreter(TINY, program.end)
    program.load(device)
    program.write_input(device, fixed)
    assert run_whole(program, device)
    subprocess.run(
        [
            "gcc",
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-fPIC",
            "-shared",
            str(tmp_path / "out" / "eyrie.c"),
            "-o",
            str(tmp_path / "eyrie.so"),
        ],
        check=True,
    )
    library = ctypes.CDLL(str(tmp_path / "eyrie.so"))
    memory = ctypes.create_string_buffer(bytes(device.read(0, program.end)), program.end)
    handle = (ctypes.c_size_t * 2)(0, ctypes.addressof(memory))

    def read(output, image, tensor):
        out = np.empty(graph.tensors[tensor].shape, np.int16)
        place = out.ctypes.data_as(ctypes.c_void_p)
        return library.eyrie_get_output_of(handle, output, image, place), out

    for n, name in enumerate(graph.outputs):
        for image in range(IMAGES):
            result, got = read(n, image, name)
            assert result == 0 and np.array_equal(got, golden[name][image])
        assert read(n, IMAGES, name)[0] == -4
    assert read(len(graph.outputs), 0, graph.output)[0] == -4
    first = np.empty(graph.tensors[graph.output].shape, np.int16)
    assert library.eyrie_get_output(handle, 0, first.ctypes.data_as(ctypes.c_void_p)) == 0
    assert np.array_equal(first, golden[graph.output][0])


def test_run_and_compile_say_which_outputs_there_are(tmp_path, capsys):
    nodes, constants, outputs, _ = NETWORKS["two heads"]
    m = model(nodes, (1, 3, 8, 6), constants, output=outputs)
    (tmp_path / "net.onnx").write_bytes(m.SerializeToString())
    np.save(tmp_path / "x.npy", RNG.normal(size=(4, 3, 8, 6)).astype(np.float32))
    paths = [str(tmp_path / name) for name in ("net.onnx", "x.npy", "out")]
    said = "outputs: y (10x1x1; log_softmax left to the host), z (6x1x1; softmax left to the host)"
    assert cli.main(["run", "--device", "golden", "--model", paths[0], "--images", paths[1]]) == 0
    out = capsys.readouterr().out
    assert f"{said}; predictions are of the first" in out
    assert "equal to golden in every layer" in out
    assert (
        cli.main(["compile", paths[0], "--calib", paths[1], "--config", "tiny", "-o", paths[2]])
        == 0
    )
    assert said in capsys.readouterr().out


def test_every_output_is_checked():
    tensors = {name: Tensor(name, 1) for name in "abc"}
    Graph("a", ("b", "b"), [Relu("r", "a", "b")], tensors).check()
    with pytest.raises(NetworkError, match="output 'c' is not computed"):
        Graph("a", ("b", "c"), [Relu("r", "a", "b")], tensors).check()


def convs(first, second):
    """Two convolutions and an Add, the nodes named so."""
    w = {"a": f32(3, 3, 3, 3), "b": 9 * f32(3, 3, 3, 3)}
    nodes = [
        node("Conv", "x a", "h", pads=[1] * 4),
        node("Conv", "h b", "u", pads=[1] * 4),
        node("Add", "h u", "s"),
        node("Add", "s x", "v"),
        node("MaxPool", "v", "y", kernel_shape=[2, 2]),
    ]
    for each, name in zip(nodes, ("", first, "", second, "pool")):
        each.name = name
    return model(nodes, (None, 3, 4, 5), w)


@pytest.mark.parametrize(
    "first,second", [("h", "s"), ("same", "same"), ("h_2", "h"), ("a+b", "+"), ("", "")]
)
def test_names_of_nodes(first, second):
    """An unnamed node is called as its first output, which another node may be named; names may be
    doubled, or hold what joins a pool's to its layer's."""
    m = convs(first, second)
    graph = load(m.SerializeToString())
    assert len({layer.name for layer in graph.layers}) == len(graph.layers) == 5
    raw = RNG.normal(size=(IMAGES, 3, 4, 5)).astype(np.float32)
    network = quantise(graph, raw)
    for each in m.graph.node:  # onnxruntime does not run doubled names
        each.name = ""
    expected = runtimes(m, raw)[0]
    device = Interpreter(TINY, 1 << 20)
    report = run_network(
        compile_network(network, TINY, Options(images=IMAGES)), network, device, raw
    )
    got = dequantise(network, graph.output, report.device.reshape(expected.shape))
    assert report.mismatches == 0
    np.testing.assert_allclose(got, expected, atol=0.01)
