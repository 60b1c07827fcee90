"""eyrie clean: build/ is removed."""

from __future__ import annotations

import argparse

from cli import options


def add(commands: options.Commands) -> None:
    options.command(
        commands, "clean", clean, description="Removes build/, the simulators' cache too."
    )


def clean(args: argparse.Namespace) -> int:
    import shutil

    from hdl.emit.files import BUILD

    shutil.rmtree(BUILD, ignore_errors=True)
    return 0
