"""The run-length format against a plain reading of its definition."""

import time

import numpy as np
import pytest

from golden.rlc import (
    RlcError,
    coded_bytes,
    decode,
    encode,
    entropy_bits,
    expected_bytes,
    slot_words,
)


def slow_encode(strip):
    """The words of one strip, pair by pair."""
    pairs, zeros = [], 0
    for value in strip:
        if value == 0:
            zeros += 1
            continue
        while zeros > 31:
            pairs.append((31, 0))
            zeros -= 32
        pairs.append((zeros, int(value) & 0xFFFF))
        zeros = 0
    words = []
    for i in range(0, len(pairs), 3):
        word = 0
        for n, (run, level) in enumerate(pairs[i : i + 3]):
            word |= (run | level << 5) << 21 * n
        words.append(word | (i + 3 >= len(pairs)) << 63)
    return words


def strips_of(rng, count, entries, zeros):
    values = rng.integers(-(2**15), 2**15, (count, entries)).astype(np.int16)
    values[rng.random(values.shape) < zeros] = 0
    return values


@pytest.mark.parametrize("entries", [1, 2, 3, 4, 31, 32, 33, 64, 97, 200])
@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.8, 0.98, 1.0])
def test_against_slow(entries, zeros):
    strips = strips_of(np.random.default_rng(entries), 40, entries, zeros)
    strips[0], strips[1] = 0, -1
    strips[2] = 0
    strips[2, -1] = -32768
    words, lengths = encode(strips)
    assert words.shape == (40, slot_words(entries)) and words.dtype == np.uint64
    for strip, row, n in zip(strips, words, lengths, strict=True):
        assert row[:n].tolist() == slow_encode(strip) and not row[n:].any()
    assert lengths[0] == 0 and lengths[1] == slot_words(entries)
    np.testing.assert_array_equal(decode(words, lengths, entries), strips)
    # what lies past a length
    words[np.arange(words.shape[1]) >= lengths[:, None]] = np.uint64(2**64 - 1)
    np.testing.assert_array_equal(decode(words, lengths, entries), strips)
    # Zeros behind a strip cost nothing: it may be read as a longer one.
    longer = decode(words, lengths, entries + 3)
    np.testing.assert_array_equal(longer[:, :entries], strips)
    assert not longer[:, entries:].any()


def pair(run, level):
    return run | level << 5


def word(*pairs, last=1):
    return sum(pair(*p) << 21 * n for n, p in enumerate(pairs)) | last << 63


@pytest.mark.parametrize(
    "words,entries,where,why",
    [
        ([word((0, 1), (0, 2), (0, 3), last=0)], 8, 0, "termination"),
        ([word((0, 1)), word((0, 2))], 8, 0, "termination"),
        ([word((7, 1), (0, 2))], 8, 0, "behind"),
        ([word((8, 1))], 8, 0, "behind"),
        ([word((31, 0), (31, 0), (31, 0), last=0), word((3, 9), (0, 8))], 100, 1, "behind"),
        ([word((31, 0), (31, 0), (31, 0), last=0), word((0, 0))], 96, 1, "begins"),
        ([word((0, 1), last=0)] * 3 + [word((0, 1))], 9, 3, "4 words, a slot holds 3"),
    ],
)
def test_malformed(words, entries, where, why):
    sound, length = encode(np.ones((2, entries), np.int16))
    data = np.zeros((3, max(len(words), sound.shape[1])), np.uint64)
    data[:2, : sound.shape[1]] = sound
    data[2, : len(words)] = words
    with pytest.raises(RlcError, match=why) as e:
        decode(data, np.array([*length, len(words)]), entries)
    assert (e.value.strip, e.value.word) == (2, where)


def test_unusual_but_sound():
    """A pair of level 0 in the middle stands for its zeros; zeros may reach past the end."""
    data = np.array([[word((2, 0), (0, 5), (31, 0))]], np.uint64)
    assert decode(data, np.array([1]), 6).tolist() == [[0, 0, 0, 5, 0, 0]]


def test_speed_and_estimate():
    rng = np.random.default_rng(1)
    for zeros in (0.0, 0.4, 0.75, 0.97):
        strips = strips_of(rng, 12_000, 416, zeros)  # five million entries
        start = time.perf_counter()
        words, lengths = encode(strips)
        assert np.array_equal(decode(words, lengths, 416), strips)
        assert time.perf_counter() - start < 10
        got = coded_bytes(strips) + 2 * len(strips)
        assert got == pytest.approx(expected_bytes(zeros, *strips.shape), rel=0.05)
        assert got * 8 > entropy_bits(zeros) * strips.size
    assert expected_bytes(1.0, 10, 50) == 20


# Ifmaps of AlexNet's CONV1 to 5, [C, H, W], filters' entries, zeros in % (JSSC 2017, table V).
ALEXNET = (
    ((3, 227, 227), 34_848, 0.01),
    ((96, 27, 27), 307_200, 38.7),
    ((256, 13, 13), 884_736, 72.5),
    ((384, 13, 13), 663_552, 79.3),
    ((384, 13, 13), 442_368, 77.6),
)


def alexnet(block=8, batch=4):
    """(ratio of ifmaps, entropy limit, ratio of filters, ifmaps and ofmaps together) of each layer
    on random fmaps; an ofmap is the next layer's ifmap, CONV5's 256x6x6 with its own ifmap's zeros.
    """
    rng = np.random.default_rng(0)
    sizes = []
    for (c, h, w), _, percent in (*ALEXNET, ((256, 6, 6), 0, 77.6)):
        q = min(block, c)
        strips = strips_of(rng, batch * h * c // q, w * q, percent / 100)
        sizes.append((8 * -(-w * q // 4) * len(strips), coded_bytes(strips) + 2 * len(strips)))
    out = []
    for i, (_, filters, percent) in enumerate(ALEXNET):
        (plain, coded_), (plain_out, coded_out) = sizes[i : i + 2]
        before = plain + plain_out + 2 * filters
        coded_ = min(coded_, plain)  # what does not shrink stays dense
        out.append(
            (
                plain / sizes[i][1],
                16 / entropy_bits(percent / 100),
                before / (coded_ + coded_out + 2 * filters),
            )
        )
    return out


def test_alexnet_ratios():
    """The figures of docs/architecture.md."""
    expected = [
        (0.75, 1.00, 1.05),
        (1.21, 1.49, 1.25),
        (2.57, 3.05, 1.28),
        (3.35, 3.95, 1.43),
        (3.11, 3.68, 1.37),
    ]
    np.testing.assert_allclose(alexnet(), expected, atol=0.006)
