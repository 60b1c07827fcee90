"""eyrie report: the tables of a benchmark report."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli import options
from cli.progress import describe, progress


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "report",
        report,
        description="From the results of runs in a folder: report.md there, and one HTML page with "
        "its plots.",
    )
    parser.add_argument(
        "--results", default="docs/results", metavar="DIR", help="default docs/results"
    )
    parser.add_argument(
        "--page", metavar="FILE", help="of the HTML page (default build/report/report.html)"
    )
    options.costs(parser, "eyeriss_65nm")


def report(args: argparse.Namespace) -> int:
    from compiler.studies.costs import Costs
    from compiler.studies.report import markdown, page, sections
    from hdl.emit.files import BUILD, write_atomic

    folder, costs = Path(args.results), Costs.load(args.costs)
    page_path = Path(args.page) if args.page else BUILD / "report" / "report.html"
    with progress() as bars:
        found = sections(folder, costs, describe(bars))
    for path, text in (
        (folder / "report.md", markdown(found, costs.name)),
        (page_path, page(found, costs.name, folder)),
    ):
        write_atomic(path, text)
        print(path)
    return 0
