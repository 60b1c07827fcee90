"""Design-space exploration: a network on many configurations, by the model, and those that no other beats.

Every combination of the swept fields is a point. Its cycles are the mapper's estimate, its energy that of the estimated
accesses (or, `exact`, both from the commands), its area a model:

    area = sum over memories of compiler.dataflows.hardware.area(bytes of one) + PE_LOGIC x PEs

in bytes of a large buffer. The memories are those of Config.storage(). Points are evaluated by an executor of
concurrent.futures, of local processes or of a Dask cluster, and kept under build/explore, named by the content of all
that they depend on: what was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from compiler import access_estimate, cost, emit, energy, mapping, program, timeline
from compiler.costs import Costs
from compiler.dataflows import hardware
from compiler.drawing import drawing
from compiler.energy import layer_energy
from compiler.map_table import layers_named, map_layer
from compiler.mapping import MappingError
from hdl.config import Config, ConfigError
from hdl.isa import Mode

FOLDER = Path(__file__).resolve().parent.parent / "build" / "explore"
# Logic of a PE, in bytes of a large buffer: assumed, not measured. A 16-bit multiplier, adders, control and network
# interface are taken for 7,000 gates of 1.44 um2, a byte of a large buffer of 65 nm for 10 um2.
PE_LOGIC = 1024
MOST_POINTS = 100_000
SPREAD = 8     # memories that queues and FIFOs of the engines are taken for
DEFAULT_SWEEP = ("rows=6,12,16", "filter_spad=64,96,192", "glb_pairs=8,15,30")


class ExploreError(ValueError):
    """A sweep that cannot be made; one line."""


@dataclass(frozen=True)
class Task:
    """What a point's figures follow from; small, so that it travels well. net: a known network, or a path."""
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
    """A configuration's figures. changes: the swept fields; cycles, dram_bytes, macs: of all layers and the batch;
    energy: in the cost table's unit; area: in bytes of a large buffer; error: why it cannot be built or mapped, and then
    all figures are 0; exact: cycles and energy are those of the commands; front: no other point is better."""
    changes: dict[str, str]
    pes: int = 0
    cycles: int = 0
    energy: float = 0.0
    area: float = 0.0
    storage_bytes: int = 0
    macs: int = 0
    dram_bytes: int = 0
    exact: bool = False
    error: str = ""
    front: bool = False
    exact_cycles: int = 0
    exact_energy: float = 0.0

    @property
    def name(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.changes.items())

    @property
    def objectives(self) -> tuple[float, float, float]:
        return self.cycles, self.energy, self.area


def combinations(sweep: list[str]) -> list[tuple[tuple[str, str], ...]]:
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
            raise ExploreError(f"sweep {text!r}: expected {name}=VALUE,VALUE,... with values that differ")
    if not axes:
        raise ExploreError("nothing to sweep: give FIELD=VALUE,VALUE,...")
    if (count := math.prod(map(len, axes.values()))) > MOST_POINTS:
        raise ExploreError(f"{count:,} points: {MOST_POINTS:,} at most")
    return [tuple(zip(axes, values)) for values in itertools.product(*axes.values())]


def area(config: Config, pe_logic: int = PE_LOGIC) -> float:
    """Of all storage and the PEs' logic, in bytes of a large buffer."""
    count = {"filter spads": 2 * config.pes, "ifmap spads": config.pes, "psum spads": 2 * config.pes,
             "ifmap FIFOs": config.pes, "psum FIFOs": config.pes, "global buffer": 2 * config.glb_pairs,
             "sparse weights": config.sparse_pes, "sparse pointers": 2 * config.sparse_pes,
             "sparse activations": 2 * config.sparse_pes, "sparse accumulators": config.sparse_pes}
    memories = ((size, count.get(name, SPREAD)) for name, size in config.storage().items())
    return sum(n * hardware.area(size / n) for size, n in memories if size) + pe_logic * config.pes


def evaluate(task: Task) -> Point:
    """One point, anywhere. Raises ValueError if the network cannot be read."""
    changes = dict(task.changes)
    try:
        config = Config.from_dict(task.base).override([f"{name}={value}" for name, value in task.changes])
        if task.mode == "skip" and not config.skip:
            raise ConfigError(f"config {config.name!r}: skip = False: cannot skip zeros")
    except ConfigError as e:
        return Point(changes, error=str(e))
    layers, batch = layers_named(task.net, task.part, task.batch)
    if not layers:
        raise ExploreError(f"{task.net} has no {task.part} layers")
    point = Point(changes, config.pes, area=area(config, task.pe_logic), storage_bytes=config.storage_bytes,
                  exact=task.exact)
    for graph, layer, zeros, _ in layers:
        try:
            row = map_layer(graph, layer, zeros, batch, config, Mode[task.mode.upper()], task.objective,
                            commands=task.exact)
        except MappingError as e:
            return Point(changes, config.pes, error=str(e))
        point.cycles += row.model_cycles if task.exact else row.cycles
        point.macs, point.dram_bytes = point.macs + row.macs, point.dram_bytes + row.dram_bytes
        point.energy += layer_energy(row.name, row.macs, row.accesses, config.psum_bits, task.costs).total
    return point


@contextmanager
def executor(jobs: int | None = None, scheduler: str | None = None) -> Iterator[Executor]:
    """Of local processes, one a core by default, or of a Dask cluster by its scheduler's address. Raises ExploreError."""
    if not scheduler:
        # Fresh processes: a fork would take over the locks of a progress display.
        with ProcessPoolExecutor(jobs or os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
            yield pool
        return
    try:
        from distributed import Client
    except ImportError:
        raise ExploreError('a cluster needs Dask: pip install "eyrie[cluster]"') from None
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError, TypeError) as e:
        raise ExploreError(f"scheduler {scheduler}: {str(e).splitlines()[0] or type(e).__name__}") from None
    with client:
        yield client.get_executor(pure=False)


def key(task: Task) -> str:
    """Names a point by what it depends on."""
    modules = (access_estimate, cost, emit, energy, hardware, mapping, program, timeline)
    parts = [repr(task).encode(), Path(__file__).read_bytes(), *(Path(m.__file__).read_bytes() for m in modules)]
    if task.net.endswith(".onnx"):
        parts.append(Path(task.net).read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]


def explore(tasks: list[Task], pool: Executor,
            progress: Callable[[int, str], None] = lambda done, text: None) -> list[Point]:
    """Points in the order of the tasks; those kept from earlier are not evaluated. progress: points done, the last one's
    name. Raises what `evaluate` raises."""
    found: dict[int, Point] = {}
    waiting = {}
    FOLDER.mkdir(parents=True, exist_ok=True)
    for at, task in enumerate(tasks):
        kept = FOLDER / f"{key(task)}.json"
        if kept.exists():
            found[at] = Point(**json.loads(kept.read_text()))
            progress(len(found), found[at].name)
        else:
            waiting[pool.submit(evaluate, task)] = at, kept
    try:
        for future in as_completed(waiting):
            at, kept = waiting[future]
            found[at] = future.result()
            partial = kept.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(asdict(found[at])))
            partial.rename(kept)
            progress(len(found), found[at].name)
    finally:
        for future in waiting:   # after an error or an interrupt
            future.cancel()
    return [found[at] for at in range(len(tasks))]


def mark_front(points: list[Point]) -> list[Point]:
    """Marks and returns those that could be built and that no other equals or beats in every objective and beats in
    one, the fastest first."""
    built = [p for p in points if not p.error]
    for p in built:
        p.front = not any(other.objectives != p.objectives
                          and all(a <= b for a, b in zip(other.objectives, p.objectives)) for other in built)
    return sorted((p for p in built if p.front), key=lambda p: p.objectives)


def plot(title: str, points: list[Point], scale: float, unit: str, path: str | Path) -> None:
    """Write an SVG: energy (divided by `scale`, in `unit`) by cycles, colours by area; points of the front ringed, with
    their number in the table."""
    built = [p for p in points if not p.error]
    front = sorted((p for p in built if p.front), key=lambda p: p.objectives)
    with drawing(title, path, (7.5, 4.8)) as axes:
        shown = axes.scatter([p.cycles / 1e6 for p in built], [p.energy / scale for p in built], s=26, cmap="viridis_r",
                             c=[p.area / 1024 for p in built])
        axes.scatter([p.cycles / 1e6 for p in front], [p.energy / scale for p in front], s=90, facecolors="none",
                     edgecolors="#bc4b51", linewidths=1.3, label="Pareto front of cycles, energy and area")
        for n, p in enumerate(front, 1):
            axes.annotate(str(n), (p.cycles / 1e6, p.energy / scale), xytext=(5, 5), textcoords="offset points",
                          fontsize=7)
        axes.figure.colorbar(shown, label="area, KiB of a large buffer")
        axes.set_xlabel("million cycles")
        axes.set_ylabel(unit)
