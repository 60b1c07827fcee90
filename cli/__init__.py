"""The command line tool, one file a command. Exit status: 0 done, 1 a mismatch, 2 bad input."""

from __future__ import annotations

import sys
from importlib import import_module

from cli.names import COMMANDS
from cli.names import MODELS as MODELS
from cli.parsing import TOOL, Parser

OURS = ("cli", "compiler", "fpga", "hdl", "sim")


def parser(names: tuple[str, ...] = tuple(COMMANDS)) -> Parser:
    """The tool's parser, complete for the commands in `names`, for the others with their line of
    --help only."""
    top = Parser(prog=TOOL, description="Generator of deep-network accelerators.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, line) in COMMANDS.items():
        if name in names:
            import_module(module).add(commands)
        else:
            commands.add_parser(name, help=line)
    return top


def main(argv: list[str] | None = None) -> int:
    """Runs one command. What cannot be done is one line on stderr and status 2; 1 is for what
    was done and differs."""
    words = sys.argv[1:] if argv is None else argv
    args = parser(tuple(words)).parse_args(words)
    from cli.checks import check

    try:
        check(args)
        return args.function(args)
    except (ValueError, OSError) as error:
        return _fail(error)
    except RuntimeError as error:  # a tool or the simulator failed
        if type(error).__module__.partition(".")[0] not in OURS:
            raise
        return _fail(error)
    except KeyboardInterrupt:
        return 130


def _fail(error: Exception) -> int:
    print(f"{TOOL}: error: {error}", file=sys.stderr)
    return 2
