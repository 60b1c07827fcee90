"""eyrie run: a network on a device, every layer compared with golden."""

from __future__ import annotations

import argparse

from cli import options
from cli.data import check_known
from cli.parsing import positive
from cli.running import execute


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "run",
        run,
        description="Quantises, maps, emits, simulates and compares; LeNet-5 on handwritten digits "
        "by default.",
        check=check,
    )
    parser.add_argument(
        "--config",
        help="preset or .json file (default demo; of a board the preset that it was built for)",
    )
    options.running(parser, 20)
    parser.add_argument(
        "--device",
        choices=("rtl", "golden", "board"),
        default="rtl",
        help="rtl: the Verilog under Verilator; golden: the functional interpreter; "
        "board: one at --port",
    )
    parser.add_argument("--port", metavar="PORT", help="serial port of the board, as /dev/ttyUSB0")
    parser.add_argument(
        "--baud",
        type=positive,
        default=3_000_000,
        metavar="N",
        help="of the board's port (default 3000000)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=1.0,
        metavar="S",
        help="seconds of silence after which a board is asked again (default 1)",
    )
    parser.add_argument(
        "--driver",
        choices=("cocotb", "cpp"),
        default="cocotb",
        help="of the simulator (default cocotb)",
    )
    parser.add_argument("--waves", action="store_true", help="write an FST file under build/waves")


def check(args: argparse.Namespace) -> None:
    check_known(args)
    if args.device == "board" and not args.port:
        raise ValueError("a board needs --port (PORT=), as /dev/ttyUSB0")
    if args.device != "board" and args.port:
        raise ValueError(f"--port is of --device board, not of --device {args.device}")
    if args.device != "rtl" and args.waves:
        raise ValueError(f"--waves is of --device rtl, not of --device {args.device}")


def run(args: argparse.Namespace) -> int:
    return execute(args)[0]
