"""eyrie gates: gate count of a PE."""

from __future__ import annotations

import argparse

from cli import options
from cli.machine import changed_config
from cli.output import console, quoted, write_json


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands, "gates", gates, description="The PE as gates of CMOS, without its memories."
    )
    options.changed_config(parser, "eyeriss")
    options.json(parser)


def gates(args: argparse.Namespace) -> int:
    from sim.gates import count

    found = count(changed_config(args))
    console().print(found.table())
    print(
        f"{found.nand2:,.0f} gates, in NAND2 of four transistors; {found.memories} memories left "
        "out"
    )
    command = f"make gates CONFIG={args.config}"
    if args.set:
        command += f" SET={quoted(args.set)}"
    write_json(args.json, {"command": command} | found.to_dict())
    return 0
