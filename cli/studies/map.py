"""eyrie map: the mapping of every layer of a network."""

from __future__ import annotations

import argparse

from cli import options
from cli.machine import changed_config, mode_of
from cli.output import console, write_json
from cli.progress import describe, progress


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "map",
        map_,
        description="Searches the best mapping of each layer and says what binds it.",
    )
    options.network(parser, "conv")
    parser.add_argument("--all", action="store_true", help="the runners-up too")
    options.machine(parser, "dense")


def map_(args: argparse.Namespace) -> int:
    from compiler.studies.map_table import map_network

    config = changed_config(args)
    mode = mode_of(config, args.mode)
    with progress() as bars:
        found = map_network(
            args.net, args.part, args.batch, config, mode, args.objective, describe(bars)
        )
    console().print(found.table(args.all))
    print(
        "estimate: the mapper's formula, as DRAM MB and what binds; model: the commands in time; "
        "accesses of 16 bits, counted in the commands"
    )
    write_json(args.json, found.to_dict())
    return 0
