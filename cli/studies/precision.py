"""eyrie precision: accuracy as activations and weights become narrower."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli import options
from cli.data import graph_of, images_of
from cli.output import console, quoted, write_json
from cli.progress import describe, progress


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "precision",
        precision,
        description="A network through golden at widths from 16 bits down, linear against a "
        "codebook, all layers and each alone.",
        check=check,
    )
    options.data(parser, 0)
    parser.add_argument(
        "--bits",
        type=int,
        nargs="+",
        metavar="N",
        help="widths, 2..16 (default 16 12 10 8 and below)",
    )
    parser.add_argument(
        "--psum-bits",
        type=int,
        choices=range(24, 33),
        default=32,
        metavar="N",
        help="24..32 (default 32)",
    )
    parser.add_argument("--overall", action="store_true", help="all layers together only")
    options.json(parser)
    options.plot(parser)


def check(args: argparse.Namespace) -> None:
    if args.bits:
        from compiler.studies.precision import check as check_widths

        check_widths(tuple(args.bits))


def precision(args: argparse.Namespace) -> int:
    from compiler.frontend.images import DataError
    from compiler.studies.precision import WIDTHS, study

    graph = graph_of(args)
    data = images_of(args, graph)
    if data.labels is None:
        raise DataError("LABELS: accuracies need --labels, or images in an .npz with labels")
    with progress() as bars:
        found = study(
            graph,
            data.observed,
            data.images,
            data.labels,
            args.psum_bits,
            tuple(args.bits or WIDTHS),
            not args.overall,
            describe(bars),
        )
    name = Path(args.model).stem if args.model else "lenet5"
    console().print(found.table(name))
    print(
        "codebook: activations of that width, weights 15 shared values and 0; within 1 point: the "
        f"least width down to which no more is lost against floating point\n{data.note}"
    )
    about = {"command": _command(args), "model": name, "calibration": data.note}
    write_json(args.json, about | found.to_dict())
    if args.plot:
        found.plot(f"{name}: accuracy of {len(data.images)} images by width", args.plot)
    return 0


def _command(args: argparse.Namespace) -> str:
    """The make command that does the same."""
    given = {
        "MODEL": args.model,
        "IMAGES": args.images,
        "LABELS": args.labels,
        "LIMIT": args.limit,
        "CALIB": args.calib,
        "BITS": quoted(args.bits),
    }
    words = (f"{key}={value}" for key, value in given.items() if value)
    return " ".join(["make precision", *words])
