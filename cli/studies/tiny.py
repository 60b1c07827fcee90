"""eyrie tiny: MLPerf Tiny's int8 models."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cli import options
from cli.machine import cores
from cli.output import complain, console, write_json
from cli.parsing import positive
from cli.progress import Stages

UNKNOWN_MHZ = 100.0  # the clock of a configuration that no board has


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "tiny",
        tiny,
        description="IC, VWW, KWS and AD on a machine: cycles, every tensor against golden, golden "
        "against LiteRT's reference kernels.",
    )
    parser.add_argument("model", nargs="*", help="models (default all): IC, VWW, KWS, AD")
    options.config(parser, "demo")
    parser.add_argument(
        "--models",
        metavar="FOLDER",
        help="where the .tflite files of MLPerf Tiny are (default $EYRIE_DATA/mlperf_tiny)",
    )
    parser.add_argument(
        "--device",
        choices=("rtl", "golden"),
        default="rtl",
        help="rtl: the Verilog under Verilator; golden: the functional interpreter, without cycles",
    )
    parser.add_argument(
        "--inputs",
        type=positive,
        default=4,
        metavar="N",
        help="inputs that golden is compared with LiteRT on: noise, a constant, extremes in turn "
        "(default 4)",
    )
    parser.add_argument(
        "--clock",
        type=float,
        metavar="MHZ",
        help="that inferences a second are counted at (default the board's of the preset, or "
        f"{UNKNOWN_MHZ:g})",
    )
    options.json(parser)


def tiny(args: argparse.Namespace) -> int:
    from compiler.mapping.mapper import Mapper
    from compiler.studies.tiny import MODELS, measure, table, to_list
    from hdl.config import Config

    folder, config = _folder(args), Config.load(args.config)
    for name in args.model:
        if name not in MODELS:
            raise ValueError(f"model {name!r}: choose from {', '.join(MODELS)}")
    names, clock = args.model or list(MODELS), args.clock or _clock(config.name)
    for name in names:
        if not (folder / MODELS[name][0]).exists():
            raise ValueError(
                f"{folder / MODELS[name][0]}: no such file; it is in the repository "
                "mlcommons/tiny, under benchmark/training (MODELS= names the folder)"
            )
    rows = []
    mapper = Mapper(config, jobs=cores())
    with ExitStack() as held:
        stages = held.enter_context(Stages())

        def device_of(memory: int) -> Any:
            if args.device == "golden":
                from compiler.runtime.interpreter import Interpreter

                return Interpreter(config, memory)
            from sim.device import SimDevice

            return held.enter_context(SimDevice(config, "cpp", memory))

        for name in names:
            stages.begin(name)

            def show(layer: str) -> None:
                stages.detail(layer)

            try:
                args_ = (name, folder, config, clock, device_of, mapper, args.inputs, show)
                rows.append(measure(*args_))
            except ImportError as error:
                raise ValueError(f'{error.name} is absent: pip install "eyrie[tflite]"') from None
        stages.end()
    console(160).print(table(config, rows))
    print(
        "mismatches: elements of the device's tensors that differ from golden; of golden's that "
        "differ from LiteRT's reference kernels, which read the file"
    )
    write_json(args.json, to_list(rows))
    if any(row.mismatches or row.litert_mismatches for row in rows):
        complain("tensors differ")
        return 1
    return 0


def _folder(args: argparse.Namespace) -> Path:
    if args.models:
        return Path(args.models)
    if "EYRIE_DATA" in os.environ:
        return Path(os.environ["EYRIE_DATA"]) / "mlperf_tiny"
    raise ValueError("tiny needs --models (MODELS=), the folder of MLPerf Tiny's .tflite files")


def _clock(preset: str) -> float:
    """MHz of a board with the preset."""
    from fpga.boards import BOARDS

    clocks = [board.clock_hz for board in BOARDS.values() if board.preset == preset]
    return min(clocks) / 1e6 if clocks else UNKNOWN_MHZ
