"""Fully connected layers on the RTL of an EIE-class engine, weights on chip as in the paper.

Each block of a layer is filled once; then it runs at every queue depth. Cycles are those of
SPARSE_RUN and SPARSE_OUTPUT: from the first activation looked at to the last output kept on
chip. What the fills took is reported apart.

A layer whose weights fit but whose pointers do not is also run with its pointers in batches: two
fit, and each further one is filled where the RUN under way has no pointers. And every layer is
also run with nothing but its activations on chip (SPARSE_STREAM).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from compiler.lowering.emission.buffer import Blob
from compiler.lowering.emission.sparse import SparseEmitter, SparseJob, emit_sparse
from compiler.lowering.structures.commands import Schedule
from compiler.mapping.layout import Storage, View
from compiler.numbers import ceil
from compiler.runtime.device import Device, run_program
from compiler.sparse.csc import Sparse, encode
from compiler.sparse.slicing import Block, SparseLayer, plan_sparse
from golden.fixed import requantise, wrap
from hdl.config import PRESETS, Config
from hdl.isa import COMMAND_BYTES

DEPTHS = (1, 2, 4, 8, 16)
SHIFT = 12
DEEPEST = PRESETS["eie64"].replace(name="eie64-q16", sparse_queue=max(DEPTHS))


@dataclass
class FcResult:
    """One layer at one queue depth and placement. efficiency: nonzero_macs / (PEs * cycles);
    with_padding counts the padding entries met as well; fill_cycles: weights, pointers and
    activations from DRAM; blocks: fills that the layer's columns and rows take; starved and
    blocked: shares of all PE-cycles."""

    name: str
    queue_depth: int
    placement: str
    cycles: int
    nonzero_macs: int
    padding_entries: int
    efficiency: float
    with_padding: float
    columns: int
    starved: float
    blocked: float
    fill_cycles: int
    blocks: int
    mismatches: int
    published: float | None = None

    def to_dict(self) -> dict:
        return asdict(self)


def run_layer(
    device: Device,
    config: Config,
    name: str,
    matrix: Sparse,
    codebook: np.ndarray,
    activations: np.ndarray,
    placement: str,
    depths=DEPTHS,
    published: float | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> list[FcResult]:
    """Run a layer at every depth and compare every output with the definition.

    Psums start at 0 in every block, so that each run of a block is checked by itself: the
    expected sums come from the matrix, not from its encoding.
    """
    k = config.sparse_pes
    plan = plan_sparse(matrix, codebook, config, placement, stream=False)
    locals_ = max(band.locals_ for band in plan.bands)
    source, target, words, constant = place_vectors(device, activations, locals_ * k)
    totals = {
        d: dict.fromkeys(("cycles", "macs", "padding", "columns", "starved", "blocked"), 0)
        for d in depths
    }
    fill_cycles = mismatches = 0
    column = matrix.column()
    products = codebook[matrix.index].astype(np.int64) * activations[column]

    def start(emit, blob):
        schedule = Schedule()
        emit(SparseEmitter(schedule, config, plan, blob))
        return run_schedule(device, schedule, blob, constant)

    def output(emitter):
        emitter.output(band, SHIFT, False)
        emitter.store(band, target, 0, 0)

    def wrong(sums):
        got = np.frombuffer(
            device.read(target.storage.address, target.storage.image_bytes), np.int16
        )
        return int(
            (got[band.local.astype(int) * k + band.pe] != requantise(sums, SHIFT, False)).sum()
        )

    for band in plan.bands:
        for number, block in enumerate(band.blocks):
            progress(f"{name} {placement}: filling")

            def fill(emitter, block=block):
                emitter.codebook()
                emitter.weights(block)
                emitter.activations(block, source, words)

            fill_cycles += start(fill, Blob(constant))["cycles"]
            inside = (column >= block.first) & (column < block.first + block.columns)
            sums = np.bincount(matrix.row[inside], products[inside], matrix.rows)[band.rows]
            sums = wrap(sums.astype(np.int64), config.psum_bits)
            for depth in depths:
                progress(f"{name} {placement}: queue of {depth}")
                device.write(target.storage.address, bytes(target.storage.image_bytes))
                ran = start(
                    lambda emitter, block=block, depth=depth: emitter.run(block, depth),
                    Blob(constant),
                )
                out = start(output, Blob(constant))
                mismatches += wrong(sums)
                t = totals[depth]
                t["cycles"] += ran["sparse_busy"] + (
                    out["sparse_busy"] if number == len(band.blocks) - 1 else 0
                )
                for key in ("macs", "padding", "columns", "starved", "blocked"):
                    t[key] += ran[f"sparse_{key}"]
    blocks = sum(len(band.blocks) for band in plan.bands)
    return [
        FcResult(
            name,
            depth,
            placement,
            t["cycles"],
            t["macs"],
            t["padding"],
            t["macs"] / (k * t["cycles"]),
            (t["macs"] + t["padding"]) / (k * t["cycles"]),
            t["columns"],
            t["starved"] / (k * t["cycles"]),
            t["blocked"] / (k * t["cycles"]),
            fill_cycles,
            blocks,
            mismatches,
            published,
        )
        for depth, t in totals.items()
    ]


@dataclass
class BatchResult:
    """One layer with more columns than pointers, which come in batches. cycles: from the first
    SPARSE_RUN to the last output kept on chip, with all batches but the two that fit filled
    meanwhile; pointer_bytes: of these; on_chip_cycles: as FcResult's, had all pointers fitted."""

    name: str
    queue_depth: int
    placement: str
    batches: int
    cycles: int
    on_chip_cycles: int
    pointer_bytes: int
    mismatches: int

    def to_dict(self) -> dict:
        return asdict(self)


def run_batches(
    device: Device,
    config: Config,
    result: FcResult,
    matrix: Sparse,
    codebook: np.ndarray,
    activations: np.ndarray,
) -> BatchResult | None:
    """Run the layer of `result` with its pointers in batches. None if they fit, or other
    memories do not suffice."""
    k, half = config.sparse_pes, config.sparse_pointers // 2
    if matrix.columns < config.sparse_pointers or matrix.columns > k * config.sparse_activations:
        return None
    plan = plan_sparse(matrix, codebook, config, result.placement, stream=False)
    band = plan.bands[0]
    compressed = encode(matrix, codebook, k, (band.pe, band.local))
    whole = Block(0, matrix.columns, compressed, max(ceil(len(e), 8) for e in compressed.entries))
    if len(plan.bands) > 1 or whole.words > config.sparse_words:
        return None
    # columns of a batch: its pointers and the one behind fill a half
    each = (half - 2) // k * k
    firsts = range(0, matrix.columns, each)
    source, target, words, constant = place_vectors(device, activations, band.locals_ * k)

    def start(emit):
        schedule, blob = Schedule(), Blob(constant)
        emit(SparseEmitter(schedule, config, plan, blob))
        return run_schedule(device, schedule, blob, constant), blob.size

    def pointers(emitter, n, after=None):
        columns = min(each, ceil(matrix.columns, k) * k - firsts[n])
        emitter.pointers(compressed, firsts[n], columns, n % 2 * half, after)

    def fill(emitter):
        emitter.codebook()
        emitter.weights_only(whole)
        emitter.activations(whole, source, words)
        pointers(emitter, 0)
        pointers(emitter, 1)

    def run(emitter):
        runs = []
        for n, first in enumerate(firsts):
            if n > 1:
                pointers(emitter, n, runs[n - 2])
            emitter.run_columns(
                queue=result.queue_depth,
                address=first // k,
                base=n % 2 * half,
                count=ceil(min(each, matrix.columns - first), k),
            )
            runs.append(emitter.running)
        emitter.output(band, SHIFT, False)

    device.write(target.storage.address, bytes(target.storage.image_bytes))
    start(fill)
    counters, size = start(run)
    start(lambda emitter: emitter.store(band, target, 0, 0))
    return BatchResult(
        result.name,
        result.queue_depth,
        result.placement,
        len(firsts),
        counters["cycles"],
        result.cycles,
        size,
        mismatches_of(device, config, target, plan, matrix, codebook, activations),
    )


@dataclass
class StreamResult:
    """One layer with its columns in DRAM. cycles: doorbell to the last output in memory; bound:
    bytes of both directions at the configured bandwidth; record_bytes: columns of non-zero
    activations; all_bytes: every column's, tables included."""

    name: str
    cycles: int
    bound: float
    read_bytes: int
    record_bytes: int
    all_bytes: int
    columns: int
    nonzero_macs: int
    mismatches: int

    def to_dict(self) -> dict:
        return asdict(self)


def run_streamed(
    device: Device,
    config: Config,
    name: str,
    matrix: Sparse,
    codebook: np.ndarray,
    activations: np.ndarray,
) -> StreamResult:
    """Run a layer whose columns are in DRAM, and compare every output with the definition."""
    plan = plan_sparse(matrix, codebook, config, stream=True)
    source, target, words, constant = place_vectors(device, activations, plan.positions)
    schedule, blob = Schedule(), Blob(constant)
    device.write(target.storage.address, bytes(target.storage.image_bytes))
    job = SparseJob(
        plan,
        np.zeros(matrix.rows, np.int32),
        SHIFT,
        False,
        View(Storage("in", 1, 1, 4, words, source), 0, np.arange(matrix.columns)),
        target,
        1,
    )
    emit_sparse(schedule, config, job, blob)
    c = run_schedule(device, schedule, blob, constant)
    return StreamResult(
        name,
        c["cycles"],
        (c["dram_read_bytes"] + c["dram_write_bytes"]) / config.dram_bytes_per_cycle,
        c["dram_read_bytes"],
        c["sparse_bytes"],
        sum(8 * (len(b.table) + len(b.records)) for band in plan.bands for b in band.blocks),
        c["sparse_columns"],
        c["sparse_macs"],
        mismatches_of(device, config, target, plan, matrix, codebook, activations),
    )


def mismatches_of(
    device: Device,
    config: Config,
    target: View,
    plan: SparseLayer,
    matrix: Sparse,
    codebook: np.ndarray,
    activations: np.ndarray,
) -> int:
    """Outputs in memory that are not what the matrix says."""
    sums = np.bincount(
        matrix.row,
        codebook[matrix.index].astype(np.int64) * activations[matrix.column()],
        matrix.rows,
    )
    got = np.frombuffer(device.read(target.storage.address, target.storage.image_bytes), np.int16)[
        plan.slots
    ]
    return int(
        (got != requantise(wrap(sums.astype(np.int64), config.psum_bits), SHIFT, False)).sum()
    )


def place_vectors(
    device: Device, activations: np.ndarray, outputs: int
) -> tuple[int, View, int, int]:
    """The activations in memory: (their address, a View for the outputs, words of the vector,
    the first byte free)."""
    vector = np.zeros(ceil(len(activations), 4) * 4, np.int16)
    vector[: len(activations)] = activations
    device.write(0, vector.tobytes())
    at = 4096 * ceil(vector.nbytes, 4096)
    return (
        0,
        View(Storage("out", 1, 1, 16, ceil(outputs, 16), at), 0, np.arange(outputs)),
        len(vector) // 4,
        at + 4096 * ceil(2 * outputs + 32, 4096),
    )


def run_schedule(device: Device, schedule: Schedule, blob: Blob, constant: int) -> dict[str, int]:
    """Run commands with their constants from address `constant` on; the counters."""
    program = 4096 * ceil(blob.address + blob.size, 4096)
    commands = schedule.pack()
    device.write(blob.address, blob.bytes())
    device.write(program, commands)
    result = run_program(
        device,
        program,
        len(commands) // COMMAND_BYTES,
        watchdog=1_000_000,
        read_window=(0, program + len(commands)),
        write_window=(0, constant),
    )
    if not result.ok:
        raise RuntimeError(f"{result.error.name} at command {result.index}")
    return result.counters


def plot(results: list[FcResult], path) -> None:
    """Efficiency by queue depth, a panel a layer, a line a placement, EIE's figure beside."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(r.name for r in results))
    columns = min(3, len(names))
    figure, axes = plt.subplots(
        ceil(len(names), columns),
        columns,
        sharex=True,
        sharey=True,
        squeeze=False,
        figsize=(3.4 * columns, 2.5 * ceil(len(names), columns)),
        layout="constrained",
    )
    for name, ax in zip(names, axes.flat):
        for placement in dict.fromkeys(r.placement for r in results):
            some = [r for r in results if r.name == name and r.placement == placement]
            ax.plot(
                [r.queue_depth for r in some],
                [100 * r.efficiency for r in some],
                marker="o",
                ms=3,
                label=placement,
            )
        published = next(r.published for r in results if r.name == name)
        if published:
            ax.axhline(100 * published, ls="--", lw=1, color="grey", label="EIE, queue of 8")
        ax.set_title(name, fontsize=10)
        ax.set_xscale("log", base=2)
        ax.set_xticks(DEPTHS, [str(d) for d in DEPTHS])
        ax.grid(alpha=0.3)
    for ax in axes[-1]:
        ax.set_xlabel("queue depth (columns)")
    for ax in axes[:, 0]:
        ax.set_ylabel("efficiency (%)")
    axes.flat[0].legend(fontsize=7)
    with matplotlib.rc_context({"svg.hashsalt": "eyrie"}):
        figure.savefig(path, metadata={"Date": None} if str(path).endswith(".svg") else None)
    plt.close(figure)
