"""What a command leaves: tables on the terminal, results in files, the command that repeats it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def console(width: int = 220) -> Console:
    """For tables. width: where the output is no terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width)


def complain(text: str) -> None:
    """One line on stderr, of what was done and is not right."""
    print(f"eyrie: {text}", file=sys.stderr)


def write_json(path: str | Path | None, value: dict[str, Any]) -> None:
    """Of `--json`, if it was given."""
    import json

    from hdl.emit.files import write_atomic

    if path:
        write_atomic(Path(path), json.dumps(value, indent=1) + "\n")


def make_command(target: str, args: argparse.Namespace, **more: str | None) -> str:
    """The make command that does the same as a command with `options.machine`."""
    given = {
        "NET": args.net,
        "CONFIG": args.config if args.config != "eyeriss" else None,
        "MODE": args.mode,
        "BATCH": args.batch,
        "OBJECTIVE": args.objective if args.objective != "cycles" else None,
        **more,
        "SET": quoted(args.set),
    }
    return " ".join(
        [f"make {target}", *(f"{name}={value}" for name, value in given.items() if value)]
    )


def quoted(words: list[Any] | None) -> str | None:
    """As the value of a make variable, None if there are none."""
    return f'"{" ".join(map(str, words))}"' if words else None
