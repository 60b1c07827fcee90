"""Six dataflows on the same area, compared by accesses, energy and delay (Chen, Emer, Sze: Eyeriss,
ISCA 2016).

One module a dataflow, with TITLE, register_words(layer) -> words of register file that it needs in
a PE, and candidates(layer, hardware, orders) -> mappings that its rules allow; the search takes the
one of least energy. orders: "published", the loops as in the paper, or "any". docs/energy.md has
the rules and where they deviate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from compiler.graph import Graph
from compiler.layers import Conv
from compiler.networks.layer_tables import ConvLayer
from compiler.studies.costs import Costs
from compiler.studies.dataflows import nlr, osa, osb, osc, rs, ws

from .counts import KINDS, LEVELS, Layer, Mapped, best
from .hardware import DataflowError, Hardware, equal_area

DATAFLOWS = {"rs": rs, "ws": ws, "osa": osa, "osb": osb, "osc": osc, "nlr": nlr}
ORDERS = ("published", "any")
# Fig. 12: energy of an operation on AlexNet's convolutions, 256 PEs, batch of 16, that of RS at
# batch 1 being 1; read off, 0.5 %.
PUBLISHED = {"rs": 0.94, "ws": 1.81, "osa": 1.33, "osb": 1.36, "osc": 1.64, "nlr": 2.03}
PUBLISHED_FOR = ("alexnet", "conv", 256, 16)


@dataclass
class Result:
    """A dataflow on a part of a network. layers: None where no mapping fits. Energies of an
    operation (a MAC) in those of a MAC."""

    dataflow: str
    hardware: Hardware
    layers: list[Mapped | None]
    costs: dict[str, float]

    @property
    def fits(self) -> bool:
        return None not in self.layers

    @property
    def mapped(self) -> list[Mapped]:
        """The layers' mappings, where all fit."""
        assert self.fits
        return [layer for layer in self.layers if layer is not None]

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.mapped)

    def accesses(self, level: str, kind: str | None = None) -> int:
        return sum(
            layer.accesses[level][k] for layer in self.mapped for k in ([kind] if kind else KINDS)
        )

    @property
    def levels(self) -> dict[str, float]:
        """Energy of an operation by level, MACs first."""
        return {"mac": self.costs["mac"]} | {
            level: self.costs[level] * self.accesses(level) / self.macs for level in LEVELS
        }

    @property
    def kinds(self) -> dict[str, float]:
        """... by data type, without MACs."""
        return {
            kind: sum(self.costs[level] * self.accesses(level, kind) for level in LEVELS)
            / self.macs
            for kind in KINDS
        }

    @property
    def energy(self) -> float:
        return sum(self.levels.values())

    @property
    def dram(self) -> float:
        """DRAM accesses of an operation."""
        return self.accesses("dram") / self.macs

    @property
    def delay(self) -> float:
        """Cycles of an operation."""
        return sum(layer.cycles for layer in self.mapped) / self.macs

    def to_dict(self) -> dict:
        about = {
            "dataflow": self.dataflow,
            "pes": self.hardware.pes,
            "register_words": self.hardware.register_words,
            "buffer_words": self.hardware.buffer_words,
            "fits": self.fits,
        }
        if self.fits:
            about |= {
                "macs": self.macs,
                "energy": self.energy,
                "levels": self.levels,
                "kinds": self.kinds,
                "dram_per_op": self.dram,
                "delay": self.delay,
                "edp": self.energy * self.delay,
            }
        return about | {"layers": [layer and dataclasses.asdict(layer) for layer in self.layers]}


def ratios(costs: Costs) -> dict[str, float]:
    """Energies by level in those of a MAC of 16 bits."""
    mac = costs.mac()
    return {
        "mac": 1.0,
        "dram": costs.dram / mac,
        "buffer": costs.glb / mac,
        "array": costs.network / mac,
        "register": costs.spad / mac,
    }


def of_table(layer: ConvLayer, batch: int) -> Layer:
    return Layer(
        layer.name,
        batch,
        layer.C // layer.groups,
        layer.M // layer.groups,
        layer.E,
        layer.E,
        layer.R,
        layer.R,
        layer.stride,
        layer.stride,
        layer.groups,
        layer.full,
    )


def of_graph(graph: Graph, conv: Conv, batch: int) -> Layer:
    """A layer of an imported network."""
    _, rows, columns = graph.tensors[conv.output].shape
    filters, channels, R, S = conv.weights.shape
    return Layer(
        conv.name,
        batch,
        channels,
        filters // conv.groups,
        rows,
        columns,
        R,
        S,
        *conv.stride,
        conv.groups,
        conv.full,
    )


def check(names: tuple[str, ...], pes: int, orders: str) -> None:
    """Raises DataflowError at what cannot be compared."""
    for name in names:
        if name not in DATAFLOWS:
            raise DataflowError(f"dataflow {name!r}: choose from {', '.join(DATAFLOWS)}")
    if pes < 1:
        raise DataflowError(f"PES = {pes}: must be 1 or more")
    if orders not in ORDERS:
        raise DataflowError(f"orders {orders!r}: choose from {', '.join(ORDERS)}")


def compare(
    layers: list[Layer],
    network: list[Layer],
    pes: int,
    costs: dict[str, float],
    orders: str = "published",
    names: tuple[str, ...] = tuple(DATAFLOWS),
    progress: Callable[[str], None] = lambda text: None,
) -> list[Result]:
    """Every dataflow on the layers. network: all layers that the hardware has to run, for the sizes
    of the register files. Raises DataflowError."""
    check(names, pes, orders)
    results = []
    for name in names:
        dataflow = DATAFLOWS[name]
        hardware = equal_area(pes, max(dataflow.register_words(layer) for layer in network))
        known: dict[Layer, Mapped | None] = {}
        mapped = []
        for layer in layers:
            progress(f"{name}: {layer.name}")
            shape = dataclasses.replace(layer, name="")
            if shape not in known:
                known[shape] = best(layer, dataflow.candidates(layer, hardware, orders), costs)
            found = known[shape]
            mapped.append(found and dataclasses.replace(found, name=layer.name))
        results.append(Result(name, hardware, mapped, costs))
    return results


def baseline(
    layers: list[Layer],
    network: list[Layer],
    pes: int,
    costs: dict[str, float],
    orders: str = "published",
) -> float | None:
    """Energy of an operation of row stationary at batch 1, by which the paper's figures are scaled;
    None if it does not fit."""
    one = [dataclasses.replace(layer, N=1) for layer in layers]
    (result,) = compare(one, network, pes, costs, orders, ("rs",))
    return result.energy if result.fits else None
