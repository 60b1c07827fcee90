"""Records of streamed columns, their tables, and what streams."""

import numpy as np
import pytest

from compiler.mapping.mapping import MappingError
from compiler.sparse.csc import encode, records, sparse
from compiler.sparse.slicing import plan_sparse, table_words
from hdl.config import PRESETS
from hdl.control.legality import legal
from hdl.isa import Opcode, pack

CODEBOOK = np.arange(16).astype(np.int16)
TINY = PRESETS["tiny"]


def matrix(rows, columns, density, seed=1):
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 16, (rows, columns)).astype(np.int16)
    weights[rng.random(weights.shape) >= density] = 0
    return weights


@pytest.mark.parametrize("pes, bits", [(4, 4), (16, 4), (64, 6), (8, 8), (64, 7)])
def test_records_hold_the_columns(pes, bits):
    c = encode(matrix(min(2**bits - 1, 63) * pes, 30, 0.2), CODEBOOK, pes)
    words, data = records(c, bits)
    assert len(words) == 30 and words.sum() == len(data)
    start = np.cumsum(words) - words
    for column in range(30):
        wanted = [e[p[column] : p[column + 1]].tolist() for e, p in zip(c.entries, c.pointers)]
        if not any(wanted):
            assert words[column] == 0
            continue
        number = int.from_bytes(
            data[start[column] : start[column] + words[column]].tobytes(), "little"
        )
        each, got = 64 // bits, []
        at = 8 * ((pes - 1) // each) + -(-((pes - 1) % each + 1) * bits // 8)
        for pe in range(pes):
            count = number >> 64 * (pe // each) + bits * (pe % each) & (1 << bits) - 1
            got.append([number >> 8 * n & 255 for n in range(at, at + count)])
            at += count
        assert got == wanted and words[column] == -(-at // 8)


def test_limits():
    with pytest.raises(OverflowError, match="16 entries"):
        records(encode(matrix(64, 3, 1.0), CODEBOOK, 4), 4)
    table_words(np.full(4, 2047))
    with pytest.raises(ValueError, match="2048 words of a column"):
        table_words(np.array([1, 2048, 0, 0]))
    with pytest.raises(ValueError, match="1050000 of all"):
        table_words(np.full(1400, 750))


def test_what_streams():
    """Resident if one block of one band holds all; a full column takes a row less in every PE."""

    def plan(rows, columns, density, **options):
        return plan_sparse(
            sparse(matrix(rows, columns, density), CODEBOOK), CODEBOOK, TINY, **options
        )

    assert not plan(64, 60, 0.3).streamed
    for rows, columns, density in ((65, 60, 0.1), (64, 61, 0.1), (64, 60, 0.9)):
        p = plan(rows, columns, density)
        assert p.streamed and all(
            len(b.table) * 4 >= b.columns for band in p.bands for b in band.blocks
        )
    assert [len(band.rows) for band in plan(64, 64, 1.0).bands] == [32, 32]
    resident = plan(470, 450, 0.1, stream=False)
    assert not resident.streamed and all(
        b.words <= TINY.sparse_words for band in resident.bands for b in band.blocks
    )
    with pytest.raises(MappingError, match="weight memory"):
        plan_sparse(
            sparse(matrix(1024, 64, 1.0), CODEBOOK),
            CODEBOOK,
            TINY.replace(sparse_words=16, sparse_pes=64, sparse_pointers=130),
            stream=False,
        )


def test_legal_streams():
    good = dict(count=16, word=TINY.glb_words - 16, dram=8)
    assert legal(TINY, pack(Opcode.SPARSE_STREAM, **good))
    for change in (dict(count=0), dict(address=1), dict(word=TINY.glb_words - 15), dict(dram=4)):
        assert not legal(TINY, pack(Opcode.SPARSE_STREAM, **(good | change))), change
