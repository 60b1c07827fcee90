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
