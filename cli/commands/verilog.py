"""eyrie verilog: a configuration's Verilog and its description."""

from __future__ import annotations

import argparse

from cli import options


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands, "verilog", verilog, description="Writes build/<name>/<name>.v and .json."
    )
    options.config(parser, "demo")
    parser.add_argument("--output", metavar="DIR", help="folder (default build/<name>)")
    parser.add_argument(
        "--lint", action="store_true", help="check the result with Verilator and Yosys"
    )


def verilog(args: argparse.Namespace) -> int:
    import json

    from hdl.config import Config
    from hdl.emit.verilog import lint, write, yosys_check

    path, sidecar = write(Config.load(args.config), args.output)
    print(f"{path}\n{sidecar}")
    if args.lint:
        top = json.loads(sidecar.read_text())["top"]
        lint(path, top)
        yosys_check(path, top)
        print("Verilator and Yosys: no complaints")
    return 0
