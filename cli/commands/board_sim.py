"""eyrie board-sim: a network on a simulated board."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from cli import options
from cli.data import check_known
from cli.machine import board_named, check_board, simulated
from cli.output import console
from cli.progress import progress
from cli.running import execute

if TYPE_CHECKING:
    from rich.table import Table

    from fpga.simulation.board import Counts

BAUD = 3_000_000  # that figures of a real line are given for; a terminal has none
SILENCE = 30.0  # seconds before a simulated board is asked again: another process may hold it up


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "board-sim",
        board_sim,
        description="Simulates a whole board with SDRAM, its serial pins on a pseudo-terminal, and "
        "runs the network on it as on a board.",
        check=check,
    )
    parser.add_argument("--config", help="preset or .json file (default tiny)")
    options.running(parser, 4)
    parser.add_argument(
        "--board", metavar="NAME", help="with the preset, clock and memory of this board"
    )
    options.cycles_per_bit(parser, 4)
    parser.set_defaults(device="board-sim", baud=BAUD, timeout=SILENCE)


def check(args: argparse.Namespace) -> None:
    check_known(args)
    check_board(args)


def board_sim(args: argparse.Namespace) -> int:
    from fpga.simulation.board import SimulatedBoard

    screen, like = console(), board_named(args.board) if args.board else None
    config, clock_hz, memory = simulated(args)
    args.config = like.preset if like else args.config or "tiny"

    with progress() as bars:
        bars.add_task(f"Verilog and simulator of a board with {config.name}", total=None)
        board = SimulatedBoard(config, memory, args.cycles_per_bit, clock_hz)
    with board:
        screen.print(f"board-sim: a board with {config.name} at {board.port}")
        args.port, started, before = board.port, time.monotonic(), board.counts()
        try:
            status, result = execute(args)
        except RuntimeError:
            board.counts()  # a simulation that has ended says why itself
            raise
        counts, seconds = board.counts() - before, time.monotonic() - started

    screen.print(_table(counts, seconds, clock_hz, args.cycles_per_bit))
    screen.print(
        "line busy: of both directions together; at 3 Mbaud: the same bytes on a board's line",
        style="dim",
    )
    total = result["total"]
    sustained = total["macs"] * clock_hz / total["cycles"] / 1e9
    screen.print(
        f"{sustained:.3f} GMAC/s sustained at {clock_hz / 1e6:g} MHz, "
        f"{config.multipliers * clock_hz / 1e9:.3f} peak of the array"
    )
    if like and not status:
        from fpga.flow.build import RESULTS, add_sustained

        add_sustained(like, sustained, RESULTS)
    return status


def _table(counts: Counts, seconds: float, clock_hz: float, cycles_per_bit: float) -> Table:
    """What passed over the serial line, and how long it took."""
    from compiler.tables import new_table

    line = 10 * (counts.to_board + counts.from_board)
    cells = {
        "cycles": f"{counts.cycles:,}",
        f"at {clock_hz / 1e6:g} MHz, s": f"{counts.cycles / clock_hz:.3f}",
        "bytes to it": f"{counts.to_board:,}",
        "bytes from it": f"{counts.from_board:,}",
        "cycles a bit": f"{cycles_per_bit:g}",
        "line busy %": f"{100 * line * cycles_per_bit / counts.cycles:.1f}",
        "at 3 Mbaud, s": f"{line / BAUD:.2f}",
        "simulated, s": f"{seconds:.1f}",
        "cycles/s": f"{counts.cycles / seconds:,.0f}",
    }
    table = new_table("the board", (), *cells)
    table.add_row(*cells.values())
    return table
