"""eyrie compile: what an integrator takes away."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cli import options
from cli.data import calibration, graph_of, host, images_from, outputs, set_aside
from cli.machine import cores
from cli.names import MODELS
from cli.output import complain
from cli.parsing import address
from cli.progress import describe, progress

if TYPE_CHECKING:
    import numpy as np

    from compiler.graph import Graph
    from compiler.lowering.structures.program import Program


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "compile",
        compile_,
        description="Writes a folder, whole or not at all: docs/integration.md says what is in it.",
    )
    option = parser.add_argument
    option(
        "model",
        nargs="?",
        metavar="net.onnx|net.tflite",
        help="network (default the project's LeNet-5)",
    )
    options.config(parser, "demo")
    option(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="new folder, or one of an earlier compile",
    )
    option(
        "--calib",
        metavar="FILE",
        help="images to calibrate on: IDX, .npy, .npz, PNG or a folder of PNGs",
    )
    option(
        "--images",
        metavar="FILE",
        help="without --calib: images, the last of which are calibrated on",
    )
    option(
        "--batch", type=int, default=1, metavar="N", help="images of a start, 1..255 (default 1)"
    )
    option(
        "--base",
        type=address,
        default=0,
        metavar="ADDRESS",
        help="first byte that the accelerator may use, a multiple of 4096 (default 0)",
    )
    options.sparse(parser)
    option(
        "--huffman",
        action="store_true",
        help="memory.huff with Huffman-coded streams of compressed layers in place of memory.bin",
    )


def compile_(args: argparse.Namespace) -> int:
    import json

    from compiler.export.export import check_directory, export
    from compiler.mapping.mapper import Mapper
    from compiler.quantise.fixed_point import quantise, quantise_input
    from compiler.quantise.integer_graph import integer_network
    from compiler.runtime.verify import Mismatch
    from hdl.config import Config
    from hdl.emit.verilog import emit

    check_directory(args.output)
    graph, config = graph_of(args), Config.load(args.config)
    observed, note = _observed(args, graph)
    if graph.integer:
        network = integer_network(graph, config.psum_bits)
    else:
        network = quantise(graph, observed, psum_bits=config.psum_bits)
    text, sidecar = emit(config)
    top = sidecar["top"]
    try:
        with progress() as bars:
            program = export(
                network,
                config,
                args.output,
                images=args.batch,
                base=args.base,
                huffman=args.huffman,
                placement=args.placement,
                switches=dict(args.sparse),
                also={f"{top}.v": text, f"{top}.json": json.dumps(sidecar, indent=1) + "\n"},
                sample=quantise_input(network, observed[: args.batch]),
                mapper=Mapper(config, jobs=cores(), progress=describe(bars)),
            )
    except Mismatch as error:
        complain(f"nothing is written, the compiler has erred: {error}")
        return 1

    print(
        f"{args.output}: {program.command_count} commands, memory "
        f"{program.base:#x}..{program.end:#x}, batch of {program.images}; tried on the "
        f"interpreter, every tensor equal to golden\n{note}"
    )
    if len(graph.outputs) > 1:
        print(outputs(graph))
    if work := host(graph):
        print(work)
    if args.huffman:
        print(_sizes(program, Path(args.output) / "memory.huff"))
    return 0


def _observed(args: argparse.Namespace, graph: Graph) -> tuple[np.ndarray, str]:
    """(images to calibrate or to try the program on, a note on them). Raises DataError."""
    import numpy as np

    from compiler.frontend.images import DataError

    if graph.integer:
        if args.calib is not None:
            raise DataError(f"{args.calib}: a network of integers is not calibrated: no --calib")
        shape, note = graph.tensors[graph.input].shape, "the network's own integers"
        images = images_from(args.images, graph) if args.images else np.zeros((0, *shape))
        return images, note
    if args.calib is not None:
        return calibration(args.calib, graph)
    if args.images is not None:
        images = images_from(args.images, graph)
        observed, note = set_aside(args.images, images, len(images))
        return observed, f"{note}; an accuracy should be reported on the others"
    if args.model is not None:
        raise DataError("CALIB: a network of your own needs --calib, or --images to take a part of")
    return calibration(MODELS / "digits_calibration.npz", graph)


def _sizes(program: Program, coded: Path) -> str:
    """Of the memory image with its streams coded."""
    streams, image = sum(table.size for table in program.tables), len(program.memory)
    stored = coded.stat().st_size
    return (
        f"{coded.name}: {stored:,} bytes for {image:,}, {streams:,} of them streams of compressed "
        f"layers, stored in {stored - image + streams:,}"
    )
