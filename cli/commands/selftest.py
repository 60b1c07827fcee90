"""eyrie selftest: bring-up of a board, step by step."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cli import options
from cli.commands.board_sim import SILENCE
from cli.data import graph_of, images_of
from cli.machine import board_named, check_board, simulated
from cli.output import complain, console, write_json
from cli.parsing import positive
from cli.progress import Stages

if TYPE_CHECKING:
    from rich.table import Table

    from fpga.selftest.bench import Bench, Effort
    from fpga.selftest.steps import Result

WIDTHS = (34, 36)  # of the first columns, so that the steps' tables are aligned


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "selftest",
        selftest,
        description="Serial line, registers, memory, engines, digits: in this order, up to the "
        "first thing that is wrong, with what to look at. Without --port on a simulated board.",
        check=check,
    )
    option = parser.add_argument
    option("--port", metavar="PORT", help="serial port of the board, as /dev/ttyUSB0")
    option("--board", metavar="NAME", help="what board it is, or is like")
    option("--config", help="preset or .json file (default what the board names; simulated tiny)")
    option("--baud", type=positive, metavar="N", help="of the board's port (default 3000000)")
    options.cycles_per_bit(parser, 4)
    option(
        "--timeout",
        type=float,
        metavar="S",
        help=f"of silence before a frame is sent again (default 1; simulated {SILENCE:g})",
    )
    option(
        "--memory",
        choices=("sample", "all"),
        default="sample",
        help="what is marched over (default sample; all of 32 MB takes hours)",
    )
    option("--soak", type=positive, metavar="KIB", help="over the line, each way")
    option("--words", type=positive, metavar="N", help="of the sample of memory")
    option("--backgrounds", type=positive, metavar="N", help="that it is marched over with, 1 to 7")
    option("--retention", type=float, metavar="MS", help="that memory is left alone for")
    options.data(parser, 3)
    options.json(parser)


def check(args: argparse.Namespace) -> None:
    check_board(args)
    if args.backgrounds and args.backgrounds > 7:
        raise ValueError(f"--backgrounds {args.backgrounds}: 7 at most, of words of 64 bits")
    if args.baud and not args.port:
        raise ValueError("--baud is of a board at --port; a simulated one has --cycles-per-bit")


def selftest(args: argparse.Namespace) -> int:
    from fpga.selftest.steps import FIRST, Step, run

    screen, started = console(), time.monotonic()
    with ExitStack() as held:
        stages = held.enter_context(Stages())
        stages.begin("board")
        bench = _bench(args, held)
        held.callback(bench.close)
        bench.progress = stages.show
        digits = Step("digits", lambda bench: _digits(args, bench))
        results = []
        for result in run(bench, (*FIRST, digits)):
            results.append(result)
            screen.print(_table(len(results), result))
            screen.file.flush()  # as it comes, into a pipe too
            stages.begin("next step")
        stages.end()
        link = bench.opened.link if bench.opened else None
        again = link.retried if link else 0
        if not args.port:
            bench.now()  # a simulation that has ended says why itself

    seconds = round(time.monotonic() - started, 1)
    wrong = results[-1].wrong
    write_json(args.json, _result(args, bench, results, seconds))
    if wrong:
        complain(f"{results[-1].name}: {wrong.what}: {wrong.measured}; look at: {wrong.look}")
        return 1
    checks = sum(len(result.checks) for result in results)
    screen.print(
        f"all {len(results)} steps, {checks} lines: ok; {again} frames sent again; {seconds} s"
    )
    return 0


def _bench(args: argparse.Namespace, held: ExitStack) -> Bench:
    """The board at --port, or a simulated one. Raises LinkError if there is no such port."""
    from fpga.host.board import BAUD
    from fpga.host.link import open_port
    from fpga.memory.port import size_of
    from fpga.selftest import bench
    from fpga.simulation.board import SimulatedBoard
    from hdl.config import Config

    if not args.port:
        config, clock_hz, memory = simulated(args)
        board = held.enter_context(SimulatedBoard(config, memory, args.cycles_per_bit, clock_hz))
        console().print(f"selftest: a simulated board with {config.name} at {board.port}")
        return bench.Bench(
            board.port,
            board.baud,
            args.timeout or SILENCE,
            _effort(args, bench.SIMULATED),
            board.now,
            board.pause,
            config,
            clock_hz,
            size_of(memory),
        )
    like = board_named(args.board) if args.board else None
    baud = args.baud or (like.baud if like else BAUD)
    open_port(args.port, baud).close()
    config = like.config if like else Config.load(args.config) if args.config else None
    return bench.Bench(
        args.port,
        baud,
        args.timeout or 1.0,
        _effort(args, bench.BOARD),
        time.monotonic,
        time.sleep,
        config,
        like.clock_hz if like else None,
        size_of(like.memory) if like else None,
    )


def _effort(args: argparse.Namespace, usual: Effort) -> Effort:
    given = {
        "soak": args.soak,
        "words": args.words,
        "backgrounds": args.backgrounds,
        "retention": None if args.retention is None else args.retention / 1e3,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    return replace(usual, whole=args.memory == "all", **changes)


def _digits(args: argparse.Namespace, bench: Bench) -> Any:
    from fpga.selftest import digits

    graph = graph_of(args)
    data = images_of(args, graph)
    return digits.check(bench, graph, data.images, data.labels, data.observed)


def _table(number: int, result: Result) -> Table:
    from compiler.tables import new_table

    columns = "what", "expected", "measured"
    table = new_table(f"{number}. {result.name}, {result.seconds:.1f} s", columns, *columns, "ok")
    for column, width in zip(table.columns, WIDTHS):
        column.min_width = width
    for line in result.checks:
        table.add_row(line.what, line.expected, line.measured, "ok" if line.ok else "WRONG")
    return table


def _result(
    args: argparse.Namespace, bench: Bench, results: list[Result], seconds: float
) -> dict[str, Any]:
    """What --json writes."""
    return {
        "ok": not results[-1].wrong,
        "simulated": not args.port,
        "board": args.board,
        "config": bench.config.name if bench.config else None,
        "seconds": seconds,
        "steps": [result.to_dict() for result in results],
    }
