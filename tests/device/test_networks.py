"""Whole networks on the RTL."""

import json
import time

import numpy as np
import pytest

import cli
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import quantise, quantise_input
from hdl.config import PRESETS
from sim.device import SimDevice
from tests.compiler.builder import Builder, branches
from tests.data import shared
from tests.device.devices import check_chained, check_network

TINY = PRESETS["tiny"]


def two_consumers(seed):
    """One tensor read by a wide 1x1 and by a 5x5, whose best block sizes differ."""
    b = Builder((2, 9, 9), seed)
    x = b.conv("x", 12, (3, 3), pads=(1, 1, 1, 1), relu=True)
    one, five = b.conv(x, 9, (1, 1)), b.conv(x, 9, (5, 5), pads=(2, 2, 2, 2))
    b.add(one, five, relu=True)
    return b.graph


def concat(seed):
    """Concat of 3 + 5 channels read by a CONV only, so its parts are padded to blocks."""
    b = Builder((3, 8, 7), seed)
    x = b.concat(b.conv("x", 3, (1, 1)), b.conv("x", 5, (3, 3), pads=(1, 1, 1, 1), relu=True))
    b.conv(x, 6, (3, 3), stride=(2, 2))
    return b.graph


def concat_of_input(seed):
    """Concat of the network's input and of a tensor that is concatenated twice."""
    b = Builder((4, 6, 5), seed)
    x = b.conv("x", 4, (3, 3), pads=(1, 1, 1, 1))
    first = b.concat("x", x)
    second = b.concat(b.conv(first, 4, (1, 1)), x)
    b.conv(second, 5, (2, 2))
    return b.graph


def residual(seed):
    """A residual whose operand also feeds a CONV, with strides and overlapping pools."""
    b = Builder((3, 13, 12), seed)
    x = b.pool(b.conv("x", 6, (3, 3), relu=True), "max", (3, 3), (2, 2))
    y = b.conv(x, 6, (3, 3), pads=(1, 1, 1, 1))
    z = b.add(x, y, relu=True)
    b.pool(z, "average", (3, 3), (1, 1), pads=(1, 1, 1, 1))
    return b.graph


def pools(seed):
    """Pooling on its own, global at the end."""
    b = Builder((5, 11, 9), seed)
    x = b.pool("x", "max", (2, 2), (2, 2), ceil_mode=True)
    x = b.relu(b.pool(x, "average", (2, 3), (1, 2), pads=(1, 1, 0, 1)))
    b.pool(x, "average", b.graph.tensors[x].shape[1:], (1, 1))
    return b.graph


def depthwise(seed):
    """Many channels of one pixel, each with a filter of its own."""
    b = Builder((512, 1, 1), seed)
    x = b.conv("x", 512, (1, 1), groups=512, relu=True)
    b.conv(x, 10, (1, 1))
    return b.graph


def two_outputs(seed):
    """What a pool reads is an output too, so that the pool cannot be fused."""
    b = Builder((3, 8, 7), seed)
    x = b.conv("x", 6, (3, 3), relu=True)
    b.pool(x, "max", (2, 2), (2, 2))
    b.graph.outputs = (b.graph.output, x)
    return b.graph


@pytest.fixture(scope="module")
def tiny():
    with SimDevice(TINY, "cpp", 4 << 20) as device:
        yield device


@pytest.mark.parametrize(
    "make",
    [two_consumers, concat, concat_of_input, residual, pools, branches, depthwise, two_outputs],
)
def test_network_on_rtl(tiny, make):
    for seed in range(2):
        graph = make(seed)
        rng = np.random.default_rng(seed)
        raw = rng.normal(size=(6, *graph.tensors["x"].shape))
        network = quantise(graph, raw)
        images = quantise_input(network, raw[: 1 + seed * 2])
        tiny.stall(0.2 * seed)
        program, _ = check_network(tiny, network, images)
        assert set(graph.outputs) <= set(program.views)
        check_network(tiny, network, images, fuse=False)
        check_chained(tiny, network, images)


def test_reorder_is_the_last_resort(tiny):
    """It is emitted where blocks of one channel would be slow, and pays for itself."""
    b = Builder((512, 1, 1), 0)  # a filter a group, so that a group ends on blocks of one
    b.conv(b.conv("x", 256, (1, 1), groups=256), 16, (1, 1))
    raw = np.random.default_rng(0).normal(size=(3, 512, 1, 1))
    network = quantise(b.graph, raw)
    images = quantise_input(network, raw)
    tiny.stall(0.0)
    program, counters = check_network(tiny, network, images)
    assert [s.kind for s in program.segments] == ["conv", "reorder", "conv"]
    _, without = check_network(tiny, network, images, reorder=False)
    assert sum(c["cycles"] for c in counters.values()) < sum(c["cycles"] for c in without.values())
    lenet = quantise(concat(0), np.random.default_rng(0).normal(size=(4, 3, 8, 7)))
    assert all(
        s.kind != "reorder" for s in compile_network(lenet, TINY, Options(images=1)).segments
    )


def test_lenet_on_rtl(tmp_path):
    """The main job with its defaults: LeNet-5, 20 digits, `demo`, cocotb."""
    out = tmp_path / "run.json"
    assert cli.main(["run", "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["images"] == 20 and result["mismatches"] == 0
    assert result["accuracy"]["rtl"] == result["accuracy"]["golden"] >= 0.85
    assert all(layer["cycles"] > 0 and layer["macs"] > 0 for layer in result["layers"])


def test_mnist_on_rtl(tmp_path):
    """A model of others' on MNIST: 20 images on the RTL."""
    out = tmp_path / "run.json"
    assert (
        cli.main(
            [
                "run",
                "--model",
                str(shared("mnist_uint8.onnx")),
                "--json",
                str(out),
                "--images",
                str(shared("mnist/t10k-images-idx3-ubyte.gz")),
                "--labels",
                str(shared("mnist/t10k-labels-idx1-ubyte.gz")),
                "--driver",
                "cpp",
            ]
        )
        == 0
    )
    result = json.loads(out.read_text())
    assert result["images"] == 20 and result["mismatches"] == 0
    assert "not reported" in result["calibration"]
    assert result["predictions"]["rtl"] == result["predictions"]["golden"]


def test_alexnet_slice_on_eyeriss(capsys):
    """CONV3 of AlexNet, 16 of its 384 filters, on 168 PEs."""
    b = Builder((256, 13, 13))
    b.conv("x", 16, (3, 3), pads=(1, 1, 1, 1), relu=True)
    raw = np.random.default_rng(3).normal(size=(1, 256, 13, 13))
    raw[raw < 0.6] = 0  # 72.5 % zeros, as published
    network = quantise(b.graph, raw)
    with SimDevice(PRESETS["eyeriss"], "cpp", 4 << 20) as device:
        start, begin = time.perf_counter(), device.cycles
        program, counters = check_network(device, network, quantise_input(network, raw))
        rate = (device.cycles - begin) / (time.perf_counter() - start)
    cycles = counters["conv_t0"]["cycles"]
    macs = program.segments[0].macs
    with capsys.disabled():
        print(
            f"\nCONV3 slice on eyeriss: {cycles:,} cycles, {macs:,} MACs, "
            f"{100 * macs / cycles / 168:.1f} % of 168 PEs, {program.segments[0].mapping}, "
            f"{rate / 1000:.1f} k simulated cycles/s"
        )
