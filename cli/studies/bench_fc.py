"""eyrie bench-fc: EIE's nine layers on 64 sparse PEs."""

from __future__ import annotations

import argparse

from cli import options
from cli.progress import progress
from cli.sparse_report import report


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands,
        "bench-fc",
        bench_fc,
        description="Synthetic matrices of EIE's table at every queue depth and placement.",
        check=check,
    )
    parser.add_argument("layer", nargs="*", help="names (default all nine)")
    options.json(parser)
    options.plot(parser)


def check(args: argparse.Namespace) -> None:
    """That EIE has the layers."""
    from compiler.sparse.compression import EIE_LAYERS

    for name in args.layer:
        if name not in EIE_LAYERS:
            raise ValueError(f"layer {name!r}: choose from {', '.join(EIE_LAYERS)}")


def bench_fc(args: argparse.Namespace) -> int:
    from compiler.sparse.compression import EIE_LAYERS, synthetic
    from compiler.sparse.csc import PLACEMENTS
    from sim.bench.bench_fc import DEEPEST, plot, run_batches, run_layer, run_streamed
    from sim.device import SimDevice

    names = args.layer or list(EIE_LAYERS)
    results, batches, streamed = [], [], []
    with progress() as bars, SimDevice(DEEPEST, "cpp", 1 << 27) as device:
        task = bars.add_task("", total=len(names) * len(PLACEMENTS))
        for name in names:
            layer = synthetic(name)
            operands = (layer.matrix, layer.codebook, layer.activations)
            for placement in PLACEMENTS:
                results += run_layer(
                    device,
                    DEEPEST,
                    name,
                    *operands,
                    placement,
                    published=EIE_LAYERS[name].published,
                    progress=lambda text: bars.update(task, description=text),
                )
                bars.advance(task)
            bars.update(task, description=f"{name}: pointers in batches, columns streamed")
            like = next(
                r for r in results if (r.name, r.placement, r.queue_depth) == (name, "balanced", 8)
            )
            batches.append(run_batches(device, DEEPEST, like, *operands))
            streamed.append(run_streamed(device, DEEPEST, name, *operands))
    if args.plot:
        plot(results, args.plot)
    about = {
        "command": "make bench-fc",
        "config": DEEPEST.to_dict(),
        "pointer_batches": [result.to_dict() for result in batches if result],
        "streamed": [result.to_dict() for result in streamed],
    }
    return report(results, args.json, about)
