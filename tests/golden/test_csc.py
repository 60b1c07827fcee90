"""The compressed-sparse format: encoder against SciPy's CSC, decoder against the definition."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.sparse.csc import PLACEMENTS, encode
from golden import csc
from golden.csc import CscError

BOOK = np.array([0, *range(-7, 0), *range(1, 9)], np.int16) * 100


def matrix(rng, rows, columns, density):
    out = BOOK[rng.integers(1, 16, (rows, columns))]
    out[rng.random((rows, columns)) >= density] = 0
    return out


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 30),
    st.integers(1, 9),
    st.sampled_from([0, 0.02, 0.1, 0.5, 1.0]),
    st.sampled_from(PLACEMENTS),
    st.integers(0, 99),
)
def test_round_trip(rows, columns, pes, density, placement, seed):
    dense = matrix(np.random.default_rng(seed), rows, columns, density)
    c = encode(dense, BOOK, pes, placement)
    np.testing.assert_array_equal(csc.decode(c), dense)
    assert c.total - c.padding == np.count_nonzero(dense)
    held = np.bincount(c.pe, minlength=pes)
    assert held.max() - held.min() <= 1 and held.max() == -(-rows // pes)


def rows_with_runs(runs, rows):
    """int16 [rows]: non-zeros with these zeros before each, the first counted from row 0."""
    column = np.zeros(rows, np.int16)
    at = np.cumsum(np.array(runs) + 1) - 1
    column[at[at < rows]] = BOOK[1 + np.arange(len(at)) % 15][at < rows]
    return column


RUNS = (0, 1, 14, 15, 16, 17, 30, 31, 32, 33, 47, 48, 49, 63)
EMPTY = np.zeros(160, np.int16)
CASES = {
    "runs": np.stack([rows_with_runs([run, run, 0, run], 160) for run in RUNS], 1),
    "empty columns": np.stack(
        [
            EMPTY,
            EMPTY,
            rows_with_runs([16, 33], 160),
            EMPTY,
            EMPTY,
            EMPTY,
            rows_with_runs([31, 15, 32], 160),
            rows_with_runs([159], 160),
            EMPTY,
            EMPTY,
        ],
        1,
    ),
    "nothing": np.zeros((160, 4), np.int16),
    "everything": np.full((160, 3), BOOK[5]),
} | {
    f"density {density}": matrix(np.random.default_rng(1), 150, 40, density)
    for density in (0.005, 0.03, 0.08, 0.5)
}


@pytest.mark.parametrize(
    "pes, placement", [(1, "modulo"), (4, "modulo"), (3, "balanced"), (4, "windows")]
)
@pytest.mark.parametrize("case", CASES)
def test_encoder_against_scipy(case, pes, placement):
    """Entry by entry, paddings included, from SciPy's CSC of each PE's rows."""
    dense = CASES[case]
    c = encode(dense, BOOK, pes, placement)
    for pe in range(pes):
        rows = np.flatnonzero(c.pe == pe)
        theirs = scipy.sparse.csc_matrix(dense[rows[np.argsort(c.local[rows])]])
        theirs.sort_indices()
        want, pointers, places = [], [0], []
        for column in range(dense.shape[1]):
            last = -1
            part = slice(theirs.indptr[column], theirs.indptr[column + 1])
            for row, value in zip(theirs.indices[part].tolist(), theirs.data[part].tolist()):
                zeros = row - last - 1
                while zeros > 15:
                    want.append((0, 15))
                    places.append(last := last + 16)
                    zeros -= 16
                want.append((BOOK[1:].tolist().index(value) + 1, zeros))
                places.append(last := row)
            pointers.append(len(want))
        assert [(entry & 15, entry >> 4) for entry in c.entries[pe].tolist()] == want
        assert c.pointers[pe].tolist() == pointers
        # Places from z alone.
        walked = [
            int(row)
            for a, b in zip(pointers, pointers[1:])
            for row in np.cumsum((c.entries[pe][a:b] >> 4).astype(int) + 1) - 1
        ]
        assert walked == places


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
        x = rng.integers(-(2**15), 2**15, columns).astype(np.int16)
        x[rng.random(columns) < 0.4] = 0
        bias = rng.integers(-(2**31), 2**31, rows).astype(np.int32)
        got = csc.multiply(c, x, bias, bits)
        np.testing.assert_array_equal(got.exact, dense.astype(np.int64) @ x + bias)
        np.testing.assert_array_equal(
            got.wrapped, (got.exact + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
        )
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


def intact():
    """Two PEs of 40 rows; the second holds local rows 0, 3, 39 in column 2 and 5, 30 in column 4:

    entries 01 22 f0 f0 33 | 54 f0 85, pointers 0 0 0 5 5 8 8."""
    dense = np.zeros((80, 6), np.int16)
    dense[[1, 7, 79], 2], dense[[11, 61], 4], dense[[0, 78], 1] = (
        BOOK[[1, 2, 3]],
        BOOK[[4, 5]],
        BOOK[6],
    )
    c = encode(dense, BOOK, 2)
    assert c.entries[1].tobytes().hex() == "0122f0f03354f085" and c.pointers[1].tolist() == [
        0,
        0,
        0,
        5,
        5,
        8,
        8,
    ]
    return c


def put(where, index, value):
    """An array of the matrix, of its PE 1 if it has one for each, with one element changed."""

    def change(c):
        whole = getattr(c, where)
        array = (whole[1] if isinstance(whole, list) else whole).copy()
        array[index] = value
        return dataclasses.replace(
            c, **{where: [whole[0], array] if isinstance(whole, list) else array}
        )

    return change


def second(where, function):
    """PE 1's array replaced by a function of it."""
    return lambda c: dataclasses.replace(
        c, **{where: [getattr(c, where)[0], function(getattr(c, where)[1])]}
    )


def whole(**fields):
    return lambda c: dataclasses.replace(
        c, **{name: f(getattr(c, name)) for name, f in fields.items()}
    )


DAMAGE = {
    "pointer falls": (put("pointers", 4, 4), r"p\[4\] = 4 is below p\[3\] = 5", 1, 3, 5),
    "pointer falls to 0": (put("pointers", 6, 0), r"p\[6\] = 0 is below p\[5\] = 8", 1, 5, 8),
    "pointer beyond the end": (
        put("pointers", 3, 200),
        r"p\[3\] = 200 is beyond the stream of 8 entries",
        1,
        2,
        8,
    ),
    "pointer one beyond the end": (put("pointers", 5, 9), r"p\[5\] = 9 is beyond", 1, 4, 8),
    "pointer of 32 bits": (put("pointers", 1, 2**32 - 1), "beyond the stream", 1, 0, 8),
    "first pointer": (put("pointers", 0, 1), r"p\[0\] is 1", 1, 0, None),
    "last pointer early": (put("pointers", 6, 7), "below", 1, 5, 8),
    "entry cut off": (second("entries", lambda e: e[:-1]), "beyond the stream of 7", 1, 4, 7),
    "entry too many": (
        second("entries", lambda e: np.append(e, np.uint8(1))),
        "1 entries after the last column",
        1,
        None,
        8,
    ),
    "pointer missing": (
        second("pointers", lambda p: p[:-1]),
        "6 pointers: expected 7",
        1,
        None,
        None,
    ),
    "pointer too many": (
        second("pointers", lambda p: np.append(p, p[-1:])),
        "8 pointers: expected 7",
        1,
        None,
        None,
    ),
    "entries of another type": (
        second("entries", lambda e: e.astype(np.int16)),
        "int16 .8,.: expected uint8",
        1,
        None,
        None,
    ),
    "entries in two dimensions": (
        second("entries", lambda e: e.reshape(2, 4)),
        "one dimension",
        1,
        None,
        None,
    ),
    "padding with another z": (put("entries", 2, 0x50), "v = 0 with z = 5", 1, 2, 2),
    "entry of zeros": (put("entries", 5, 0), "v = 0 with z = 0", 1, 4, 5),
    "row one beyond the last": (
        put("entries", 4, 0x43),
        "local row 40, the PE holds 40 rows",
        1,
        2,
        4,
    ),
    "padding beyond the last row": (
        put("entries", 4, 0xF0),
        "local row 51, the PE holds 40 rows",
        1,
        2,
        4,
    ),
    "rows of a later column": (put("entries", 5, 0xF4), "local row 40, ", 1, 4, 7),
    "padding ends a column": (put("entries", 7, 0xF0), "padding at the end of a column", 1, 4, 7),
    "pointer into padding": (put("pointers", 3, 3), "padding at the end of a column", 1, 2, 2),
    "no rows": (whole(rows=lambda n: 0), "0 rows, 6 columns", None, None, None),
    "codebook of 15": (whole(codebook=lambda b: b[:15]), "codebook int16 .15,.", None, None, None),
    "codebook of another type": (
        whole(codebook=lambda b: b.astype(np.int32)),
        "codebook int32",
        None,
        None,
        None,
    ),
    "codebook's zero": (put("codebook", 0, 7), r"codebook\[0\] is 7", None, None, None),
    "placement too short": (
        whole(pe=lambda x: x[:-1]),
        "placement of .79,. PEs and .80,.",
        None,
        None,
        None,
    ),
    "stream missing": (
        whole(entries=lambda e: e[:1]),
        "1 entry and 2 pointer streams for 2 PEs",
        None,
        None,
        None,
    ),
    "PE that is not there": (put("pe", 3, 2), "row 3 is placed on PE 2 of 2", None, None, None),
    "two rows in a place": (
        put("local", 5, 1),
        "rows 3 and 5 are both at local row 1",
        1,
        None,
        None,
    ),
    "local row beyond": (
        put("local", 3, 40),
        "row 3 is at local row 40, the PE holds 40",
        1,
        None,
        None,
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_streams_are_refused(case):
    """With the PE, column and entry of the fault."""
    change, message, *place = DAMAGE[case]
    c = change(intact())
    for function in (csc.check, csc.decode):
        with pytest.raises(CscError, match=message) as e:
            function(c)
        assert [e.value.pe, e.value.column, e.value.entry] == place


def test_another_legal_stream():
    """An index where padding stood is the stream of another matrix: no fault, one more weight."""
    got, want = csc.decode(put("entries", 2, 0xF7)(intact())), csc.decode(intact())
    assert got[2 * 19 + 1, 2] == BOOK[7] and np.count_nonzero(got != want) == 1


def test_damaged_words_are_refused():
    words = csc.pack(np.arange(1, 12, dtype=np.uint8))
    for total, bad, entry in (
        (17, words, 16),
        (8, words, 8),
        (11, words[:1], 8),
        (11, words | np.array([0, 1 << 32], np.uint64), 12),
    ):
        with pytest.raises(CscError) as e:
            csc.unpack(bad, total, 5)
        assert (e.value.pe, e.value.column, e.value.entry) == (5, None, entry)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 9), st.data())
def test_fuzzed_streams(seed, data):
    """Whatever its bytes are, a stream is refused by CscError or is a matrix of its shape."""
    rng = np.random.default_rng(seed)
    rows, columns, pes = int(rng.integers(1, 60)), int(rng.integers(1, 12)), int(rng.integers(1, 5))
    c = encode(matrix(rng, rows, columns, 0.1), BOOK, pes, "balanced")
    arrays = {
        "codebook": c.codebook,
        "pe": c.pe,
        "local": c.local,
        **{f"entries{k}": e for k, e in enumerate(c.entries)},
        **{f"pointers{k}": p for k, p in enumerate(c.pointers)},
    }
    raw = {name: bytearray(array.tobytes()) for name, array in arrays.items()}
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(sorted(raw)))
        size = arrays[name].dtype.itemsize
        match data.draw(st.sampled_from(["byte", "byte", "byte", "cut", "more"])):
            case "byte" if raw[name]:
                raw[name][data.draw(st.integers(0, len(raw[name]) - 1))] = data.draw(
                    st.integers(0, 255)
                )
            case "cut" if raw[name]:
                del raw[name][-size:]
            case "more":
                raw[name] += data.draw(st.binary(min_size=size, max_size=size))
    new = {name: np.frombuffer(bytes(content), arrays[name].dtype) for name, content in raw.items()}
    damaged = csc.Compressed(
        rows,
        columns,
        pes,
        new["codebook"],
        new["pe"],
        new["local"],
        [new[f"entries{k}"] for k in range(pes)],
        [new[f"pointers{k}"] for k in range(pes)],
    )
    try:
        decoded = csc.decode(damaged)
    except CscError as e:
        assert str(e)
    else:
        assert decoded.shape == (rows, columns) and decoded.dtype == np.int16
