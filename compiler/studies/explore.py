"""Design-space exploration: a network on many configurations, by the model, and those that no other
beats.

Every combination of the swept fields is a point. Its cycles are the mapper's estimate, its energy
that of the estimated accesses (or, `exact`, both from the commands), its area a model:

    area = sum over memories of compiler.studies.dataflows.hardware.area(bytes of one) + PE_LOGIC x
    PEs

in bytes of a large buffer. The memories are those of Config.storage(). Points are evaluated by an
executor of concurrent.futures, of local processes or of a Dask cluster, and kept under
build/explore, named by the content of all that they depend on: what was interrupted goes on where
it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from compiler.drawing import drawing
from compiler.mapping.mapping import MappingError
from compiler.progress import Progress, silent
from compiler.studies.costs import Costs
from compiler.studies.dataflows import hardware
from compiler.studies.energy import layer_energy
from compiler.studies.energy_table import scaled
from compiler.studies.map_table import layers_named, map_layer
from compiler.tables import new_table
from hdl.config import Config, ConfigError
from hdl.emit.files import BUILD
from hdl.emit.sources import fingerprint
from hdl.isa import Mode

FOLDER = BUILD / "explore"
# Logic of a PE, in bytes of a large buffer: 10,877 gates (`make gates`, preset eyeriss) of 1.44
# um2, a NAND2 of 65 nm, against 10 um2 a byte. The gates are counted, the areas assumed.
PE_LOGIC = 1566
MOST_POINTS = 100_000
CONNECT = 10  # seconds that a cluster's scheduler has to answer
ENGINE_MEMORIES = 8  # that queues and FIFOs of the engines are taken for
DEFAULT_SWEEP = ("rows=6,12,16", "filter_spad=64,96,192", "glb_pairs=8,15,30")


class ExploreError(ValueError):
    """A sweep that cannot be made; one line."""


@dataclass(frozen=True)
class Task:
    """What a point's figures follow from; small, so that it travels well. base: a Config's fields;
    changes: (field, value); net: a known network, or the path of an ONNX file; pe_logic: bytes of a
    large buffer; exact: by the commands."""

    base: dict
    changes: tuple[tuple[str, str], ...]
    net: str
    part: str
    batch: int | None
    mode: str
    objective: str
    costs: Costs
    pe_logic: int = PE_LOGIC
    exact: bool = False


@dataclass
class Point:
    """A configuration's figures. changes: the swept fields; cycles, dram_bytes, macs: of all layers
    and the batch; energy: in the cost table's unit; area: in bytes of a large buffer; error: why it
    cannot be built or mapped, and then all figures are 0; front: no other point is better;
    exact_cycles, exact_energy: those of the commands, 0 if they were not made."""

    changes: dict[str, str]
    pes: int = 0
    cycles: int = 0
    energy: float = 0.0
    area: float = 0.0
    storage_bytes: int = 0
    macs: int = 0
    dram_bytes: int = 0
    error: str = ""
    front: bool = False
    exact_cycles: int = 0
    exact_energy: float = 0.0
    multipliers: int = 0

    @property
    def name(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.changes.items())

    @property
    def objectives(self) -> tuple[float, float, float]:
        return self.cycles, self.energy, self.area

    def beats(self, other: Point) -> bool:
        """No worse in any objective, and better in one."""
        return self.objectives != other.objectives and all(
            a <= b for a, b in zip(self.objectives, other.objectives)
        )


def combinations(sweep: tuple[str, ...]) -> list[tuple[tuple[str, str], ...]]:
    """Every combination of "field=value,value,..." in the order given. Raises ExploreError."""
    axes: dict[str, list[str]] = {}
    for text in sweep:
        name, equals, values = text.partition("=")
        if name not in Config.__dataclass_fields__ or name == "name":
            raise ExploreError(f"sweep {text!r}: no field {name!r} of a configuration")
        if name in axes:
            raise ExploreError(f"sweep {text!r}: field {name!r} is swept already")
        axes[name] = values.split(",")
        if not equals or "" in axes[name] or len(set(axes[name])) < len(axes[name]):
            raise ExploreError(
                f"sweep {text!r}: expected {name}=VALUE,VALUE,... with values that differ"
            )
    if not axes:
        raise ExploreError("nothing to sweep: give FIELD=VALUE,VALUE,...")
    if (count := math.prod(map(len, axes.values()))) > MOST_POINTS:
        raise ExploreError(f"{count:,} points: {MOST_POINTS:,} at most")
    return [tuple(zip(axes, values)) for values in itertools.product(*axes.values())]


def area(config: Config, pe_logic: int = PE_LOGIC) -> float:
    """Of all storage and the PEs' logic, in bytes of a large buffer."""
    count = {
        "filter spads": 2 * config.pes,
        "ifmap spads": config.pes,
        "psum spads": 2 * config.pes,
        "ifmap FIFOs": config.pes,
        "psum FIFOs": config.pes,
        "global buffer": 2 * config.glb_pairs,
        "sparse weights": config.sparse_pes,
        "sparse pointers": 2 * config.sparse_pes,
        "sparse activations": config.sparse_pes,
        "sparse accumulators": config.sparse_pes,
        "sparse queues": 2 * config.sparse_pes,
    }
    memories = ((size, count.get(name, ENGINE_MEMORIES)) for name, size in config.storage().items())
    return sum(n * hardware.area(size / n) for size, n in memories if size) + pe_logic * config.pes


def evaluate(task: Task) -> Point:
    """One point, anywhere. Raises ValueError if the network cannot be read."""
    changes = dict(task.changes)
    try:
        config = Config.from_dict(task.base).override(
            [f"{name}={value}" for name, value in task.changes]
        )
        if task.mode == "skip" and not config.skip:
            raise ConfigError(f"config {config.name!r}: skip = False: cannot skip zeros")
    except ConfigError as e:
        return Point(changes, error=str(e))
    layers, batch = layers_named(task.net, task.part, task.batch)
    point = Point(
        changes,
        config.pes,
        area=area(config, task.pe_logic),
        storage_bytes=config.storage_bytes,
        multipliers=config.multipliers,
    )
    for graph, layer, zeros, _ in layers:
        try:
            row = map_layer(
                graph,
                layer,
                zeros,
                batch,
                config,
                Mode[task.mode.upper()],
                task.objective,
                commands=task.exact,
            )
        except MappingError as e:
            return Point(changes, config.pes, error=str(e))
        point.cycles += row.model_cycles if task.exact else row.cycles
        point.macs, point.dram_bytes = point.macs + row.macs, point.dram_bytes + row.dram_bytes
        point.energy += layer_energy(
            row.name, row.macs, row.accesses, config.psum_bits, task.costs
        ).total
    return point


@contextmanager
def executor(jobs: int | None = None, scheduler: str | None = None) -> Iterator[Executor]:
    """Of local processes, one a core by default, or of a Dask cluster by its scheduler's address.
    Raises ExploreError."""
    if not scheduler:
        # Fresh processes: a fork would take over the locks of a progress display.
        with ProcessPoolExecutor(
            jobs or os.cpu_count(), multiprocessing.get_context("spawn")
        ) as pool:
            yield pool
        return
    try:
        from distributed import Client  # pyright: ignore[reportMissingImports]: the extra `cluster`
    except ImportError:
        raise ExploreError('a cluster needs Dask: pip install "eyrie[cluster]"') from None
    try:
        client = Client(scheduler, timeout=CONNECT)
    except (OSError, ValueError, TypeError) as e:
        raise ExploreError(
            f"scheduler {scheduler}: {(str(e).splitlines() or [type(e).__name__])[0]}"
        ) from None
    with client:
        yield client.get_executor(pure=False)


def key(task: Task) -> str:
    """Names a point by what it depends on."""
    parts = [repr(task).encode(), fingerprint("compiler.studies.explore").encode()]
    if task.net.endswith(".onnx"):
        parts.append(Path(task.net).read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]


def evaluate_all(tasks: list[Task], pool: Executor, progress: Progress = silent) -> list[Point]:
    """Points in the order of the tasks; those kept from earlier are not evaluated. progress: points
    done, of how many, the last one's name. Raises what `evaluate` raises."""
    found: dict[int, Point] = {}
    waiting = {}
    FOLDER.mkdir(parents=True, exist_ok=True)
    for at, task in enumerate(tasks):
        kept = FOLDER / f"{key(task)}.json"
        if kept.exists():
            found[at] = Point(**json.loads(kept.read_text()))
            progress(len(found), len(tasks), found[at].name)
        else:
            waiting[pool.submit(evaluate, task)] = at, kept

    def keep(future):
        at, kept = waiting[future]
        found[at] = future.result()
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(asdict(found[at])))
        partial.rename(kept)

    try:
        for future in as_completed(waiting):
            keep(future)
            progress(len(found), len(tasks), found[waiting[future][0]].name)
    finally:
        for future, (at, _) in waiting.items():  # after an error or an interrupt
            future.cancel()
            if (
                at not in found
                and future.done()
                and not future.cancelled()
                and not future.exception()
            ):
                keep(future)
    return [found[at] for at in range(len(tasks))]


def mark_front(points: list[Point]) -> list[Point]:
    """Marks and returns those that could be built and that no other beats, the fastest first."""
    front: list[Point] = []
    # What beats a point comes before it in this order, and so does one of the front that beats
    # that.
    for p in sorted((p for p in points if not p.error), key=lambda p: p.objectives):
        p.front = not any(other.beats(p) for other in front)
        if p.front:
            front.append(p)
    return front


@dataclass(frozen=True)
class Study:
    """What is explored: fields of `config` by `sweep`, texts as "rows=6,12". net: a known network
    or an ONNX file; costs: a table's name, or its file; pe_logic: bytes of a large buffer."""

    config: Config
    sweep: tuple[str, ...]
    net: str
    part: str = "conv"
    batch: int | None = None
    mode: str = "gate"
    objective: str = "cycles"
    costs: str = "eyeriss_65nm"
    pe_logic: int = PE_LOGIC

    def tasks(self) -> list[Task]:
        """A task a point. Raises ExploreError, CostsError, ValueError for what no worker needs
        to be asked."""
        net = str(Path(self.net).resolve()) if self.net.endswith(".onnx") else self.net
        if not layers_named(net, self.part, self.batch)[0]:
            raise ExploreError(f"{self.net} has no {self.part} layers")
        costs = Costs.load(self.costs)
        return [
            Task(
                self.config.to_dict(),
                changes,
                net,
                self.part,
                self.batch,
                self.mode,
                self.objective,
                costs,
                self.pe_logic,
            )
            for changes in combinations(self.sweep)
        ]

    @property
    def title(self) -> str:
        return f"{Path(self.net).name} {self.part.upper()} on {self.config.name}, {self.mode}"


@dataclass
class Exploration:
    """Points of a study, in the order of its tasks; front: of them; exact: those of the front have
    figures of the commands too."""

    study: Study
    points: list[Point]
    front: list[Point]
    exact: bool

    @property
    def unit(self) -> tuple[float, str]:
        """What energies are divided by to be shown, and the unit that they have then."""
        return scaled(
            Costs.load(self.study.costs), max((p.energy for p in self.front), default=0.0)
        )

    @property
    def built(self) -> list[Point]:
        return [p for p in self.points if not p.error]

    def table(self) -> Table:
        """A row a point of the front, numbered as in the picture."""
        scale, unit = self.unit
        table = new_table(
            f"{self.study.title}: Pareto front of cycles, energy and area, {len(self.front)} of "
            f"{len(self.points)} points: a model",
            ("changed",),
            "",
            "changed",
            "PEs",
            "cycles",
            *["model"] * self.exact,
            "of peak %",
            f"energy, {unit}",
            *["counted"] * self.exact,
            "DRAM MB",
            "storage, KiB",
            "area, KiB",
        )
        for n, p in enumerate(self.front, 1):
            table.add_row(
                str(n),
                p.name,
                str(p.pes),
                f"{p.cycles:,}",
                *[f"{p.exact_cycles:,}"] * self.exact,
                f"{100 * p.macs / p.cycles / p.multipliers:.1f}",
                f"{p.energy / scale:,.1f}",
                *[f"{p.exact_energy / scale:,.1f}"] * self.exact,
                f"{p.dram_bytes / 1e6:.2f}",
                f"{p.storage_bytes / 1024:.1f}",
                f"{p.area / 1024:.1f}",
            )
        return table

    def remarks(self) -> list[str]:
        """Lines below the table: what could not be mapped, and what the columns are."""
        failed = [p for p in self.points if p.error]
        return [
            f"{len(self.built)} points mapped, {len(failed)} cannot be built or mapped",
            *(f"  {p.name}: {p.error}" for p in failed),
            "area: KiB of a large buffer, "
            "docs/study.md" + "; model, counted: from the commands" * self.exact,
        ]

    def to_dict(self) -> dict:
        s = self.study
        costs = Costs.load(s.costs)
        return {
            "config": s.config.to_dict(),
            "net": Path(s.net).name,
            "part": s.part,
            "mode": s.mode,
            "batch": s.batch,
            "objective": s.objective,
            "costs": costs.name,
            "unit": costs.unit,
            "sweep": s.sweep,
            "pe_logic": s.pe_logic,
            "points": [asdict(p) for p in self.points],
        }

    def plot(self, path: str | Path) -> None:
        """Write an SVG: energy by cycles, colours by area; the front ringed, with the numbers of
        the table."""
        scale, unit = self.unit
        with drawing(self.study.title, path, (7.5, 4.8)) as axes:
            shown = axes.scatter(
                [p.cycles / 1e6 for p in self.built],
                [p.energy / scale for p in self.built],
                s=26,
                cmap="viridis_r",
                c=[p.area / 1024 for p in self.built],
            )
            axes.scatter(
                [p.cycles / 1e6 for p in self.front],
                [p.energy / scale for p in self.front],
                s=90,
                facecolors="none",
                edgecolors="#bc4b51",
                linewidths=1.3,
                label="Pareto front of cycles, energy and area",
            )
            for n, p in enumerate(self.front, 1):
                side = 1 if n % 2 else -1  # neighbours do not write over each other
                axes.annotate(
                    str(n),
                    (p.cycles / 1e6, p.energy / scale),
                    xytext=(7 * side, 3),
                    fontsize=7,
                    textcoords="offset points",
                    ha="left" if n % 2 else "right",
                )
            axes.figure.colorbar(shown, label="area, KiB of a large buffer")
            axes.set_xlabel("million cycles")
            axes.set_ylabel(f"energy, {unit}")


def explore(
    study: Study, pool: Executor, exact: bool = False, progress: Progress = silent
) -> Exploration:
    """All points of a study; with `exact` those of the front again, by their commands. Raises
    ExploreError if none can be built and mapped, and what Study.tasks raises."""
    tasks = study.tasks()
    points = evaluate_all(tasks, pool, progress)
    front = mark_front(points)
    if not front:
        raise ExploreError(
            f"no point of the sweep can be built and mapped: {points[0].name}: {points[0].error}"
        )
    if exact:
        again = {p.name: p for p in front}
        counted = evaluate_all(
            [dataclasses.replace(task, exact=True) for task, p in zip(tasks, points) if p.front],
            pool,
            progress,
        )
        for p in counted:
            again[p.name].exact_cycles, again[p.name].exact_energy = p.cycles, p.energy
    return Exploration(study, points, front, exact)
