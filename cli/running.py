"""A network on a device, every layer compared with golden: what `run` and `board-sim` do."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.data import graph_of, host, images_of, outputs
from cli.machine import cores, mode_of
from cli.output import complain, console, write_json
from cli.progress import Stages

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from compiler.graph import Graph
    from compiler.lowering.structures.program import Program
    from compiler.quantise.fixed_point import QuantisedGraph
    from compiler.runtime.run import RunReport
    from compiler.sparse.compression import Report
    from fpga.host.board import BoardDevice
    from hdl.config import Config

BOARDS = ("board", "board-sim")  # devices at a serial port


@dataclass(frozen=True)
class Finished:
    """What has run, and what came out. floats: scores in floating point, None of a network of
    integers; note: on the images that the network was calibrated on."""

    config: Config
    graph: Graph
    program: Program
    report: RunReport
    floats: np.ndarray | None
    labels: np.ndarray | None
    note: str

    def guesses(self) -> dict[str, np.ndarray]:
        """Classes of the images, by what made them, but for the device."""
        golden = {"golden": self.report.golden.argmax(1)}
        return golden if self.floats is None else {"float": self.floats.argmax(1)} | golden

    def compression(self) -> list[Report]:
        """Sizes of the layers that run compressed."""
        from compiler.sparse.compression import whole

        return [
            whole(
                segment.name,
                [block.compressed for band in segment.sparse.bands for block in band.blocks],
                self.config.sparse_pointer_bits,
            )
            for segment in self.program.segments
            if segment.sparse
        ]


def execute(args: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    """(exit status, what --json writes). Everything printed calls the device args.device."""
    started, screen = time.monotonic(), console(160)
    with ExitStack() as held:
        finished = _run(args, held.enter_context(Stages()), held)
    report = finished.report
    result = _result(args, finished) | {"seconds": round(time.monotonic() - started, 1)}

    _print(screen, args.device, finished)
    write_json(args.json, result)
    if report.mismatches:
        complain(f"{report.mismatches} elements of {args.device} differ from golden")
        return 1, result
    wrapped = sum(row.wrapped for row in report.layers)
    screen.print(
        f"all {report.images} images equal to golden in every layer; {wrapped} final psums "
        f"wrapped; {result['seconds']} s"
    )
    return 0, result


def _run(args: argparse.Namespace, stages: Stages, held: ExitStack) -> Finished:
    """Reads, compiles and runs. held: closes the device."""
    from compiler.lowering.passes.allocate import ALIGN
    from compiler.quantise.fixed_point import quantise
    from compiler.quantise.float_run import float_run
    from compiler.quantise.integer_graph import integer_network
    from compiler.runtime.run import run_network
    from hdl.config import Config

    stages.begin("reading and quantising")
    graph = graph_of(args)
    board = None
    if args.device in BOARDS:  # before the images: nothing else takes time in vain
        board = _open_board(args, Config.load(args.config) if args.config else None, stages)
        held.callback(board.close)
    config = board.config if board else Config.load(args.config or "demo")
    mode_of(config, args.mode)
    data = images_of(args, graph)
    if graph.integer:
        network = integer_network(graph, config.psum_bits)
    else:
        network = quantise(graph, data.observed, psum_bits=config.psum_bits)

    stages.begin("mapping and emitting the program")
    program = _compile(args, network, config, len(data.images), stages)
    memory = -(-program.end // ALIGN) * ALIGN
    device = board or _device(args, config, memory, stages)
    if args.device == "rtl":
        held.callback(device.close)
    if board and memory > board.identity.memory:
        raise ValueError(
            f"{args.device} on {args.port}: the program needs {memory:,} bytes of memory, the "
            f"board has {board.identity.memory:,}; try a smaller --batch"
        )

    stages.begin(f"running on {args.device}", len(data.images))
    report = run_network(
        program,
        network,
        device,
        data.images,
        lambda done, layer: stages.show(f"{args.device}: {layer}", done, len(data.images)),
        name=args.device,
    )
    floats = None
    if not graph.integer:
        stages.begin("floating point")
        floats = float_run(graph, data.images, keep={graph.output})[graph.output]
        floats = floats.reshape(len(data.images), -1)
    stages.end()
    return Finished(config, graph, program, report, floats, data.labels, data.note)


def _open_board(args: argparse.Namespace, config: Config | None, stages: Stages) -> BoardDevice:
    from fpga.host.board import BoardDevice

    return BoardDevice(
        config,
        args.port,
        args.baud,
        timeout=args.timeout,
        progress=lambda what, done, size: stages.detail(f"{what} {done:,} of {size:,} bytes"),
    )


def _compile(
    args: argparse.Namespace, network: QuantisedGraph, config: Config, images: int, stages: Stages
) -> Program:
    from compiler.lowering.compile import compile_network
    from compiler.lowering.structures.options import Options
    from compiler.mapping.mapper import Mapper

    mapper = Mapper(
        config,
        jobs=cores(),
        progress=lambda done, total, what: stages.show(
            f"{what}: {done} of {total} searches", done, total
        ),
    )
    options = Options(
        images=min(args.batch, images),
        mode=mode_of(config, args.mode),
        rlc=args.rlc,
        placement=args.placement,
        switches=dict(args.sparse),
        mapper=mapper,
    )
    return compile_network(network, config, options)


def _device(args: argparse.Namespace, config: Config, memory: int, stages: Stages) -> Any:
    """The RTL under its simulator, or the interpreter."""
    if args.device == "golden":
        from compiler.runtime.interpreter import Interpreter

        return Interpreter(config, memory)
    stages.begin(f"Verilog and simulator of {config.name}")
    from sim.device import SimDevice

    return SimDevice(config, args.driver, memory, waves=args.waves)


def _print(screen: Console, device: str, finished: Finished) -> None:
    from compiler.runtime import run_table

    report = finished.report
    run_table.print_layers(screen, report, finished.config)
    if compression := finished.compression():
        run_table.print_compression(screen, compression)
    if report.fmaps:
        run_table.print_fmaps(screen, report.fmaps)
    # Golden is both what a run is compared with and the device that interprets the program.
    shown = "golden (interpreter)" if device == "golden" else device
    guesses = finished.guesses() | {shown: report.device.argmax(1)}
    run_table.print_predictions(screen, guesses, finished.labels)
    if len(finished.graph.outputs) > 1:
        screen.print(outputs(finished.graph) + "; predictions are of the first", markup=False)
    if work := host(finished.graph):
        screen.print(work, markup=False)
    screen.print(finished.note, style="dim")


def _result(args: argparse.Namespace, finished: Finished) -> dict[str, Any]:
    """What --json writes, but for the time."""
    device = "interpreter" if args.device == "golden" else args.device
    guesses = finished.guesses() | {device: finished.report.device.argmax(1)}
    accuracy = {}
    if finished.labels is not None:
        accuracy = {
            name: float((guess == finished.labels).mean()) for name, guess in guesses.items()
        }
    return finished.report.to_dict() | {
        "host": [
            {"output": each.name, "operators": list(each.host_ops)}
            for each in finished.graph.results
            if each.host_ops
        ],
        "compression": [report.as_dict() for report in finished.compression()],
        "config": finished.config.to_dict(),
        "device": args.device,
        "calibration": finished.note,
        "rlc": args.rlc,
        "model": Path(args.model).name if args.model else args.net or "lenet5.onnx",
        "accuracy": accuracy,
        "predictions": {name: guess.tolist() for name, guess in guesses.items()},
    }
