"""Known networks at full size through the whole compiler: is the program right, and how long does
it take?

Each is read as onnxruntime reads it, quantised, mapped, emitted and run by the interpreter; every
tensor in memory is compared with golden, and golden's output with onnxruntime's.
"""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from rich.table import Table

from compiler.frontend.onnx_import import load
from compiler.layers import Conv
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.mapping.mapper import Mapper
from compiler.networks.classics import classic, classic_images
from compiler.progress import Progress, silent
from compiler.quantise.fixed_point import dequantise, golden_run, quantise, quantise_input
from compiler.runtime.verify import verify
from compiler.tables import new_table
from hdl.config import Config

CALIBRATION = 2  # images beside the one that is run


@dataclass(frozen=True)
class FullSize:
    """A network of one image. parameters: weights and biases of layers as they run; searches,
    cold_s, warm_s: of the mapper, nothing kept and all; compile_s: of the compiler when mappings
    are kept; equal: tensors in memory, all equal to golden; fused: tensors before a fused pool,
    which are not in memory; sqnr_db: of golden's output against onnxruntime's; same_top1; wrapped:
    final psums; estimate: cycles by the mapper's formula; peak_gb: of the process so far."""

    name: str
    layers: int
    macs: int
    parameters: int
    searches: int
    cold_s: float
    warm_s: float
    compile_s: float
    commands: int
    memory_mb: float
    equal: int
    fused: int
    verify_s: float
    sqnr_db: float
    same_top1: bool
    wrapped: int
    estimate: int
    peak_gb: float


def measure(name: str, config: Config, jobs: int, progress: Progress = silent) -> FullSize:
    """Raises ValueError for an unknown network, compiler.runtime.verify.Mismatch for a wrong
    program, NetworkError and MappingError for one that cannot be compiled."""
    model = classic(name).SerializeToString()
    graph = load(model)
    images = classic_images(graph.tensors[graph.input].shape, 1 + CALIBRATION)
    network = quantise(graph, images[1:], psum_bits=config.psum_bits)
    fixed = quantise_input(network, images[:1])
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "mappings.sqlite"
        cold = Mapper(config, jobs=jobs, store=store, progress=progress)
        program = compile_network(network, config, Options(chained=True, mapper=cold))
        warm = Mapper(config, jobs=jobs, store=store)
        started = time.perf_counter()
        again = compile_network(network, config, Options(chained=True, mapper=warm))
        compiled = time.perf_counter() - started
    if again.commands != program.commands or warm.searched:
        raise RuntimeError(f"{name}: kept mappings make another program")
    started = time.perf_counter()
    equal, fused = verify(program, network, fixed)
    verified = time.perf_counter() - started
    run = golden_run(network, fixed, keep={graph.output})
    got = dequantise(network, graph.output, run.tensors[graph.output]).ravel()
    expected, *_ = onnxruntime.InferenceSession(model).run(None, {"x": images[:1]})
    assert isinstance(expected, np.ndarray)
    noise = float(np.square(got - expected.ravel()).sum())
    convs = [layer for layer in graph.layers if isinstance(layer, Conv)]
    return FullSize(
        name,
        len(graph.layers),
        graph.macs(),
        sum(layer.weights.size + layer.bias.size for layer in convs),
        cold.searched,
        round(cold.seconds, 2),
        round(warm.seconds, 2),
        round(compiled, 2),
        program.command_count,
        round(program.end / 1e6, 1),
        equal,
        fused,
        round(verified, 1),
        round(10 * np.log10(float(np.square(expected).sum()) / noise), 1),
        bool(got.argmax() == expected.argmax()),
        sum(run.wrapped.values()),
        sum(
            s.mapping.cycles * (1 if layer.depthwise else layer.groups)
            for s in program.segments
            if s.mapping
            for layer in convs
            if layer.name == s.layer
        ),
        round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1),
    )


def table(config: Config, jobs: int, rows: list[FullSize]) -> Table:
    """A row a network."""
    out = new_table(
        f"{config.name}: full-size networks with random weights, one image, {jobs} processes",
        ("network",),
        "network",
        "layers",
        "M MACs",
        "M weights",
        "searches",
        "mapper cold, s",
        "warm, s",
        "compiler, s",
        "commands",
        "memory, MB",
        "tensors equal",
        "fused",
        "interpreter, s",
        "SQNR, dB",
        "top-1",
        "M cycles",
        "peak, GB",
    )
    for r in rows:
        out.add_row(
            r.name,
            str(r.layers),
            f"{r.macs / 1e6:,.0f}",
            f"{r.parameters / 1e6:.1f}",
            f"{r.searches:,}",
            f"{r.cold_s:.1f}",
            f"{r.warm_s:.2f}",
            f"{r.compile_s:.1f}",
            f"{r.commands:,}",
            f"{r.memory_mb:.0f}",
            str(r.equal),
            str(r.fused),
            f"{r.verify_s:.1f}",
            f"{r.sqnr_db:.1f}",
            "same" if r.same_top1 else "other",
            f"{r.estimate / 1e6:.1f}",
            f"{r.peak_gb:.1f}",
        )
    return out


def to_dict(config: Config, jobs: int, rows: list[FullSize]) -> dict:
    return {"config": config.to_dict(), "processes": jobs, "networks": [asdict(r) for r in rows]}
