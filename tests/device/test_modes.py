"""What a zero activation does changes cycles, never results."""

import numpy as np
import pytest

from compiler.quantise.fixed_point import quantise, quantise_input
from hdl.config import PRESETS
from hdl.isa import Mode
from sim.device import SimDevice
from tests.compiler.builder import Builder
from tests.device.devices import check_network
from tests.device.test_networks import concat, residual, two_consumers

TINY = PRESETS["tiny"]
LEAST_GAIN = 1.5


@pytest.fixture(scope="module")
def tiny():
    with SimDevice(TINY, "cpp", 4 << 20) as device:
        yield device


def convolution(seed):
    b = Builder((8, 10, 10), seed)
    b.conv("x", 12, pads=(1, 1, 1, 1), relu=True)
    return b.graph


def prepare(graph, zeros, seed=0):
    """(network, images); the calibration has the zeros, the images too if `zeros` says so."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(4, *graph.tensors["x"].shape))
    raw[rng.random(raw.shape) < zeros] = 0
    network = quantise(graph, raw)
    return network, quantise_input(network, raw[:2])


@pytest.mark.parametrize("make", [two_consumers, concat, residual, convolution])
def test_modes_agree(tiny, make):
    """Every tensor equals golden in all three; gate takes dense's cycles to the cycle."""
    network, images = prepare(make(5), 0.6)
    cycles = {}
    for mode in (Mode.DENSE, Mode.GATE, Mode.SKIP):
        _, counters = check_network(tiny, network, images, mode=mode)
        cycles[mode] = sum(c["cycles"] for c in counters.values())
    assert cycles[Mode.DENSE] == cycles[Mode.GATE]


def test_mapping_for_zeros_that_are_not_there(tiny):
    """A layer mapped, and its tensors coded, for 80 % zeros: right with none, only slower."""
    network, sparse = prepare(convolution(6), 0.8)
    assert network.zeros["x"] > 0.7
    dense = np.where(sparse == 0, np.int16(77), sparse)
    _, few = check_network(tiny, network, sparse, mode=Mode.SKIP, rlc="on")
    program, many = check_network(tiny, network, dense, mode=Mode.SKIP, rlc="on")
    (fast,), (slow,) = ([c["cycles"] for c in counters.values()] for counters in (few, many))
    assert program.views["x"].storage.rlc and slow > LEAST_GAIN * fast
