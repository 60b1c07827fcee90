"""Which feature maps are coded, and their layout in memory."""

import json

import numpy as np
import pytest

from compiler.export.export import export
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.coded import smaller
from compiler.lowering.structures.options import Options
from compiler.mapping.layout import Storage, View
from compiler.quantise.fixed_point import quantise
from compiler.runtime.interpreter import Interpreter
from golden.rlc import RlcError, encode
from hdl.config import PRESETS
from tests.compiler.builder import Builder, branches
from tests.device.devices import check_network

TINY = PRESETS["tiny"]


def network_of(graph, seed=0):
    raw = np.random.default_rng(seed).normal(size=(4, *graph.tensors["x"].shape))
    return quantise(graph, raw)


def coded(network, **options):
    program = compile_network(network, TINY, Options(images=2, **options))
    return {name for name, view in program.views.items() if view.storage.rlc}


def chain():
    b = Builder((4, 8, 9))
    x = b.conv("x", 8, pads=(1, 1, 1, 1), relu=True)
    b.conv(x, 8, (1, 1), relu=True)
    return b.graph


def test_modes():
    network = network_of(chain())
    assert network.zeros["x"] == 0 and 0.3 < network.zeros["t0"] < 0.8
    assert coded(network, rlc="on") == {"x", "t0", "t1"}
    assert coded(network, rlc="off") == set()
    assert "x" not in coded(network)
    assert coded(network, zeros={}) == set()
    assert coded(network, zeros={"x": 0.7, "t0": 0.05, "t1": 1.0}) == {"x", "t1"}
    assert coded(network, rlc="on", dense={"x", "t1"}) == {"t0"}
    with pytest.raises(ValueError, match="rlc 'maybe'"):
        coded(network, rlc="maybe")


def test_what_stays_dense():
    """The parts of a Concat and what it makes; all else of a network of every kind of layer."""
    graph = branches()
    names = coded(network_of(graph), rlc="on")
    concat = next(layer for layer in graph.layers if type(layer).__name__ == "Concat")
    assert not names & {*concat.inputs, concat.output}
    assert {"x", graph.output} <= names


def test_wide_rows_stay_dense():
    """A layer that is cut into columns, or does not reach the last, reads its input in parts."""
    b = Builder((4, 4, 500))
    b.conv("x", 4, (3, 3))
    network = network_of(b.graph)
    program = compile_network(network, TINY, Options(images=1, rlc="on"))
    mapping = program.segments[0].mapping
    assert mapping.columns < 498 and not any(v.storage.rlc for v in program.views.values())
    b = Builder((4, 8, 8))
    b.conv("x", 4, (1, 1), stride=(1, 2))
    assert coded(network_of(b.graph), rlc="on") == {"t0"}


def test_a_fully_connected_layer_on_the_sparse_engine_is_dense():
    b = Builder((8, 2, 2))
    x = b.conv("x", 16, (1, 1), relu=True)
    b.conv(x, 8, (2, 2), full=True)
    layer = b.graph.layers[-1]
    layer.weights[...] = np.where(np.abs(layer.weights) > 0.2, np.sign(layer.weights), 0)
    network = network_of(b.graph)
    program = compile_network(network, TINY, Options(images=1, rlc="on"))
    assert program.segments[-1].kind == "sparse"
    assert {n for n, v in program.views.items() if v.storage.rlc} == {"x"}
    check_network(
        Interpreter(TINY, program.end), network, np.ones((1, 8, 2, 2), np.int16), rlc="on"
    )


def test_export(tmp_path):
    """The host's tensors are plain, an inner one's table is in the map."""
    network = network_of(chain())
    program = export(network, TINY, tmp_path / "out", images=2)
    tensors = {
        t["name"]: t for t in json.loads((tmp_path / "out" / "map.json").read_text())["tensors"]
    }
    assert {name for name, t in tensors.items() if "rlc" in t} == {"t0"}
    view, t = program.views["t0"], tensors["t0"]
    assert (
        view.address(1, 2, 0)
        == t["address"]
        + t["image_pitch"]
        + 2 * t["row_pitch"]
        + t["first_block"] * t["strip_pitch"]
    )
    assert (
        view.table(1, 2, 0)
        == t["rlc"]["table"]
        + t["image_pitch"]
        + 2 * t["rlc"]["table_row_pitch"]
        + 2 * t["first_block"]
    )


def test_view_of_coded_storage():
    rng = np.random.default_rng(0)
    s = Storage("t", 5, 7, 4, 3, address=0x1000, rlc=True)
    assert (s.strip_bytes, s.row_bytes, s.table_row_bytes, s.image_bytes) == (80, 240, 6, 1232)
    view = View(s, 0, np.array([0, 1, 2, 5, 6, 8, 11]))
    values = rng.integers(-9, 9, (2, 7, 5, 7)).astype(np.int16)
    values[rng.random(values.shape) < 0.6] = 0
    memory = np.full(2 * s.image_bytes, 0xA5, np.uint8)
    view.pack(values, memory)
    np.testing.assert_array_equal(view.unpack(memory, 2), values)
    # Strip (image 1, row 2, block 1) where the formulas say.
    strip = np.zeros((7, 4), np.int16)
    strip[:, 1], strip[:, 2] = values[1, 3, 2], values[1, 4, 2]
    words, lengths = encode(strip.reshape(1, -1))
    at, entry = view.address(1, 2, 1) - s.address, view.table(1, 2, 1) - s.address
    assert memory[at : at + 8 * lengths[0]].tobytes() == words[0, : lengths[0]].tobytes()
    assert memory[entry : entry + 2].view(np.uint16)[0] == lengths[0]
    assert view.coded_bytes(memory, 2) == 2 * 30 + 8 * sum(
        int(memory[e : e + 2].view(np.uint16)[0])
        for i in range(2)
        for e in range(i * s.image_bytes + 1200, i * s.image_bytes + 1230, 2)
    )
    memory[entry : entry + 2] = 0xFF
    with pytest.raises(RlcError, match="strip 22, "):
        view.unpack(memory, 2)


def test_smaller():
    s = Storage("t", 13, 13, 8, 32)
    assert [smaller(s, z) for z in (None, 0.0, 0.2, 0.25, 0.4, 1.0)] == [
        False,
        False,
        False,
        False,
        True,
        True,
    ]
    assert s.dense_bytes == 13 * 32 * 13 * 8 * 2
