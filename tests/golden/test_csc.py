"""The compressed-sparse format: encoder against SciPy's CSC, decoder against the definition."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings, strategies as st

from compiler.csc import PLACEMENTS, encode
from golden import csc
from golden.csc import CscError

BOOK = np.array([0, *range(-7, 0), *range(1, 9)], np.int16) * 100


def matrix(rng, rows, columns, density):
    out = BOOK[rng.integers(1, 16, (rows, columns))]
    out[rng.random((rows, columns)) >= density] = 0
    return out


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 30), st.integers(1, 9), st.sampled_from([0, .02, .1, .5, 1.0]),
       st.sampled_from(PLACEMENTS), st.integers(0, 99))
def test_round_trip(rows, columns, pes, density, placement, seed):
    dense = matrix(np.random.default_rng(seed), rows, columns, density)
    c = encode(dense, BOOK, pes, placement)
    np.testing.assert_array_equal(csc.decode(c), dense)
    assert c.total - c.padding == np.count_nonzero(dense)
    held = np.bincount(c.pe, minlength=pes)
    assert held.max() - held.min() <= 1 and held.max() == -(-rows // pes)


@pytest.mark.parametrize("seed", range(4))
def test_encoder_against_scipy(seed):
    """Per PE, SciPy's CSC of its rows gives the same values, row distances and pointers."""
    rng = np.random.default_rng(seed)
    dense, pes = matrix(rng, 150, 40, 0.08), 4
    c = encode(dense, BOOK, pes, "modulo")
    for pe in range(pes):
        theirs = scipy.sparse.csc_matrix(dense[pe::pes])
        theirs.sort_indices()
        entries, pointers, values, rows = c.entries[pe], c.pointers[pe], [], []
        for column in range(40):
            row, real = -1, 0
            for entry in entries[pointers[column]:pointers[column + 1]]:
                row += int(entry >> 4) + 1
                if entry & 15:
                    values.append(BOOK[entry & 15])
                    rows.append(row)
                    real += 1
            assert real == theirs.indptr[column + 1] - theirs.indptr[column]
        assert values == theirs.data.tolist() and rows == theirs.indices.tolist()


@pytest.mark.parametrize("run", [0, 14, 15, 16, 17, 30, 31, 32, 33, 47, 48, 63])
def test_runs(run):
    """A run of zeros before an entry costs run // 16 paddings."""
    dense = np.zeros((run + 2, 3), np.int16)
    dense[[0, run + 1], 1] = BOOK[3]
    c = encode(dense, BOOK, 1)
    assert c.padding == run // 16 and c.total == 2 + run // 16
    np.testing.assert_array_equal(csc.decode(c), dense)
    dense[0] = 0
    c = encode(dense, BOOK, 1)
    assert c.padding == (run + 1) // 16
    np.testing.assert_array_equal(csc.decode(c), dense)


@pytest.mark.parametrize("bits", [24, 32])
def test_multiply(bits):
    rng = np.random.default_rng(bits)
    for rows, columns, pes in ((1, 1, 1), (3, 5, 8), (70, 33, 4), (40, 60, 7)):
        dense = matrix(rng, rows, columns, 0.3)
        dense[:, [0, columns // 2]] = 0
        c = encode(dense, BOOK, pes, "balanced")
        x = rng.integers(-2**15, 2**15, columns).astype(np.int16)
        x[rng.random(columns) < 0.4] = 0
        bias = rng.integers(-2**31, 2**31, rows).astype(np.int32)
        got = csc.multiply(c, x, bias, bits)
        np.testing.assert_array_equal(got.exact, dense.astype(np.int64) @ x + bias)
        np.testing.assert_array_equal(got.wrapped, (got.exact + 2**(bits - 1)) % 2**bits - 2**(bits - 1))
        done = csc.work(c, x)
        assert done.macs.sum() == np.count_nonzero(dense[:, x != 0])


def test_words():
    rng = np.random.default_rng(1)
    for n in (0, 1, 7, 8, 9, 64):
        entries = rng.integers(1, 256, n).astype(np.uint8)
        words = csc.pack(entries)
        assert len(words) == -(-n // 8)
        np.testing.assert_array_equal(csc.unpack(words, n), entries)
        if n % 8:
            with pytest.raises(CscError, match="not zero"):
                csc.unpack(words | np.uint64(1 << 63), n)
        with pytest.raises(CscError, match="do not hold"):
            csc.unpack(words, n + 9)


def damaged(change):
    dense = np.zeros((40, 6), np.int16)
    dense[[0, 3, 39], 2], dense[[5, 30], 4] = BOOK[2], BOOK[9]
    c = encode(dense, BOOK, 1)
    entries, pointers = [c.entries[0].copy()], [c.pointers[0].copy()]
    c = dataclasses.replace(c, entries=entries, pointers=pointers, codebook=c.codebook.copy(),
                            pe=c.pe.copy(), local=c.local.copy())
    return change(c) or c


def put(where, index, value):
    def change(c):
        getattr(c, where)[0][index] = value
    return change


@pytest.mark.parametrize("change, message, place", [
    (put("pointers", 3, 0), "", None),
    (put("pointers", 4, 1), "below", 3),
    (put("pointers", 3, 200), "beyond the stream", 2),
    (put("entries", 0, 0x50), "padding has z = 15", 2),
    (put("entries", 1, 0xF1), "", None),
    (put("entries", 0, 0xF0), "", None),
    (lambda c: dataclasses.replace(c, entries=[c.entries[0][:-1]]), "beyond the stream", 4),
    (lambda c: dataclasses.replace(c, entries=[np.append(c.entries[0], np.uint8(1))]), "after the last column", None),
    (lambda c: dataclasses.replace(c, codebook=c.codebook + np.int16(1)), "codebook\\[0\\]", None),
    (lambda c: dataclasses.replace(c, local=np.zeros_like(c.local)), "both at local row", None),
    (lambda c: dataclasses.replace(c, pe=c.pe + np.uint16(1)), "placed on PE 1 of 1", None),
])
def test_damaged_streams_are_refused(change, message, place):
    c = damaged(change)
    if not message:  # a change that may still be a legal stream of another matrix
        try:
            assert not np.array_equal(csc.decode(c), csc.decode(damaged(lambda c: None)))
        except CscError as e:
            assert e.pe == 0
        return
    with pytest.raises(CscError, match=message) as e:
        csc.decode(c)
    if place is not None:
        assert e.value.pe == 0 and e.value.column == place
