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
    try:
        archive = np.load(path, allow_pickle=False)
        parts = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, AttributeError) as e:
        raise DataError(f"{path}: not a .npz file: {e}") from None
    if "shape" not in parts or "data" not in parts or "format" not in parts:
        raise DataError(f"{path}: no sparse matrix of scipy.sparse.save_npz in it")
    kind = parts["format"].item()
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    rows, columns = (int(n) for n in parts["shape"])
    values = _integers(f"{path}: data", parts["data"], -(2**15), 2**15 - 1)
    try:
        if kind == "coo":
            row, column = parts["row"].astype(np.int64), parts["col"].astype(np.int64)
        elif kind in ("csc", "csr"):
            pointers = parts["indptr"].astype(np.int64)
            major = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
            minor = parts["indices"].astype(np.int64)
            row, column = (minor, major) if kind == "csc" else (major, minor)
        else:
            raise DataError(f"{path}: format {kind!r}: expected csc, csr or coo")
    except (KeyError, ValueError) as e:
        if isinstance(e, DataError):
            raise
        raise DataError(f"{path}: a damaged {kind} matrix: {e}") from None
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
    book = _array(Path(codebook), "codebook") if codebook else parts.get("codebook")
    try:
        if book is None:
            book = codebook_of(values.astype(np.int16))
        else:
            book = _integers(f"{codebook or path}: codebook", book, -(2**15), 2**15 - 1).astype(
                np.int16
            )
    except ValueError as e:
        raise DataError(f"{path}: {e}" if not isinstance(e, DataError) else str(e)) from None
    if book.shape != (CODEBOOK,) or book[0]:
        raise DataError(
            f"{codebook or path}: codebook {book.shape}: expected 16 values, the first 0"
        )
    where = np.argsort(book[1:], kind="stable")
    at = np.searchsorted(book[1:][where], values)
    if (
        len(values)
        and ((at == CODEBOOK - 1) | (book[1:][where][np.minimum(at, CODEBOOK - 2)] != values)).any()
    ):
        raise DataError(f"{path}: a weight that is not in the codebook")
    x = _array(Path(activations), "activations") if activations else parts.get("activations")
    if x is None:
        raise DataError(
            f"{path}: no activations: give --activations FILE.npy, or an array `activations` in "
            "the .npz"
        )
    x = (
        _integers(f"{activations or path}: activations", x, -(2**15), 2**15 - 1)
        .reshape(-1)
        .astype(np.int16)
    )
    if len(x) != columns:
        raise DataError(f"{activations or path}: {len(x)} activations for {columns} columns")
    pointers = np.concatenate(([0], np.cumsum(np.bincount(column, minlength=columns))))
    return (
        Sparse(rows, columns, pointers, row.astype(np.uint16), (where[at] + 1).astype(np.uint8)),
        book,
        x,
    )
