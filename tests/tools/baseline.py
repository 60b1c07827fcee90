"""Cycles, area and simulation speed of fixed work: what a change of hdl costs, or brings.

    python -m tests.tools.baseline --json FILE       before the change
    python -m tests.tools.baseline --against FILE    after it: a table of both

Three parts, of which `--part` chooses:

cycles   counters of the RTL: LeNet-5 on every preset that holds it; an image through AlexNet's
         CONV2 and CONV5 (dense, skipped) on `eyeriss`; three of EIE's layers with weights on chip
         and one that streams on `eie64`; thirty random layers on `tiny`
area     LUT4 and flip-flops that Yosys gives each component for an ECP5
speed    cycles of `eyeriss` that are simulated in a second of one core

Every result is compared with golden. What does not fit on a preset is listed with its reason, and
so is a case that fails, after all others.
Exit status: 0 done, 1 something differs from golden or fails, 2 bad input. Simulators and areas are
kept by content under build/, so that only what changed is made again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import cli
from cli.progress import progress
from hdl.config import BOARD_PRESETS, PRESETS, Config
from hdl.isa import Mode

Row = dict[str, Any]  # cycles, counters, mismatches; or left_out: why
Case = tuple[str, Callable[[], Row]]

PARTS = ("cycles", "area", "speed")
RANDOM_LAYERS = 30
QUEUE = 8  # columns in a sparse PE's queue, as EIE's
EIE = ("Alex-7", "VGG-8", "NT-Wd")
# Of the machine without sparse PEs in 12F and 25F; those that depend on the array's size, or are
# not there, of others.
AREAS = {
    "ecp5-25": (
        "pe store strips taps pool packer slots load lengths glb fetch control arbiter semaphores "
        "ifmap filter psum ofmap scaler operand-scaler queue-load queue-ifmap queue-filter "
        "queue-psum queue-ofmap queue-store window splitter bridge board-arbiter link sdram array"
    ),
    "ecp5-85": "pe sparse sparse-pe sparse-fill sparse-fetch sparse-spread",
    "demo": "encoder decoder",
}


# ---- cycles -----------------------------------------------------------------------------------
def alexnet(config: Config, layer: str, mode: Mode) -> Row:
    """One image through one of AlexNet's convolutions."""
    from compiler.networks.layer_tables import NETWORKS
    from sim.bench.bench import run_layer

    network = NETWORKS["alexnet"]
    chosen = next(one for one in network.layers if one.name == layer)
    found = run_layer(network, chosen, 1, config, mode)
    return row(found.counters, found.mismatches)


def lenet5(config: Config) -> Row:
    """Four digits, as one batch."""
    with tempfile.TemporaryDirectory() as folder:
        preset, result = Path(folder) / "preset.json", Path(folder) / "result.json"
        preset.write_text(json.dumps(config.to_dict()))
        arguments = ["run", "--config", str(preset), "--limit", "4", "--driver", "cpp"]
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            status = cli.main([*arguments, "--json", str(result)])
        if status == 2:
            return {"left_out": said.getvalue().strip().partition("error: ")[2]}
        found = json.loads(result.read_text())
    counters: Counter[str] = Counter()
    for layer in found["layers"]:
        counters.update(layer["counters"])
    return row(counters, found["mismatches"])


def eie(config: Config, name: str) -> Row:
    """One of EIE's layers, its weights on chip."""
    from compiler.sparse.compression import synthetic
    from sim.bench.bench_fc import run_layer
    from sim.device import SimDevice

    layer = synthetic(name)
    operands = (layer.matrix, layer.codebook, layer.activations)
    with SimDevice(config, "cpp", 1 << 27) as device:
        (found,) = run_layer(device, config, name, *operands, "balanced", (QUEUE,))
    numbers = ("nonzero_macs", "padding_entries", "columns", "fill_cycles")
    counters = {number: getattr(found, number) for number in numbers}
    return row({"cycles": found.cycles} | counters, found.mismatches)


def streamed(config: Config, name: str) -> Row:
    """One of EIE's layers, its columns in DRAM."""
    from compiler.sparse.compression import synthetic
    from sim.bench.bench_fc import run_streamed
    from sim.device import SimDevice

    layer = synthetic(name)
    operands = (layer.matrix, layer.codebook, layer.activations)
    with SimDevice(config, "cpp", 1 << 27) as device:
        found = run_streamed(device, config, name, *operands)
    numbers = ("read_bytes", "columns", "nonzero_macs")
    counters = {number: getattr(found, number) for number in numbers}
    return row({"cycles": found.cycles} | counters, found.mismatches)


def random_layers(config: Config) -> Row:
    """Layers of every stratum one after the other; their counters together. Raises AssertionError
    where one differs from golden."""
    from sim.device import SimDevice
    from tests.device.devices import check_network
    from tests.layers import draw

    counters: Counter[str] = Counter()
    with SimDevice(config, "cpp", 16 << 20) as device:
        for seed in range(RANDOM_LAYERS):
            _, _, network, images = draw(seed)
            modes = [Mode.DENSE, Mode.GATE, *[Mode.SKIP] * config.skip]
            _, found = check_network(device, network, images, mode=modes[seed % len(modes)])
            for name, one in found.items():
                counters.update(one)
                counters[f"{seed} {name} cycles"] = one["cycles"]
    return row(counters, 0)


def row(counters: dict[str, int] | Counter[str], mismatches: int) -> Row:
    """What is kept of a run."""
    return {
        "cycles": int(counters["cycles"]),
        "mismatches": int(mismatches),
        "counters": {name: int(count) for name, count in counters.items() if name != "cycles"},
    }


def cycle_cases(configs: dict[str, Config]) -> Iterator[Case]:
    """The longest first, since they run side by side."""
    if eyeriss := configs.get("eyeriss"):
        for layer in ("CONV2", "CONV5"):
            for mode in (Mode.DENSE, Mode.SKIP):
                name = f"AlexNet {layer} {mode.name.lower()}, eyeriss"
                yield name, partial(alexnet, eyeriss, layer, mode)
    if eie64 := configs.get("eie64"):
        deep = eie64.replace(name="eie64-q16", sparse_queue=16)
        for name in EIE:
            yield f"{name}, eie64", partial(eie, deep, name)
        yield f"{EIE[0]} streamed, eie64", partial(streamed, deep, EIE[0])
    if tiny := configs.get("tiny"):
        yield f"{RANDOM_LAYERS} random layers, tiny", partial(random_layers, tiny)
    for name, config in configs.items():
        yield f"LeNet-5, {name}", partial(lenet5, config)


# ---- area -------------------------------------------------------------------------------------
def area(name: str, config: Config) -> Row:
    """LUT4 and flip-flops of a component, not routed."""
    from fpga.flow.area import measure

    found = measure(name, config, route=False)
    return {key: found[key] for key in ("lut", "ff", "dsp", "bram")}


def area_cases(configs: dict[str, Config]) -> Iterator[Case]:
    for preset, names in AREAS.items():
        if preset in configs:
            for name in names.split():
                yield f"{name}, {preset}", partial(area, name, configs[preset])


# ---- speed ------------------------------------------------------------------------------------
def speed(config: Config) -> Row:
    """One image of AlexNet's CONV5: cycles, and the simulator's processor time, at best of three.
    Nothing else may run meanwhile."""
    from compiler.lowering.compile import compile_network
    from compiler.lowering.structures.options import Options
    from compiler.networks.layer_tables import NETWORKS
    from sim.bench.bench import make_layer, simulate
    from sim.device import SimDevice

    network = NETWORKS["alexnet"]
    layer = next(one for one in network.layers if one.name == "CONV5")
    quantised, images = make_layer(network, layer, 1)
    program = compile_network(quantised, config, Options(images=1))
    SimDevice(config, "cpp", 4096).close()  # it is built before the clock runs
    cycles, seconds = 0, float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        cycles = simulate(layer, quantised, program, images, config).cycles
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        seconds = min(seconds, used)
    return {"cycles": cycles, "seconds": round(seconds, 2), "per_second": round(cycles / seconds)}


# ---- everything -------------------------------------------------------------------------------
def take(configs: dict[str, Config], parts: tuple[str, ...], jobs: int) -> dict[str, Any]:
    """{part: {case: row}}, in the order of the cases."""
    found: dict[str, dict[str, Row]] = {}
    makers = {"cycles": cycle_cases, "area": area_cases}
    cases = [(p, n, f) for p in parts if p in makers for n, f in makers[p](configs)]
    with progress() as bars, ProcessPoolExecutor(jobs) as pool:
        task = bars.add_task("", total=len(cases))
        for part, name, done in [(p, n, pool.submit(f)) for p, n, f in cases]:
            bars.update(task, description=name)
            try:
                row = done.result()
            except Exception as error:  # the others' minutes are not lost
                row = {"failed": f"{type(error).__name__}: {error}"}
            found.setdefault(part, {})[name] = row
            bars.advance(task)
    if "speed" in parts and "eyeriss" in configs:
        found["speed"] = {"AlexNet CONV5, one image, eyeriss": speed(configs["eyeriss"])}
    return found


def changes(before: dict[str, int], after: dict[str, int]) -> str:
    """The counters that differ: their number and the first."""
    names = [n for n in before.keys() | after.keys() if before.get(n) != after.get(n)]
    if not names:
        return ""
    first = min(names)
    shown = f"{first} {before.get(first, 0):,} -> {after.get(first, 0):,}"
    return shown if len(names) == 1 else f"{len(names)}, as {shown}"


def show(console: Console, found: dict[str, Any], before: dict[str, Any]) -> None:
    """A table a part, what was measured before beside what is now."""
    columns = {"cycles": ("cycles",), "area": ("lut", "ff"), "speed": ("per_second",)}
    titles = {"lut": "LUT4", "ff": "flip-flops", "per_second": "cycles a second"}
    for part, rows in found.items():
        table = Table(title=part, title_justify="left", box=box.SIMPLE, pad_edge=False)
        table.add_column("", no_wrap=True)
        for column in columns[part]:
            for text in ("before", "after", "change"):
                table.add_column(f"{titles.get(column, column)} {text}", justify="right")
        if part == "cycles":
            table.add_column("counters that differ")
        for name, one in rows.items():
            cells, old = [name], before.get(part, {}).get(name, {})
            for column in columns[part]:
                cells += compared(old.get(column), one.get(column))
            if part == "cycles":
                difference = changes(old["counters"], one["counters"]) if "counters" in old else ""
                cells.append(one.get("left_out") or one.get("failed") or difference)
            table.add_row(*cells)
        if part == "area":
            table.add_section()
            sums = [f"all {len(rows)}"]
            for column in columns[part]:
                both = [before.get(part, {}).get(name, {}).get(column) for name in rows]
                total = None if None in both else sum(both)
                sums += compared(total, sum(one.get(column, 0) for one in rows.values()))
            table.add_row(*sums)
        console.print(table)


def compared(before: int | None, after: int | None) -> list[str]:
    """Both numbers and their difference in percent, as they are printed."""
    texts = ["" if number is None else f"{number:,}" for number in (before, after)]
    if before is None or after is None or not before:
        return [*texts, ""]
    return [*texts, "=" if before == after else f"{100 * (after / before - 1):+.2f} %"]


def configurations(names: list[str], fields: list[str]) -> dict[str, Config]:
    """Presets, with fields changed. Raises ConfigError."""
    return {name: Config.load(name).override(fields) for name in names}


def main(argv: list[str] | None = None) -> int:
    """The command. argv: instead of what was typed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.baseline", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--json", metavar="FILE", help="write everything to this file")
    parser.add_argument("--against", metavar="FILE", help="compare with what --json wrote")
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="only this (may be repeated)"
    )
    parser.add_argument("--preset", action="append", metavar="NAME", help="only its cases")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    args = parser.parse_args(argv)
    try:
        before = json.loads(Path(args.against).read_text()) if args.against else {}
        if not isinstance(before, dict) or not all(isinstance(v, dict) for v in before.values()):
            raise ValueError(f"{args.against}: not what --json writes")
        if args.json and not Path(args.json).parent.is_dir():
            raise ValueError(f"{args.json}: no such folder")
        configs = configurations(args.preset or [*PRESETS, *BOARD_PRESETS], args.set)
        found = take(configs, tuple(args.part or PARTS), args.jobs)
        if args.json:
            Path(args.json).write_text(json.dumps(found, indent=1) + "\n")
    except (OSError, ValueError) as e:
        print(f"baseline: error: {e}", file=sys.stderr)
        return 2
    show(Console(width=None if sys.stdout.isatty() else 160), found, before)
    every = [pair for part in found.values() for pair in part.items()]
    wrong = [f"{name}: differs from golden" for name, one in every if one.get("mismatches")]
    wrong += [f"{name}: {one['failed']}" for name, one in every if "failed" in one]
    for text in wrong:
        print(f"baseline: error: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
