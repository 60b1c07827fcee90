"""What Yosys makes of an accelerator for an ECP5, as Verilog that a simulator takes: cells.v has
the cells."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from amaranth._toolchain import tool_env_var
from amaranth.back import rtlil

from fpga.flow.tools import FIRST, ToolError, collisions, environment, parts, rest, why
from hdl.config import Config
from hdl.emit.files import BUILD
from hdl.top import Accelerator

TOP = "eyrie_netlist"
ROWS = 64  # of 320 bits, a DP16KD's initial contents


@dataclass(frozen=True)
class Ecp5:
    """All that an accelerator asks of a platform: its cells are an ECP5's, its pins are not
    there."""

    family: str = "ecp5"


def cells() -> str:
    """The models of the cells."""
    names = [f"INITVAL_{n:02X}" for n in range(ROWS)]
    contents = "".join(f"    parameter [319:0] {name} = 0;\n" for name in names)
    contents += f"    wire initial_contents = {' | '.join(f'|{name}' for name in names)};"
    return (
        (Path(__file__).parent / "cells.v")
        .read_text(encoding="utf-8")
        .replace("@INITVAL@", contents)
    )


def netlist(config: Config) -> tuple[str, str, dict[str, int]]:
    """(Verilog with its cells, top module, {cell: count}) of a configuration's accelerator. Minutes
    for large ones.

    Raises ToolError if Yosys fails.
    """
    env = environment(["yosys"])
    (BUILD / "fpga").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD / "fpga", prefix="netlist-") as folder:
        work = Path(folder)
        (work / "in.il").write_text(rtlil.convert(Accelerator(config), name=TOP, platform=Ecp5()))
        (work / "run.ys").write_text(
            "\n".join(
                (
                    "read_rtlil in.il",
                    collisions(config),
                    parts(TOP, config),
                    f"synth_ecp5 -top {TOP} {FIRST}",
                    rest(TOP, config=config),
                    "write_verilog -noattr -noexpr out.v",
                )
            )
        )
        done = subprocess.run(
            [env[tool_env_var("yosys")], "-q", "run.ys"],
            cwd=work,
            env=env,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            said = done.stdout + done.stderr
            last = said.strip().splitlines()[-1:] or ["no message"]
            raise ToolError(f"Yosys: {why(said) or last[0]}")
        text = (work / "out.v").read_text()
    count: dict[str, int] = {}
    for cell in re.findall(r"(?m)^  ([A-Z]\w+) (?:#\(|\\?\S+ \()", text):
        count[cell] = count.get(cell, 0) + 1
    return cells() + "\n" + text, TOP, count
