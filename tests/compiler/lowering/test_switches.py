"""Which layers go to the sparse engine: switches, placement, and why a layer cannot."""

import numpy as np
import pytest

import cli
from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import Conv
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import ConvNumbers, QuantisedGraph
from compiler.runtime.interpreter import Interpreter
from compiler.runtime.run import run_network
from hdl.config import PRESETS
from tests.compiler.builder import Builder
from tests.compiler.export.test_export import quantised
from tests.device.devices import check_network

TINY = PRESETS["tiny"]
PRUNED = str(cli.MODELS / "lenet5_pruned.onnx")


def two_layers(densities, values=15):
    """Fully connected 40 -> 30 -> 20 of shared int16 weights of these densities."""
    rng = np.random.default_rng(4)
    graph = Graph(
        "t0", "t2", [], {"t0": Tensor("t0", 40), "t1": Tensor("t1", 30), "t2": Tensor("t2", 20)}
    )
    convs = {}
    for n, (columns, rows, density) in enumerate(zip((40, 30), (30, 20), densities)):
        weights = rng.choice(np.arange(1, 99), values, replace=False)[
            rng.integers(0, values, (rows, columns, 1, 1))
        ]
        weights = (weights * (rng.random(weights.shape) < density)).astype(np.int16)
        graph.layers.append(
            Conv(
                f"fc{n}",
                f"t{n}",
                f"t{n + 1}",
                weights.astype(np.float32),
                np.zeros(rows, np.float32),
                full=True,
            )
        )
        convs[f"fc{n}"] = ConvNumbers(weights, np.zeros(rows, np.int32), 0, 4)
    return QuantisedGraph(graph, 32, dict.fromkeys(graph.tensors, 0), convs, {})


@pytest.mark.parametrize(
    "switches, kinds",
    [
        ({}, ["sparse", "fc"]),
        ({"fc0": False}, ["fc", "fc"]),
        ({"fc1": True}, ["sparse", "sparse"]),
        ({"fc0": False, "fc1": True}, ["fc", "sparse"]),
        ({"fc0": None, "fc1": None}, ["sparse", "fc"]),
    ],
)
def test_switches(switches, kinds):
    network = two_layers((0.2, 0.8))
    x = np.random.default_rng(1).integers(-99, 99, (2, 40, 1, 1)).astype(np.int16)
    device = Interpreter(TINY, 1 << 20)
    for placement in ("modulo", "balanced", "windows"):
        program, _ = check_network(device, network, x, switches=switches, placement=placement)
        assert [s.kind for s in program.segments] == kinds
    for name, pes in (("modulo", np.arange(30) % TINY.sparse_pes), ("windows", None)):
        plan = compile_network(network, TINY, Options(placement=name)).segments[0].sparse
        assert np.array_equal(plan.bands[0].pe, pes) == (pes is not None)


def test_switch_errors():
    network = two_layers((0.2, 0.8), values=16)
    for config, switches, message in (
        (TINY, {"fc7": None}, "no layer 'fc7': choose from fc0, fc1"),
        (
            TINY,
            {"fc1": True},
            "layer 'fc1' cannot be compressed: it has 16 distinct non-zero weights, "
            "a codebook holds 15",
        ),
        (
            TINY.replace(sparse_pes=0, name="bare"),
            {"fc0": True},
            "'fc0' cannot be compressed: config 'bare' has no sparse engine",
        ),
    ):
        with pytest.raises(NetworkError, match=message):
            compile_network(network, config, Options(switches=switches))
    b = Builder((4, 6, 6))
    a = b.pool(b.conv("x", 4), "max", (2, 2), (2, 2))
    b.concat(b.conv(a, 8, (2, 2), full=True), b.conv(a, 8, (2, 2), full=True))
    conv, pool, full = (layer.name for layer in b.graph.layers[:3])
    network, _, _ = quantised(b.graph, TINY)
    for numbers in network.convs.values():
        numbers.weights[:] = np.sign(numbers.weights)
    for name, message in (
        (conv, "not a fully connected"),
        (pool, "not a fully connected"),
        (full, "a Concat reads"),
    ):
        with pytest.raises(NetworkError, match=f"layer '{name}' cannot be compressed: .*{message}"):
            compile_network(network, TINY, Options(switches={name: True}))


def test_run_and_compile(tmp_path, capsys):
    def run(*words):
        return cli.main(["run", "--device", "golden", "--limit", "2", "--model", PRUNED, *words])

    assert run("--sparse", "fc1=off", "--sparse", "fc3=off", "--placement", "modulo") == 0
    assert capsys.readouterr().out.count("% dense") == 1
    digits = str(cli.MODELS / "digits_calibration.npz")
    seen = []
    for n, words in enumerate((["--sparse", "fc1=off"], ["--placement", "windows"], [])):
        out = tmp_path / str(n)
        assert cli.main(["compile", PRUNED, "--calib", digits, "-o", str(out), *words]) == 0
        seen.append((out / "memory.bin").read_bytes())
    assert len(set(seen)) == 3
    capsys.readouterr()
    for words, message in (
        (["--sparse", "fc9=on"], "no layer 'fc9': choose from conv1"),
        (["--sparse", "conv1=on"], "layer 'conv1' cannot be compressed: it is not a fully"),
        (["--config", "eyeriss", "--sparse", "fc1=on"], "has no sparse engine"),
    ):
        assert run(*words) == 2
        errors = [line for line in capsys.readouterr().err.splitlines() if "eyrie: error" in line]
        assert len(errors) == 1 and message in errors[0]
        assert (
            cli.main(["compile", PRUNED, "--calib", digits, "-o", str(tmp_path / "none"), *words])
            == 2
        )
        assert message in capsys.readouterr().err and not (tmp_path / "none").exists()
    for words in (
        ["--sparse", "fc1"],
        ["--sparse", "fc1=maybe"],
        ["--sparse", "=on"],
        ["--placement", "best"],
    ):
        with pytest.raises(SystemExit) as e:
            run(*words)
        assert e.value.code == 2 and words[0] in capsys.readouterr().err


@pytest.mark.parametrize("rows, columns, streams", [(40, 30, False), (200, 450, True)])
def test_load_bound(rows, columns, streams):
    """What a sparse layer loads: the codebook, and per image what its blocks need, or once what
    stays."""
    rng = np.random.default_rng(6)
    weights = (
        rng.integers(1, 9, (rows, columns, 1, 1)) * (rng.random((rows, columns, 1, 1)) < 0.2)
    ).astype(np.int16)
    graph = Graph(
        "x",
        "y",
        [Conv("fc", "x", "y", weights.astype(np.float32), np.zeros(rows, np.float32), full=True)],
        {"x": Tensor("x", columns), "y": Tensor("y", rows)},
        input_scale=np.ones(columns),
        input_offset=np.zeros(columns),
    )
    network = QuantisedGraph(
        graph, 32, {"x": 0, "y": 0}, {"fc": ConvNumbers(weights, np.ones(rows, np.int32), 0, 4)}, {}
    )
    images, k = 3, TINY.sparse_pes
    program = compile_network(network, TINY, Options(images=images))
    bands = program.segments[0].sparse.bands
    blocks = [block for band in bands for block in band.blocks]
    assert (len(blocks) > 1) == streams

    def up(n, unit):
        return -(-n // unit)

    fill = sum(k * (block.words + up(up(block.columns, k) * k + 1, 2)) for block in blocks)
    vectors = sum(up(block.columns, 4) for block in blocks)
    biases = sum(up(k * band.locals_, 2) for band in bands)
    words = 4 + fill + images * (vectors + biases)
    # tables, a word for four columns, instead of weights and pointers; records as they are needed
    if streams:
        words = program.segments[0].load_words
        assert words <= 4 + images * (vectors + biases + sum(len(block.table) for block in blocks))
    assert program.segments[0].load_words == words
    device = Interpreter(TINY, 1 << 20)
    report = run_network(
        program, network, device, rng.integers(-99, 99, (images, columns, 1, 1)).astype(float)
    )
    row = report.layers[0]
    streamed = row.counters["sparse_bytes"]
    assert (streamed > 0) == streams and row.counters["dram_read_bytes"] == 8 * words + streamed
    assert (
        abs(row.load_bound - (words * 8 + streamed) / TINY.dram_bytes_per_cycle) <= 1
        and row.filter_bound == 0
    )
    assert report.mismatches == 0
