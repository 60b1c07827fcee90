"""What a command computes for: a configuration, a mode, a board; and
on how many cores."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fpga.boards import Board
    from fpga.memory.sdram.sdram_timing import SdramPart
    from hdl.config import Config
    from hdl.isa import Mode


def changed_config(args: argparse.Namespace) -> Config:
    """--config with the fields of --set."""
    from hdl.config import Config

    return Config.load(args.config).override(args.set)


def mode_of(config: Config, name: str) -> Mode:
    """Raises ConfigError for a mode that the configuration does not have."""
    from hdl.config import ConfigError
    from hdl.isa import Mode

    if name == "skip" and not config.skip:
        raise ConfigError(
            f"config {config.name!r} cannot skip zeros: choose one with skip, or --mode gate"
        )
    return Mode[name.upper()]


def board_named(name: str) -> Board:
    """Raises ValueError."""
    from fpga.boards import BOARDS

    if name not in BOARDS:
        raise ValueError(f"BOARD {name}: choose from {', '.join(BOARDS)}, or list")
    return BOARDS[name]


def simulated(args: argparse.Namespace) -> tuple[Config, int, SdramPart | int | str]:
    """Configuration, clock in Hz and memory of a simulated board: those of --board, or --config
    (`tiny`), the usual clock and SDRAM. Raises ValueError."""
    from fpga.simulation.board import CLOCK_HZ, PART
    from hdl.config import Config

    if args.board:
        like = board_named(args.board)
        return like.config, like.clock_hz, like.memory
    return Config.load(args.config or "tiny"), CLOCK_HZ, PART


def check_board(args: argparse.Namespace) -> None:
    """Raises ValueError."""
    if args.board and args.config:
        raise ValueError(f"--board {args.board} has its own preset: leave out --config")


def cores() -> int:
    """Processes at a time, by default."""
    return os.cpu_count() or 1
