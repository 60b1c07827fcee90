"""A fully connected layer from a file: SciPy's sparse .npz with activations and a codebook."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compiler.frontend.images import DataError
from compiler.sparse.csc import Sparse
from compiler.sparse.share import codebook_of
from golden.csc import CODEBOOK


def _array(path: Path, what: str) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as e:
        raise DataError(f"{path}: {what}: {e}") from None


def _integers(name: str, values: np.ndarray, low: int, high: int) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "iu" and not (values == np.round(values)).all():
        raise DataError(
            f"{name}: expected integers (fixed point), got {values.dtype} with fractions"
        )
    if values.size and (values.min() < low or values.max() > high):
        raise DataError(f"{name}: values {values.min()}..{values.max()} exceed {low}..{high}")
    return values.astype(np.int64)


def read_layer(
    matrix: str | Path, activations: str | Path | None = None, codebook: str | Path | None = None
) -> tuple[Sparse, np.ndarray, np.ndarray]:
    """(matrix, codebook int16 [16], activations int16 [columns]) of a layer [rows, columns].

    matrix: what scipy.sparse.save_npz wrote from a csc, csr or coo matrix of int16 weights with
    at most 15 distinct non-zero values. activations, codebook: .npy files, else arrays of
    these names in the .npz; a codebook that is not given is the matrix's values.
    Raises DataError naming the file and what is wrong.
    """
    path = Path(matrix)
    parts = _archive(path)
    rows, columns, row, column, values = _elements(path, parts)
    book, index = _codebook(path, codebook, parts, values)
    x = _activations(path, activations, parts, columns)
    pointers = np.concatenate(([0], np.cumsum(np.bincount(column, minlength=columns))))
    return Sparse(rows, columns, pointers, row.astype(np.uint16), index), book, x


def _archive(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz with a sparse matrix in it."""
    try:
        archive = np.load(path, allow_pickle=False)
        parts = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, AttributeError) as e:
        raise DataError(f"{path}: not a .npz file: {e}") from None
    if "shape" not in parts or "data" not in parts or "format" not in parts:
        raise DataError(f"{path}: no sparse matrix of scipy.sparse.save_npz in it")
    return parts


def _places(path: Path, parts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(row, column) of each value, int64."""
    kind = parts["format"].item()
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind not in ("coo", "csc", "csr"):
        raise DataError(f"{path}: format {kind!r}: expected csc, csr or coo")
    try:
        if kind == "coo":
            return parts["row"].astype(np.int64), parts["col"].astype(np.int64)
        pointers = parts["indptr"].astype(np.int64)
        major = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
        minor = parts["indices"].astype(np.int64)
    except (KeyError, ValueError) as e:
        raise DataError(f"{path}: a damaged {kind} matrix: {e}") from None
    return (minor, major) if kind == "csc" else (major, minor)


def _elements(
    path: Path, parts: dict[str, np.ndarray]
) -> tuple[int, int, np.ndarray, np.ndarray, np.ndarray]:
    """(rows, columns, row, column and value of each that is not zero), int64, by column and row."""
    rows, columns = (int(n) for n in parts["shape"])
    values = _integers(f"{path}: data", parts["data"], -(2**15), 2**15 - 1)
    row, column = _places(path, parts)
    if not (len(row) == len(column) == len(values)):
        raise DataError(f"{path}: {len(values)} values for {len(row)} places")
    if not 1 <= rows <= 65535 or not 1 <= columns <= 1 << 20:
        raise DataError(f"{path}: {rows} x {columns}: up to 65535 rows and 2**20 columns")
    if len(row) and (
        min(row.min(), column.min()) < 0 or row.max() >= rows or column.max() >= columns
    ):
        raise DataError(f"{path}: an index outside {rows} x {columns}")
    live = values != 0
    row, column, values = row[live], column[live], values[live]
    order = np.lexsort((row, column))
    row, column, values = row[order], column[order], values[order]
    if len(row) and ((np.diff(column) == 0) & (np.diff(row) == 0)).any():
        raise DataError(f"{path}: an element is given twice")
    return rows, columns, row, column, values


def _codebook(
    path: Path, given: str | Path | None, parts: dict[str, np.ndarray], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(codebook, uint8 index of each value in it)."""
    book = _array(Path(given), "codebook") if given else parts.get("codebook")
    try:
        if book is None:
            book = codebook_of(values.astype(np.int16))
        else:
            book = _integers(f"{given or path}: codebook", book, -(2**15), 2**15 - 1)
            book = book.astype(np.int16)
    except ValueError as e:
        raise DataError(f"{path}: {e}" if not isinstance(e, DataError) else str(e)) from None
    if book.shape != (CODEBOOK,) or book[0]:
        raise DataError(f"{given or path}: codebook {book.shape}: expected 16 values, the first 0")
    where = np.argsort(book[1:], kind="stable")
    at = np.searchsorted(book[1:][where], values)
    if (
        len(values)
        and ((at == CODEBOOK - 1) | (book[1:][where][np.minimum(at, CODEBOOK - 2)] != values)).any()
    ):
        raise DataError(f"{path}: a weight that is not in the codebook")
    return book, (where[at] + 1).astype(np.uint8)


def _activations(
    path: Path, given: str | Path | None, parts: dict[str, np.ndarray], columns: int
) -> np.ndarray:
    """int16 [columns]."""
    x = _array(Path(given), "activations") if given else parts.get("activations")
    if x is None:
        raise DataError(
            f"{path}: no activations: give --activations FILE.npy, or an array `activations` in "
            "the .npz"
        )
    x = _integers(f"{given or path}: activations", x, -(2**15), 2**15 - 1)
    x = x.reshape(-1).astype(np.int16)
    if len(x) != columns:
        raise DataError(f"{given or path}: {len(x)} activations for {columns} columns")
    return x
