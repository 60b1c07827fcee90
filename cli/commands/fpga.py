"""eyrie fpga: a board's bitstream, and its report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cli import options
from cli.machine import board_named
from cli.output import complain, console
from cli.parsing import positive

if TYPE_CHECKING:
    from rich.table import Table

    from fpga.boards import Board
    from fpga.flow.build import Report

KINDS = ("lut", "ff", "dsp", "bram")
FEW = 100  # LUTs of a component that is not listed


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "fpga",
        fpga,
        description="Builds build/fpga/<board>-<preset>/ with Yosys and nextpnr.",
    )
    parser.add_argument("board", help="a board, or list")
    parser.add_argument(
        "--seed", type=positive, default=1, metavar="N", help="of placement (default 1)"
    )
    parser.add_argument("--json", metavar="DIR", help="write <board>-<preset>.json there")


def fpga(args: argparse.Namespace) -> int:
    """Builds a bitstream and reports it, or lists the boards."""
    if args.board == "list":
        console().print(_boards())
        return 0
    from fpga.flow.build import artifact, build, save

    board, screen = board_named(args.board), console()
    with screen.status(f"{board.name}: Yosys, nextpnr, bitstream of {board.preset}"):
        result = build(board, args.seed)

    screen.print(_resources(board, result))
    if result.components:
        screen.print(_components(result))
    screen.print(
        f"clock {result.clock_mhz:g} MHz, fmax {result.fmax_mhz:g} MHz after routing"
        f"{'' if result.met else ': TOO SLOW'}; peak {result.peak_gmacs:g} GMAC/s"
    )
    screen.print("; ".join(result.tools.values()), style="dim")
    print(artifact(board))
    if args.json:
        print(save(result, Path(args.json)))
    if not result.met:
        complain(
            f"{board.name}: {result.fmax_mhz} MHz after routing, the clock is "
            f"{result.clock_mhz:g}: try another --seed"
        )
    return 0 if result.met else 1


def _resources(board: Board, result: Report) -> Table:
    from compiler.tables import new_table

    table = new_table(
        f"{board.name}: {result.preset}, {result.pes} PEs, {board.config.multipliers} MACs a "
        f"cycle, on {result.device}, seed {result.seed}, {result.seconds:.0f} s",
        ("resource",),
        "resource",
        "used",
        "of",
        "%",
    )
    for name in KINDS:
        used, most = getattr(result, name)
        share = f"{100 * used / most:.0f}" if most else "-"
        table.add_row(name.upper(), f"{used:,}", f"{most:,}", share)
    return table


def _components(result: Report) -> Table:
    from compiler.tables import new_table

    table = new_table(
        "components, after Yosys", ("component",), "component", "LUT", "FF", "DSP", "block RAM"
    )
    for name, row in result.components.items():
        if row["lut"] > FEW or row["dsp"] or row["bram"]:
            table.add_row(name, *(f"{row[kind]:,}" for kind in KINDS))
    return table


def _boards() -> Table:
    from compiler.tables import new_table
    from fpga.boards import BOARDS
    from fpga.boards.board import CAPACITY

    table = new_table(
        "boards: make fpga BOARD=...",
        ("board", "device", "preset", "memory", "serial line"),
        "board",
        "device",
        "LUT4",
        "DSP",
        "block RAM",
        "preset",
        "PEs",
        "MACs",
        "clock, MHz",
        "memory",
        "serial line",
    )
    for board in BOARDS.values():
        table.add_row(
            board.name,
            board.device,
            *(f"{n:,}" for n in CAPACITY[board.device]),
            board.preset,
            str(board.config.pes),
            str(board.config.multipliers),
            f"{board.clock_hz / 1e6:g}",
            _memory(board),
            board.link,
        )
    return table


def _memory(board: Board) -> str:
    from fpga.memory.port import SPRAM

    if isinstance(board.memory, int):
        return f"{board.memory >> 10} KiB on chip"
    return board.memory if board.memory == SPRAM else f"SDRAM {board.memory}"
