"""From a component to an and-inverter graph by Yosys, and to an answer by ABC."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Const, Value
from amaranth.lib import wiring

from hdl.emit import yosys

PROVED, FAILED, UNDECIDED = "proved", "fails", "undecided"
PDR_SECONDS = 150  # of one property; the longest takes four alone on a core
BMC_FRAMES, BMC_SECONDS = 60, 60  # of a cover or a fault

# One file of the graph for ABC, one as text, with names, for the search of paths. `opt` merges
# flip-flops with their enables and resets, which such a graph has not: `dffunmap` undoes it.
SCRIPT = """
read_rtlil design.il
hierarchy -auto-top
proc
flatten
opt_clean
memory_collect
memory_map
opt -full
techmap
opt -fast
dffunmap
aigmap
opt_clean
write_aiger -zinit design.aig
write_aiger -zinit -ascii -symbols design.aag
"""


@dataclass(frozen=True)
class Answer:
    """What the engine says of one output: `depth`, the cycle in which it is first 1, if it is."""

    verdict: str
    seconds: float
    depth: int | None = None


@dataclass(frozen=True)
class Graph:
    """A component as an and-inverter graph."""

    binary: bytes
    text: str

    @cached_property
    def outputs(self) -> list[str]:
        """Names by their place."""
        return [name for _, name in re.findall(r"^o(\d+) (.+)$", self.text, re.M)]

    def only(self, output: str) -> bytes:
        """The graph with this output alone, as ABC asks for every output to be 0."""
        header, _, rest = self.binary.partition(b"\n")
        kind, most, inputs, latches, outputs, gates = header.split()
        lines = rest.split(b"\n", int(latches) + int(outputs))
        chosen = lines[int(latches) + self.outputs.index(output)]
        header = b" ".join([kind, most, inputs, latches, b"1", gates])
        return b"\n".join([header, *lines[: int(latches)], chosen, lines[-1]])


def graph(top: wiring.Component) -> Graph:
    """The graph of a component, every input of it free in every cycle, its reset too.

    No platform: amaranth's FIFOs bring assumptions of their own with that of proofs.
    """
    values = [Value.cast(value) for _, _, value in top.signature.flatten(top)]
    ports = [value for value in values if not isinstance(value, Const)]  # `ready` that is always 1
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.joinpath("design.il").write_text(rtlil.convert(top, ports=ports))
        place.joinpath("script.ys").write_text(SCRIPT)
        done = subprocess.run(
            [*yosys.COMMAND, "-q", "script.ys"], cwd=place, env=_found(), capture_output=True
        )
        if done.returncode:
            raise RuntimeError(f"Yosys: {done.stderr.decode()[-500:]}")
        return Graph(
            place.joinpath("design.aig").read_bytes(), place.joinpath("design.aag").read_text()
        )


def _found() -> dict[str, str]:
    """The environment in which the module of COMMAND is found from any folder."""
    return {**os.environ, "PYTHONPATH": str(Path(yosys.__file__).parents[2])}


def _abc(graph: Graph, output: str, commands: str, limit: float) -> tuple[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.aig"
        path.write_bytes(graph.only(output))
        began = time.monotonic()
        try:
            done = subprocess.run(
                [yosys.share().parent / "yosys-abc", "-c", f"read_aiger {path}; {commands}"],
                capture_output=True,
                text=True,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            return "", time.monotonic() - began
        return done.stdout, time.monotonic() - began


def _answer(printed: str, seconds: float) -> Answer:
    if found := re.search(r"asserted in frame (\d+)", printed):
        return Answer(FAILED, seconds, int(found[1]))
    # The invariant that was found is checked apart from the search.
    if "Property proved." in printed and re.search(r"Verification .* was successful", printed):
        return Answer(PROVED, seconds)
    return Answer(UNDECIDED, seconds)


def prove(graph: Graph, output: str) -> Answer:
    """Whether `output` is 0 in every cycle of every run, of any length."""
    return _answer(*_abc(graph, output, f"strash; pdr -T {PDR_SECONDS}", PDR_SECONDS + 10))


def reach(graph: Graph, output: str) -> Answer:
    """The first cycle in which `output` can be 1, if it is among the first BMC_FRAMES."""
    commands = f"strash; bmc3 -F {BMC_FRAMES} -T {BMC_SECONDS}"
    return _answer(*_abc(graph, output, commands, BMC_SECONDS + 10))
