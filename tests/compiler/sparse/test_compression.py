"""Pruning, sharing, placement, Huffman coding, the report and the cycle model."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.sparse import huffman
from compiler.sparse.compression import EIE_LAYERS, random_layer, report, synthetic
from compiler.sparse.csc import encode, place
from compiler.sparse.huffman import HuffmanError
from compiler.sparse.prune import mask, prune
from compiler.sparse.share import codebook_of, share
from golden import csc
from tests.compiler.sparse.fc_model import simulate


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


@pytest.mark.parametrize("longest", [1, 2, 8, 17, 25])
def test_huffman_lengths_of_codes(longest):
    """Counts of powers of two make codes of 1..longest bits; their order puts them across words
    and look-ups."""
    symbols = np.repeat(np.arange(longest + 1), [*(1 << np.arange(longest)[::-1]), 1])
    assert huffman.code_lengths(np.bincount(symbols)).max() == longest
    for order in (symbols, symbols[::-1], np.random.default_rng(longest).permutation(symbols)):
        np.testing.assert_array_equal(
            huffman.decode(huffman.encode(order[-1 << 20 :])), order[-1 << 20 :]
        )


@pytest.mark.parametrize(
    "symbols", [[], [3], [0] * 9, list(range(9)), [0, 1, 1, 2, 2, 2, 2, 5] * 5]
)
def test_huffman_damage_is_refused(symbols):
    """Every flipped bit, every truncation and every further byte, with its place."""
    data = huffman.encode(np.array(symbols, np.int64))
    assert huffman.decode(data).tolist() == symbols
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(HuffmanError, match=f"byte {len(data) - 4}: checksum"):
            huffman.decode(bytes(damaged))
    for size in range(len(data)):
        with pytest.raises(
            HuffmanError,
            match=f"byte {max(size - 4, size if size < 12 else 0)}: "
            + ("checksum" if size >= 12 else "the stream ends in its header"),
        ):
            huffman.decode(data[:size])
    with pytest.raises(HuffmanError, match="checksum"):
        huffman.decode(data + b"\0")


def test_huffman_is_optimal_and_strict():
    """Sizes against the entropy; a wrong stream with a right checksum is refused too, with its
    place."""
    rng = np.random.default_rng(2)
    symbols = rng.choice(16, 5000, p=np.arange(1, 17) / 136)
    data = huffman.encode(symbols)
    p = np.bincount(symbols) / len(symbols)
    bits = 8 * (len(data) - 8 - 16 - 4)
    entropy = -(p * np.log2(p)).sum() * len(symbols)
    assert entropy <= bits <= entropy + len(symbols) + 8

    def signed(content):
        return content + zlib.crc32(content).to_bytes(4, "little")

    body, single = data[:-4], huffman.encode(np.zeros(9, int))[:-4]
    cases = [
        (body[:-3], len(body) - 3, "ends in symbol"),
        (body[:4] + bytes([17]) + body[5:20], 20, "table of 17 code lengths"),
        (body[:4] + b"\xff\xff\xff\xff" + body[8:], len(body), "table of"),
        (b"\xff\xff\xff\x0f" + body[4:], len(body), "bits for 268435455 symbols"),
        (b"\x09" + huffman.encode(np.zeros(8, int))[1:-4], 10, "8 bits for 9 symbols"),
        (b"\x05" + huffman.encode(np.array([0, 1] * 6))[1:-4], 10, "follows"),
        (b"\x07" + huffman.encode(np.array([0, 0, 0, 0, 1, 2]))[1:-4], 12, "ends in symbol 6 of 7"),
        (body + b"\0", len(body) - 1, "follows"),
        (body[:9] + bytes([1, 1, 1]) + body[12:], 8, "complete"),
        (body[:9] + bytes([49]) + body[10:], 9, "a code of 49 bits"),
        (single[:-1] + b"\x40", len(single) - 1, "follows"),
        (single[:-2] + b"\x01\0", len(single) - 2, "no such code"),
    ]
    for content, where, message in cases:
        with pytest.raises(HuffmanError, match=message) as e:
            huffman.decode(signed(content))
        assert e.value.byte == where, message


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
    work = {
        name: csc.column_work(encode(layer.matrix, layer.codebook, 64, name))
        for name in ("modulo", "balanced", "windows")
    }
    total = {name: int(w.sum(axis=0).max()) for name, w in work.items()}
    assert total["balanced"] < total["modulo"]
    windows = {
        name: sum(int(w[i : i + 16].sum(axis=0).max()) for i in range(0, len(w), 16))
        for name, w in work.items()
    }
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


def cycle_by_cycle(work, depth, broadcast):
    """The model as a loop over cycles: queues are lists, a PE does a MAC a cycle."""
    waiting = [list(row) for row in work.tolist()]
    queues, busy, cycles = [[] for _ in range(work.shape[1])], [0] * work.shape[1], 0
    while waiting or any(map(any, queues)) or any(busy):  # columns to send, or MACs to do
        sent, moved = 0, True
        while moved:  # what happens at the beginning of a cycle, until nothing does
            moved = False
            for pe, queue in enumerate(queues):
                if queue and not busy[pe]:
                    busy[pe], moved = queue.pop(0), True
            if waiting and sent < broadcast and all(len(queue) < depth for queue in queues):
                for queue, macs in zip(queues, waiting.pop(0)):
                    queue.append(macs)
                sent, moved = sent + 1, True
        busy = [max(0, left - 1) for left in busy]
        cycles += 1
    return cycles


@pytest.mark.parametrize("broadcast", [1, 2, 3])
@pytest.mark.parametrize("depth", [1, 2, 8])
def test_model_cycle_by_cycle(depth, broadcast):
    rng = np.random.default_rng(depth)
    for columns, pes in ((0, 3), (1, 1), (2, 1), (7, 2), (30, 1), (40, 4), (25, 16), (60, 7)):
        for mean in (0.2, 1.0, 2.5):
            work = rng.poisson(mean, (columns, pes))
            assert simulate(work, depth, broadcast) == cycle_by_cycle(work, depth, broadcast)
