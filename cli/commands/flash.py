"""eyrie flash: a board is loaded with its bitstream."""

from __future__ import annotations

import argparse

from cli import options
from cli.machine import board_named


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "flash",
        flash,
        description="Runs the board's loader on what `eyrie fpga` has built.",
    )
    parser.add_argument("board")
    parser.add_argument(
        "--persist", action="store_true", help="into flash, to stay after power is off"
    )


def flash(args: argparse.Namespace) -> int:
    from fpga.flow import flash as loader

    loader.flash(board_named(args.board), args.persist)
    return 0
