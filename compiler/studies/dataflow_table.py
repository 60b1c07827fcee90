"""Six dataflows on a network's convolutions and fully connected layers: the tables, the record and
the pictures of `make dataflows`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from compiler.networks.layer_tables import NETWORKS
from compiler.studies.costs import Costs
from compiler.studies.dataflows import (
    DATAFLOWS,
    PUBLISHED,
    PUBLISHED_FOR,
    Result,
    baseline,
    check,
    compare,
    of_graph,
    of_table,
    ratios,
)
from compiler.studies.dataflows.counts import KINDS, LEVELS, Layer
from compiler.studies.dataflows.hardware import DataflowError
from compiler.studies.dataflows.plot import plot
from compiler.studies.map_table import layers_named
from compiler.tables import new_table

PUBLISHED_COSTS = "isca2016"
# of `make dataflows`, if not given
USUAL = {"part": "all", "orders": "published"}


@dataclass
class Part:
    """Of a network, "conv" or "fc". results: one a dataflow; one: energy of an operation of row
    stationary at batch 1, None if it does not fit; published: the paper's values in units of it, by
    dataflow, empty but for the case that the paper shows."""

    name: str
    layers: list[Layer]
    results: list[Result]
    one: float | None
    published: dict[str, float]

    @property
    def rs(self) -> Result | None:
        return next((r for r in self.results if r.dataflow == "rs" and r.fits), None)

    def row(self, r: Result) -> list[str]:
        """Cells of a table's row."""
        about = [
            r.dataflow.upper(),
            str(2 * r.hardware.register_words),
            f"{r.hardware.buffer_words / 512:.1f}",
        ]
        if not r.fits:
            missing = next(
                layer.name for layer, found in zip(self.layers, r.layers) if found is None
            )
            return [*about, f"{missing}: no mapping fits"]
        rs, relative = self.rs, r.energy / self.one if self.one else None
        against = (
            [
                f"{self.published[r.dataflow]:.2f}",
                f"{100 * (relative / self.published[r.dataflow] - 1):+.1f}",
            ]
            if self.published and relative is not None
            else []
        )
        return [
            *about,
            *(f"{r.levels[n]:.2f}" for n in LEVELS),
            *(f"{r.kinds[n]:.2f}" for n in KINDS),
            f"{r.energy:.2f}",
            f"{r.energy / rs.energy:.2f}" if rs else "-",
            f"{relative:.3f}" if self.one else "-",
            *against,
            f"{r.dram:.4f}",
            f"{1 / r.delay:.1f}",
            f"{r.energy * r.delay / (rs.energy * rs.delay):.2f}" if rs else "-",
        ]


@dataclass
class Comparison:
    """costs: name of a cost table, or its file; ratios: its energies in those of a MAC; part:
    what was asked for."""

    net: str
    part: str
    pes: int
    batch: int
    orders: str
    costs: str
    ratios: dict[str, float]
    parts: list[Part]

    @property
    def command(self) -> str:
        """That makes it again."""
        costs = "" if self.costs == PUBLISHED_COSTS else f' ARGS="--costs {self.costs}"'
        others = "".join(
            f" {name.upper()}={getattr(self, name)}"
            for name, usual in USUAL.items()
            if getattr(self, name) != usual
        )
        return f"make dataflows NET={self.net} PES={self.pes} BATCH={self.batch}{others}{costs}"

    def title(self, part: Part) -> str:
        return f"{self.net} {part.name.upper()}, {self.pes} PEs, batch {self.batch}"

    def table(self, part: Part) -> Table:
        """A row a dataflow."""
        table = new_table(
            f"{self.title(part)}, {self.orders} orders: energy of a MAC with its accesses, in MACs",
            ("dataflow",),
            "dataflow",
            "RF, B",
            "buffer, KiB",
            "DRAM",
            "buffer",
            "array",
            "RF",
            "ifmap",
            "filter",
            "psum",
            "energy",
            "of RS",
            "of RS, batch 1",
            *["published", "deviation %"] * bool(part.published),
            "DRAM/MAC",
            "PEs at work",
            "EDP of RS",
        )
        for r in part.results:
            table.add_row(*part.row(r))
        return table

    def remark(self, part: Part) -> str:
        """What the paper says of this case, beside ours; empty if it says nothing."""
        fit = [r for r in part.results if r.fits]
        if published := part.published:
            ours = [r.dataflow for r in sorted(fit, key=lambda r: r.energy)]
            theirs = sorted((r.dataflow for r in fit), key=lambda name: published[name])
            return f"order: {' < '.join(ours).upper()}" + (
                ", as published" if ours == theirs else f"; published: {' < '.join(theirs).upper()}"
            )
        others = [r.energy / part.rs.energy for r in fit if part.rs and r is not part.rs]
        if (
            part.name == "fc"
            and others
            and _published(self.net, "conv", self.pes, self.batch, self.costs)
        ):
            return f"RS at least {min(others):.2f} times below the others; published: at least 1.3"
        return ""

    def to_dict(self) -> dict:
        return {
            "command": self.command,
            "net": self.net,
            "pes": self.pes,
            "batch": self.batch,
            "orders": self.orders,
            "costs": self.ratios,
            "parts": {
                part.name: {
                    "rs_batch1_energy": part.one,
                    "dataflows": [r.to_dict() for r in part.results],
                }
                for part in self.parts
            },
        }

    def plot(self, path: str | Path) -> None:
        """Write an SVG a part, its name before the suffix if there are two."""
        path = Path(path)
        for part in self.parts:
            unit = "RS at batch 1" if part.published else "of one MAC"
            plot(
                self.title(part),
                part.results,
                part.one if part.published and part.one else 1.0,
                part.published,
                f"energy per MAC, {unit} = 1",
                path.with_stem(f"{path.stem}-{part.name}") if len(self.parts) > 1 else path,
            )


def _published(net: str, part: str, pes: int, batch: int, costs: str) -> dict[str, float]:
    return (
        PUBLISHED if (net, part, pes, batch) == PUBLISHED_FOR and costs == PUBLISHED_COSTS else {}
    )


def layers_of_net(net: str, batch: int) -> list[Layer]:
    """All layers of a known network or an ONNX file. Raises ValueError."""
    if net in NETWORKS:
        return [of_table(layer, batch) for layer in NETWORKS[net].part("all")]
    return [
        of_graph(graph, layer, batch) for graph, layer, *_ in layers_named(net, "all", batch)[0]
    ]


def compare_network(
    net: str,
    part: str = "all",
    pes: int = 256,
    batch: int = 16,
    orders: str = "published",
    costs: str = PUBLISHED_COSTS,
    names: tuple[str, ...] = tuple(DATAFLOWS),
    progress: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """part: conv, fc, or all for both. Raises DataflowError, CostsError, ValueError."""
    weights = ratios(Costs.load(costs))
    check(names, pes, orders)
    whole, parts = layers_of_net(net, batch), []
    for name in ("conv", "fc") if part == "all" else (part,):
        layers = [layer for layer in whole if layer.full == (name == "fc")]
        if layers:
            parts.append(
                Part(
                    name,
                    layers,
                    compare(layers, whole, pes, weights, orders, names, progress),
                    baseline(layers, whole, pes, weights, orders),
                    _published(net, name, pes, batch, costs),
                )
            )
    if not parts:
        raise DataflowError(f"{net} has no {part} layers")
    return Comparison(net, part, pes, batch, orders, costs, weights, parts)
