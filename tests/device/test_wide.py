"""More than 1,024 channels and filters, on the RTL and by the interpreter."""

import numpy as np
import pytest

from compiler.quantise.fixed_point import quantise, quantise_input
from compiler.runtime.interpreter import Interpreter
from hdl.config import PRESETS
from sim.device import SimDevice
from tests.compiler.builder import Builder
from tests.device.devices import check_network

MEMORY = 32 << 20
WIDTHS = (1025, 1280, 2048)


def channels(n):
    b = Builder((n, 3, 2))
    b.conv("x", 6, (1, 1), relu=True)
    return b.graph


def filters(n):
    b = Builder((6, 3, 2))
    b.conv("x", n, (2, 1), relu=True)
    return b.graph


def depthwise(n):
    """Depthwise, a residual, both pools, ReLU: blocks of one channel."""
    b = Builder((n, 3, 3))
    x = b.conv("x", n, (3, 3), groups=n, pads=(1, 1, 1, 1))
    b.pool(b.relu(b.pool(b.add(x, "x"), "max", (2, 2), (1, 1))), "average", (2, 2), (1, 1))
    return b.graph


def concats(n):
    b = Builder((n, 2, 2))
    x, y = b.conv("x", 5, (1, 1)), b.conv("x", n, (1, 1), groups=n)
    b.pool(b.concat(y, x, "x"), "max", (2, 2), (1, 1))
    return b.graph


def prepared(make, n):
    graph = make(n)
    raw = np.random.default_rng(n).normal(size=(2, *graph.tensors["x"].shape))
    network = quantise(graph, raw)
    return network, quantise_input(network, raw[:1])


@pytest.fixture(scope="module")
def tiny():
    with SimDevice(PRESETS["tiny"], "cpp", MEMORY) as device:
        yield device


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("make", [channels, filters, depthwise, concats])
def test_wide_on_rtl(tiny, make, n):
    tiny.stall(0.1 * (n % 2))
    program, _ = check_network(tiny, *prepared(make, n))
    if make is filters:  # more than their biases have room for at once
        m = program.segments[0].mapping
        assert 0 < m.bias_blocks * m.p * m.t < n


@pytest.mark.parametrize("preset", ["demo", "eyeriss"])
@pytest.mark.parametrize("make", [channels, filters, depthwise, concats])
def test_wide_interpreted(preset, make):
    check_network(Interpreter(PRESETS[preset], MEMORY), *prepared(make, WIDTHS[-1]))
