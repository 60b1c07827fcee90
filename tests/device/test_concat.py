"""Concats of Concats, of tensors that others concatenate too, and of what no convolution reads:
three presets, by the interpreter and on the RTL."""

import numpy as np
import pytest

from compiler.export.export import export
from compiler.lowering.compile import compile_network
from compiler.lowering.emission.store import StoreTiles
from compiler.lowering.structures.options import Options
from compiler.mapping.layout import Storage, View
from compiler.quantise.fixed_point import quantise, quantise_input
from compiler.runtime.interpreter import Interpreter
from compiler.runtime.verify import Mismatch, verify
from hdl.config import PRESETS
from sim.device import SimDevice
from tests.compiler.builder import Builder
from tests.device.devices import check_chained, check_network

TINY = PRESETS["tiny"]
IMAGES = 2
MEMORY = 4 << 20


def shared_part(b):
    """Concat(Concat(x, y), x): x has two places in one storage."""
    x, y = b.conv("x", 3, (1, 1)), b.conv("x", 5, (3, 3), pads=(1, 1, 1, 1), relu=True)
    b.conv(b.concat(b.concat(x, y), x), 6, (3, 3))


def shared_concat(b):
    """Concat(z, Concat(w, Concat(x, y)), Concat(x, y)): what is copied has padding of its own."""
    x, y = b.conv("x", 4, (1, 1)), b.conv("x", 5, (1, 1))
    z, w = b.conv("x", 7, (1, 1)), b.conv("x", 2, (1, 1))
    inner = b.concat(x, y)
    b.conv(b.concat(z, b.concat(w, inner), inner), 6, (2, 3))


def inception(b):
    """A Concat that no convolution reads, with a branch through a later convolution."""
    x = b.conv("x", 6, (1, 1), relu=True)
    reduced = b.conv(x, 3, (1, 1), relu=True)
    one, three = b.conv(x, 4, (1, 1)), b.conv(reduced, 5, (3, 3), pads=(1, 1, 1, 1))
    pooled = b.conv(b.pool(x, "max", (3, 3), (1, 1), pads=(1, 1, 1, 1)), 2, (1, 1))
    b.pool(b.concat(one, three, pooled), "average", (9, 8), (1, 1))


def pooled_parts(b):
    """Means in wider blocks than what they are of: the STORE of 28 channels in blocks of 12
    reads 36."""
    x = b.conv("x", 7, (3, 1), pads=(0, 0, 1, 0))
    parts = [
        b.concat("x", "x"),
        b.conv("x", 1, (1, 1)),
        b.concat(x, x, x, x),
        *(b.conv("x", 1, (1, 1)) for _ in range(3)),
    ]
    means = [b.pool(t, "average", b.graph.tensors[t].shape[1:], (1, 1)) for t in parts]
    b.conv(b.concat(*means), 10, (1, 1))


def joined_last(b):
    """A Concat in place is the network's output."""
    x = b.conv("x", 4, (1, 1))
    b.concat(x, b.conv(x, 5, (3, 3), pads=(1, 1, 1, 1)))


def prepared(make):
    b = Builder((3, 9, 8))
    make(b)
    raw = np.random.default_rng(0).normal(size=(4, 3, 9, 8))
    network = quantise(b.graph, raw)
    return network, quantise_input(network, raw[:IMAGES])


@pytest.fixture(scope="module", params=["tiny", "demo", "eyeriss"])
def devices(request):
    config = PRESETS[request.param]
    with SimDevice(config, "cpp", MEMORY) as device:
        yield Interpreter(config, MEMORY), device


@pytest.mark.parametrize("make", [shared_part, shared_concat, inception, pooled_parts, joined_last])
def test_concats(devices, make):
    network, images = prepared(make)
    for device in devices:
        program, _ = check_network(device, network, images)
        check_chained(device, network, images)
        compared = {view for segment in program.segments for view, _ in segment.written}
        assert compared == set(program.views) - {"x"}  # no tensor in memory is left out


def test_what_a_store_reads_is_in_the_buffer():
    network, images = prepared(pooled_parts)
    for rows in range(1, 10):  # tiles of every size
        tiles = StoreTiles(
            [View(Storage("a", rows, 8, 1, 28), 0, np.arange(28))],
            View(Storage("b", rows, 8, 12, 3), 0, np.arange(28)),
            (rows, 8),
            28,
            None,
        ).fit(1 << 12, "t")
        (box,) = tiles.boxes(0, (0, rows), (0, 8), 0, tiles.count)
        fields = box.strides()
        last = (
            (box.rows - 1) * fields["row_stride"]
            + 7 * fields["column_stride"]
            + 35 * fields["block_stride"]
        )
        assert box.blocks == 28 and last < 4 * box.words <= 4 * tiles.words
    assert verify(
        compile_network(network, TINY, Options(images=IMAGES, chained=True)), network, images
    )


@pytest.mark.parametrize("make, tensor", [(shared_part, "t3"), (shared_concat, "t6")])
def test_a_wrong_program_is_found(make, tensor, monkeypatch, tmp_path):
    """Parts of a Concat that are not copied where they must be: nothing is exported, the tensor
    is named."""
    network, images = prepared(make)
    program = compile_network(network, TINY, Options(images=IMAGES, chained=True))
    assert verify(program, network, images) == (len(network.graph.tensors), 0)
    monkeypatch.setattr(View, "at", lambda self, other: self.storage is other.storage)
    wrong = (
        f"tensor '{tensor}' .layer 'concat_{tensor}'.: [0-9]+ of [0-9]+ elements differ from golden"
    )
    with pytest.raises(Mismatch, match=wrong):
        verify(
            compile_network(network, TINY, Options(images=IMAGES, chained=True)), network, images
        )
    with pytest.raises(Mismatch, match=wrong):
        export(network, TINY, tmp_path / "out", images=IMAGES)
    assert not list(tmp_path.iterdir())


def test_padding_of_copied_parts(monkeypatch):
    """A copy of a Concat moves the slots between its parts too."""
    network, images = prepared(shared_concat)
    monkeypatch.setattr(View, "extent", property(lambda self: len(self.slots)))
    with pytest.raises(Mismatch):
        verify(
            compile_network(network, TINY, Options(images=IMAGES, chained=True)), network, images
        )
