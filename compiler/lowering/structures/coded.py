"""Which feature maps are run-length coded in memory (golden/rlc.py).

A strip is coded and decoded whole, so a storage may be coded where it holds one tensor, its writer
and all its readers take whole rows of columns, and neither is the sparse engine or a Concat, of
16-bit entries. All others stay dense, and with "auto" those that coding would not make smaller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from compiler.mapping.layout import Storage, View
from golden.rlc import expected_bytes
from hdl.isa import StoreBody, largest

MODES = ("auto", "on", "off")
MOST_ENTRIES = (1 << 17) - 1  # of a coded strip
MOST_TABLE_ROW = largest(StoreBody, "table_row")  # bytes of a row's lengths


def tensor_of(name: str, tensors) -> str:
    """The tensor of a view, which has its name, or 'tensor@block' in other blocks."""
    return name if name in tensors else name.partition("@")[0]


def smaller(storage: Storage, zeros: float | None) -> bool:
    """Whether a storage with this share of zeros is expected to shrink, its lengths included."""
    if zeros is None:
        return False
    strips = storage.height * storage.blocks
    return bool(expected_bytes(zeros, strips, storage.entries) < storage.dense_bytes)


def choose(
    mode: str,
    views: dict[str, View],
    uses: list[tuple[View, bool]],
    zeros: Mapping[str, float],
    dense: Collection[str],
) -> None:
    """Sets Storage.rlc of the storages that are coded.

    uses: views read or written, and whether in whole rows; zeros: tensor -> share; dense: tensors
    that may not be coded. Raises ValueError for an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"rlc {mode!r}: choose from {', '.join(MODES)}")
    if mode == "off":
        return
    tensors: dict[int, list[str]] = {}
    for name, view in views.items():
        tensors.setdefault(id(view.storage), []).append(name)
    partly = {id(view.storage) for view, whole in uses if not whole}
    for names in tensors.values():
        storage, tensor = views[names[0]].storage, tensor_of(names[0], zeros)
        if (
            len(names) == 1
            and id(storage) not in partly
            and tensor not in dense
            and storage.affine is None
            and storage.entries <= MOST_ENTRIES
            and storage.table_row_bytes <= MOST_TABLE_ROW
        ):
            storage.rlc = mode == "on" or smaller(storage, zeros.get(tensor))
