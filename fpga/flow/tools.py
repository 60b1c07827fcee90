"""Yosys, nextpnr and the packers: the native ones where they are on PATH, else Yosys of the wheel
pyosys (hdl/emit/yosys.py) and the others of the YoWASP wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from amaranth._toolchain import tool_env_var

from fpga.selections import ALL, BUT_MATCHES, MATCHES
from hdl.config import Config
from hdl.emit.files import BUILD, write_atomic
from hdl.lib.marks import MARKS, MATCHED, PE

GOWIN = "nextpnr-himbaechel-gowin"
# Amaranth calls the nextpnr that there was for Gowin; this calls the one that there is.
NEXTPNR_GOWIN = """#!/bin/sh
name=
for word do
    shift
    case $word in
        --family) set -- "$@" --vopt; name=family= ;;
        --cst) set -- "$@" --vopt; name=cst= ;;
        *) set -- "$@" "$name$word"; name= ;;
    esac
done
exec "@TOOL@" "$@"
"""

# The clocked read ports of memories.
READ_PORTS = "t:$memrd_v2 r:CLK_ENABLE=1 %i"

# Wide multiplexers of LUTs make large ECP5 designs slower to route, not faster.
NARROW = "-nowidelut"
# Of Yosys's synthesis for an ECP5, behind `parts` and before `rest`.
FIRST = f"{NARROW} -run begin:map_ffs"

# For Yosys, between these two: an enable of fewer than four flip-flops, a reset of fewer than eight
# become logic. The eight flip-flops of a tile have one reset, each two one enable: one with its own
# keeps others out.
FEW = """dfflegalize -cell $_DFF_?_ 01 -cell $_DFF_?P?_ r -cell $_SDFF_?P?_ r \
    -cell $_DFFE_??_ 01 -cell $_DFFE_?P??_ r -cell $_SDFFE_?P??_ r -mince 4 -minsrst 8"""
# For Yosys, at the end: what a netlist has no use for.
UNMARK = f"setattr {' '.join(f'-unset {name}' for name in MARKS)} *"


def exactly(count: int, selection: str) -> str:
    """For Yosys: ends it, with an error for `why`, unless a selection has so many objects."""
    return f"select -assert-count {count} {selection}"


def collisions(config: Config | None = None) -> str:
    """For Yosys, of what it has read: a clocked read port's word is not needed where a write meets
    it (hdl/buffer/global_buffer.py, hdl/lib/block_ram.py, hdl/lib/stream/block_fifo.py). Else
    every block RAM of an ECP5 gets a register and a multiplexer a bit, to read the old word.
    config: of the machine that it is, in which there are some; None for a component of one."""
    least = [f"select -assert-min 1 {READ_PORTS}"] if config else []
    return "\n".join([*least, f"setparam -set COLLISION_X_MASK 1'1 {READ_PORTS}"])


def parts(top: str = "top", config: Config | None = None, keep: bool = True) -> str:
    """For Yosys, before its synthesis and together with `rest` behind it: PEs are mapped by
    themselves. A module is mapped to the depth of its longest path, so that in one flat design
    every part may be as slow as the slowest.

    config: of the machine that it is, all PEs of which must be found; None for a component of one.
    keep: False for a PE alone, which is measured as part of what is around it.
    Sparse PEs are mapped by themselves too: so they were in all of docs/fpga.md, and whether it
    matters has not been measured."""
    pes = f"{exactly(config.pes + config.sparse_pes, f'a:{PE}')}\n" if config else ""
    kept = f"{pes}setattr -mod -set keep_hierarchy 1 a:{PE} %m\n" if keep else ""
    return f"""synth_ecp5 -top {top} -run begin:coarse
proc
{kept}flatten
opt_expr
opt_clean
opt_hier
opt_expr
opt_clean"""


def rest(top: str = "top", soft: str = ALL, config: Config | None = None) -> str:
    """For Yosys, after FIRST: the last steps of its synthesis, and one module of all. soft: what
    FEW is for, or nothing; config: as in `parts`: with BUT_MATCHES those must be found."""
    few = ["opt_clean", f"{FEW} {soft}"] if soft else []
    if config and soft == BUT_MATCHES:
        few.insert(1, exactly(len(MATCHED) * config.pes, MATCHES))
    few = "\n".join(few)
    return f"""{few}
synth_ecp5 {NARROW} -top {top} -run map_ffs:
setattr -mod -unset keep_hierarchy *
flatten
opt_clean -purge"""


class ToolError(RuntimeError):
    """A tool is missing or failed. One line."""


def why(log: str) -> str:
    """The first error in a tool's log, in one line; "" without one."""
    found = re.search(r"(?m)^.*ERROR: *(.*)$", log)
    if not found:
        return ""
    wrong = re.match(
        r"Assertion failed: selection contains (\d+) elements(?: instead of the "
        r"asserted|, less than the minimum number) (\d+): *(.*)",
        found[1],
    )
    if not wrong:
        return found[1]
    some = "at least " if "less than" in found[1] else ""
    return (
        f"Yosys's selection `{wrong[3].strip()}` has {wrong[1]} objects "
        f"and must have {some}{wrong[2]}"
    )


def find(name: str) -> str:
    """The command of a tool. Raises ToolError saying what installs it."""
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    names = (f"eyrie-{name}", f"yowasp-{name}", name)
    found = shutil.which(name) or next(
        filter(None, (shutil.which(n, path=beside) for n in names)), None
    )
    if not found:
        wheel = {"ecppack": "nextpnr-ecp5", "icepack": "nextpnr-ice40", "gowin_pack": GOWIN}.get(
            name, name
        )
        wheel = "-e ." if name == "yosys" else f"yowasp-{wheel}"
        raise ToolError(f"{name} is missing: pip install {wheel}, or put {name} on PATH")
    return found


def environment(names) -> dict[str, str]:
    """Environment in which a build script of Amaranth finds the tools."""
    env = dict(os.environ, YOWASP_CACHE_DIR=str(BUILD / ".cache"))
    for name in names:
        if name in ("dfu-suffix", "openFPGALoader", "iceprog"):
            # only loading a board needs these
            env[tool_env_var(name)] = shutil.which("true") or "true"
        elif name == "nextpnr-gowin":
            script = BUILD / "fpga" / name
            write_atomic(
                script,
                NEXTPNR_GOWIN.replace("@TOOL@", shutil.which("nextpnr-himbaechel") or find(GOWIN)),
            )
            script.chmod(0o755)
            env[tool_env_var(name)] = str(script)
        else:
            env[tool_env_var(name)] = find(name)
    return env


def version(command: str) -> str:
    """The first line that says one. The YoWASP tools answer as the native ones do."""
    done = subprocess.run(
        [command, "--version"],
        capture_output=True,
        text=True,
        env=dict(os.environ, YOWASP_CACHE_DIR=str(BUILD / ".cache")),
    )
    lines = [
        line for line in (done.stdout + done.stderr).splitlines() if any(c.isdigit() for c in line)
    ]
    # Yosys goes on with its compiler, a path among it.
    return (
        re.sub(r", .*\)$", ")", " ".join(lines[0].replace('"', "").split())) if lines else "unknown"
    )
