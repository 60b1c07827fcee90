"""The main job: a program on a device, every layer's output compared with golden bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np

from compiler.layers import Conv
from compiler.lowering.structures.coded import tensor_of
from compiler.lowering.structures.program import Program, Segment
from compiler.quantise.fixed_point import GoldenRun, QuantisedGraph, golden_run, quantise_input
from compiler.runtime.device import Device, RunResult, run_program
from golden.rlc import LEVEL_BITS, entropy_bits
from hdl.isa import COMMAND_BYTES

WATCHDOG = 100_000  # cycles without movement


class RunError(RuntimeError):
    """A device that stopped with an error; names the layer, the error and the command."""


@dataclass
class LayerResult:
    """A row of the table. Cycles, MACs and bytes are means of a batch; `utilisation` is macs /
    (cycles * PEs), of a sparse layer the non-zero MACs over the sparse PEs; `filter_bound`: the
    cycles it takes at least to bring every filter word once over DRAM and the filter network;
    `load_bound`: of a sparse layer, to bring its weights, pointers and vectors over DRAM, as often
    as the batch does; `wrapped`: final psums that wrapped; `mismatches`: elements that differ from
    golden, over all images."""

    name: str
    kind: str
    shape: str
    mapping: str
    cycles: float = 0.0
    macs: int = 0
    utilisation: float = 0.0
    dram_bytes: float = 0.0
    filter_bound: int = 0
    load_bound: int = 0
    wrapped: int = 0
    mismatches: int = 0
    counters: dict[str, int] = field(default_factory=dict)


@dataclass
class FmapResult:
    """A feature map run-length coded in memory, over all images: share of zeros; `dense` bytes
    if it were not coded, and those measured, its lengths included; ratio of the two; `entropy`,
    the ratio that a code of independent zeros and 16-bit levels cannot exceed (0: no limit)."""

    name: str
    zeros: float = 0.0
    dense: int = 0
    coded: int = 0
    ratio: float = 0.0
    entropy: float = 0.0


@dataclass
class RunReport:
    """What a run found. `device`, `golden`: class scores int16 [images, K]."""

    layers: list[LayerResult]
    fmaps: list[FmapResult]
    images: int
    batch: int
    golden: np.ndarray
    device: np.ndarray

    @property
    def mismatches(self) -> int:
        return sum(layer.mismatches for layer in self.layers)

    def to_dict(self) -> dict:
        return {
            "images": self.images,
            "batch": self.batch,
            "mismatches": self.mismatches,
            "total": {
                "cycles": sum(row.cycles for row in self.layers),
                "macs": sum(row.macs for row in self.layers),
                "dram_bytes": sum(row.dram_bytes for row in self.layers),
            },
            "layers": [asdict(row) for row in self.layers],
            "fmaps": [asdict(fmap) for fmap in self.fmaps],
        }


def describe(program: Program, segment: Segment) -> str:
    """'6x28x28 -> 16x10x10, 5x5' of a segment; '6x28x28 int8' is of 8-bit integers."""

    def size(name):
        tensor = program.graph.tensors[name]
        kind = f" {tensor.affine.dtype}" if tensor.affine else ""
        return "x".join(map(str, tensor.shape)) + kind

    if segment.kind == "reorder":
        blocks = [program.views[name].storage.block for name in (segment.tensor, segment.output)]
        return f"{size(segment.tensor)}, blocks of {blocks[0]} -> {blocks[1]}"
    layer = next(x for x in program.graph.layers if x.name == (segment.layer or segment.name))
    text = f"{size(layer.inputs[0])} -> {size(segment.output)}"
    if segment.mapping is not None and isinstance(layer, Conv):
        text += f", {layer.kernel[0]}x{layer.kernel[1]}"
        if layer.stride != (1, 1):
            text += f" /{layer.stride[0]}x{layer.stride[1]}"
    return text


def placed(program: Program, segment: Segment) -> str:
    """How a segment runs: the mapping, or the compression of a sparse layer."""
    if segment.sparse is None:
        return str(segment.mapping or "")
    plan = segment.sparse
    return (
        f"sparse, {100 * plan.nonzeros / plan.weights:.1f} % dense, "
        f"{plan.bits_per_weight(program.config):.1f} b/weight"
    )


def start_segment(
    program: Program, device: Device, segment: Segment, name: str = "the device"
) -> RunResult:
    """Run one layer. Raises RunError if the device, which it calls `name`, reports an error."""
    return _run(program, device, segment.name, segment.first, segment.count, name)


def _run(
    program: Program, device: Device, what: str, first: int, count: int, name: str
) -> RunResult:
    result = run_program(
        device,
        program.program + first * COMMAND_BYTES,
        count,
        read_window=(program.base, program.end),
        write_window=(program.base, program.constant),
        watchdog=WATCHDOG,
    )
    if not result.ok:
        raise RunError(
            f"layer {what!r}: {name} stopped with {result.error.name} at its "
            f"command {result.index} (command {first + result.index} of the program)"
        )
    return result


def measure(program: Program, device: Device, fmap: FmapResult, images: int) -> None:
    """Adds the bytes that the first `images` of a coded tensor take in memory."""
    view = program.views[fmap.name]
    raw = np.frombuffer(
        device.read(view.storage.address, images * view.storage.image_bytes), np.uint8
    )
    fmap.coded += view.coded_bytes(raw, images)
    fmap.dense += images * view.storage.dense_bytes


def run_network(
    program: Program,
    network: QuantisedGraph,
    device: Device,
    images: np.ndarray,
    progress: Callable[[int, str], None] | None = None,
    name: str = "the device",
) -> RunReport:
    """Run raw images [N, C, H, W] in batches, layer by layer, comparing each with golden.

    progress(images done, layer) is called before each layer of each batch. Raises RunError, which
    calls the device `name`.
    """
    graph = program.graph
    fixed = quantise_input(network, images)
    golden: GoldenRun = golden_run(network, fixed)
    rows = _rows(program, golden)
    fmaps = {
        name: FmapResult(name, golden.zeros[tensor_of(name, golden.zeros)])
        for name, view in program.views.items()
        if view.storage.rlc
    }
    program.load(device)
    scores = []
    batches = -(-len(fixed) // program.images)
    for batch in range(batches):
        first = batch * program.images
        part = fixed[first : first + program.images]
        program.write_input(device, part)
        if graph.input in fmaps:
            measure(program, device, fmaps[graph.input], len(part))
        for segment, row in zip(program.segments, rows):
            if progress:
                progress(first, segment.name)
            counters = start_segment(program, device, segment, name).counters
            for name, value in counters.items():
                row.counters[name] = row.counters.get(name, 0) + value
            row.mismatches += _mismatches(program, device, segment, golden, first, len(part))
            if segment.output in fmaps:
                measure(program, device, fmaps[segment.output], len(part))
        scores.append(program.read_tensor(device, graph.output)[: len(part)])
    for row in rows:
        _settle(row, program, batches)
    if progress:
        progress(len(fixed), "done")
    for fmap in fmaps.values():
        fmap.ratio = fmap.dense / fmap.coded
        bits = entropy_bits(fmap.zeros)
        fmap.entropy = LEVEL_BITS / bits if bits else 0.0
    return RunReport(
        rows,
        list(fmaps.values()),
        len(fixed),
        program.images,
        graph.flat(golden.tensors[graph.output]),
        graph.flat(np.concatenate(scores)),
    )


def _rows(program: Program, golden: GoldenRun) -> list[LayerResult]:
    """A row for each segment, with what is known before it runs."""
    # the port takes a word a cycle at most
    word_cycles = max(1, 8 / program.config.dram_bytes_per_cycle)
    return [
        LayerResult(
            s.name,
            s.kind,
            describe(program, s),
            placed(program, s),
            macs=s.macs,
            filter_bound=int(s.filter_words * word_cycles),
            load_bound=int(s.load_words * word_cycles),
            wrapped=golden.wrapped.get(s.layer or s.name, 0),
        )
        for s in program.segments
    ]


def _mismatches(
    program: Program, device: Device, segment: Segment, golden: GoldenRun, first: int, count: int
) -> int:
    """Elements that a segment wrote unlike golden, of `count` images from `first` on."""
    found = 0
    for view, tensor in segment.written:
        got = program.read_tensor(device, view)[:count]
        want = golden.tensors[tensor][first:][:count]
        if got.shape != want.shape:
            raise RunError(f"layer {segment.name!r}: read {got.shape}, golden has {want.shape}")
        found += int((got != want).sum())
    return found


def _settle(row: LayerResult, program: Program, batches: int) -> None:
    """A row's means of a batch, from its counters of all batches."""
    n = row.counters
    row.cycles = n["cycles"] / batches
    row.dram_bytes = (n["dram_read_bytes"] + n["dram_write_bytes"]) / batches
    macs, rate = row.macs, program.config.multipliers
    if row.kind == "sparse":
        macs, rate = n["sparse_macs"] / batches, program.config.sparse_pes
        # the columns that were streamed
        row.load_bound += int(n["sparse_bytes"] / batches / program.config.dram_bytes_per_cycle)
    if row.cycles:
        row.utilisation = macs / (row.cycles * rate)
