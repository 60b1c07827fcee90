"""Energies of a network, a file of layers or an RTL run on a configuration: table and record of
`make energy`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from compiler.graph import Graph
from compiler.layers import Conv
from compiler.mapping.mapping import MappingError
from compiler.progress import Progress, silent
from compiler.studies import layer_file
from compiler.studies.costs import LEVELS, Costs
from compiler.studies.energy import Bits, EnergyError, LayerEnergy, layer_energy, of_run
from compiler.studies.map_table import layers_named, map_layer
from compiler.tables import new_table
from hdl.config import Config
from hdl.isa import Mode


@dataclass
class Estimate:
    """source: what the energies are of; config: fields of the configuration; mode: what zeros
    do."""

    source: str
    config: dict
    mode: str
    costs: Costs
    layers: list[LayerEnergy]

    @property
    def total(self) -> float:
        """In the cost table's unit."""
        return sum(e.total for e in self.layers)

    def table(self) -> Table:
        """A row a layer, and one for all: energies by level, then by data type."""
        scale, unit = scaled(self.costs, self.total)
        table = new_table(
            f"{self.source}: energy on {self.config['name']}, {self.mode}, by {self.costs.name}, "
            f"{unit}: "
            "an estimate, without clock, control and leakage",
            ("layer",),
            "layer",
            "MACs",
            "done %",
            "MAC",
            *LEVELS,
            "all",
            f"{self.costs.unit} a MAC",
            "input",
            "weights",
            "output",
            "commands",
        )
        for e in self.layers:
            table.add_row(e.name, *_cells([e], scale))
        table.add_section()
        table.add_row("all", *_cells(self.layers, scale))
        return table

    def to_dict(self) -> dict:
        return {
            "source": self.source,
            "config": self.config,
            "mode": self.mode,
            "costs": self.costs.name,
            "unit": self.costs.unit,
            "total": self.total,
            "layers": [e.to_dict() for e in self.layers],
        }


def scaled(costs: Costs, total: float) -> tuple[float, str]:
    """(what to divide energies by, the unit they then have), so that a sum of this size is easy
    to read."""
    small = total < 1e8
    scale, prefix = (1e3, "thousand") if small else (1e6, "million")
    return scale, ("nJ" if small else "uJ") if costs.unit == "pJ" else f"{prefix} {costs.unit}"


def _cells(layers: list[LayerEnergy], scale: float) -> list[str]:
    """Of these layers together; all of a row but its name."""
    total, macs, done = (
        sum(getattr(e, field) for e in layers) for field in ("total", "macs", "done")
    )
    by_level = [
        sum(e.mac for e in layers),
        *(sum(e.level(level) for e in layers) for level in LEVELS),
        total,
    ]
    by_kind = [
        sum(e.input for e in layers),
        sum(e.kind("filter") for e in layers),
        sum(e.output for e in layers),
        sum(e.kind("command") for e in layers),
    ]
    return [
        f"{macs:,}",
        f"{100 * done / macs:.1f}",
        *(f"{energy / scale:,.1f}" for energy in by_level),
        f"{total / macs:.2f}",
        *(f"{energy / scale:,.1f}" for energy in by_kind),
    ]


@dataclass(frozen=True)
class Machine:
    """What layers are mapped on, what zeros do, and what mappings are chosen for first: cycles
    or dram."""

    config: Config
    mode: Mode
    objective: str = "cycles"

    def energy(
        self,
        graph: Graph,
        layer: Conv,
        zeros: dict[str, float],
        images: int,
        costs: Costs,
        bits: Bits | None = None,
    ) -> LayerEnergy:
        """Of the layer's commands. zeros: share of a tensor's entries, by tensor; bits: all 16
        where left out. Raises MappingError."""
        bits = bits or Bits()
        row = map_layer(
            graph, layer, zeros, images, self.config, self.mode, self.objective, commands=True
        )
        return layer_energy(layer.name, row.macs, row.accesses, self.config.psum_bits, costs, bits)

    def estimate(self, source: str, costs: Costs, layers: Iterable[LayerEnergy]) -> Estimate:
        return Estimate(source, self.config.to_dict(), self.mode.name.lower(), costs, list(layers))


def of_network(
    net: str,
    part: str,
    batch: int | None,
    machine: Machine,
    costs: Costs,
    progress: Progress = silent,
) -> Estimate:
    """A part of a known network or an ONNX file, by the cost model. Raises EnergyError,
    MappingError, ValueError."""
    layers, batch = layers_named(net, part, batch)
    if not layers:
        raise EnergyError(f"{net} has no {part} layers")
    energies = []
    for graph, layer, zeros, _ in layers:
        progress(len(energies), len(layers), layer.name)
        energies.append(machine.energy(graph, layer, zeros, batch, costs))
    return machine.estimate(f"{net} {part.upper()}, batch {batch}", costs, energies)


def of_file(
    path: str | Path, machine: Machine, costs: Costs, progress: Progress = silent
) -> tuple[Estimate, list[layer_file.Line]]:
    """Layers as text, by the cost model, and the lines that they came from. Raises
    LayerFileError, EnergyError."""
    lines, energies = layer_file.read(path), []
    for line in lines:
        progress(len(energies), len(lines), line.layer.name)
        try:
            energies.append(
                machine.energy(line.graph, line.layer, line.zeros, line.images, costs, line.bits)
            )
        except MappingError as e:
            raise EnergyError(f"{path}: line {line.number}: {e}") from None
    return machine.estimate(Path(path).name, costs, energies), lines


def of_bench(path: str | Path, mode: str, costs: Costs) -> Estimate:
    """An RTL run, by its counters. mode: if the file does not say it. Raises EnergyError,
    OSError."""
    layers, about = of_run(path, costs)
    if not layers:
        raise EnergyError(f"{path}: no layers")
    # It may lack fields of today's configurations.
    return Estimate(
        f"{Path(path).name}, RTL's counters",
        about["config"],
        about.get("mode", mode),
        costs,
        layers,
    )
