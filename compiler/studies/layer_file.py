"""The plain-text layers of the Eyeriss group's estimation tool: 25 integers a line, and a line of
energies for each.

    index,
    input fmap:  height, width, channels, maps, zero entries, bitwidth,
    filters:     the same six, channels being those of a filter, maps the filters,
    output fmap: the same six,
    stride y, stride x, pad top, bottom, left, right

separated by commas; maps of feature maps are images, zero entries those of all maps. Filters with
fewer channels than the input are grouped. Out come lines `index,input,output,weights,computation`.
Zero weights save nothing on the array, and are only checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler.graph import Graph, Tensor
from compiler.layers import Conv
from compiler.studies.energy import Bits, LayerEnergy
from hdl.config import ENTRY_BITS

PARTS = ("height", "width", "channels", "maps", "zero entries", "bitwidth")
FIELDS = (
    "index",
    *(f"{tensor} {part}" for tensor in ("input", "filter", "output") for part in PARTS),
    "stride y",
    "stride x",
    "pad top",
    "pad bottom",
    "pad left",
    "pad right",
)
ENTRIES = len(FIELDS)


class LayerFileError(ValueError):
    """A file that is not understood; one line that names the file's line and the field."""


@dataclass(frozen=True)
class Line:
    """A layer: the number of its line, its index, batch, widths, share of zeros by tensor (in,
    out), and graph."""

    number: int
    index: int
    images: int
    bits: Bits
    zeros: dict[str, float]
    graph: Graph
    layer: Conv


def read(path: str | Path) -> list[Line]:
    """Raises LayerFileError."""
    layers, seen = [], {}
    for number, text in enumerate(Path(path).read_text().splitlines(), 1):
        if not text.strip():
            continue
        line = _line(f"{path}: line {number}", number, text)
        if line.index in seen:
            raise LayerFileError(
                f"{path}: line {number}: index {line.index} is that of line {seen[line.index]} too"
            )
        seen[line.index] = number
        layers.append(line)
    if not layers:
        raise LayerFileError(f"{path}: no layers")
    return layers


def _line(where: str, number: int, text: str) -> Line:
    """A line, checked, as a layer."""
    v = _fields(where, text)

    def need(good: bool, field: str, why: str) -> None:
        if not good:
            raise LayerFileError(f"{where}: {field} = {v[field]}: {why}")

    _check_ranges(v, need)
    groups, full = _check_shapes(v, need)
    shape = (v["filter maps"], v["filter channels"], v["filter height"], v["filter width"])
    conv = Conv(
        f"layer {v['index']}",
        "in",
        "out",
        np.zeros(shape, np.float32),
        np.zeros(shape[0], np.float32),
        (v["stride y"], v["stride x"]),
        (v["pad top"], v["pad left"], v["pad bottom"], v["pad right"]),
        groups,
        True,
        full,
    )
    ends = (("in", "input"), ("out", "output"))
    tensors = {
        end: Tensor(end, *(v[f"{tensor} {part}"] for part in ("channels", "height", "width")))
        for end, tensor in ends
    }
    zeros = {
        end: v[f"{tensor} zero entries"] / (tensors[end].size * v[f"{tensor} maps"])
        for end, tensor in ends
    }
    return Line(
        number,
        v["index"],
        v["input maps"],
        Bits(v["input bitwidth"], v["filter bitwidth"], v["output bitwidth"]),
        zeros,
        Graph("in", ("out",), [conv], tensors),
        conv,
    )


def _fields(where: str, text: str) -> dict[str, int]:
    """The numbers of a line by FIELDS."""
    entries = [entry.strip() for entry in text.split(",")]
    if len(entries) != ENTRIES:
        missing = f": {FIELDS[len(entries)]} is missing" if len(entries) < ENTRIES else ""
        raise LayerFileError(f"{where}: {len(entries)} entries instead of {ENTRIES}{missing}")
    v = {}
    for field, entry in zip(FIELDS, entries):
        if not (entry.isascii() and entry.removeprefix("-").isdigit()):
            raise LayerFileError(f"{where}: {field} = {entry!r}: must be an integer")
        v[field] = int(entry)
    return v


def _check_ranges(v: dict[str, int], need: Callable[[bool, str, str], None]) -> None:
    """Each number by itself, and within its tensor."""
    for field in FIELDS[1:]:
        least = 0 if "zero" in field or "pad" in field else 1
        need(v[field] >= least, field, f"must be {least} or more")
    for tensor in ("input", "filter", "output"):
        bits, zeros = f"{tensor} bitwidth", f"{tensor} zero entries"
        need(v[bits] <= ENTRY_BITS, bits, f"must be 1..{ENTRY_BITS}")
        size = np.prod([v[f"{tensor} {part}"] for part in PARTS[:4]], dtype=object)
        need(v[zeros] <= size, zeros, f"the tensor has {size} entries")
    need(v["stride y"] in (1, 2, 4), "stride y", "1, 2, 4 supported")
    need(v["stride x"] <= 12, "stride x", "1..12 supported")


def _check_shapes(v: dict[str, int], need: Callable[[bool, str, str], None]) -> tuple[int, bool]:
    """The tensors beside each other: (groups, whether the layer is fully connected)."""
    groups, rest = divmod(v["input channels"], v["filter channels"])
    maps = v["filter maps"]
    need(rest == 0, "filter channels", f"must divide the input's {v['input channels']}")
    why = f"must divide into {groups} groups, as the channels do"
    need(maps % groups == 0, "filter maps", why)
    need(v["output channels"] == maps, "output channels", f"there are {maps} filters")
    need(v["output maps"] == v["input maps"], "output maps", f"the input has {v['input maps']}")
    for axis, size, before, after in (
        ("y", "height", "pad top", "pad bottom"),
        ("x", "width", "pad left", "pad right"),
    ):
        padded = v[f"input {size}"] + v[before] + v[after]
        room = padded - v[f"filter {size}"]
        need(room >= 0, f"filter {size}", f"is above the padded input's {padded}")
        made = room // v[f"stride {axis}"] + 1
        need(v[f"output {size}"] == made, f"output {size}", f"the other fields make it {made}")
    full = v["output height"] == v["output width"] == groups == 1 and all(
        v[f"filter {size}"] == v[f"input {size}"] for size in ("height", "width")
    )
    need(full or v["filter height"] <= 12, "filter height", "1..12 supported")
    need(full or v["filter width"] <= 32, "filter width", "1..32 supported")
    return groups, full


def lines(indices: list[int], energies: list[LayerEnergy]) -> str:
    """What is written: a line a layer."""
    return "".join(
        ",".join(
            [
                str(index),
                *(f"{value:.9g}" for value in (e.input, e.output, e.kind("filter"), e.mac)),
            ]
        )
        + "\n"
        for index, e in zip(indices, energies, strict=True)
    )
