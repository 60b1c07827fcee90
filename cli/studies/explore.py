"""eyrie explore: the front of cycles, energy and area over many configurations."""

from __future__ import annotations

import argparse

from cli import options
from cli.machine import changed_config
from cli.output import console, make_command, quoted, write_json
from cli.parsing import count, positive
from cli.progress import describe, progress

COSTS = "eyeriss_65nm"


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "explore",
        explore,
        description="Every combination of the swept fields, by the model, on all cores or a Dask "
        "cluster; what is done is kept.",
    )
    options.network(parser, "conv")
    options.machine(parser, "gate")
    parser.add_argument(
        "--sweep",
        action="append",
        metavar="FIELD=VALUE,...",
        help="values of a field of the configuration; again for more fields",
    )
    parser.add_argument(
        "--exact", action="store_true", help="cycles and energy of the front from the commands, too"
    )
    options.costs(parser, COSTS)
    parser.add_argument(
        "--pe-area",
        type=count,
        metavar="N",
        help="logic of a PE in bytes of a large buffer (docs/study.md)",
    )
    parser.add_argument(
        "--jobs", type=positive, metavar="N", help="points at a time (default one a core)"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster, as tcp://host:8786"
    )
    options.plot(parser)


def explore(args: argparse.Namespace) -> int:
    from compiler.studies.explore import DEFAULT_SWEEP, PE_LOGIC, Study, executor
    from compiler.studies.explore import explore as search

    study = Study(
        changed_config(args),
        tuple(args.sweep or DEFAULT_SWEEP),
        args.net,
        args.part,
        args.batch,
        args.mode,
        args.objective,
        args.costs,
        PE_LOGIC if args.pe_area is None else args.pe_area,
    )
    study.tasks()  # what cannot be explored is refused before any worker starts
    with progress() as bars, executor(args.jobs, args.scheduler) as pool:
        found = search(study, pool, args.exact, describe(bars))
    console().print(found.table())
    print("\n".join(found.remarks()))
    write_json(args.json, {"command": _command(args)} | found.to_dict())
    if args.plot:
        found.plot(args.plot)
    return 0


def _command(args: argparse.Namespace) -> str:
    """The make command that does the same."""
    rare = [] if args.costs == COSTS else ["--costs", args.costs]
    rare += [] if args.pe_area is None else ["--pe-area", args.pe_area]
    return make_command(
        "explore",
        args,
        PART=args.part if args.part != "conv" else None,
        EXACT="1" if args.exact else None,
        SWEEP=quoted(args.sweep),
        ARGS=quoted(rare),
    )
