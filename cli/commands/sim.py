"""eyrie sim: cocotb benches of the components."""

from __future__ import annotations

import argparse
import sys

from cli import options


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands, "sim", sim, description="Runs the benches sim/tb_*.py under Verilator."
    )
    parser.add_argument("bench", nargs="*", help="names without tb_ (default all)")
    parser.add_argument("--waves", action="store_true", help="write FST files under build/waves")
    parser.add_argument("--seed", type=int, help="seed of the random stalls")


def sim(args: argparse.Namespace) -> int:
    from sim.runner import BenchError, benches, run_bench

    failed = 0
    for name in args.bench or benches():
        try:
            passed = run_bench(name, waves=args.waves, seed=args.seed)
            print(f"{name}: {passed} passed", flush=True)
        except BenchError as error:
            failed += 1
            print(f"{name}: FAILED\n{error}", file=sys.stderr)
    return 1 if failed else 0
