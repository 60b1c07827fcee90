"""Cocotb benches: an Amaranth component alone under Verilator, tested by a Python module.

A bench is sim/benches/tb_<name>.py with `component()`, which makes what is tested, and cocotb
tests.
"""

from __future__ import annotations

import importlib
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from hdl.emit.files import BUILD
from hdl.emit.verilog import emit
from sim.build import bench, cocotb_environment

BENCHES = Path(__file__).resolve().parent / "benches"


class BenchError(AssertionError):
    """A test of a bench failed; the message has the end of its log."""


def benches() -> list[str]:
    """Names of all benches: pattern for sim/benches/tb_<name>.py."""
    return sorted(p.stem[3:] for p in BENCHES.glob("tb_*.py") if p.stem != "tb_host")


def run(
    component,
    module: str,
    *,
    waves: bool | Path = False,
    seed: int | None = None,
    environment: dict | None = None,
    timeout: float = 600,
) -> int:
    """Runs the cocotb tests of a Python module on a component; the number that passed.

    Ports are named as in the signature, nested ones joined by two underscores, with clk and
    rst. Raises BenchError if one fails, if there is none, or after `timeout` seconds.
    """
    text, sidecar = emit(component)
    built = bench(text, sidecar["top"], [p["name"] for p in sidecar["ports"]], waves=bool(waves))
    arguments = []
    if waves:
        file = (
            waves
            if not isinstance(waves, bool)
            else BUILD / "waves" / f"{module.rpartition('.')[2]}.fst"
        ).resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        arguments = ["--trace", "--trace-file", str(file)]
    with tempfile.TemporaryDirectory(prefix="eyrie-") as folder:
        results = Path(folder) / "results.xml"
        env = {
            **cocotb_environment(sidecar["top"], module),
            **(environment or {}),
            "COCOTB_RESULTS_FILE": str(results),
        }
        if seed is not None:
            env["COCOTB_RANDOM_SEED"] = str(seed)
        try:
            done = subprocess.run(
                [str(built / "sim_cocotb"), *arguments],
                cwd=folder,
                env=env,
                timeout=timeout,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        except subprocess.TimeoutExpired as e:
            log = (e.stdout or b"").decode(errors="replace")
            raise BenchError(f"{module}: not finished after {timeout} s\n{log[-3000:]}") from None
        if not results.exists():
            raise BenchError(f"{module}: exit status {done.returncode}\n{done.stdout[-3000:]}")
        cases = ElementTree.parse(results).getroot().findall(".//testcase")
    bad = [
        c.get("name") for c in cases if c.find("failure") is not None or c.find("error") is not None
    ]
    if bad or not cases or done.returncode:
        raise BenchError(
            f"{module}: failed: {', '.join(bad) or 'no tests ran'}\n{done.stdout[-6000:]}"
        )
    if waves:
        from sim.device import viewers

        print(viewers(file))
    return len([c for c in cases if c.find("skipped") is None])


def run_bench(name: str, *, waves: bool = False, seed: int | None = None) -> int:
    """Runs sim/benches/tb_<name>.py on the component that it makes; the number of tests passed.

    Raises ValueError for an unknown name, BenchError as `run`.
    """
    if name not in benches():
        raise ValueError(f"unknown bench {name!r}: choose from {', '.join(benches())}")
    module = importlib.import_module(f"sim.benches.tb_{name}")
    return run(module.component(), f"sim.benches.tb_{name}", waves=waves, seed=seed)
