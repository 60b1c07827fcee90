"""Pruning, sharing, placement, Huffman coding, the report and the cycle model."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from compiler import huffman
from compiler.compression import EIE_LAYERS, random_layer, report, synthetic
from compiler.csc import encode, place
from compiler.fc_model import simulate
from compiler.huffman import HuffmanError
from compiler.prune import mask, prune
from compiler.share import codebook_of, share
from golden import csc


@pytest.mark.parametrize("density", [0, 0.01, 0.1, 0.5, 1])
def test_prune(density):
    w = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    kept = mask(w, density)
    assert kept.sum() == round(density * w.size)
    if 0 < density < 1:
        assert np.abs(w[kept]).min() >= np.abs(w[~kept]).max()
    np.testing.assert_array_equal(prune(w, density), np.where(kept, w, 0))
    with pytest.raises(ValueError, match="density"):
        mask(w, 1.5)


def test_share():
    rng = np.random.default_rng(1)
    w = np.where(rng.random((50, 60)) < 0.2, rng.normal(size=(50, 60)), 0)
    shared = share(w)
    values = shared.values()
    assert (values[w == 0] == 0).all() and len(np.unique(values)) <= 16
    assert len(np.unique(values[w != 0])) <= 15
    nearest = np.abs(w[w != 0][:, None] - shared.centroids).argmin(1) + 1
    np.testing.assert_array_equal(shared.index[w != 0], nearest)
    few = np.array([0, 1.5, -2, 1.5, 0])
    np.testing.assert_array_equal(share(few).values(), few)
    with pytest.raises(ValueError, match="17 distinct"):
        codebook_of(np.arange(18, dtype=np.int16))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=200))
def test_huffman_round_trip(symbols):
    data = huffman.encode(np.array(symbols, np.int64))
    assert huffman.decode(data).tolist() == symbols
    for cut in range(0, len(data), 7):
        with pytest.raises(HuffmanError, match="bit"):
            huffman.decode(data[:cut])


def test_huffman_is_optimal_and_strict():
    """Sizes against the entropy; damage is refused with its place."""
    rng = np.random.default_rng(2)
    symbols = rng.choice(16, 5000, p=np.arange(1, 17) / 136)
    data = huffman.encode(symbols)
    p = np.bincount(symbols) / len(symbols)
    bits = 8 * (len(data) - 8 - 16)
    entropy = -(p * np.log2(p)).sum() * len(symbols)
    assert entropy <= bits <= entropy + len(symbols) + 8
    with pytest.raises(HuffmanError, match="ends in symbol") as e:
        huffman.decode(data[:-3])
    assert e.value.bit == 8 * (len(data) - 3)
    with pytest.raises(HuffmanError, match="follows"):
        huffman.decode(data + b"\0")
    with pytest.raises(HuffmanError, match="complete"):
        huffman.decode(data[:9] + bytes([1, 1, 1]) + data[12:])


def test_streams_and_report():
    layer = random_layer("small", 200, 120, 0.1, 0.5)
    c = encode(layer.matrix, layer.codebook, 8, "balanced")
    coded = huffman.encode_streams(c)
    back = huffman.decode_streams(coded, c.rows, c.columns, c.pes, c.codebook, c.pe, c.local)
    dense = layer.matrix.dense(layer.codebook)
    np.testing.assert_array_equal(csc.decode(back), dense)
    r = report("small", c)
    assert r.nonzeros == np.count_nonzero(dense) and r.padding == c.padding
    assert r.dense == 16 * 200 * 120 > r.pruned > r.shared > 0
    assert r.huffman == 8 * sum(len(d) for d in coded.values()) + 256
    assert abs(r.density - 0.1) < 0.01 and r.bits_per_weight == r.shared / (200 * 120)


def test_placements_balance():
    """Balanced rows have a smaller fullest PE than modulo, windows a smaller one by window."""
    layer = synthetic("NT-LSTM")
    work = {name: csc.column_work(encode(layer.matrix, layer.codebook, 64, name)) for name in
            ("modulo", "balanced", "windows")}
    total = {name: int(w.sum(axis=0).max()) for name, w in work.items()}
    assert total["balanced"] < total["modulo"]
    windows = {name: sum(int(w[i:i + 16].sum(axis=0).max()) for i in range(0, len(w), 16)) for name, w in work.items()}
    assert windows["windows"] < windows["balanced"]
    assert simulate(work["windows"], 8) < simulate(work["modulo"], 8)
    pe, local = place(layer.matrix, 64, "modulo")
    np.testing.assert_array_equal(pe, np.arange(layer.matrix.rows) % 64)
    np.testing.assert_array_equal(local, np.arange(layer.matrix.rows) // 64)


def test_synthetic_layers_are_eies():
    for name in ("NT-We", "NT-LSTM", "Alex-8"):
        layer, wanted = synthetic(name), EIE_LAYERS[name]
        assert (layer.matrix.rows, layer.matrix.columns) == (wanted.rows, wanted.columns)
        assert abs(layer.matrix.density - wanted.weights) < 0.003
        assert abs(np.count_nonzero(layer.activations) / wanted.columns - wanted.activations) < 0.03


def test_model_by_hand():
    """Two PEs, queue of one: each column waits for the slower of the two before it."""
    assert simulate(np.array([[3, 1], [1, 3]]), 8) == 4 + 0
    assert simulate(np.zeros((5, 4), int), 1) == 5
    assert simulate(np.array([[4, 0]] * 3), 1) == 12
    with pytest.raises(ValueError):
        simulate(np.ones((2, 2), int), 0)
