"""eyrie fc: a compressed fully connected layer on 64 sparse PEs."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli import options
from cli.parsing import positive
from cli.progress import progress
from cli.sparse_report import report


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "fc",
        fc,
        description="Runs a sparse matrix on the RTL of the eie64 engine and prints its figures.",
        check=check,
    )
    parser.add_argument(
        "--matrix",
        required=True,
        metavar="FILE",
        help=".npz of scipy.sparse.save_npz, int16 values",
    )
    parser.add_argument(
        "--activations",
        metavar="FILE",
        help=".npy of int16 (default the .npz's array `activations`)",
    )
    parser.add_argument(
        "--codebook",
        metavar="FILE",
        help=".npy of 16 int16, the first 0 (default the matrix's values)",
    )
    options.placement(parser)
    parser.add_argument(
        "--depth",
        type=positive,
        action="append",
        metavar="N",
        help="queue depth, again for more (default 8)",
    )
    options.json(parser)


def check(args: argparse.Namespace) -> None:
    from sim.bench.bench_fc import DEPTHS

    if args.depth and not set(args.depth) <= set(range(1, max(DEPTHS) + 1)):
        raise ValueError(f"--depth: queues of 1..{max(DEPTHS)} are built")


def fc(args: argparse.Namespace) -> int:
    from compiler.sparse.fc_file import read_layer
    from sim.bench.bench_fc import DEEPEST, run_layer
    from sim.device import SimDevice

    matrix, codebook, activations = read_layer(args.matrix, args.activations, args.codebook)
    with progress() as bars, SimDevice(DEEPEST, "cpp", 1 << 30) as device:
        task = bars.add_task("")
        results = run_layer(
            device,
            DEEPEST,
            Path(args.matrix).stem,
            matrix,
            codebook,
            activations,
            args.placement,
            tuple(args.depth or (8,)),
            progress=lambda text: bars.update(task, description=text),
        )
    return report(results, args.json, {"command": "eyrie fc"})
