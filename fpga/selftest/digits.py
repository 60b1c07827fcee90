"""Step 5: the main job, on a few images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.graph import Graph
from compiler.lowering.compile import compile_network
from compiler.lowering.passes.allocate import ALIGN
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import quantise
from compiler.runtime.run import RunError, run_network
from fpga.selftest.bench import Bench, Check
from golden.rlc import RlcError

LOOK = "the layer, with make run DEVICE=board; each engine alone was right"


def check(
    bench: Bench, graph: Graph, images: np.ndarray, labels: np.ndarray | None, observed: np.ndarray
) -> Iterator[Check]:
    """images: raw; observed: what formats are chosen by."""
    device = bench.device
    network = quantise(graph, observed, psum_bits=device.config.psum_bits)
    bench.progress("compiling", 0, 1)
    program = compile_network(network, device.config, Options())
    size = -(-program.end // ALIGN) * ALIGN
    has = device.identity.memory
    yield Check(
        "the program, bytes",
        f"{has:,} at most",
        f"{size:,}",
        size <= has,
        "a board with more memory; a smaller --model",
    )

    try:
        report = run_network(
            program,
            network,
            device,
            images,
            name="the board",
            progress=lambda done, layer: bench.progress(layer, done, len(images)),
        )
    except (RunError, TimeoutError, RlcError) as error:
        yield Check("layers", "run to their end", str(error), False, LOOK)
        return
    for n, (want, got) in enumerate(zip(report.golden.argmax(1), report.device.argmax(1))):
        label = "" if labels is None else f", label {labels[n]}"
        yield Check(f"image {n}{label}", f"class {want}", f"class {got}", bool(want == got), LOOK)
    wrong = [f"{row.name}: {row.mismatches} elements" for row in report.layers if row.mismatches]
    yield Check(
        "every layer", "equal to golden", ", ".join(wrong) or "equal to golden", not wrong, LOOK
    )
    cycles = sum(row.cycles for row in report.layers)
    yield Check("cycles an image", "-", f"{cycles:,.0f}", True)
