"""Gates of a configuration's PE, counted in the netlist that Yosys makes of it.

The PE is mapped to the gates that CMOS makes in one stage, enables and resets of registers too; its
memories (spads, FIFOs) are left as they are and not counted. A gate has two transistors an input
and a flip-flop 16, as in Yosys's `stat -tech cmos`; four are a NAND2, the unit of gate counts.
Nothing is placed: an estimate of logic, without clock tree, buffers and test.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from compiler.tables import new_table
from hdl.array.pe.pe import ProcessingElement
from hdl.config import Config
from hdl.emit import yosys
from hdl.emit.files import BUILD, write_atomic
from hdl.emit.verilog import emit

FOLDER = BUILD / "gates"
TRANSISTORS = {
    "$_NOT_": 2,
    "$_NAND_": 4,
    "$_NOR_": 4,
    "$_AOI3_": 6,
    "$_OAI3_": 6,
    "$_AOI4_": 8,
    "$_OAI4_": 8,
    "$_DFF_P_": 16,
}
NAND2 = 4  # transistors
UNCOUNTED = ("$mem_v2", "$scopeinfo")
# As Yosys's `synth`, but that memories stay and flip-flops are plain ones.
SCRIPT = """read_verilog pe.v
synth -flatten -top pe -run begin:fine
opt -fast -full
opt -undriven -fine
techmap
dfflegalize -cell $_DFF_P_ 01
opt -fast -nodffe -nosdff
abc -g cmos4
opt_clean
tee -q -o cells.json stat -json
"""


class GatesError(RuntimeError):
    """Yosys failed, or left a cell that has no weight."""


@dataclass
class Gates:
    """Of a PE. cells: of the netlist, by type; memories: that are not counted; tool: Yosys's
    version."""

    config: Config
    cells: dict[str, int]
    memories: int
    tool: str

    @property
    def transistors(self) -> int:
        return sum(n * TRANSISTORS[kind] for kind, n in self.cells.items())

    @property
    def nand2(self) -> float:
        return self.transistors / NAND2

    def table(self) -> Table:
        """A row a type of cell."""
        table = new_table(
            f"a PE of {self.config.name}, {self.tool}", ("cell",), "cell", "cells", "transistors"
        )
        for kind, n in self.cells.items():
            table.add_row(kind.strip("$_"), f"{n:,}", f"{n * TRANSISTORS[kind]:,}")
        table.add_section()
        table.add_row("all", f"{sum(self.cells.values()):,}", f"{self.transistors:,}")
        return table

    def to_dict(self) -> dict:
        return asdict(self) | {"transistors": self.transistors, "nand2": self.nand2}


def count(config: Config) -> Gates:
    """Takes some seconds. Raises GatesError."""
    folder = FOLDER / config.name
    write_atomic(folder / "pe.v", emit(ProcessingElement(config), "pe")[0])
    write_atomic(folder / "pe.ys", SCRIPT)
    done = subprocess.run(
        [*yosys.COMMAND, "-q", "pe.ys"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise GatesError(f"{config.name}: Yosys: {(done.stdout + done.stderr).strip()[-300:]}")
    return read(config, folder / "cells.json")


def read(config: Config, path: Path) -> Gates:
    """Of what Yosys's `stat -json` wrote. Raises GatesError."""
    report = json.loads(path.read_text())
    cells = report["design"]["num_cells_by_type"]
    unknown = sorted(set(cells) - set(TRANSISTORS) - set(UNCOUNTED))
    if unknown:
        raise GatesError(f"{config.name}: cells without a weight: {', '.join(unknown)}")
    return Gates(
        config,
        {kind: n for kind, n in cells.items() if kind in TRANSISTORS},
        cells.get("$mem_v2", 0),
        report["creator"].split(" (")[0],
    )
