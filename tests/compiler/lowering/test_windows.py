"""Windows of pools: the largest that a command can say, and the refusal of one beyond."""

import numpy as np
import pytest

from compiler.lowering.compile import compile_network
from compiler.lowering.emission.tile import WINDOW
from compiler.lowering.structures.options import Options
from compiler.mapping.mapping import MappingError
from compiler.quantise.fixed_point import quantise
from compiler.runtime.interpreter import Interpreter
from hdl.config import PRESETS
from tests.compiler.builder import Builder
from tests.device.devices import check_network

DEMO = PRESETS["demo"]


def pooled(kind, width):
    """(a network of one pool over all of a row, images for it)."""
    b = Builder((2, 1, width), 1)
    b.pool("x", kind, (1, width), (1, 1))
    images = np.random.default_rng(2).normal(size=(1, 2, 1, width)).astype(np.float32)
    return b.graph, images


@pytest.mark.parametrize("kind", ["max", "average"])
def test_windows(kind):
    graph, images = pooled(kind, WINDOW[1])
    network = quantise(graph, images)
    values = np.random.default_rng(3).integers(-(2**15), 2**15, images.shape).astype(np.int16)
    check_network(Interpreter(DEMO, 1 << 20), network, values)

    graph, images = pooled(kind, WINDOW[1] + 1)
    said = rf"{kind} pool 'pool\w*': a window of 1 x {WINDOW[1] + 1}; up to 255 x 255 is supported"
    with pytest.raises(MappingError, match=said):
        compile_network(quantise(graph, images), DEMO, Options(images=1))
