"""Compressed-sparse matrices: the format of the sparse engine's weights, and what they mean.

The format is EIE's (Han et al., ISCA 2016, section III): K PEs; a placement maps every output row
to (pe, local row), and the n rows of a PE to the local rows 0..n-1, each once. For each PE and
column the non-zero entries stand sorted by local row. An entry is a byte:

    low nibble   v   codebook index, 1..15; 0 in padding
    high nibble  z   zero local rows between this entry and the one before it in its column; the
                     first entry of a column counts from local row 0 (the one before it is at -1)

Where more than 15 zeros come in between, padding entries v = 0, z = 15 (byte 0xf0) each advance by
16 local rows: 15 zeros and the padding's own. A column never ends in padding, so a matrix and a
placement have one encoding. codebook: int16[16]; codebook[0] = 0 belongs to padding, which leaves
15 shared values.

Column c of a PE is its entries p[c] .. p[c+1]-1; p[0] = 0 and p[columns] is their total. Software
keeps pointers as uint32, the hardware's width follows from its configuration. Entries are packed
eight to a 64-bit word, little endian (entry i is byte i % 8 of word i // 8); a PE's slice ends in
zero bytes up to a whole word.
"""

from dataclasses import dataclass
from typing import NamedTuple, SupportsInt

import numpy as np

from golden.conv import Psums
from golden.fixed import wrap

CODEBOOK = 16  # entries of a codebook, padding's included
MAX_RUN = 15  # zeros that one entry can skip
WORD_ENTRIES = 8  # entries in a 64-bit word
PADDING = MAX_RUN << 4


class CscError(ValueError):
    """A stream that breaks the format. pe, column, entry: its place, None where one does not apply;
    `entry` counts within the PE's slice."""

    def __init__(
        self,
        message: str,
        pe: SupportsInt | None = None,
        column: SupportsInt | None = None,
        entry: SupportsInt | None = None,
    ):
        self.pe, self.column, self.entry = (
            None if x is None else int(x) for x in (pe, column, entry)
        )
        place = [
            f"{name} {x}"
            for name, x in (("PE", self.pe), ("column", self.column), ("entry", self.entry))
            if x is not None
        ]
        super().__init__(f"{', '.join(place)}: {message}" if place else message)


@dataclass(frozen=True, eq=False)
class Compressed:
    """A matrix in the format above.

    codebook: int16 [16]; pe, local: uint16 [rows], the placement; entries: `pes` arrays uint8;
    pointers: `pes` arrays uint32 [columns + 1].
    """

    rows: int
    columns: int
    pes: int
    codebook: np.ndarray
    pe: np.ndarray
    local: np.ndarray
    entries: list[np.ndarray]
    pointers: list[np.ndarray]

    @property
    def total(self) -> int:
        """Entries of all PEs, padding included."""
        return sum(len(e) for e in self.entries)

    @property
    def padding(self) -> int:
        """Padding entries of all PEs."""
        return sum(int(np.count_nonzero(e & 15 == 0)) for e in self.entries)


class Work(NamedTuple):
    """Per PE, int64 [pes]: multiply-accumulates, and padding entries met on the way."""

    macs: np.ndarray
    padding: np.ndarray


def pack(entries: np.ndarray) -> np.ndarray:
    """uint64 words [ceil(n / 8)] of a PE's n entries."""
    padded = np.zeros(-(-len(entries) // WORD_ENTRIES) * WORD_ENTRIES, np.uint8)
    padded[: len(entries)] = entries
    return padded.view("<u8").astype(np.uint64)


def unpack(words: np.ndarray, total: int, pe: int | None = None) -> np.ndarray:
    """The `total` entries, uint8, in a PE's words.

    Raises CscError if the words are too few or too many, or the bytes that fill the last are not
    zero.
    """
    stored = np.ascontiguousarray(words, "<u8").view(np.uint8)
    if len(words) != -(-total // WORD_ENTRIES):
        raise CscError(
            f"{len(words)} words do not hold {total} entries", pe, entry=min(total, len(stored))
        )
    if stored[total:].any():
        raise CscError(
            "bytes after the last entry are not zero",
            pe,
            entry=total + int(stored[total:].argmax()),
        )
    return stored[:total].copy()


def _check_placement(c: Compressed) -> np.ndarray:
    """Rows of each PE, int64 [pes]."""
    if min(c.rows, c.columns, c.pes) < 1:
        raise CscError(
            f"{c.rows} rows, {c.columns} columns, {c.pes} PEs: expected one or more of each"
        )
    if c.codebook.shape != (CODEBOOK,) or c.codebook.dtype != np.int16:
        raise CscError(
            f"codebook {c.codebook.dtype} {c.codebook.shape}: expected int16 ({CODEBOOK},)"
        )
    if c.codebook[0]:
        raise CscError(f"codebook[0] is {c.codebook[0]}: it belongs to padding and must be 0")
    if c.pe.shape != (c.rows,) or c.local.shape != (c.rows,):
        raise CscError(
            f"placement of {c.pe.shape} PEs and {c.local.shape} local rows: expected ({c.rows},) "
            "of each"
        )
    if len(c.entries) != c.pes or len(c.pointers) != c.pes:
        raise CscError(
            f"{len(c.entries)} entry and {len(c.pointers)} pointer streams for {c.pes} PEs"
        )
    pe, local = c.pe.astype(np.int64), c.local.astype(np.int64)
    if pe.max() >= c.pes:
        raise CscError(f"row {pe.argmax()} is placed on PE {pe.max()} of {c.pes}")
    held = np.bincount(pe, minlength=c.pes)
    order = np.lexsort((local, pe))
    again = (np.diff(pe[order]) == 0) & (np.diff(local[order]) == 0)
    if again.any():
        a, b = sorted(order[again.argmax() :][:2].tolist())
        raise CscError(f"rows {a} and {b} are both at local row {local[a]}", pe[a])
    beyond = local >= held[pe]
    if beyond.any():
        row = beyond.argmax()
        raise CscError(
            f"row {row} is at local row {local[row]}, the PE holds {held[pe[row]]} rows", pe[row]
        )
    return held


def _check_pointers(c: Compressed, pe: int) -> np.ndarray:
    """Pointers of a PE, int64 [columns + 1]."""
    entries, p = c.entries[pe], c.pointers[pe].astype(np.int64)
    if entries.dtype != np.uint8 or entries.ndim != 1:
        raise CscError(
            f"entries {entries.dtype} {entries.shape}: expected uint8 in one dimension", pe
        )
    if p.shape != (c.columns + 1,):
        raise CscError(f"{p.size} pointers: expected {c.columns + 1}", pe)
    if p[0]:
        raise CscError(f"p[0] is {p[0]}: expected 0", pe, 0)
    bad = (p[1:] < p[:-1]) | (p[1:] > len(entries))
    if bad.any():
        column = bad.argmax()
        if p[column + 1] < p[column]:
            raise CscError(
                f"p[{column + 1}] = {p[column + 1]} is below p[{column}] = {p[column]}",
                pe,
                column,
                p[column],
            )
        raise CscError(
            f"p[{column + 1}] = {p[column + 1]} is beyond the stream of {len(entries)} entries",
            pe,
            column,
            len(entries),
        )
    if p[-1] < len(entries):
        raise CscError(f"{len(entries) - p[-1]} entries after the last column", pe, entry=p[-1])
    return p


def _places(c: Compressed, pe: int, held: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and local row, int64, of each entry of a PE that holds `held` rows."""
    p = _check_pointers(c, pe)
    v, z = c.entries[pe] & 15, c.entries[pe] >> 4
    columns = np.repeat(np.arange(c.columns), np.diff(p))
    reached = np.concatenate(([0], np.cumsum(z.astype(np.int64) + 1)))
    local = reached[1:] - reached[p[columns]] - 1
    last = np.zeros(len(v), bool)
    last[p[1:][np.diff(p) > 0] - 1] = True
    faults = (
        ((v == 0) & (z != MAX_RUN), "v = 0 with z = {z}: padding has z = 15"),
        (local >= held, "local row {local}, the PE holds {held} rows"),
        (last & (v == 0), "padding at the end of a column"),
    )
    first = (
        min((int(where.argmax()), n) for n, (where, _) in enumerate(faults) if where.any())
        if any(where.any() for where, _ in faults)
        else None
    )
    if first:
        i, n = first
        raise CscError(faults[n][1].format(z=z[i], local=local[i], held=held), pe, columns[i], i)
    return columns, local


def check(c: Compressed) -> None:
    """Raises CscError, with its place, unless the matrix keeps to the format in every respect."""
    for pe, held in enumerate(_check_placement(c)):
        _places(c, pe, held)


def decode(c: Compressed) -> np.ndarray:
    """The matrix, int16 [rows, columns]. Raises CscError as `check`."""
    held = _check_placement(c)
    matrix = np.zeros((c.rows, c.columns), np.int16)
    for pe in range(c.pes):
        columns, local = _places(c, pe, held[pe])
        rows = np.zeros(held[pe], np.int64)
        own = np.flatnonzero(c.pe == pe)
        rows[c.local[own]] = own
        real = c.entries[pe] & 15 != 0
        matrix[rows[local[real]], columns[real]] = c.codebook[c.entries[pe][real] & 15]
    return matrix


def _vector(x: np.ndarray, size: int, dtype, what: str) -> np.ndarray:
    if x.shape != (size,) or x.dtype != dtype:
        raise ValueError(f"{what} {x.dtype} {x.shape}: expected {np.dtype(dtype)} ({size},)")
    return x.astype(np.int64)


def multiply(
    c: Compressed, activations: np.ndarray, bias: np.ndarray, psum_bits: int = 32
) -> Psums:
    """Psums [rows] of int16 activations [columns] and int32 bias [rows], from the streams
    themselves.

    As the engine does, columns of zero activation are left out; unlike it, the columns of a PE
    advance together, an entry each. Raises CscError as `check`, ValueError on vectors of another
    type or shape.
    """
    check(c)
    a, exact = (
        _vector(activations, c.columns, np.int16, "activations"),
        _vector(bias, c.rows, np.int32, "bias"),
    )
    active, codebook = np.flatnonzero(a), c.codebook.astype(np.int64)
    for pe in range(c.pes):
        entries, p = c.entries[pe], c.pointers[pe].astype(np.int64)
        sums = np.zeros(np.count_nonzero(c.pe == pe), np.int64)
        at, end, x = p[active], p[active + 1], a[active]
        local = np.full(len(active), -1)
        while (more := at < end).any():
            at, end, x, local = at[more], end[more], x[more], local[more]
            entry = entries[at]
            local += (entry >> 4) + np.int64(1)
            np.add.at(sums, local, codebook[entry & 15] * x)
            at += 1
        own = c.pe == pe
        exact[own] += sums[c.local[own]]
    return Psums(exact, wrap(exact, psum_bits))


def column_work(c: Compressed) -> np.ndarray:
    """Multiply-accumulates of each column in each PE, int32 [columns, pes]. The streams are
    taken as checked."""
    work = np.empty((c.columns, c.pes), np.int32)
    for pe, (entries, p) in enumerate(zip(c.entries, c.pointers)):
        real = np.concatenate(([0], np.cumsum(entries & 15 != 0)))
        work[:, pe] = np.diff(real[p])
    return work


def work(c: Compressed, activations: np.ndarray) -> Work:
    """What each PE meets in the columns of non-zero activation. Raises as `multiply`."""
    check(c)
    active = _vector(activations, c.columns, np.int16, "activations") != 0
    macs = column_work(c)[active].sum(axis=0, dtype=np.int64)
    met = np.array([np.diff(p.astype(np.int64))[active].sum() for p in c.pointers])
    return Work(macs, met - macs)
