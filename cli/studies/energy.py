"""eyrie energy: what a network's data movement costs on a configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli import options
from cli.machine import changed_config, mode_of
from cli.output import console, write_json
from cli.progress import describe, progress


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "energy",
        energy,
        description="By a cost table, from the cost model's accesses or an RTL run's counters.",
        check=check,
    )
    options.network(parser, "conv")
    options.machine(parser, "gate")
    options.costs(parser, "eyeriss_65nm")
    parser.add_argument(
        "--run", metavar="FILE", help="a JSON of `eyrie bench`: its counters instead of the model"
    )
    parser.add_argument(
        "--layers", metavar="FILE", help="layers as text, 25 entries a line, instead of a network"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="their energies: index, input, output, weights, computation"
    )


def check(args: argparse.Namespace) -> None:
    if args.layers and args.run:
        raise ValueError("--layers and --run: give one of them")
    if bool(args.layers) != bool(args.out):
        raise ValueError("--layers and --out go together: the file of layers and that of energies")


def energy(args: argparse.Namespace) -> int:
    from compiler.studies import layer_file
    from compiler.studies.costs import Costs
    from compiler.studies.energy_table import Machine, of_bench, of_file, of_network
    from hdl.emit.files import write_atomic

    config, lines = changed_config(args), []
    machine = Machine(config, mode_of(config, args.mode), args.objective)
    costs = Costs.load(args.costs)
    with progress() as bars:
        step = describe(bars)
        if args.layers:
            found, lines = of_file(args.layers, machine, costs, step)
        elif args.run:
            found = of_bench(args.run, args.mode, costs)
        else:
            found = of_network(args.net, args.part, args.batch, machine, costs, step)
    console().print(found.table())
    if args.out:
        write_atomic(Path(args.out), layer_file.lines([line.index for line in lines], found.layers))
        print(f"{args.out}: index, input, output, weights, computation, in {costs.unit}")
    write_json(args.json, found.to_dict())
    return 0
