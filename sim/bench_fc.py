"""Fully connected layers on the RTL of an EIE-class engine, weights on chip as in the paper.

Each block of a layer is filled once; then it runs at every queue depth. Cycles are those of
SPARSE_RUN and SPARSE_OUTPUT: from the first activation looked at to the last output kept on
chip. What the fills took is reported apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from compiler.commands import Schedule
from compiler.csc import Sparse
from compiler.device import Device, run_program
from compiler.emit import Blob
from compiler.layout import Storage, View
from compiler.mapping import ceil
from compiler.sparse import plan_sparse
from compiler.sparse_emit import SparseEmitter
from golden.fixed import requantise, wrap
from hdl.config import PRESETS, Config
from hdl.isa import COMMAND_BYTES

DEPTHS = (1, 2, 4, 8, 16)
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


def run_layer(device: Device, config: Config, name: str, matrix: Sparse, codebook: np.ndarray,
              activations: np.ndarray, placement: str, depths=DEPTHS, published: float | None = None,
              progress: Callable[[str], None] = lambda text: None) -> list[FcResult]:
    """Run a layer at every depth and compare every output with the definition.

    Psums start at 0 in every block, so that each run of a block is checked by itself: the
    expected sums come from the matrix, not from its encoding.
    """
    k = config.sparse_pes
    plan = plan_sparse(matrix, codebook, config, placement, stream=False)
    locals_ = max(band.locals_ for band in plan.bands)
    vector = np.zeros(ceil(matrix.columns, 4) * 4, np.int16)
    vector[:matrix.columns] = activations
    source = 0
    target = View(Storage("out", 1, 1, 16, ceil(locals_ * k, 16), 4096 * ceil(vector.nbytes, 4096)), 0,
                  np.arange(locals_ * k))
    constant = target.storage.address + 4096 * ceil(2 * locals_ * k, 4096)
    device.write(source, vector.tobytes())
    shift = 12
    totals = {d: dict.fromkeys(("cycles", "macs", "padding", "columns", "starved", "blocked"), 0) for d in depths}
    fill_cycles = mismatches = 0
    column = matrix.column()
    products = codebook[matrix.index].astype(np.int64) * activations[column]

    def start(emit, blob):
        schedule = Schedule()
        emitter = SparseEmitter(schedule, config, plan, blob)
        emit(emitter)
        program = 4096 * ceil(blob.address + blob.size, 4096)
        commands = schedule.pack()
        device.write(blob.address, blob.bytes())
        device.write(program, commands)
        result = run_program(device, program, len(commands) // COMMAND_BYTES, watchdog=1_000_000,
                             read_window=(0, program + len(commands)), write_window=(0, constant))
        if not result.ok:
            raise RuntimeError(f"{name}: {result.error.name} at command {result.index}")
        return result.counters
    for band in plan.bands:
        for number, block in enumerate(band.blocks):
            progress(f"{name} {placement}: filling")

            def fill(emitter):
                emitter.codebook()
                emitter.weights(block)
                emitter.activations(block, source, len(vector) // 4)
            fill_cycles += start(fill, Blob(constant))["cycles"]
            inside = (column >= block.first) & (column < block.first + block.columns)
            sums = np.bincount(matrix.row[inside], products[inside], matrix.rows)[band.rows]
            want = requantise(wrap(sums.astype(np.int64), config.psum_bits), shift, False)
            for depth in depths:
                progress(f"{name} {placement}: queue of {depth}")
                device.write(target.storage.address, bytes(target.storage.image_bytes))
                ran = start(lambda emitter: emitter.run(block, depth), Blob(constant))

                def output(emitter):
                    emitter.output(band, shift, False)
                    emitter.store(band, target, 0, 0)
                out = start(output, Blob(constant))
                got = np.frombuffer(device.read(target.storage.address, target.storage.image_bytes), np.int16)
                mismatches += int((got[band.local.astype(int) * k + band.pe] != want).sum())
                t = totals[depth]
                t["cycles"] += ran["sparse_busy"] + (out["sparse_busy"] if number == len(band.blocks) - 1 else 0)
                for key in ("macs", "padding", "columns", "starved", "blocked"):
                    t[key] += ran[f"sparse_{key}"]
    blocks = sum(len(band.blocks) for band in plan.bands)
    return [FcResult(name, depth, placement, t["cycles"], t["macs"], t["padding"], t["macs"] / (k * t["cycles"]),
                     (t["macs"] + t["padding"]) / (k * t["cycles"]), t["columns"], t["starved"] / (k * t["cycles"]),
                     t["blocked"] / (k * t["cycles"]), fill_cycles, blocks, mismatches, published)
            for depth, t in totals.items()]


def plot(results: list[FcResult], path) -> None:
    """Efficiency by queue depth, a panel a layer, a line a placement, EIE's figure beside."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    names = list(dict.fromkeys(r.name for r in results))
    columns = min(3, len(names))
    figure, axes = plt.subplots(ceil(len(names), columns), columns, sharex=True, sharey=True, squeeze=False,
                                figsize=(3.4 * columns, 2.5 * ceil(len(names), columns)), layout="constrained")
    for name, ax in zip(names, axes.flat):
        for placement in dict.fromkeys(r.placement for r in results):
            some = [r for r in results if r.name == name and r.placement == placement]
            ax.plot([r.queue_depth for r in some], [100 * r.efficiency for r in some], marker="o", ms=3,
                    label=placement)
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
