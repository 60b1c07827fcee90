"""Encoder of compressed-sparse matrices (golden.csc has the format) and the placement of rows on
PEs.

`modulo` is EIE's placement (ISCA 2016, section III): row m on PE m % K. The others give every PE as
many rows, within one, and balance its work: `balanced` the total of non-zeros, `windows` the
non-zeros within windows of columns as well, because a queue in front of a PE evens out only as many
columns as it holds.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from golden.csc import CODEBOOK, MAX_RUN, PADDING, Compressed
from hdl.config import record_head

PLACEMENTS = ("modulo", "balanced", "windows")
WINDOWS = (1, 4, 16, 64)  # columns in a window, each size weighed alike
_BLOCK = 12288  # rows whose inner products are held at a time
_SWEEPS, _GAIN = 12, 2e-3


@dataclass(frozen=True, eq=False)
class Sparse:
    """The non-zeros of a matrix, column by column.

    pointers: int64 [columns + 1]; row: uint16 [non-zeros], ascending within a column; index: uint8
    [non-zeros], codebook indices 1..15.
    """

    rows: int
    columns: int
    pointers: np.ndarray
    row: np.ndarray
    index: np.ndarray

    @property
    def nonzeros(self) -> int:
        return len(self.row)

    @property
    def density(self) -> float:
        return self.nonzeros / (self.rows * self.columns)

    def column(self) -> np.ndarray:
        """Column of each non-zero, int64."""
        return np.repeat(np.arange(self.columns), np.diff(self.pointers))

    def dense(self, codebook: np.ndarray) -> np.ndarray:
        """int16 [rows, columns]."""
        matrix = np.zeros((self.rows, self.columns), np.int16)
        matrix[self.row, self.column()] = codebook[self.index]
        return matrix


def _check_codebook(codebook: np.ndarray) -> None:
    if codebook.shape != (CODEBOOK,) or codebook.dtype != np.int16 or codebook[0]:
        raise ValueError(
            f"codebook {codebook.dtype} {codebook.shape}: expected int16 ({CODEBOOK},) that "
            "begins with 0"
        )


def sparse(weights: np.ndarray, codebook: np.ndarray) -> Sparse:
    """The non-zeros of int16 weights [rows, columns]; of equal codebook values the first is used.

    Raises ValueError, with its place, for a weight that the codebook lacks.
    """
    _check_codebook(codebook)
    if (
        weights.ndim != 2
        or weights.dtype != np.int16
        or not 0 < weights.size
        or weights.shape[0] > 1 << 16
    ):
        raise ValueError(
            f"weights {weights.dtype} {weights.shape}: expected int16, 1..65536 rows, one column "
            "or more"
        )
    column, row = np.nonzero(weights.T)
    table = np.zeros(1 << 16, np.uint8)
    for v in range(CODEBOOK - 1, 0, -1):
        table[codebook[v].view(np.uint16)] = v
    index = table[weights[row, column].view(np.uint16)]
    if not index.all():
        i = int((index == 0).argmax())
        raise ValueError(
            f"row {row[i]}, column {column[i]}: {weights[row[i], column[i]]} is not in the codebook"
        )
    pointers = np.concatenate(([0], np.cumsum(np.bincount(column, minlength=weights.shape[1]))))
    rows, columns = weights.shape
    return Sparse(rows, columns, pointers, row.astype(np.uint16), index)


def _locals(pe: np.ndarray, pes: int) -> tuple[np.ndarray, np.ndarray]:
    """(pe, local) uint16 with the rows of a PE in their order."""
    order = np.argsort(pe, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(pe, minlength=pes))))
    local = np.empty(len(pe), np.uint16)
    local[order] = np.arange(len(pe)) - starts[pe[order]]
    return pe.astype(np.uint16), local


def _balanced(weight: np.ndarray, pes: int) -> np.ndarray:
    """PE of each row: the heaviest row left goes to the PE with the least work that has a place
    left."""
    low, more = divmod(len(weight), pes)  # `more` PEs take low + 1 rows
    pe, held = np.empty(len(weight), np.int64), [0] * pes
    heap = [(0, k) for k in range(pes)]
    for row in np.argsort(-weight, kind="stable"):
        while True:
            load, k = heapq.heappop(heap)
            if held[k] < low or more:
                break
        more -= held[k] == low
        pe[row], held[k] = k, held[k] + 1
        if held[k] <= low:
            heapq.heappush(heap, (load + int(weight[row]), k))
    return pe


def _products(matrix: Sparse, rows: np.ndarray, windows: tuple[int, ...]) -> np.ndarray:
    """float32 [n, n]: inner products of rows' non-zero counts per window about their mean,
    summed over sizes."""
    n, column = len(rows), matrix.column()
    place = np.full(matrix.rows, -1)
    place[rows] = np.arange(n)
    products = np.zeros((n, n), np.float32)
    span = max(windows) * max(1, 2048 // max(windows))
    for start in range(0, matrix.columns, span):
        part = slice(matrix.pointers[start], matrix.pointers[min(start + span, matrix.columns)])
        own = place[matrix.row[part]]
        counts = np.zeros((n, span), np.float32)
        counts[own[own >= 0], column[part][own >= 0] - start] = 1
        for size in windows:
            # A window of n columns has n times the variance of one: weigh by 1 / size.
            c = counts.reshape(n, -1, size).sum(axis=2) if size > 1 else counts
            c = c - c.mean(axis=0)
            products += (c @ c.T) / np.float32(size)
    return products


def _swap(pe: np.ndarray, products: np.ndarray, pes: int) -> None:
    """Swaps rows between PEs, in place, as long as it lowers the sum over PEs of |work|**2.

    That sum over windows is the sum of `products` over pairs of rows of one PE, so that the gain of
    a swap needs a few additions: of one product per row and PE, kept up to date.
    """
    members = [np.flatnonzero(pe == k) for k in range(pes)]
    to = np.stack([products[:, m].sum(axis=1) for m in members], axis=1)
    diagonal = products.diagonal()
    used = [k for k in range(pes) if len(members[k])]
    pairs = [(i, j) for i in used for j in used if i < j]
    rng = np.random.default_rng(0)
    energy = sum(float(to[m, k].sum()) for k, m in enumerate(members))
    for _ in range(_SWEEPS):
        before = energy
        for i, j in (pairs[n] for n in rng.permutation(len(pairs))):
            a, b = members[i], members[j]
            between = 2 * products[np.ix_(a, b)]
            for _ in range(4):
                gain = (
                    (to[a, i] - to[a, j] - diagonal[a])[:, None]
                    + (to[b, j] - to[b, i] - diagonal[b])
                    + between
                )
                x, y = divmod(int(gain.argmax()), len(b))
                if gain[x, y] <= 1e-3 * diagonal[a[x]] + 1e-3:
                    break
                energy -= 2 * float(gain[x, y])
                move = products[b[y]] - products[a[x]]
                to[:, i] += move
                to[:, j] -= move
                a[x], b[y] = b[y], a[x]
                between[x], between[:, y] = 2 * products[a[x], b], 2 * products[a, b[y]]
        if before - energy < _GAIN * abs(before):
            break
    for k, m in enumerate(members):
        pe[m] = k


def records(c: Compressed, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns as SPARSE_STREAM reads them (isa.SparseStreamBody), counts of `bits` bits: the words
    of each column's record, int64 [columns], and the records, uint64, one after the other.

    Raises OverflowError for a PE with more entries in a column than a count can hold.
    """
    sizes = np.array([np.diff(p.astype(np.int64)) for p in c.pointers])  # [pes, columns]
    if sizes.max() >> bits:
        pe, column = divmod(int(sizes.argmax()), c.columns)
        raise OverflowError(
            f"PE {pe}, column {column}: {sizes.max()} entries exceed a count of {bits} bits"
        )
    each, _, head = record_head(c.pes, bits)
    some = sizes.any(axis=0)
    words = np.where(some, -(-(head + sizes.sum(axis=0)) // 8), 0)
    start = np.concatenate(([0], np.cumsum(words)))
    out = np.zeros(start[-1], np.uint64)
    raw, at = out.view(np.uint8), 8 * start[:-1] + head
    for pe, (entries, size) in enumerate(zip(c.entries, sizes)):
        word, n = divmod(pe, each)
        out[start[:-1][some] + word] |= size[some].astype(np.uint64) << np.uint64(n * bits)
        raw[np.repeat(at - (np.cumsum(size) - size), size) + np.arange(len(entries))] = entries
        at = at + size
    return words, out


def place(
    matrix: Sparse, pes: int, placement: str = "modulo", windows: tuple[int, ...] = WINDOWS
) -> tuple[np.ndarray, np.ndarray]:
    """(pe, local) of each row, uint16 [rows], deterministic.

    windows: for `windows`, columns in a window; several sizes are weighed by the variance that
    independent non-zeros would have. Raises ValueError for an unknown placement or pes outside
    1..65536.
    """
    if not 1 <= pes <= 1 << 16:
        raise ValueError(f"{pes} PEs: expected 1..65536")
    match placement:
        case "modulo":
            pe = np.arange(matrix.rows) % pes
        case "balanced" | "windows":
            pe = _balanced(np.bincount(matrix.row, minlength=matrix.rows), pes)
            if placement == "windows" and pes > 1:
                for start in range(0, matrix.rows, _BLOCK):
                    rows = np.arange(start, min(start + _BLOCK, matrix.rows))
                    own = pe[rows]
                    _swap(own, _products(matrix, rows, windows), pes)
                    pe[rows] = own
        case _:
            raise ValueError(f"placement {placement!r}: expected one of {', '.join(PLACEMENTS)}")
    return _locals(pe, pes)


def encode(
    weights: np.ndarray | Sparse,
    codebook: np.ndarray,
    pes: int,
    placement: str | tuple[np.ndarray, np.ndarray] = "modulo",
) -> Compressed:
    """Compressed form of int16 weights [rows, columns] that are 0 or in codebook int16 [16],
    codebook[0] = 0.

    placement: a name for `place`, or its result. Raises ValueError as `sparse` and `place`.
    """
    _check_codebook(codebook)
    matrix = weights if isinstance(weights, Sparse) else sparse(weights, codebook)
    pe, local = place(matrix, pes, placement) if isinstance(placement, str) else placement
    column = matrix.column()
    slice_ = pe[matrix.row].astype(np.int64) * matrix.columns + column  # PE, then column
    order = np.argsort(slice_ << 16 | local[matrix.row])
    slice_, at = slice_[order], local[matrix.row[order]].astype(np.int64)
    before = np.concatenate(([-1], at[:-1]))
    before[np.flatnonzero(np.diff(slice_, prepend=-1))] = -1
    pads, z = np.divmod(at - before - 1, MAX_RUN + 1)
    end = np.cumsum(pads + 1)
    entries = np.full(end[-1] if len(end) else 0, PADDING, np.uint8)
    entries[end - 1] = z << 4 | matrix.index[order]
    sizes = np.zeros(pes * matrix.columns + 1, np.int64)  # of each slice, then where it begins
    np.add.at(sizes[1:], slice_, pads + 1)
    begin = np.cumsum(sizes)
    streams, pointers = [], []
    for k in range(pes):
        p = begin[k * matrix.columns : (k + 1) * matrix.columns + 1]
        streams.append(entries[p[0] : p[-1]].copy())
        pointers.append((p - p[0]).astype(np.uint32))
    return Compressed(
        matrix.rows, matrix.columns, pes, codebook.copy(), pe, local, streams, pointers
    )
