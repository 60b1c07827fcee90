"""Options that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cli.names import COMMANDS
from cli.parsing import Parser, count, positive, switch

Commands = argparse._SubParsersAction  # what a command's `add` adds its parser to
Handler = Callable[[argparse.Namespace], int]  # runs a command and returns its exit status
Check = Callable[[argparse.Namespace], None]  # raises ValueError for options that contradict


def command(
    commands: Commands, name: str, function: Handler, description: str, check: Check | None = None
) -> Parser:
    """A new command's parser. check: of its options alone, before any file is looked at."""
    parser = commands.add_parser(name, help=COMMANDS[name][1], description=description)
    parser.set_defaults(function=function, check=check)
    return parser


def config(parser: Parser, usual: str) -> None:
    parser.add_argument(
        "--config", default=usual, help=f"preset or .json file (default {usual})", metavar="CONFIG"
    )


def changed_config(parser: Parser, usual: str) -> None:
    """A configuration, some fields of which are changed."""
    config(parser, usual)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of the configuration (may be repeated)",
    )


def json(parser: Parser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write the table there")


def plot(parser: Parser) -> None:
    parser.add_argument("--plot", metavar="FILE", help="write a picture there, .svg or .png")


def costs(parser: Parser, usual: str) -> None:
    parser.add_argument(
        "--costs",
        default=usual,
        metavar="NAME",
        help=f"a table of compiler/studies/costs, or a .json file (default {usual})",
    )


def mode(parser: Parser, usual: str) -> None:
    parser.add_argument(
        "--mode",
        choices=("dense", "gate", "skip"),
        default=usual,
        help=f"what a zero activation does (default {usual})",
    )


def network(parser: Parser, part: str) -> None:
    """A network whose layers are studied."""
    parser.add_argument(
        "--net", default="alexnet", help="a known network or an ONNX file (default alexnet)"
    )
    parser.add_argument(
        "--part",
        choices=("conv", "fc", "all"),
        default=part,
        help=f"convolutions, fully connected layers or both (default {part})",
    )


def published_network(parser: Parser) -> None:
    parser.add_argument(
        "--net", choices=("alexnet", "vgg16"), default="alexnet", help="default alexnet"
    )


def machine(parser: Parser, usual_mode: str) -> None:
    """The configuration that layers are mapped onto, and how."""
    changed_config(parser, "eyeriss")
    mode(parser, usual_mode)
    parser.add_argument(
        "--batch", type=positive, metavar="N", help="images (default the published batch)"
    )
    parser.add_argument(
        "--objective",
        choices=("cycles", "dram"),
        default="cycles",
        help="what mappings are chosen for first (default cycles)",
    )
    json(parser)


def data(parser: Parser, limit: int) -> None:
    """A network and its images."""
    option = parser.add_argument
    option(
        "--model", metavar="FILE", help="network, .onnx or .tflite (default the project's LeNet-5)"
    )
    option("--images", metavar="FILE", help="IDX, .npy, .npz, PNG or a folder of PNGs")
    option("--labels", metavar="FILE", help="IDX, .npy, .npz or text")
    option("--limit", type=count, metavar="N", help=f"images to run, 0 for all (default {limit})")
    parser.set_defaults(usual_limit=limit)
    option(
        "--calib",
        metavar="FILE",
        help="images to calibrate on (default some that are not reported)",
    )


def running(parser: Parser, limit: int) -> None:
    """A network and how it is run."""
    data(parser, limit)
    parser.add_argument(
        "--net",
        metavar="NAME",
        help="a known network at full size with random weights and images, 1 image by default, as "
        "resnet50 (a wrong name lists them)",
    )
    parser.add_argument(
        "--batch", type=positive, default=4, metavar="N", help="images of a program run (default 4)"
    )
    mode(parser, "gate")
    sparse(parser)
    parser.add_argument(
        "--rlc",
        choices=("auto", "on", "off"),
        default="auto",
        help="feature maps run-length coded in memory: that get smaller, all that can be, none "
        "(default auto)",
    )
    json(parser)


def cycles_per_bit(parser: Parser, usual: float) -> None:
    """Of a simulated board."""
    parser.add_argument(
        "--cycles-per-bit",
        type=float,
        default=usual,
        metavar="N",
        help=f"of its serial line, 4 or more (default {usual:g}; 26.7 is 3 Mbaud at 80 MHz)",
    )


def placement(parser: Parser) -> None:
    parser.add_argument(
        "--placement",
        choices=("modulo", "balanced", "windows"),
        default="balanced",
        help="of a compressed layer's rows on PEs (default balanced)",
    )


def sparse(parser: Parser) -> None:
    parser.add_argument(
        "--sparse",
        type=switch,
        action="append",
        default=[],
        metavar="LAYER=on|off|auto",
        help="run a fully connected layer compressed, on the array, or by its density (auto, the "
        "default); again for more",
    )
    placement(parser)
