"""Yosys as a command, of the wheel pyosys: what its own command takes here, and no more."""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

# For a subprocess: with a log and a quiet terminal, without Yosys's state in this one.
COMMAND = [sys.executable, "-m", "hdl.emit.yosys"]


def share() -> Path:
    """Yosys's folder of cell libraries and their models."""
    return Path(importlib.util.find_spec("pyosys").origin).parent / "share"


def main(argv: list[str] | None = None) -> int:
    """`eyrie-yosys`: runs a script or commands. Yosys ends the process itself, with status 1 and
    a line `ERROR: ...`, if one fails."""
    parser = argparse.ArgumentParser(prog="eyrie-yosys", description="Yosys of the wheel pyosys")
    parser.add_argument("script", nargs="?", help="a file of commands")
    parser.add_argument("-q", action="store_true", help="print errors only")
    parser.add_argument("-l", metavar="LOG", help="write all messages to this file too")
    parser.add_argument("-p", metavar="COMMANDS", help="commands, with `;` between them")
    parser.add_argument("-V", "--version", action="store_true")
    args = parser.parse_args(argv)
    if not (args.version or args.script or args.p):
        parser.error("nothing to do: a script or -p")
    from pyosys import libyosys

    if args.version:
        print(libyosys.yosys_maybe_version())
        return 0
    if args.q:  # all but an error, which goes to the other file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if args.l:
        Path(args.l).unlink(missing_ok=True)
    commands = [c.strip() for c in (args.p or "").split(";") if c.strip()]
    for command in [*commands, *([f"script {args.script}"] if args.script else [])]:
        libyosys.run_pass(f"tee -a {args.l} {command}" if args.l else command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
