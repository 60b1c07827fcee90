"""What the machine runs of a network of integers: padding folded, constant channels gone, sums that
fit a psum."""

import numpy as np
import pytest

from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import Concat, IntConv, IntPad, IntPool
from compiler.quantise.constants import fold_constants
from compiler.quantise.fixed_point import golden_run
from compiler.quantise.integer_graph import integer_network, sum_bits, without_pads
from compiler.quantise.integer_run import integer_run
from golden.integer.affine import Affine
from golden.integer.requantise import DOUBLE, Requantiser

AFFINE = Affine(0.5, 3)


class Net:
    """A chain of layers over int8 tensors of one scale, its last tensor the output."""

    def __init__(self, shape, seed=0, affine=AFFINE):
        self.rng, self.affine, self.last = np.random.default_rng(seed), affine, "x"
        self.graph = Graph("x", ("x",), [], {"x": Tensor("x", *shape, affine=affine)})

    def add(self, layer):
        graph = self.graph
        graph.layers.append(layer)
        graph.tensors[layer.output] = Tensor(layer.output, 1, affine=self.affine)
        shape = graph.output_shape(layer)
        graph.tensors[layer.output] = Tensor(layer.output, *shape, affine=self.affine)
        self.last, graph.outputs = layer.output, (layer.output,)
        return layer

    def conv(self, filters, kernel=1, pads=(0, 0, 0, 0), depthwise=False, dead=(), source=None):
        """dead: filters without weights, with a bias of a random size."""
        source = source or self.last
        channels = self.graph.tensors[source].channels
        groups = channels if depthwise else 1
        of = (filters, channels // groups, kernel, kernel)
        weights = self.rng.integers(-128, 128, of).astype(np.int16)
        bias = self.rng.integers(-2000, 2000, filters).astype(np.int32)
        weights[list(dead)] = 0
        out = Requantiser(
            np.full(filters, 1 << 30), np.full(filters, -7), DOUBLE, self.affine.zero, -128, 127
        )
        name = f"l{len(self.graph.layers)}"
        pads = pads if len(pads) == 4 else pads * 2
        layer = IntConv(name, source, f"t{name}", weights, bias, (1, 1), pads, groups, out=out)
        return self.add(layer)

    def check(self, graph, kept):
        """The other graph's tensors are the channels kept of this one's."""
        shape = (4, *self.graph.tensors["x"].shape)
        q = self.rng.integers(-128, 128, shape).astype(np.int8)
        q[0] = self.affine.zero
        expected = integer_run(self.graph, q)
        graph.check()
        for name, value in integer_run(graph, q).items():
            want = expected[name][:, kept[name]] if kept else expected[name]
            np.testing.assert_array_equal(value, want, err_msg=name)


def test_dead_channels_go():
    """Through a depthwise layer too, and what they add is in the next biases."""
    net = Net((3, 6, 6))
    net.conv(8, dead=(1, 4, 5))
    net.conv(8, 3, depthwise=True)
    net.conv(5, 2)
    graph, kept = fold_constants(net.graph)
    assert [len(kept[name]) for name in ("x", "tl0", "tl1", "tl2")] == [3, 5, 5, 5]
    assert graph.macs() < net.graph.macs()
    net.check(graph, kept)


def test_padding_keeps_what_is_not_zero():
    net = Net((2, 5, 5), 1)
    first = net.conv(4, dead=(0, 2))
    first.bias[0] = 0  # v is 0, as the padding is
    first.bias[2] = 12_800
    net.conv(3, 3, pads=(1, 1, 1, 1))
    graph, kept = fold_constants(net.graph)
    assert kept["tl0"].tolist() == [1, 2, 3]
    net.check(graph, kept)


def test_a_saturated_channel_goes():
    net = Net((2, 4, 4), 2)
    net.conv(3).bias[1] = 1 << 30
    net.conv(2)
    graph, kept = fold_constants(net.graph)
    assert kept["tl0"].tolist() == [0, 2]
    net.check(graph, kept)


@pytest.mark.parametrize("what", ["output", "pool", "concat", "all", "grouped"])
def test_what_must_stay(what):
    """Channels that something else reads, and one of a tensor."""
    net = Net((4, 5, 5), 3)
    dead = range(4) if what == "all" else (0, 3)
    net.conv(4, dead=dead)
    if what == "pool":
        net.add(
            IntPool(
                "p", "max", net.last, "tp", (2, 2), (1, 1), (0,) * 4, (0, 0, 5, 5), lo=-128, hi=127
            )
        )
    elif what == "concat":
        net.add(Concat("c", ("x", net.last), "tc"))
    if what == "grouped":
        layer = net.conv(4)
        layer.groups, layer.weights = 2, layer.weights[:, :2]
    elif what != "output":
        net.conv(2)
    graph, kept = fold_constants(net.graph)
    assert len(kept["tl0"]) == (1 if what == "all" else 4)
    net.check(graph, kept)


@pytest.mark.parametrize("seed", range(30))
def test_random_chains(seed):
    net = Net((3, 9, 9), seed, Affine(0.1, int(np.random.default_rng(seed).integers(-128, 128))))
    for _ in range(5):
        rng, channels = net.rng, net.graph.tensors[net.last].channels
        depthwise = rng.random() < 0.5
        filters = channels * int(rng.integers(1, 3)) if depthwise else int(rng.integers(1, 9))
        dead = np.flatnonzero(rng.random(filters) < 0.4)
        pads = (1, 1, 1, 1) if rng.random() < 0.4 else (0, 0, 0, 0)
        net.conv(filters, int(rng.integers(1, 3)), pads, depthwise, dead)
    graph, kept = fold_constants(net.graph)
    net.check(graph, kept)


# ---- padding ------------------------------------------------------------------------------
@pytest.mark.parametrize("reader", ["conv", "output", "pool", "both"])
def test_padding(reader):
    net = Net((2, 5, 4), 4)
    pad = IntPad("pad", "x", "padded", (1, 0, 2, 1))
    net.add(pad)
    if reader in ("conv", "both"):
        net.conv(3, 3, pads=(1, 1, 0, 0))
    if reader in ("pool", "both"):
        pool = "p", "max", "padded", "tp", (2, 2), (1, 1), (0,) * 4, (0, 0, 8, 5)
        net.add(IntPool(*pool, lo=-128, hi=127))
        net.graph.outputs = tuple(
            layer.output for layer in net.graph.layers if layer.output != "padded"
        )
    graph = without_pads(net.graph)
    assert not any(isinstance(layer, IntPad) for layer in graph.layers)
    assert ("padded" in graph.tensors) == (reader != "conv")
    if reader == "conv":
        assert graph.layers[0].pads == (2, 1, 2, 1)
    net.check(graph, None)
    assert net.graph.layers[0] is pad, "the graph given stays as it was"


# ---- bits ---------------------------------------------------------------------------------
@pytest.mark.parametrize("affine", [Affine(1, 3), Affine(1, -128), Affine(1, 200, False)])
def test_bits_of_sums(affine):
    rng = np.random.default_rng(5)
    for _ in range(50):
        weights = rng.integers(-3, 4, (2, 2, 1, 2)).astype(np.int16)
        ends = [affine.lo - affine.zero, affine.hi - affine.zero]
        combos = np.array(np.meshgrid(*[ends] * 4)).reshape(4, -1)
        sums = weights.reshape(2, -1) @ combos
        bits = sum_bits(weights, affine)
        assert -(1 << bits - 1) <= sums.min() and sums.max() < 1 << bits - 1
        if bits > 1:
            assert sums.min() < -(1 << bits - 2) or sums.max() >= 1 << bits - 2


def test_sums_that_exceed_psums():
    net = Net((300, 1, 1))
    net.conv(1).weights[:] = 127
    integer_network(net.graph, 32)
    with pytest.raises(
        NetworkError, match="layer 'l0': its sums take up to 24 bits, psums have 23"
    ):
        integer_network(net.graph, 23)


def test_a_layer_of_floats():
    net = Net((2, 3, 3))
    net.conv(2)
    tensor = net.graph.tensors["tl0"]
    net.graph.tensors["tl0"] = Tensor("tl0", *tensor.shape)
    with pytest.raises(NetworkError, match="tensor 'tl0' has no scale and zero point"):
        integer_network(net.graph, 32)


def test_golden_of_the_machine():
    net = Net((3, 6, 6), 6)
    net.add(IntPad("pad", "x", "padded", (1, 1, 1, 1)))
    net.conv(6, 3, dead=(0, 2))
    net.conv(4)
    network = integer_network(net.graph, 32)
    q = net.rng.integers(-128, 128, (2, 3, 6, 6)).astype(np.int8)
    expected = integer_run(net.graph, q)
    for name, v in golden_run(network, AFFINE.centred(q)).tensors.items():
        np.testing.assert_array_equal(v + 3, expected[name][:, network.kept[name]])
