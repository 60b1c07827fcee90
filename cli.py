"""The command line tool. Exit status: 0 done, 1 a mismatch, 2 bad input."""

from __future__ import annotations

import argparse
import sys


def verilog(args) -> int:
    from hdl.config import Config
    from hdl.verilog import lint, write, yosys_check
    config = Config.load(args.config)
    path, sidecar = write(config, args.output)
    print(f"{path}\n{sidecar}")
    if args.lint:
        import json
        top = json.loads(sidecar.read_text())["top"]
        lint(path, top)
        yosys_check(path, top)
        print("Verilator and Yosys: no complaints")
    return 0


def _calibration(args, shape):
    """(raw images to calibrate on, a note that says which) of `compile`."""
    from pathlib import Path
    from compiler.images import DataError, read_images
    if args.calib is not None:
        images = read_images(args.calib, shape)
        return images, f"calibrated on {len(images)} images of {Path(args.calib).name}"
    if args.images is None:
        raise DataError("CALIB: a network of your own needs --calib, or --images to take a part of")
    images = read_images(args.images, shape)
    spare = min(100, (len(images) + 4) // 5)
    return images[-spare:], (f"calibrated on the last {spare} of {len(images)} images of {Path(args.images).name}; "
                             "an accuracy should be reported on the others")


def compile_(args) -> int:
    import json
    from pathlib import Path
    from compiler.export import check_directory, export
    from compiler.onnx_import import load
    from compiler.quantise import quantise
    from hdl.config import Config
    from hdl.verilog import emit
    config = Config.load(args.config)
    check_directory(args.output)
    models = Path(__file__).resolve().parent / "compiler" / "models"
    if args.model is None:
        args.model = models / "lenet5.onnx"
        if args.calib is None and args.images is None:
            args.calib = models / "digits_calibration.npz"
    graph = load(args.model)
    images, note = _calibration(args, graph.tensors[graph.input].shape)
    network = quantise(graph, images, psum_bits=config.psum_bits)
    text, sidecar = emit(config)
    top = sidecar["top"]
    program = export(network, config, args.output, images=args.batch, base=args.base,
                     also={f"{top}.v": text, f"{top}.json": json.dumps(sidecar, indent=1) + "\n"})
    print(f"{args.output}: {program.command_count} commands, memory {program.base:#x}..{program.end:#x}, "
          f"batch of {program.images}\n{note}")
    return 0


def sim(args) -> int:
    from sim.runner import BenchError, benches, run_bench
    failed = 0
    for name in args.bench or benches():
        try:
            passed = run_bench(name, waves=args.waves, seed=args.seed)
            print(f"{name}: {passed} passed", flush=True)
        except BenchError as e:
            failed += 1
            print(f"{name}: FAILED\n{e}", file=sys.stderr)
    return 1 if failed else 0


def clean(args) -> int:
    import shutil
    from hdl.verilog import BUILD
    shutil.rmtree(BUILD, ignore_errors=True)
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="eyrie", description="Generator of deep-network accelerators.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    p = commands.add_parser("verilog", help="a configuration's Verilog and its description",
                            description="Writes build/<name>/<name>.v and .json.")
    p.add_argument("--config", default="demo", help="preset or .json file (default demo)")
    p.add_argument("--output", metavar="DIR", help="folder (default build/<name>)")
    p.add_argument("--lint", action="store_true", help="check the result with Verilator and Yosys")
    p.set_defaults(function=verilog)

    p = commands.add_parser("sim", help="cocotb benches of the components",
                            description="Runs the benches sim/tb_*.py under Verilator.")
    p.add_argument("bench", nargs="*", help="names without tb_ (default all)")
    p.add_argument("--waves", action="store_true", help="write FST files under build/waves")
    p.add_argument("--seed", type=int, help="seed of the random stalls")
    p.set_defaults(function=sim)

    p = commands.add_parser("clean", help="remove build/", description="Removes build/, the simulators' cache too.")
    p.set_defaults(function=clean)

    p = commands.add_parser("compile", help="what an integrator takes away: Verilog, memory image, address map, C driver",
                            description="Writes a folder, whole or not at all: docs/integration.md says what is in it.")
    p.add_argument("model", nargs="?", metavar="net.onnx", help="ONNX network (default the project's LeNet-5)")
    p.add_argument("--config", default="demo", help="preset or .json file (default demo)")
    p.add_argument("-o", "--output", required=True, metavar="DIR", help="new folder, or one of an earlier compile")
    p.add_argument("--calib", metavar="FILE", help="images to calibrate on: IDX, .npy, .npz, PNG or a folder of PNGs")
    p.add_argument("--images", metavar="FILE", help="without --calib: images, the last of which are calibrated on")
    p.add_argument("--batch", type=int, default=1, metavar="N", help="images of a start, 1..255 (default 1)")
    p.add_argument("--base", type=lambda text: int(text, 0), default=0, metavar="ADDRESS",
                   help="first byte that the accelerator may use, a multiple of 4096 (default 0)")
    p.set_defaults(function=compile_)
    return top


def main(argv: list[str] | None = None) -> int:
    """Runs one command; errors of the user are one line on stderr and status 2."""
    args = parser().parse_args(argv)
    try:
        return args.function(args)
    except (ValueError, OSError) as e:
        print(f"eyrie: error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
