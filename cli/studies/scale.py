"""eyrie scale: a network's convolutions on arrays of several sizes."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli import options
from cli.machine import changed_config, mode_of
from cli.output import console, make_command, write_json
from cli.progress import describe, progress

RESULTS = Path("docs/results")  # what was measured


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "scale",
        scale,
        description="The cost model for arrays of several sizes, or a memory of several latencies, "
        "beside the RTL where measured.",
    )
    parser.add_argument(
        "--by",
        choices=("array", "latency"),
        default="array",
        help="what is changed (default array)",
    )
    options.published_network(parser)
    options.plot(parser)
    options.machine(parser, "dense")


def scale(args: argparse.Namespace) -> int:
    from compiler.studies.scale import scale_network
    from sim.bench.bench_plot import plot_scaling

    base = changed_config(args)
    mode = mode_of(base, args.mode)
    with progress() as bars:
        found = scale_network(
            args.net, args.by, base, args.batch, mode, args.objective, RESULTS, describe(bars)
        )
    console().print(found.table())
    print("model: the commands in time; RTL: of docs/results/bench-*.json, where that was measured")
    command = make_command("scale", args, BY=args.by if args.by != "array" else None)
    write_json(args.json, {"command": command} | found.to_dict())
    if args.plot and args.by == "array":
        plot_scaling(f"{args.net} CONV, batch {found.batch}, {args.mode}", found.rows, args.plot)
    return 0
