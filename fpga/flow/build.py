"""From a board to its bitstream and its report."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from amaranth._toolchain import tool_env_var
from amaranth.vendor import GowinPlatform, LatticePlatform

from fpga.boards import Board
from fpga.flow import floorplan
from fpga.flow.cells import by_component
from fpga.flow.platform import FpgaTop
from fpga.flow.tools import (
    FIRST,
    UNMARK,
    ToolError,
    collisions,
    environment,
    parts,
    rest,
    version,
    why,
)
from fpga.selections import ALL
from hdl.config import Config
from hdl.emit.files import BUILD, write_atomic

RESULTS = BUILD.parent / "docs" / "results" / "fpga"

# nextpnr's names of what the report lists, by family.
CELLS = {
    "ecp5": {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"},
    "ice40": {
        "lut": "ICESTORM_LC",
        "ff": "ICESTORM_LC",
        "dsp": "ICESTORM_DSP",
        "bram": "ICESTORM_RAM",
    },
    "gowin": {"lut": "LUT4", "ff": "DFF", "dsp": "MULT18X18", "bram": "BSRAM"},
}
BITSTREAMS = {"ecp5": "top.bit", "ice40": "top.bin", "gowin": "top.fs"}
OPTIONS = {"ecp5": FIRST, "ice40": "-dsp", "gowin": ""}


@dataclass(frozen=True)
class Report:
    """A build. Each resource is (used, capacity); fmax after routing; sustained_gmacs: of the
    network of `make board-sim BOARD=...`, from its cycles there; seconds of all tools together;
    components: of the netlist, {name: {lut, ff, dsp, bram}}, the largest first (ECP5 only; cells by
    the name of what they drive)."""

    board: str
    preset: str
    device: str
    config: dict
    pes: int
    clock_mhz: float
    fmax_mhz: float
    lut: tuple[int, int]
    ff: tuple[int, int]
    dsp: tuple[int, int]
    bram: tuple[int, int]
    peak_gmacs: float
    sustained_gmacs: float | None
    seed: int
    seconds: float
    tools: dict[str, str]
    components: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        return self.fmax_mhz >= self.clock_mhz

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def folder(board: Board, config: Config) -> Path:
    return BUILD / "fpga" / f"{board.name}-{config.name}"


def artifact(board: Board) -> Path:
    """The bitstream that `build` makes."""
    return folder(board, board.config) / BITSTREAMS[family(board.platform)]


def family(platform) -> str:
    """Of a platform or its class."""
    kind = platform if isinstance(platform, type) else type(platform)
    return (
        "ecp5"
        if issubclass(kind, LatticePlatform)
        else "gowin"
        if issubclass(kind, GowinPlatform)
        else "ice40"
    )


def options(
    family: str,
    seed: int,
    places: str = "",
    soft: str = ALL,
    config: Config | None = None,
    keep: bool = True,
) -> dict[str, str]:
    """What Amaranth passes on to Yosys and nextpnr. places: of fpga/flow/floorplan.py, for an ECP5;
    config: of the machine that it is, None for a component of one; keep: PEs are mapped by
    themselves. Why this placer and this router: docs/fpga.md."""
    route = f"--seed {seed} --timing-allow-fail --report report.json"
    if family != "ecp5":
        return {"synth_opts": OPTIONS[family], "nextpnr_opts": route}
    return {
        "synth_opts": OPTIONS[family],
        "script_after_read": f"{collisions(config)}\n{parts(config=config, keep=keep)}",
        "script_after_synth": f"{rest(soft=soft, config=config)}\n{places}\n{UNMARK}",
        "nextpnr_opts": f"{route} --placer static --router router1",
    }


def prepare(board: Board, seed: int = 1):
    """(platform, Amaranth's build plan) of a board."""
    platform = board.platform()
    plan = platform.prepare(
        FpgaTop(board),
        "top",
        emit_src=False,
        **options(
            family(platform),
            seed,
            floorplan.commands(board.config, board.device),
            board.soft_controls,
            board.config,
        ),
    )
    return platform, plan


def _why(directory: Path) -> str:
    """The first error in the tools' logs, the later tool's first."""
    logs = (directory / name for name in ("top.tim", "top.rpt"))
    found = (why(log.read_text(errors="replace")) for log in logs if log.exists())
    return next(filter(None, found), "see its logs")


def _watch(process, log: Path) -> str:
    """Waits for the tools; a design that is too large is known long before nextpnr gives up
    placing it."""
    known = ""
    while process.poll() is None:
        time.sleep(1)
        if not known and log.exists():
            text = log.read_text(errors="replace")
            if re.search(r"(?m)^Info: Placed|^Info: Creating", text):  # the utilisation is complete
                known = "fits"
                over = re.findall(r"(?m)^Info:\s+(\w+):\s+(\d+)/\s*(\d+)", text)
                over = [
                    f"{int(used):,} {name} of {int(most):,}"
                    for name, used, most in over
                    if int(used) > int(most)
                ]
                if over:
                    return ", ".join(over)
    return ""


def _fmax(clocks: dict) -> float:
    """Of the slowest clock domain in nextpnr's report."""
    return min((c["achieved"] for c in clocks.values()), default=0.0)


def build(board: Board, seed: int = 1) -> Report:
    """Builds build/fpga/<board>-<preset>/top.bit (or .bin). Raises ToolError, one line."""
    started = time.monotonic()
    platform, plan = prepare(board, seed)
    env = environment(platform.required_tools)
    directory = folder(board, board.config)
    for stale in ("top.rpt", "top.tim", "report.json", *BITSTREAMS.values()):
        (directory / stale).unlink(missing_ok=True)
    root = plan.extract(str(directory))
    with open(root / "build.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            ["sh", f"{plan.script}.sh"],
            cwd=root,
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            overfull = _watch(process, directory / "top.tim")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
    shown = directory.relative_to(BUILD.parent)
    if overfull:
        raise ToolError(
            f"{board.name}: preset {board.preset} does not fit: {overfull} ({shown}/top.tim)"
        )
    if process.returncode:
        raise ToolError(
            f"{board.name}: no bitstream: {_why(directory)} ({shown}/build.log, top.rpt, top.tim)"
        )
    return report(board, platform, seed, time.monotonic() - started, env)


def components(netlist: dict) -> dict[str, dict[str, int]]:
    """What the parts of a board's netlist take; of the accelerator its engines."""
    table: dict[str, dict[str, int]] = {}
    for name, row in by_component(netlist, 4).items():
        parts = name.split(".")
        key = ".".join(parts[2:4]) if parts[:2] == ["top", "accelerator"] else ".".join(parts[1:2])
        have = table.setdefault(key or "pads and clocks", dict.fromkeys(row, 0))
        for kind, n in row.items():
            have[kind] += n
    return dict(sorted(table.items(), key=lambda item: -item[1]["lut"]))


def report(board: Board, platform, seed: int, seconds: float, env: dict) -> Report:
    config, directory = board.config, folder(board, board.config)
    found = json.loads((directory / "report.json").read_text())
    cells = {
        ours: (
            found["utilization"].get(theirs, {}).get("used", 0),
            found["utilization"].get(theirs, {}).get("available", 0),
        )
        for ours, theirs in CELLS[family(platform)].items()
    }
    tools = {
        name: version(env[tool_env_var(name)]) for name in ("yosys", f"nextpnr-{family(platform)}")
    }
    return Report(
        board=board.name,
        preset=config.name,
        device=board.device,
        config=config.to_dict(),
        pes=config.pes,
        clock_mhz=board.clock_hz / 1e6,
        fmax_mhz=round(_fmax(found["fmax"]), 1),
        **cells,
        peak_gmacs=round(config.multipliers * board.clock_hz / 1e9, 3),
        sustained_gmacs=None,
        seed=seed,
        seconds=round(seconds, 1),
        tools=tools,
        components=components(json.loads((directory / "top.json").read_text())["modules"]["top"])
        if family(platform) == "ecp5"
        else {},
    )


def save(result: Report, directory: Path) -> Path:
    path = directory / f"{result.board}-{result.preset}.json"
    write_atomic(path, result.to_json())
    return path


def add_sustained(board: Board, gmacs: float, directory: Path) -> None:
    """Into the report of the board's build, if there is one of this configuration."""
    path = directory / f"{board.name}-{board.preset}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if known.get("config") == board.config.to_dict() and known["clock_mhz"] == board.clock_hz / 1e6:
        write_atomic(
            path, json.dumps(known | {"sustained_gmacs": round(gmacs, 3)}, indent=1) + "\n"
        )
