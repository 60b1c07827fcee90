"""eyrie dataflows: six dataflows on equal area."""

from __future__ import annotations

import argparse

from cli import options
from cli.output import console, write_json
from cli.parsing import positive
from cli.progress import describe, progress


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "dataflows",
        dataflows,
        description="Searches the mapping of least energy of each layer for weight, output and row "
        "stationary and no local reuse, as in ISCA 2016.",
    )
    options.network(parser, "all")
    parser.add_argument("--pes", type=int, default=256, metavar="N", help="PEs (default 256)")
    parser.add_argument(
        "--batch", type=positive, default=16, metavar="N", help="images (default 16)"
    )
    parser.add_argument(
        "--dataflow",
        action="append",
        metavar="NAME",
        help="rs, ws, osa, osb, osc or nlr; again for more (default all)",
    )
    parser.add_argument(
        "--orders",
        choices=("published", "any"),
        default="published",
        help="of the loops over tiles (default published)",
    )
    options.costs(parser, "isca2016")
    parser.add_argument("--json", metavar="FILE", help="write everything there")
    parser.add_argument(
        "--plot", metavar="FILE", help="write pictures there, -conv and -fc in their names"
    )


def dataflows(args: argparse.Namespace) -> int:
    from compiler.studies.dataflow_table import compare_network
    from compiler.studies.dataflows import DATAFLOWS

    with progress() as bars:
        found = compare_network(
            args.net,
            args.part,
            args.pes,
            args.batch,
            args.orders,
            args.costs,
            tuple(args.dataflow or DATAFLOWS),
            describe(bars),
        )
    for part in found.parts:
        console().print(found.table(part))
        if remark := found.remark(part):
            print(remark)
    print(f"A model: docs/energy.md. {found.command}")
    write_json(args.json, found.to_dict())
    if args.plot:
        found.plot(args.plot)
    return 0
