"""eyrie full-size: known networks through the compiler."""

from __future__ import annotations

import argparse
from functools import partial

from cli import options
from cli.machine import cores
from cli.output import complain, console, write_json
from cli.parsing import positive
from cli.progress import describe, progress


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "full-size",
        full_size,
        description="Random weights and images; every tensor is compared with golden, golden with "
        "onnxruntime, and the mapper timed, cold and warm.",
    )
    parser.add_argument("net", nargs="*", help="networks (default all)")
    options.config(parser, "eyeriss")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes (default one a core)")
    options.json(parser)


def full_size(args: argparse.Namespace) -> int:
    from compiler.networks.classics import CLASSICS
    from compiler.runtime.verify import Mismatch
    from compiler.studies.full_size import measure, table, to_dict
    from hdl.config import Config

    config, jobs = Config.load(args.config), args.jobs or cores()
    for name in args.net:
        if name not in CLASSICS:
            raise ValueError(f"network {name!r}: choose from {', '.join(CLASSICS)}")
    rows = []
    with progress() as bars:
        step = describe(bars)

        def show(name: str, done: int, total: int, what: str) -> None:
            step(done, total, f"{name}: {what}")

        for name in args.net or CLASSICS:
            try:
                rows.append(measure(name, config, jobs, partial(show, name)))
            except Mismatch as error:
                complain(f"{name}: {error}")
                return 1
    console().print(table(config, jobs, rows))
    print(
        "M cycles: the mapper's estimate; fused: tensors before a fused pool, not in memory and "
        "not compared; SQNR, top-1: golden against onnxruntime"
    )
    command = " ".join(["eyrie full-size", *args.net, f"--config {args.config}"])
    write_json(args.json, {"command": command} | to_dict(config, jobs, rows))
    return 0
