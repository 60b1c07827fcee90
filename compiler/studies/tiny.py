"""MLPerf Tiny's int8 models on a machine: cycles, and every tensor against golden and LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from compiler.frontend.tflite_import import load
from compiler.graph import Graph
from compiler.lowering.compile import compile_network
from compiler.lowering.passes.allocate import ALIGN
from compiler.lowering.structures.options import Options
from compiler.mapping.mapper import Mapper
from compiler.quantise.fixed_point import QuantisedGraph, golden_run
from compiler.quantise.integer_graph import integer_network
from compiler.quantise.integer_run import affine_of, host_result, integer_run
from compiler.runtime.device import Device
from compiler.runtime.interpreter import Interpreter
from compiler.runtime.run import run_network
from compiler.studies.litert import Reference
from compiler.tables import new_table
from hdl.config import Config

# Model -> its file in MLPerf Tiny's repository, and published inferences a second of the closed
# division: STM32H7A3 (v1.1, X-CUBE-AI 7.3), STM32L4R5.
MODELS = {
    "IC": ("pretrainedResnet_quant.tflite", (18.6, 4.4)),
    "VWW": ("vww_96_int8.tflite", (19.8, 4.4)),
    "KWS": ("kws_ref_model.tflite", (61.0, 13.4)),
    "AD": ("ad01_int8.tflite", (547.0, 132.0)),
}


@dataclass(frozen=True)
class Tiny:
    """A model on one input. cycles, dram_bytes: of an inference, measured on the device, None of
    the interpreter, which has none, and the bytes of a machine without counters; tensors_compared,
    mismatches: those in the device's memory, and their elements that differ from golden;
    litert_tensors, litert_mismatches: golden's, against LiteRT's reference kernels, of
    `litert_inputs` inputs; macs: of the model; utilisation: of the array, by
    those that are left where constant channels are folded; device: 'rtl' or 'interpreter'."""

    model: str
    cycles: int | None
    inferences_per_second: float | None
    clock_mhz: float
    dram_bytes: int | None
    tensors_compared: int
    mismatches: int
    litert_tensors: int
    litert_inputs: int
    litert_mismatches: int
    macs: int
    utilisation: float | None
    device: str


def measure(
    name: str,
    folder: Path,
    config: Config,
    clock_mhz: float,
    device_of: Callable[[int], Device],
    mapper: Mapper,
    inputs: int,
    progress: Callable[[str], None],
) -> Tiny:
    """A model of MODELS from a folder. device_of: memory in bytes -> a device; inputs: compared
    with LiteRT, the first of them on the device too.

    Raises OSError without the file, ImportError without LiteRT, NetworkError, MappingError.
    """
    raw = (folder / MODELS[name][0]).read_bytes()
    graph, reference = load(raw), Reference(raw)
    shape = tuple(int(n) for n in reference.input["shape"])
    images = np.stack([image(number, shape[1:]) for number in range(inputs)])
    counts = [_against_litert(graph, reference, image[None]) for image in images]

    network = integer_network(graph, config.psum_bits)
    folded = _folded(graph, network, images)
    program = compile_network(network, config, Options(mapper=mapper))
    device = device_of(-(-program.end // ALIGN) * ALIGN)
    report = run_network(
        program, network, device, _nchw(images[:1]), lambda _, layer: progress(layer)
    )
    interpreted = isinstance(device, Interpreter)
    cycles = None if interpreted else int(sum(row.cycles for row in report.layers))
    counted = config.counters and not interpreted
    return Tiny(
        name,
        cycles,
        round(clock_mhz * 1e6 / cycles, 2) if cycles else None,
        clock_mhz,
        int(sum(row.dram_bytes for row in report.layers)) if counted else None,
        sum(len(segment.written) for segment in program.segments),
        report.mismatches + folded,
        sum(tensors for tensors, _ in counts),
        inputs,
        sum(wrong for _, wrong in counts),
        graph.macs(),
        round(network.graph.macs() / (cycles * config.multipliers), 4) if cycles else None,
        "interpreter" if interpreted else "rtl",
    )


def image(number: int, shape: tuple[int, ...]) -> np.ndarray:
    """int8 input `number` of a shape: noise of several widths, constants, extremes, ramps."""
    rng, constants = np.random.default_rng(number), (-128, 127, 0, -1)
    if number % 4 == 1:
        return np.full(shape, constants[number // 4 % 4], np.int8)
    if number % 4 == 2:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    if number % 8 == 7:
        return (np.arange(np.prod(shape)) * (number + 1) % 256 - 128).astype(np.int8).reshape(shape)
    width = 128 >> number % 3
    return rng.integers(-width, width, shape).astype(np.int8)


def _folded(graph: Graph, network: QuantisedGraph, images: np.ndarray) -> int:
    """Elements of the machine's tensors that differ from those channels of the model's."""
    q = _nchw(images)
    expected, affine = integer_run(graph, q), affine_of(graph, graph.input)
    wrong = 0
    for name, values in golden_run(network, affine.centred(q)).tensors.items():
        got = affine_of(graph, name).restored(values)
        wrong += int(np.count_nonzero(got != expected[name][:, network.kept[name]]))
    return wrong


def _nchw(images: np.ndarray) -> np.ndarray:
    """N x C x H x W of the file's N x H x W x C or N x K."""
    images = images if images.ndim == 4 else images[:, None, None, :]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _against_litert(graph: Graph, reference: Reference, image: np.ndarray) -> tuple[int, int]:
    """(tensors, elements that differ) of golden's tensors, by the names in the model's file."""
    got = integer_run(graph, _nchw(image))
    got |= {name: got[tensor] for name, tensor in graph.aliases.items()}
    for result in graph.results:
        if result.host_ops:
            got[result.name] = host_result(
                graph, result.tensor, got[result.tensor], result.host_ops
            )
    expected = reference.run(image)
    wrong = 0
    for name in reference.computed():
        want = expected[name]
        value = graph.flat(got[name]).reshape(want.shape)
        wrong += int(np.count_nonzero(value != want))
    return len(reference.computed()), wrong


def table(config: Config, rows: list[Tiny]) -> Table:
    """A row a model, beside what is published."""
    out = new_table(
        f"{config.name}: MLPerf Tiny, int8, batch 1",
        ("model",),
        "model",
        "cycles",
        "clock, MHz",
        "inferences/s",
        "STM32H7A3",
        "STM32L4R5",
        "util. %",
        "DRAM bytes",
        "tensors",
        "mismatches",
        "LiteRT tensors",
        "mismatches",
    )
    for r in rows:
        out.add_row(
            r.model,
            "-" if r.cycles is None else f"{r.cycles:,}",
            f"{r.clock_mhz:g}",
            "-" if r.inferences_per_second is None else f"{r.inferences_per_second:,.1f}",
            *(f"{n:g}" for n in MODELS[r.model][1]),
            "-" if r.utilisation is None else f"{100 * r.utilisation:.1f}",
            "-" if r.dram_bytes is None else f"{r.dram_bytes:,}",
            str(r.tensors_compared),
            str(r.mismatches),
            str(r.litert_tensors),
            str(r.litert_mismatches),
        )
    return out


def to_list(rows: list[Tiny]) -> list[dict]:
    return [asdict(row) for row in rows]
