"""A network's convolutions on one configuration changed step by step, by the cost model: `make
scale`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from compiler.networks.layer_tables import NETWORKS
from compiler.progress import Progress, silent
from compiler.studies.map_table import layers_of, map_layer
from compiler.tables import new_table
from hdl.config import Config
from hdl.isa import Mode

# What is changed, a row of the table each.
SWEEPS = {
    "array": tuple(
        (f"rows={high}", f"columns={wide}")
        for high, wide in ((3, 4), (4, 6), (6, 7), (6, 14), (9, 14), (12, 14), (14, 18), (16, 21))
    ),
    "latency": tuple((f"dram_latency={n}",) for n in (10, 20, 40, 80, 160, 320)),
}


@dataclass
class Scaling:
    """by: a key of SWEEPS; rows: changed fields, PEs, cycles of the model, MACs of the batch, share
    of the peak, and cycles of the RTL, None where it was not measured."""

    net: str
    by: str
    base: Config
    batch: int
    mode: str
    objective: str
    rows: list[dict]

    def table(self) -> Table:
        """A row a configuration."""
        table = new_table(
            f"{self.net}, batch {self.batch}, {self.mode}: {self.base.name} with another {self.by}",
            ("changed",),
            "changed",
            "PEs",
            "model",
            "of peak %",
            "faster",
            "RTL",
            "model %",
        )
        for row in self.rows:
            model, rtl = row["model_cycles"], row["rtl_cycles"]
            table.add_row(
                " ".join(row["changed"]),
                str(row["pes"]),
                f"{model:,}",
                f"{100 * row['utilisation']:.1f}",
                f"{self.rows[0]['model_cycles'] / model:.2f}x",
                f"{rtl:,}" if rtl else "-",
                f"{100 * (model / rtl - 1):+.1f}" if rtl else "-",
            )
        return table

    def to_dict(self) -> dict:
        return {
            "config": self.base.to_dict(),
            "batch": self.batch,
            "mode": self.mode,
            "objective": self.objective,
            "rows": self.rows,
        }


def measured(
    folder: Path,
    net: str,
    mode: str,
    changes: tuple[str, ...],
    config: Config,
    batch: int,
    objective: str,
) -> int | None:
    """Cycles of the RTL in the results of `make bench`, if there are some of just this."""
    cycles = None
    for name in ("", "".join(f"-{change.replace('=', '')}" for change in changes)):
        path = folder / f"bench-{net}-{mode}{name}.json"
        known = json.loads(path.read_text()) if path.exists() else None
        if (
            known
            and Config.of_result(known["config"]) == config
            and known["batch"] == batch
            and known["objective"] == objective
        ):
            cycles = known["total"]["cycles"]
    return cycles


def scale_network(
    net: str,
    by: str,
    base: Config,
    batch: int | None,
    mode: Mode,
    objective: str,
    results: Path,
    progress: Progress = silent,
) -> Scaling:
    """A known network. results: the folder with what `make bench` has measured; progress: layers
    done, of how many, the one that is mapped. Raises ConfigError, MappingError."""
    layers, sweep, rows = layers_of(NETWORKS[net]), SWEEPS[by], []
    batch, name = batch or NETWORKS[net].batch, mode.name.lower()
    for changes in sweep:
        config = base.override(list(changes))
        cycles = macs = 0
        for at, (graph, layer, zeros, _) in enumerate(layers):
            progress(
                len(rows) * len(layers) + at,
                len(sweep) * len(layers),
                f"{' '.join(changes)}, {layer.name}",
            )
            row = map_layer(graph, layer, zeros, batch, config, mode, objective, commands=True)
            cycles, macs = cycles + row.model_cycles, macs + row.macs
        rows.append(
            {
                "changed": list(changes),
                "pes": config.pes,
                "model_cycles": cycles,
                "macs": macs,
                "utilisation": macs / cycles / config.multipliers,
                "rtl_cycles": measured(results, net, name, changes, config, batch, objective),
            }
        )
    return Scaling(net, by, base, batch, name, objective, rows)
