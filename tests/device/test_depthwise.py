"""Depthwise layers: channels with sums of their own in a PE (docs/depthwise.md)."""

import numpy as np
import pytest

from compiler.mapping.search import ranking
from compiler.runtime.interpreter import Interpreter
from hdl.config import PRESETS
from hdl.isa import Mode
from sim.device import SimDevice
from tests.compiler.builder import Builder
from tests.device.devices import check_counters, check_network
from tests.device.test_rlc import prepare
from tests.device.test_simd import SIMD

TINY = PRESETS["tiny"]
CONFIGS = {"tiny": TINY, "pairs": SIMD}


def draw(seed, most=24):
    """A depthwise layer after a pointwise one, or alone, sometimes with a pool after it; 1 to 4
    filters a channel."""
    rng = np.random.default_rng(seed)
    channels, multiplier = int(rng.integers(2, most)), int(rng.choice([1, 1, 1, 2, 3, 4]))
    kernel = tuple(int(n) for n in rng.integers(1, 6, 2))
    stride = int(rng.choice([1, 1, 2])), int(rng.integers(1, 3))
    pads = tuple(int(rng.integers(0, n)) for n in (*kernel, *kernel))
    size = [int(rng.integers(n, n + 8)) for n in kernel]
    b = Builder((channels if seed % 3 else 3, *size), seed)
    x = "x" if seed % 3 else b.conv("x", channels, (1, 1))
    x = b.conv(x, channels * multiplier, kernel, groups=channels, stride=stride, pads=pads)
    if seed % 4 == 1 and min(b.graph.tensors[x].shape[1:]) > 2:
        b.pool(x, "max", (2, 2), (2, 2))
    return prepare(b.graph, int(rng.integers(1, 3)), seed, zeros=0.3)


def is_depthwise(program):
    return any(s.mapping is not None and s.mapping.depthwise for s in program.segments)


@pytest.mark.parametrize("name", CONFIGS)
def test_interpreted(name):
    """Every tensor equals golden; all but layers of an odd multiplier on pairs of filters are
    mapped so."""
    config, found = CONFIGS[name], 0
    for seed in range(12):
        network, images = draw(seed)
        program, _ = check_network(Interpreter(config, 4 << 20), network, images)
        found += is_depthwise(program)
    assert found >= 10


@pytest.mark.parametrize("name", CONFIGS)
def test_on_rtl(name):
    """The same on the RTL in every mode, half of them with stalls; the counters of the others are
    as counted."""
    modes = [*Mode] if CONFIGS[name].skip else [Mode.DENSE, Mode.GATE]
    with SimDevice(CONFIGS[name], "cpp", 4 << 20) as device:
        for seed in range(30, 38):
            network, images = draw(seed)
            device.stall(0.3 * (seed % 2))
            mode = modes[seed // 2 % len(modes)]
            program, counters = check_network(device, network, images, mode=mode)
            if not seed % 2:
                check_counters(device, program, counters, seed)


def test_faster_than_channel_by_channel():
    """A layer of MobileNet's size takes a fifth of the cycles on `eyeriss`, by the model."""
    from compiler.mapping.mapping import Shape

    shape = Shape(1, 64, 12, 12, 64, 3, 3, 12, 12, 1, 1, 4, 16, 4, depthwise=True)
    config = PRESETS["eyeriss"]
    best = ranking(shape, config)[0]
    alone = ranking(shape.single(), config)[0]
    assert best.depthwise and 5 * best.cycles < 64 * alone.cycles
