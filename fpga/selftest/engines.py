"""Step 4: each engine alone, on a small layer, bit-exact with golden."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from compiler.graph import Graph, Tensor
from compiler.layers import Add, Conv, Layer, Pool
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.lowering.structures.program import Program, Segment
from compiler.model import cost, timeline
from compiler.quantise.fixed_point import golden_run, quantise, quantise_input
from compiler.runtime.run import RunError, start_segment
from compiler.runtime.verify import difference
from fpga.selftest.bench import Bench, Check
from golden.geometry import Pads, pool_geometry
from golden.rlc import RlcError
from hdl.config import Config
from hdl.isa import Mode

SHAPE = (3, 9, 10)  # of the input: channels, rows, columns, that fill nothing up
OUT = 5  # channels or rows that a layer computes
COLUMNS = 40  # of the sparse layer
DENSITY = 0.3  # of its weights
ZEROS = 0.5  # of the activations
SDRAM_BYTES = 2.0  # a cycle: a word of 64 bits every four
SDRAM_LATENCY = 24  # cycles
RAM_BYTES, RAM_LATENCY = 8.0, 8  # of memory on the chip, with the way through the arbiter
SLOW = 2.0  # times the model's cycles, either way: beyond, something is wrong
LOOK = "timing of the bitstream; error codes: docs/integration.md; one engine: docs/bring-up.md"


@dataclass(frozen=True)
class Engine:
    """name, and the network that tries it; whether a configuration has it; how it is compiled."""

    name: str
    graph: Callable[[np.random.Generator], Graph]
    has: Callable[[Config], bool] = lambda config: True
    mode: Mode = Mode.DENSE
    rlc: str = "off"
    compress: bool = False


def check(bench: Bench) -> Iterator[Check]:
    for engine in ENGINES:
        if engine.has(bench.device.config):
            bench.progress(engine.name, 0, 1)
            yield _run(bench, engine)


def _run(bench: Bench, engine: Engine) -> Check:
    config = bench.device.config
    # What the model is to know of the memory; the hardware is the same.
    pace, latency = (SDRAM_BYTES, SDRAM_LATENCY) if bench.sdram else (RAM_BYTES, RAM_LATENCY)
    config = config.replace(dram_bytes_per_cycle=pace, dram_latency=latency)
    rng = np.random.default_rng(1)
    graph = engine.graph(rng)
    images = rng.normal(size=(1, *graph.tensors["x"].shape)).astype(np.float32)
    images[rng.random(images.shape) < ZEROS] = 0
    network = quantise(graph, images, psum_bits=config.psum_bits)
    values = quantise_input(network, images)
    golden = golden_run(network, values).tensors
    switches = {layer.name: engine.compress for layer in graph.layers if isinstance(layer, Conv)}
    options = Options(mode=engine.mode, rlc=engine.rlc, switches=switches)
    program = compile_network(network, config, options)

    program.load(bench.device)
    program.write_input(bench.device, values)
    bounds = [_expected(program, segment, golden) for segment in program.segments]
    expected = f"golden, {' + '.join(text for text, _, _ in bounds)} cycles"
    cycles, names = [], []
    for segment, (_, least, most) in zip(program.segments, bounds):
        try:
            taken = start_segment(program, bench.device, segment, "the board").counters["cycles"]
            wrong = [
                f"{name}: {text}"
                for name, tensor in segment.written
                if (text := difference(program.read_tensor(bench.device, name), golden[tensor]))
            ]
        except (RunError, TimeoutError, RlcError) as error:
            return Check(engine.name, expected, str(error), False, LOOK)
        if wrong:
            return Check(engine.name, expected, wrong[0], False, LOOK)
        cycles.append(f"{taken:,}")
        if not least <= taken <= most:
            names.append(segment.name)
    measured = f"golden, {' + '.join(cycles)} cycles"
    return Check(
        engine.name,
        expected,
        measured,
        not names,
        "the memory's clock and arbiter: it computes right, at the wrong pace",
    )


def _expected(
    program: Program, segment: Segment, golden: dict[str, np.ndarray]
) -> tuple[str, float, float]:
    """Cycles of a segment in words, and the least and most that are right. Those of the sparse
    engine are a bound from below: what it loads, and MACs over its PEs."""
    if segment.sparse is None:
        model = timeline.cycles(cost.work(program, segment, cost.image(program, golden)))
        return f"model {model:,}", model / SLOW, model * SLOW
    config = program.config
    load = segment.load_words * 8 / config.dram_bytes_per_cycle
    least = int(max(load, segment.sparse.nonzeros * (1 - ZEROS) / config.sparse_pes))
    return f"at least {least:,}", least, float("inf")


# ---- networks ----------------------------------------------------------------------------


def _graph(*layers: Layer, shape: tuple[int, int, int] = SHAPE) -> Graph:
    graph = Graph("x", (layers[-1].output,), tensors={"x": Tensor("x", *shape)})
    graph.input_scale, graph.input_offset = np.ones(shape[0]), np.zeros(shape[0])
    for layer in layers:
        shapes = graph.output_shape(layer)
        graph.tensors[layer.output] = Tensor(layer.output, *shapes)
        graph.layers.append(layer)
    return graph


def _conv(rng: np.random.Generator) -> Graph:
    weights = rng.normal(size=(OUT, SHAPE[0], 3, 3)).astype(np.float32)
    bias = rng.normal(size=OUT).astype(np.float32)
    return _graph(Conv("conv", "x", "y", weights, bias, pads=(1, 1, 1, 1)))


def _pool(kind: str, source: str, output: str, stride: int, pads: Pads) -> Pool:
    geometry = pool_geometry(SHAPE[1:], (3, 3), (stride, stride), pads)
    return Pool(
        f"{kind} pool",
        kind,
        source,
        output,
        (3, 3),
        (stride, stride),
        geometry.pads,
        geometry.count,
    )


def _pooling(kind: str) -> Callable[[np.random.Generator], Graph]:
    return lambda rng: _graph(_pool(kind, "x", "y", 2, (0, 0, 0, 0)))


def _addition(rng: np.random.Generator) -> Graph:
    return _graph(_pool("max", "x", "p", 1, (1, 1, 1, 1)), Add("add", "x", "p", "y"))


def _coded(rng: np.random.Generator) -> Graph:
    """The first writes coded what the second reads coded."""
    return _graph(_pool("max", "x", "p", 1, (1, 1, 1, 1)), Add("add", "p", "p", "y"))


def _sparse(rng: np.random.Generator) -> Graph:
    values = np.arange(-7, 8) / 8  # a codebook holds 15 beside 0
    weights = rng.choice(values, size=(OUT, COLUMNS, 1, 1)).astype(np.float32)
    weights[rng.random(weights.shape) >= DENSITY] = 0
    layer = Conv("fc", "x", "y", weights, np.ones(OUT, np.float32), full=True)
    return _graph(layer, shape=(COLUMNS, 1, 1))


ENGINES = (
    Engine("array, dense", _conv),
    Engine("array, zeros gated", _conv, lambda config: config.gating, Mode.GATE),
    Engine("array, zeros skipped", _conv, lambda config: config.skip, Mode.SKIP),
    Engine("max pooling", _pooling("max")),
    Engine("average pooling", _pooling("average")),
    Engine("addition", _addition),
    Engine("run-length coding", _coded, lambda config: config.rlc, rlc="on"),
    Engine("sparse engine", _sparse, lambda config: config.sparse_pes > 0, compress=True),
)
