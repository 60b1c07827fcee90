"""eyrie bench: a network's convolutions on the RTL against the Eyeriss chip."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cli import options
from cli.machine import changed_config, cores, mode_of
from cli.output import complain, console, make_command, quoted, write_json
from cli.parsing import positive
from cli.progress import progress

if TYPE_CHECKING:
    from compiler.networks.layer_tables import Network
    from hdl.config import Config
    from sim.bench.bench import LayerBench


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "bench",
        bench,
        description="Simulates every layer, compares each ofmap with golden, keeps what is done.",
        check=check,
    )
    options.published_network(parser)
    parser.add_argument(
        "--layer", action="append", metavar="NAME", help="only this one (may be repeated)"
    )
    parser.add_argument(
        "--jobs", type=positive, metavar="N", help="layers at a time (default one a core)"
    )
    parser.add_argument(
        "--clustered",
        action="store_true",
        help="zeros in patches and by channel, as ReLU leaves them",
    )
    options.plot(parser)
    options.machine(parser, "dense")


def check(args: argparse.Namespace) -> None:
    """That the network has the layers."""
    from compiler.networks.layer_tables import NETWORKS

    names = [layer.name for layer in NETWORKS[args.net].layers]
    for name in args.layer or ():
        if name not in names:
            raise ValueError(f"layer {name!r}: choose from {', '.join(names)}")


def bench(args: argparse.Namespace) -> int:
    from compiler.networks.layer_tables import NETWORKS
    from sim.bench.bench_plot import plot
    from sim.bench.bench_table import bench_table, totals

    config, network = changed_config(args), NETWORKS[args.net]
    mode_of(config, args.mode)
    batch = args.batch or network.batch
    results = _run(args, config, network, batch)
    total, title = totals(results), f"{args.net} CONV, batch {batch}, {args.mode}"

    console().print(
        bench_table(
            f"{args.net}, batch {batch}, {args.mode}: RTL of {config.name}, {config.pes} PEs",
            results,
            config.multipliers,
        )
    )
    wrong = ", ".join(r.name for r in results if not r.counters_equal)
    print(
        "model: the commands in time; its counts of accesses "
        + (
            f"differ from the RTL's counters in {wrong}"
            if wrong
            else "equal the counters of the RTL"
        )
    )
    command = _command(args)
    print(f"The chip: {network.accesses_per_mac} DRAM accesses of 16 bits per MAC. {command}")
    about = {
        "command": command,
        "config": config.to_dict(),
        "batch": batch,
        "mode": args.mode,
        "objective": args.objective,
        "zeros": "clustered" if args.clustered else "independent",
        "chip_accesses_per_mac": network.accesses_per_mac,
        "total": total,
        "layers": [result.to_dict() for result in results],
    }
    write_json(args.json, about)
    if args.plot:
        ours, chip = (total[name] / 1e6 for name in ("cycles", "chip_cycles"))
        plot(f"{title}: {ours:.2f} M cycles, Eyeriss chip {chip:.2f} M", results, args.plot)
    if total["mismatches"]:
        complain(f"{total['mismatches']} ofmap entries differ from golden")
    return 1 if total["mismatches"] else 0


def _run(
    args: argparse.Namespace, config: Config, network: Network, batch: int
) -> list[LayerBench]:
    """Every layer, or those of --layer, on the simulator, which is built once before the jobs."""
    from sim.bench.bench import run_bench
    from sim.device import SimDevice

    layers = [layer for layer in network.layers if not args.layer or layer.name in args.layer]
    with progress() as bars:
        task = bars.add_task(
            f"simulator of {config.name}", total=sum(layer.macs for layer in layers)
        )
        SimDevice(config, "cpp", 1 << 20).close()
        bars.update(task, description=f"0 of {len(layers)} layers")
        done = []

        def advance(result: Any) -> None:
            done.append(result)
            bars.update(
                task,
                advance=result.macs / batch,
                description=f"{len(done)} of {len(layers)} layers",
            )

        return run_bench(
            network,
            config,
            mode_of(config, args.mode),
            batch,
            args.jobs or cores(),
            layers,
            advance,
            clustered=args.clustered,
            objective=args.objective,
        )


def _command(args: argparse.Namespace) -> str:
    """The make command that does the same."""
    layers = [word for name in args.layer or () for word in ("--layer", name)]
    zeros = "clustered" if args.clustered else None
    return make_command("bench", args, ZEROS=zeros, ARGS=quoted(layers))
