"""The command line tool. Exit status: 0 done, 1 a mismatch, 2 bad input."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

MODELS = Path(__file__).resolve().parent / "compiler" / "models"
CALIBRATION = 2  # random images of a known network


def verilog(args) -> int:
    from hdl.config import Config
    from hdl.emit.verilog import lint, write, yosys_check

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


def _calibration(calib, shape, source, images, reported):
    """(raw images to calibrate on, a note that says which): those of the file `calib`, or else the
    last of `images`, which are of the file `source`: those behind the first `reported`, a fifth at
    least, 100 at most."""
    from compiler.frontend.images import read_images

    if calib is not None:
        observed = read_images(calib, shape)
        return observed, f"calibrated on {len(observed)} images of {Path(calib).name}"
    spare = min(100, max(len(images) - reported, (len(images) + 4) // 5))
    return images[
        -spare:
    ], f"calibrated on the last {spare} of {len(images)} images of {Path(source).name}"


def compile_(args) -> int:
    import json
    import os

    from compiler.export.export import check_directory, export
    from compiler.frontend.images import DataError, read_images
    from compiler.frontend.onnx_import import load
    from compiler.mapping.mapper import Mapper
    from compiler.quantise.fixed_point import quantise, quantise_input
    from compiler.runtime.verify import Mismatch
    from hdl.config import Config
    from hdl.emit.verilog import emit

    config = Config.load(args.config)
    check_directory(args.output)
    if args.model is None:
        args.model = MODELS / "lenet5.onnx"
        if args.calib is None and args.images is None:
            args.calib = MODELS / "digits_calibration.npz"
    graph = load(args.model)
    if args.calib is None and args.images is None:
        raise DataError("CALIB: a network of your own needs --calib, or --images to take a part of")
    shape = graph.tensors[graph.input].shape
    images = read_images(args.images, shape) if args.calib is None else ()
    observed, note = _calibration(args.calib, shape, args.images, images, len(images))
    if args.calib is None:
        note += "; an accuracy should be reported on the others"
    network = quantise(graph, observed, psum_bits=config.psum_bits)
    text, sidecar = emit(config)
    top = sidecar["top"]
    try:
        with _progress() as progress:
            program = export(
                network,
                config,
                args.output,
                images=args.batch,
                base=args.base,
                huffman=args.huffman,
                placement=args.placement,
                switches=dict(args.sparse),
                also={f"{top}.v": text, f"{top}.json": json.dumps(sidecar, indent=1) + "\n"},
                sample=quantise_input(network, observed[: args.batch]),
                mapper=Mapper(config, jobs=os.cpu_count(), progress=_describe(progress)),
            )
    except Mismatch as error:
        print(f"eyrie: nothing is written, the compiler has erred: {error}", file=sys.stderr)
        return 1
    print(
        f"{args.output}: {program.command_count} commands, memory "
        f"{program.base:#x}..{program.end:#x}, "
        f"batch of {program.images}; tried on the interpreter, every tensor equal to "
        f"golden\n{note}"
    )
    if len(graph.outputs) > 1:
        print(_outputs(graph))
    if args.huffman:
        streams, image = sum(table.size for table in program.tables), len(program.memory)
        stored = (Path(args.output) / "memory.huff").stat().st_size
        print(
            f"memory.huff: {stored:,} bytes for {image:,}, {streams:,} of them streams of "
            "compressed layers, "
            f"stored in {stored - image + streams:,}"
        )
    return 0


def unpack(args) -> int:
    from compiler.export.export import read_memory
    from hdl.emit.verilog import write_atomic

    memory = read_memory(args.folder)
    write_atomic(Path(args.output), memory)
    print(f"{args.output}: {len(memory):,} bytes")
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


def _data(args):
    """(network, raw images, labels or None, images to calibrate on, a note on them) of `run`."""
    from compiler.frontend.images import DataError, read_images, read_labels
    from compiler.frontend.onnx_import import load

    if getattr(args, "net", None):
        return _classic(args)
    # The project's own networks come with its digits.
    default = args.model is None or Path(args.model).resolve().parent == MODELS
    if not default and args.images is None:
        raise DataError("IMAGES: a network of your own needs --images (IDX, .npy, .npz or PNG)")
    graph = load(args.model or MODELS / "lenet5.onnx")
    shape = graph.tensors[graph.input].shape
    digits = default and args.images is None
    source = args.images or MODELS / "digits_heldout.npz"
    images = read_images(source, shape)
    labels = None
    if args.labels or digits or str(source).endswith(".npz") and _has_labels(source):
        labels = read_labels(args.labels or source)
        if len(labels) < len(images):
            raise DataError(
                f"{args.labels or source}: {len(labels)} labels for {len(images)} images"
            )
    limit = args.usual_limit if args.limit is None else args.limit
    count = len(images) if not limit else min(limit, len(images))
    calib = args.calib or (MODELS / "digits_calibration.npz" if digits else None)
    observed, note = _calibration(calib, shape, source, images, count)
    if calib is None:
        if len(observed) == len(images):
            raise DataError(
                f"{source}: one image cannot be both calibrated on and reported; "
                "give --calib (CALIB=) or more images"
            )
        count, note = min(count, len(images) - len(observed)), f"{note}, which are not reported"
    images, labels = images[:count], labels if labels is None else labels[:count]
    return graph, images, labels, observed, note


def _classic(args):
    """The same of --net: a known network at full size, weights and images random."""
    from compiler.frontend.onnx_import import load
    from compiler.networks.classics import classic, classic_images

    for name in ("model", "images", "labels", "calib"):
        if getattr(args, name):
            raise ValueError(
                f"--net {args.net} comes with random weights and images: leave out --{name}"
            )
    graph = load(classic(args.net).SerializeToString())
    if args.limit == 0:
        raise ValueError(f"--limit 0: images of --net {args.net} have no end; how many?")
    count = args.limit or 1
    images = classic_images(graph.tensors[graph.input].shape, count + CALIBRATION)
    return (
        graph,
        images[:count],
        None,
        images[count:],
        f"{args.net}: random weights and images, calibrated on {CALIBRATION} others",
    )


def _network(args, config):
    """(quantised network, raw images, labels or None, note on calibration) of `run`."""
    from compiler.quantise.fixed_point import quantise

    graph, images, labels, observed, note = _data(args)
    return quantise(graph, observed, psum_bits=config.psum_bits), images, labels, note


def _has_labels(path) -> bool:
    import numpy as np

    with np.load(path) as archive:
        return "labels" in archive.files


def _outputs(graph) -> str:
    """'outputs: y (10x1x1; softmax left to the host), z (16x5x5)'."""

    def about(result):
        size = "x".join(map(str, graph.tensors[result.tensor].shape))
        host = f"; {', '.join(result.host_ops)} left to the host" if result.host_ops else ""
        return f"{result.name} ({size}{host})"

    return "outputs: " + ", ".join(map(about, graph.results))


def run(args) -> int:
    return _run(args)[0]


def _run(args) -> tuple[int, dict]:
    """(exit code, what --json writes) of `run`."""
    import json
    import os
    import time
    from contextlib import ExitStack

    import numpy as np
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from compiler.lowering.compile import compile_network
    from compiler.lowering.passes.allocate import ALIGN
    from compiler.lowering.structures.options import Options
    from compiler.mapping.mapper import Mapper
    from compiler.quantise.float_run import float_run
    from compiler.runtime.interpreter import Interpreter
    from compiler.runtime.run import run_network
    from compiler.runtime.run_table import (
        print_compression,
        print_fmaps,
        print_layers,
        print_predictions,
    )
    from compiler.sparse.compression import whole
    from fpga.host.board import BoardDevice
    from hdl.config import Config
    from hdl.emit.verilog import write_atomic

    console = Console(width=None if sys.stdout.isatty() else 160)
    config = (
        None if args.device == "board" and not args.config else Config.load(args.config or "demo")
    )
    if args.device == "board" and not args.port:
        raise ValueError("a board needs --port (PORT=), as /dev/ttyUSB0")
    started = time.monotonic()
    with ExitStack() as held:
        progress = held.enter_context(
            Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )
        )
        step = progress.add_task("reading and quantising", total=None)

        layer_now = [""]  # for the board, whose progress is in bytes too

        def stage(text, total=None):
            progress.update(step, total=1, completed=1)
            return progress.add_task(text, total=total)

        if args.device == "board":  # first of all: nothing else takes time in vain
            device = BoardDevice(
                config,
                args.port,
                args.baud,
                timeout=args.timeout,
                progress=lambda what, done, size: progress.update(
                    step, description=f"board: {layer_now[0]}{what} {done:,} of {size:,} bytes"
                ),
            )
            held.callback(device.close)
            config = device.config
        network, images, labels, note = _network(args, config)
        graph = network.graph
        step = stage("mapping and emitting the program")
        mapper = Mapper(
            config,
            jobs=os.cpu_count(),
            progress=lambda done, total, what: progress.update(
                step, completed=done, total=total, description=f"{what}: {done} of {total} searches"
            ),
        )
        program = compile_network(
            network,
            config,
            Options(
                images=min(args.batch, len(images)),
                mode=_mode(config, args.mode),
                rlc=args.rlc,
                placement=args.placement,
                switches=dict(args.sparse),
                mapper=mapper,
            ),
        )
        memory = -(-program.end // ALIGN) * ALIGN
        if args.device == "rtl":
            step = stage(f"Verilog and simulator of {config.name}")
            from sim.device import SimDevice

            device = SimDevice(config, args.driver, memory, waves=args.waves)
            held.callback(device.close)
        elif args.device == "board":
            if memory > device.identity.memory:
                raise ValueError(
                    f"board on {args.port}: the program needs {memory:,} bytes of memory, the "
                    "board has "
                    f"{device.identity.memory:,}; try a smaller --batch"
                )
        else:
            device = Interpreter(config, memory)
        step = stage(f"running on {args.device}", len(images))

        def layer_begins(done, layer):
            layer_now[0] = f"{layer}, "
            progress.update(step, completed=done, description=f"{args.device}: {layer}")

        report = run_network(program, network, device, images, layer_begins)
        progress.update(step, description=f"running on {args.device}")
        step = stage("floating point")
        floats = float_run(graph, images, keep={graph.output})[graph.output].reshape(
            len(images), -1
        )
        progress.update(step, total=1, completed=1)

    guesses = {
        "float": floats.argmax(1),
        "golden": report.golden.argmax(1),
        "interpreter" if args.device == "golden" else args.device: report.device.argmax(1),
    }
    print_layers(console, report, config)
    compression = [
        whole(
            s.name,
            [block.compressed for band in s.sparse.bands for block in band.blocks],
            config.sparse_pointer_bits,
        )
        for s in program.segments
        if s.sparse
    ]
    if compression:
        print_compression(console, compression)
    if report.fmaps:
        print_fmaps(console, report.fmaps)
    print_predictions(console, guesses, labels)
    if len(graph.outputs) > 1:
        console.print(_outputs(graph) + "; predictions are of the first", markup=False)
    console.print(note, style="dim")
    result = report.to_dict() | {
        "compression": [r.as_dict() for r in compression],
        "config": config.to_dict(),
        "device": args.device,
        "calibration": note,
        "rlc": args.rlc,
        "model": Path(args.model).name
        if args.model
        else getattr(args, "net", None) or "lenet5.onnx",
        "accuracy": {}
        if labels is None
        else {name: float(np.mean(guess == labels)) for name, guess in guesses.items()},
        "predictions": {name: guess.tolist() for name, guess in guesses.items()},
        "seconds": round(time.monotonic() - started, 1),
    }
    if args.json:
        write_atomic(Path(args.json), json.dumps(result, indent=1) + "\n")
    wrapped = sum(row.wrapped for row in report.layers)
    if report.mismatches:
        print(f"eyrie: {report.mismatches} elements differ from golden", file=sys.stderr)
        return 1, result
    console.print(
        f"all {report.images} images equal to golden in every layer; {wrapped} final psums "
        "wrapped; "
        f"{result['seconds']} s"
    )
    return 0, result


def board_sim(args) -> int:
    import time

    from compiler.tables import new_table
    from fpga.simulation.board import CLOCK_HZ, PART, SimulatedBoard
    from hdl.config import Config

    config, memory, clock_hz, console = Config.load(args.config), PART, CLOCK_HZ, _console()
    if args.board:
        like = _board(args.board)
        config, clock_hz, memory, args.config = like.config, like.clock_hz, like.memory, like.preset
    with _progress() as progress:
        progress.add_task(f"Verilog and simulator of a board with {config.name}", total=None)
        board = SimulatedBoard(config, memory, args.cycles_per_bit, clock_hz)
    with board:
        console.print(f"a board with {config.name} at {board.port}")
        # a terminal has no baud rate
        args.port, args.baud, args.timeout = board.port, 3_000_000, 30.0
        started, before = time.monotonic(), board.counts()
        try:
            status, result = _run(args)
        except RuntimeError:
            board.counts()  # a simulation that has ended says why itself
            raise
        counts, seconds = board.counts() - before, time.monotonic() - started
    table = new_table(
        "the board",
        (),
        "cycles",
        f"at {clock_hz / 1e6:g} MHz, s",
        "bytes to it",
        "bytes from it",
        "cycles a bit",
        "line busy %",
        "at 3 Mbaud, s",
        "simulated, s",
        "cycles/s",
    )
    line = 10 * (counts.to_board + counts.from_board)
    table.add_row(
        f"{counts.cycles:,}",
        f"{counts.cycles / clock_hz:.3f}",
        f"{counts.to_board:,}",
        f"{counts.from_board:,}",
        f"{args.cycles_per_bit:g}",
        f"{100 * line * args.cycles_per_bit / counts.cycles:.1f}",
        f"{line / 3e6:.2f}",
        f"{seconds:.1f}",
        f"{counts.cycles / seconds:,.0f}",
    )
    console.print(table)
    console.print(
        "line busy: of both directions together; at 3 Mbaud: the same bytes on a board's line",
        style="dim",
    )
    total = result["total"]
    sustained = total["macs"] * clock_hz / total["cycles"] / 1e9
    console.print(
        f"{sustained:.3f} GMAC/s sustained at {clock_hz / 1e6:g} MHz, "
        f"{config.multipliers * clock_hz / 1e9:.3f} peak of the array"
    )
    if args.board and not status:
        from fpga.flow.build import RESULTS, add_sustained

        add_sustained(like, sustained, RESULTS)
    return status


def _board(name):
    from fpga.boards import BOARDS

    if name not in BOARDS:
        raise ValueError(f"BOARD {name}: choose from {', '.join(BOARDS)}, or list")
    return BOARDS[name]


def fpga(args) -> int:
    """Builds a bitstream and reports it, or lists the boards."""
    if args.board == "list":
        return _list_boards()
    from compiler.tables import new_table
    from fpga.flow.build import artifact, build, save

    board, console = _board(args.board), _console()
    with console.status(f"{board.name}: Yosys, nextpnr, bitstream of {board.preset}"):
        result = build(board, args.seed)
    table = new_table(
        f"{board.name}: {result.preset}, {result.pes} PEs, {board.config.multipliers} MACs a "
        f"cycle, on {result.device}, seed {result.seed}, "
        f"{result.seconds:.0f} s",
        ("resource",),
        "resource",
        "used",
        "of",
        "%",
    )
    for name in ("lut", "ff", "dsp", "bram"):
        used, most = getattr(result, name)
        table.add_row(
            name.upper(), f"{used:,}", f"{most:,}", f"{100 * used / most:.0f}" if most else "-"
        )
    console.print(table)
    if result.components:
        table = new_table(
            "components, after Yosys", ("component",), "component", "LUT", "FF", "DSP", "block RAM"
        )
        for name, row in result.components.items():
            if row["lut"] > 100 or row["dsp"] or row["bram"]:
                table.add_row(name, *(f"{row[kind]:,}" for kind in ("lut", "ff", "dsp", "bram")))
        console.print(table)
    console.print(
        f"clock {result.clock_mhz:g} MHz, fmax {result.fmax_mhz:g} MHz after routing"
        f"{'' if result.met else ': TOO SLOW'}; peak {result.peak_gmacs:g} GMAC/s"
    )
    console.print("; ".join(result.tools.values()), style="dim")
    print(artifact(board))
    if args.json:
        print(save(result, Path(args.json)))
    if not result.met:
        print(
            f"eyrie: {board.name}: {result.fmax_mhz} MHz after routing, the clock is "
            f"{result.clock_mhz:g}: "
            "try another --seed",
            file=sys.stderr,
        )
    return 0 if result.met else 1


def _list_boards() -> int:
    from compiler.tables import new_table
    from fpga.boards import BOARDS
    from fpga.boards.board import CAPACITY
    from fpga.memory.port import SPRAM

    table = new_table(
        "boards: make fpga BOARD=...",
        ("board", "device", "preset", "memory", "serial line"),
        "board",
        "device",
        "LUT4",
        "DSP",
        "block RAM",
        "preset",
        "PEs",
        "MACs",
        "clock, MHz",
        "memory",
        "serial line",
    )
    for board in BOARDS.values():
        memory = (
            f"{board.memory >> 10} KiB on chip"
            if isinstance(board.memory, int)
            else board.memory
            if board.memory == SPRAM
            else f"SDRAM {board.memory}"
        )
        table.add_row(
            board.name,
            board.device,
            *(f"{n:,}" for n in CAPACITY[board.device]),
            board.preset,
            str(board.config.pes),
            str(board.config.multipliers),
            f"{board.clock_hz / 1e6:g}",
            memory,
            board.link,
        )
    _console().print(table)
    return 0


def flash(args) -> int:
    from fpga.flow.flash import flash

    flash(_board(args.board), args.persist)
    return 0


def fc(args) -> int:
    from compiler.sparse.fc_file import read_layer
    from sim.bench.bench_fc import DEEPEST, DEPTHS, run_layer
    from sim.device import SimDevice

    if args.depth and not set(args.depth) <= set(range(1, max(DEPTHS) + 1)):
        raise ValueError(f"--depth: queues of 1..{max(DEPTHS)} are built")
    matrix, codebook, activations = read_layer(args.matrix, args.activations, args.codebook)
    with _progress() as progress, SimDevice(DEEPEST, "cpp", 1 << 30) as device:
        task = progress.add_task("")
        results = run_layer(
            device,
            DEEPEST,
            Path(args.matrix).stem,
            matrix,
            codebook,
            activations,
            args.placement,
            tuple(args.depth or (8,)),
            progress=lambda text: progress.update(task, description=text),
        )
    return _report_fc(results, args.json, {"command": "eyrie fc"})


def bench_fc(args) -> int:
    from compiler.sparse.compression import EIE_LAYERS, synthetic
    from compiler.sparse.csc import PLACEMENTS
    from sim.bench.bench_fc import DEEPEST, plot, run_batches, run_layer, run_streamed
    from sim.device import SimDevice

    names = args.layer or list(EIE_LAYERS)
    for name in names:
        if name not in EIE_LAYERS:
            raise ValueError(f"layer {name!r}: choose from {', '.join(EIE_LAYERS)}")
    results, batches, streamed = [], [], []
    with _progress() as progress, SimDevice(DEEPEST, "cpp", 1 << 27) as device:
        task = progress.add_task("", total=len(names) * len(PLACEMENTS))
        for name in names:
            layer = synthetic(name)
            for placement in PLACEMENTS:
                results += run_layer(
                    device,
                    DEEPEST,
                    name,
                    layer.matrix,
                    layer.codebook,
                    layer.activations,
                    placement,
                    published=EIE_LAYERS[name].published,
                    progress=lambda text: progress.update(task, description=text),
                )
                progress.advance(task)
            progress.update(task, description=f"{name}: pointers in batches, columns streamed")
            like = next(
                r for r in results if (r.name, r.placement, r.queue_depth) == (name, "balanced", 8)
            )
            batches.append(
                run_batches(device, DEEPEST, like, layer.matrix, layer.codebook, layer.activations)
            )
            streamed.append(
                run_streamed(device, DEEPEST, name, layer.matrix, layer.codebook, layer.activations)
            )
    if args.plot:
        plot(results, args.plot)
    return _report_fc(
        results,
        args.json,
        {
            "command": "make bench-fc",
            "config": DEEPEST.to_dict(),
            "pointer_batches": [r.to_dict() for r in batches if r],
            "streamed": [r.to_dict() for r in streamed],
        },
    )


def full_size(args) -> int:
    """Known networks through the compiler."""
    import os

    from compiler.networks.classics import CLASSICS
    from compiler.runtime.verify import Mismatch
    from compiler.studies.full_size import measure, table, to_dict
    from hdl.config import Config

    config, jobs = Config.load(args.config), args.jobs or os.cpu_count()
    for name in args.net:
        if name not in CLASSICS:
            raise ValueError(f"network {name!r}: choose from {', '.join(CLASSICS)}")
    rows = []
    with _progress() as progress:
        step = _describe(progress)
        for name in args.net or CLASSICS:
            try:
                rows.append(
                    measure(
                        name,
                        config,
                        jobs,
                        lambda done, total, what: step(done, total, f"{name}: {what}"),
                    )
                )
            except Mismatch as error:
                print(f"eyrie: {name}: {error}", file=sys.stderr)
                return 1
    _console().print(table(config, jobs, rows))
    print(
        "M cycles: the mapper's estimate; fused: tensors before a fused pool, not in memory and "
        "not compared; SQNR, top-1: "
        "golden against onnxruntime"
    )
    _write_json(
        args.json,
        {"command": " ".join(["eyrie full-size", *args.net, f"--config {args.config}"])}
        | to_dict(config, jobs, rows),
    )
    return 0


def _console():
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 220)


def _mode(config, name):
    from hdl.config import ConfigError
    from hdl.isa import Mode

    if name == "skip" and not config.skip:
        raise ConfigError(
            f"config {config.name!r} cannot skip zeros: choose one with skip, or --mode gate"
        )
    return Mode[name.upper()]


def dataflows(args) -> int:
    from compiler.studies.dataflow_table import compare_network
    from compiler.studies.dataflows import DATAFLOWS

    with _progress() as progress:
        found = compare_network(
            args.net,
            args.part,
            args.pes,
            args.batch,
            args.orders,
            args.costs,
            tuple(args.dataflow or DATAFLOWS),
            _describe(progress),
        )
    for part in found.parts:
        _console().print(found.table(part))
        if remark := found.remark(part):
            print(remark)
    print(f"A model: docs/energy.md. {found.command}")
    _write_json(args.json, found.to_dict())
    if args.plot:
        found.plot(args.plot)
    return 0


def energy(args) -> int:
    from compiler.studies import layer_file
    from compiler.studies.costs import Costs
    from compiler.studies.energy import EnergyError
    from compiler.studies.energy_table import Machine, of_bench, of_file, of_network
    from hdl.config import Config
    from hdl.emit.verilog import write_atomic

    costs = Costs.load(args.costs)
    if args.layers and args.run:
        raise EnergyError("--layers and --run: give one of them")
    if bool(args.layers) != bool(args.out):
        raise EnergyError("--layers and --out go together: the file of layers and that of energies")
    config = Config.load(args.config).override(args.set)
    machine = Machine(config, _mode(config, args.mode), args.objective)
    with _progress() as progress:
        step = _describe(progress)
        if args.layers:
            found, lines = of_file(args.layers, machine, costs, step)
        elif args.run:
            found = of_bench(args.run, args.mode, costs)
        else:
            found = of_network(args.net, args.part, args.batch, machine, costs, step)
    _console().print(found.table())
    if args.out:
        write_atomic(Path(args.out), layer_file.lines([line.index for line in lines], found.layers))
        print(f"{args.out}: index, input, output, weights, computation, in {costs.unit}")
    _write_json(args.json, found.to_dict())
    return 0


def map_(args) -> int:
    from compiler.studies.map_table import map_network
    from hdl.config import Config

    config = Config.load(args.config).override(args.set)
    mode = _mode(config, args.mode)
    with _progress() as progress:
        found = map_network(
            args.net, args.part, args.batch, config, mode, args.objective, _describe(progress)
        )
    _console().print(found.table(args.all))
    print(
        "estimate: the mapper's formula, as DRAM MB and what binds; model: the commands in time; "
        "accesses of 16 bits,"
        " counted in the commands"
    )
    _write_json(args.json, found.to_dict())
    return 0


def report(args) -> int:
    from compiler.studies.costs import Costs
    from compiler.studies.report import markdown, page, sections
    from hdl.emit.verilog import write_atomic

    folder, costs = Path(args.results), Costs.load(args.costs)
    with _progress() as progress:
        found = sections(folder, costs, _describe(progress))
    for path, text in (
        (folder / "report.md", markdown(found, costs.name)),
        (folder / "report.html", page(found, costs.name, folder)),
    ):
        write_atomic(path, text)
        print(path)
    return 0


def gates(args) -> int:
    from hdl.config import Config
    from sim.gates import count

    config = Config.load(args.config).override(args.set)
    found = count(config)
    _console().print(found.table())
    print(
        f"{found.nand2:,.0f} gates, in NAND2 of four transistors; {found.memories} memories left "
        "out"
    )
    _write_json(
        args.json,
        {
            "command": f"make gates CONFIG={args.config}"
            + (f' SET="{" ".join(args.set)}"' if args.set else "")
        }
        | found.to_dict(),
    )
    return 0


def precision(args) -> int:
    from compiler.frontend.images import DataError
    from compiler.studies.precision import WIDTHS, check, study

    widths = tuple(args.bits or WIDTHS)
    check(widths)
    graph, images, labels, observed, note = _data(args)
    if labels is None:
        raise DataError("LABELS: accuracies need --labels, or images in an .npz with labels")
    with _progress() as progress:
        found = study(
            graph,
            observed,
            images,
            labels,
            args.psum_bits,
            widths,
            not args.overall,
            _describe(progress),
        )
    name = Path(args.model).stem if args.model else "lenet5"
    _console().print(found.table(name))
    print(
        "codebook: activations of that width, weights 15 shared values and 0; within 1 point: the "
        "least width down "
        f"to which no more is lost against floating point\n{note}"
    )
    given = {
        "MODEL": args.model,
        "IMAGES": args.images,
        "LABELS": args.labels,
        "LIMIT": args.limit,
        "CALIB": args.calib,
        "BITS": args.bits and f'"{" ".join(map(str, args.bits))}"',
    }
    command = " ".join(
        ["make precision", *(f"{key}={value}" for key, value in given.items() if value)]
    )
    _write_json(
        args.json, {"command": command, "model": name, "calibration": note} | found.to_dict()
    )
    if args.plot:
        found.plot(f"{name}: accuracy of {len(images)} images by width", args.plot)
    return 0


def explore(args) -> int:
    from compiler.studies.explore import DEFAULT_SWEEP, PE_LOGIC, Study, executor, explore
    from hdl.config import Config

    study = Study(
        Config.load(args.config).override(args.set),
        tuple(args.sweep or DEFAULT_SWEEP),
        args.net,
        args.part,
        args.batch,
        args.mode,
        args.objective,
        args.costs,
        PE_LOGIC if args.pe_area is None else args.pe_area,
    )
    study.tasks()  # what cannot be explored is refused before any worker starts
    with _progress() as progress, executor(args.jobs, args.scheduler) as pool:
        found = explore(study, pool, args.exact, _describe(progress))
    _console().print(found.table())
    print("\n".join(found.remarks()))
    command = _command(
        "explore",
        args,
        PART=args.part if args.part != "conv" else None,
        COSTS=args.costs if args.costs != "eyeriss_65nm" else None,
        PE_AREA=None if args.pe_area is None else str(args.pe_area),
        EXACT="1" if args.exact else None,
        SWEEP=f'"{" ".join(args.sweep)}"' if args.sweep else None,
    )
    _write_json(args.json, {"command": command} | found.to_dict())
    if args.plot:
        found.plot(args.plot)
    return 0


def _command(target: str, args, **more: str | None) -> str:
    """The make command that does the same."""
    given = {
        "NET": args.net,
        "CONFIG": args.config if args.config != "eyeriss" else None,
        "MODE": args.mode,
        "BATCH": args.batch,
        "OBJECTIVE": args.objective if args.objective != "cycles" else None,
        **more,
        "SET": f'"{" ".join(args.set)}"' if args.set else None,
    }
    return " ".join(
        [f"make {target}", *(f"{name}={value}" for name, value in given.items() if value)]
    )


def scale(args) -> int:
    from compiler.studies.scale import scale_network
    from hdl.config import Config
    from sim.bench.bench_plot import plot_scaling

    base = Config.load(args.config).override(args.set)
    mode = _mode(base, args.mode)
    with _progress() as progress:
        found = scale_network(
            args.net,
            args.by,
            base,
            args.batch,
            mode,
            args.objective,
            Path("docs/results"),
            _describe(progress),
        )
    _console().print(found.table())
    print("model: the commands in time; RTL: of docs/results/bench-*.json, where that was measured")
    _write_json(
        args.json,
        {"command": _command("scale", args, BY=args.by if args.by != "array" else None)}
        | found.to_dict(),
    )
    if args.plot and args.by == "array":
        plot_scaling(f"{args.net} CONV, batch {found.batch}, {args.mode}", found.rows, args.plot)
    return 0


def bench(args) -> int:
    import os

    from compiler.networks.layer_tables import NETWORKS
    from hdl.config import Config
    from sim.bench.bench import run_bench
    from sim.bench.bench_plot import plot
    from sim.bench.bench_table import bench_table, totals
    from sim.device import SimDevice

    config = Config.load(args.config).override(args.set)
    mode, network = _mode(config, args.mode), NETWORKS[args.net]
    batch, layers = args.batch or network.batch, list(network.layers)
    if args.layer:
        names = [layer.name for layer in layers]
        for name in args.layer:
            if name not in names:
                raise ValueError(f"layer {name!r}: choose from {', '.join(names)}")
        layers = [layer for layer in layers if layer.name in args.layer]
    command = _command("bench", args, ZEROS="clustered" if args.clustered else None)
    with _progress() as progress:
        task = progress.add_task(
            f"simulator of {config.name}", total=sum(layer.macs for layer in layers)
        )
        SimDevice(config, "cpp", 1 << 20).close()  # built once, before the jobs
        progress.update(task, description=f"0 of {len(layers)} layers")
        done = []

        def advance(result):
            done.append(result)
            progress.update(
                task,
                advance=result.macs / batch,
                description=f"{len(done)} of {len(layers)} layers",
            )

        results = run_bench(
            network,
            config,
            mode,
            batch,
            args.jobs or os.cpu_count(),
            layers,
            advance,
            clustered=args.clustered,
            objective=args.objective,
        )
    total = totals(results)
    _console().print(
        bench_table(
            f"{args.net}, batch {batch}, {args.mode}: RTL of {config.name}, {config.pes} PEs",
            results,
            config.multipliers,
        )
    )
    print(
        "model: the commands in time; its counts of accesses "
        + (
            "equal the counters of the RTL"
            if total["counters_equal"]
            else "differ from the RTL's counters in "
            + ", ".join(r.name for r in results if not r.counters_equal)
        )
    )
    print(f"The chip: {network.accesses_per_mac} DRAM accesses of 16 bits per MAC. {command}")
    _write_json(
        args.json,
        {
            "command": command,
            "config": config.to_dict(),
            "batch": batch,
            "mode": args.mode,
            "objective": args.objective,
            "zeros": "clustered" if args.clustered else "independent",
            "chip_accesses_per_mac": network.accesses_per_mac,
            "total": total,
            "layers": [r.to_dict() for r in results],
        },
    )
    if args.plot:
        plot(
            f"{args.net} CONV, batch {batch}, {args.mode}: {total['cycles'] / 1e6:.2f} M cycles, "
            f"Eyeriss chip {total['chip_cycles'] / 1e6:.2f} M",
            results,
            args.plot,
        )
    if total["mismatches"]:
        print(f"eyrie: {total['mismatches']} ofmap entries differ from golden", file=sys.stderr)
    return 1 if total["mismatches"] else 0


def _progress():
    """A bar on stderr if that is a terminal; elsewhere errors are one line."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def _describe(progress):
    """A function that shows what is being done: a text, or numbers done and to do before it."""
    task = progress.add_task("", total=None)

    def step(*now):
        *counts, text = now
        progress.update(task, description=text, **dict(zip(("completed", "total"), counts)))

    return step


def _write_json(path, value) -> None:
    """Of `--json`, if it was given."""
    import json

    from hdl.emit.verilog import write_atomic

    if path:
        write_atomic(Path(path), json.dumps(value, indent=1) + "\n")


def _report_fc(results, path, about) -> int:
    """The table of sparse layers, and its JSON."""
    from sim.bench.bench_table import fc_table

    _console().print(fc_table(results))
    _write_json(path, about | {"layers": [r.to_dict() for r in results]})
    wrong = sum(r.mismatches for r in results)
    wrong += sum(
        r["mismatches"] for kind in ("pointer_batches", "streamed") for r in about.get(kind, ())
    )
    if wrong:
        print(f"eyrie: {wrong} outputs differ from golden", file=sys.stderr)
    return 1 if wrong else 0


def clean(args) -> int:
    import shutil

    from hdl.emit.verilog import BUILD

    shutil.rmtree(BUILD, ignore_errors=True)
    return 0


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or value < least:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, {least} or more")
    return value


def _count(text: str) -> int:
    return _at_least(0, text)


def _positive(text: str) -> int:
    return _at_least(1, text)


def _switch(text: str) -> tuple[str, bool | None]:
    layer, _, value = text.rpartition("=")
    values = {"on": True, "off": False, "auto": None}
    if not layer or value not in values:
        raise argparse.ArgumentTypeError(f"{text}: expected LAYER=on, LAYER=off or LAYER=auto")
    return layer, values[value]


def _data_options(p: argparse.ArgumentParser, limit: int) -> None:
    """A network and its images."""
    p.add_argument("--model", metavar="FILE", help="ONNX network (default the project's LeNet-5)")
    p.add_argument("--images", metavar="FILE", help="IDX, .npy, .npz, PNG or a folder of PNGs")
    p.add_argument("--labels", metavar="FILE", help="IDX, .npy, .npz or text")
    p.add_argument(
        "--limit", type=_count, metavar="N", help=f"images to run, 0 for all (default {limit})"
    )
    p.set_defaults(usual_limit=limit)
    p.add_argument(
        "--calib",
        metavar="FILE",
        help="images to calibrate on (default some that are not reported)",
    )


def _run_options(p: argparse.ArgumentParser, limit: int) -> None:
    _data_options(p, limit)
    p.add_argument(
        "--net",
        metavar="NAME",
        help="a known network at full size with random weights and images, 1 image "
        "by default, as resnet50 (a wrong name lists "
        "them)",
    )
    p.add_argument(
        "--batch",
        type=_positive,
        default=4,
        metavar="N",
        help="images of a program run (default 4)",
    )
    p.add_argument(
        "--mode",
        choices=("dense", "gate", "skip"),
        default="gate",
        help="what a zero activation does (default gate)",
    )
    _sparse_options(p)
    p.add_argument(
        "--rlc",
        choices=("auto", "on", "off"),
        default="auto",
        help="feature maps run-length coded in memory: that get smaller, all that can "
        "be, none "
        "(default auto)",
    )
    p.add_argument("--json", metavar="FILE", help="write the table there")


def _placement_option(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--placement",
        choices=("modulo", "balanced", "windows"),
        default="balanced",
        help="of a compressed layer's rows on PEs (default balanced)",
    )


def _sparse_options(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--sparse",
        type=_switch,
        action="append",
        default=[],
        metavar="LAYER=on|off|auto",
        help="run a fully connected layer compressed, on the array, or by its density "
        "(auto, the "
        "default); again for more",
    )
    _placement_option(p)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="eyrie", description="Generator of deep-network accelerators."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    p = commands.add_parser(
        "verilog",
        help="a configuration's Verilog and its description",
        description="Writes build/<name>/<name>.v and .json.",
    )
    p.add_argument("--config", default="demo", help="preset or .json file (default demo)")
    p.add_argument("--output", metavar="DIR", help="folder (default build/<name>)")
    p.add_argument("--lint", action="store_true", help="check the result with Verilator and Yosys")
    p.set_defaults(function=verilog)

    p = commands.add_parser(
        "run",
        help="run a network and compare every layer with golden",
        description="Quantises, maps, emits, simulates and compares; LeNet-5 "
        "on "
        "handwritten digits by default.",
    )
    p.add_argument(
        "--config",
        help="preset or .json file (default demo; of a board the preset that it was built for)",
    )
    _run_options(p, 20)
    p.add_argument(
        "--device",
        choices=("rtl", "golden", "board"),
        default="rtl",
        help="rtl: the Verilog under Verilator; golden: the functional interpreter; "
        "board: one at --port",
    )
    p.add_argument("--port", metavar="PORT", help="serial port of the board, as /dev/ttyUSB0")
    p.add_argument(
        "--baud",
        type=_positive,
        default=3_000_000,
        metavar="N",
        help="of the board's port (default 3000000)",
    )
    p.add_argument(
        "--timeout",
        type=float,
        default=1.0,
        metavar="S",
        help="seconds of silence after which a board is asked again (default 1)",
    )
    p.add_argument(
        "--driver",
        choices=("cocotb", "cpp"),
        default="cocotb",
        help="of the simulator (default cocotb)",
    )
    p.add_argument("--waves", action="store_true", help="write an FST file under build/waves")
    p.set_defaults(function=run)

    p = commands.add_parser(
        "board-sim",
        help="the main job on a simulated board, over its serial line",
        description="Simulates a whole board with SDRAM, its serial pins on a "
        "pseudo-terminal, and "
        "runs the network on it as on a board.",
    )
    p.add_argument("--config", default="tiny", help="preset or .json file (default tiny)")
    _run_options(p, 4)
    p.add_argument(
        "--board", metavar="NAME", help="with the preset, clock and memory of this board"
    )
    p.add_argument(
        "--cycles-per-bit",
        type=float,
        default=4,
        metavar="N",
        help="of the serial line, 4 or more (default 4; 26.7 is 3 Mbaud at 80 MHz)",
    )
    p.set_defaults(function=board_sim, device="board", driver=None, waves=False)

    p = commands.add_parser(
        "sim",
        help="cocotb benches of the components",
        description="Runs the benches sim/tb_*.py under Verilator.",
    )
    p.add_argument("bench", nargs="*", help="names without tb_ (default all)")
    p.add_argument("--waves", action="store_true", help="write FST files under build/waves")
    p.add_argument("--seed", type=int, help="seed of the random stalls")
    p.set_defaults(function=sim)

    p = commands.add_parser(
        "fc",
        help="run a compressed fully connected layer on 64 sparse PEs",
        description="Runs a sparse matrix on the RTL of the eie64 engine and prints its figures.",
    )
    p.add_argument(
        "--matrix",
        required=True,
        metavar="FILE",
        help=".npz of scipy.sparse.save_npz, int16 values",
    )
    p.add_argument(
        "--activations",
        metavar="FILE",
        help=".npy of int16 (default the .npz's array `activations`)",
    )
    p.add_argument(
        "--codebook",
        metavar="FILE",
        help=".npy of 16 int16, the first 0 (default the matrix's values)",
    )
    _placement_option(p)
    p.add_argument(
        "--depth",
        type=_positive,
        action="append",
        metavar="N",
        help="queue depth, again for more (default 8)",
    )
    p.add_argument("--json", metavar="FILE", help="write the table there")
    p.set_defaults(function=fc)

    p = commands.add_parser(
        "bench-fc",
        help="EIE's nine layers on 64 sparse PEs",
        description="Synthetic matrices of EIE's table at every queue depth and placement.",
    )
    p.add_argument("layer", nargs="*", help="names (default all nine)")
    p.add_argument("--json", metavar="FILE", help="write the table there")
    p.add_argument("--plot", metavar="FILE", help="write a plot (.svg or .png)")
    p.set_defaults(function=bench_fc)

    def modes(p, default):
        p.add_argument("--config", default="eyeriss", help="preset or JSON file (default eyeriss)")
        p.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="FIELD=VALUE",
            help="change a field of the configuration (may be repeated)",
        )
        p.add_argument(
            "--mode",
            choices=("dense", "gate", "skip"),
            default=default,
            help=f"what a zero activation does (default {default})",
        )
        p.add_argument(
            "--batch", type=_positive, metavar="N", help="images (default the published batch)"
        )
        p.add_argument(
            "--objective",
            choices=("cycles", "dram"),
            default="cycles",
            help="what mappings are chosen for first (default cycles)",
        )
        p.add_argument("--json", metavar="FILE", help="write the table there")

    def net(p, part):
        p.add_argument(
            "--net", default="alexnet", help="a known network or an ONNX file (default alexnet)"
        )
        p.add_argument(
            "--part",
            choices=("conv", "fc", "all"),
            default=part,
            help=f"convolutions, fully connected layers or both (default {part})",
        )

    p = commands.add_parser(
        "map",
        help="the mapping of every convolution of a network",
        description="Searches the best mapping of each layer and says what binds it.",
    )
    net(p, "conv")
    p.add_argument("--all", action="store_true", help="the runners-up too")
    modes(p, "dense")
    p.set_defaults(function=map_)

    p = commands.add_parser(
        "full-size",
        help="known networks at full size through the compiler and the interpreter",
        description="Random weights and images; every tensor is compared with "
        "golden, golden with "
        "onnxruntime, and the mapper timed, cold and warm.",
    )
    p.add_argument("net", nargs="*", help="networks (default all)")
    p.add_argument("--config", default="eyeriss", help="preset or JSON file (default eyeriss)")
    p.add_argument("--jobs", type=_positive, metavar="N", help="processes (default one a core)")
    p.add_argument("--json", metavar="FILE", help="write the table there")
    p.set_defaults(function=full_size)

    p = commands.add_parser(
        "dataflows",
        help="six dataflows on equal area: accesses, energy, delay",
        description="Searches the mapping of least energy of each layer for "
        "weight, output and "
        "row stationary and no local reuse, as in ISCA 2016.",
    )
    net(p, "all")
    p.add_argument("--pes", type=int, default=256, metavar="N", help="PEs (default 256)")
    p.add_argument("--batch", type=_positive, default=16, metavar="N", help="images (default 16)")
    p.add_argument(
        "--dataflow",
        action="append",
        metavar="NAME",
        help="rs, ws, osa, osb, osc or nlr; again for more (default all)",
    )
    p.add_argument(
        "--orders",
        choices=("published", "any"),
        default="published",
        help="of the loops over tiles (default published)",
    )
    p.add_argument(
        "--costs",
        default="isca2016",
        metavar="NAME",
        help="a table of compiler/studies/costs, or a .json file (default isca2016)",
    )
    p.add_argument("--json", metavar="FILE", help="write everything there")
    p.add_argument(
        "--plot", metavar="FILE", help="write pictures there, -conv and -fc in their names"
    )
    p.set_defaults(function=dataflows)

    p = commands.add_parser(
        "energy",
        help="energy of a network's layers on a configuration",
        description="By a cost table, from the cost model's accesses or an RTL run's counters.",
    )
    net(p, "conv")
    modes(p, "gate")
    p.add_argument(
        "--costs",
        default="eyeriss_65nm",
        metavar="NAME",
        help="a table of compiler/studies/costs, or a .json file (default eyeriss_65nm)",
    )
    p.add_argument(
        "--run", metavar="FILE", help="a JSON of `eyrie bench`: its counters instead of the model"
    )
    p.add_argument(
        "--layers", metavar="FILE", help="layers as text, 25 entries a line, instead of a network"
    )
    p.add_argument(
        "--out", metavar="FILE", help="their energies: index, input, output, weights, computation"
    )
    p.set_defaults(function=energy)

    p = commands.add_parser(
        "report",
        help="the tables of a benchmark report, as Markdown and HTML",
        description="From the results of runs in a folder; writes report.md and report.html there.",
    )
    p.add_argument("--results", default="docs/results", metavar="DIR", help="default docs/results")
    p.add_argument(
        "--costs",
        default="eyeriss_65nm",
        metavar="NAME",
        help="a table of compiler/studies/costs, or a .json file (default eyeriss_65nm)",
    )
    p.set_defaults(function=report)

    p = commands.add_parser(
        "gates",
        help="gate count of a PE, from Yosys",
        description="The PE as gates of CMOS, without its memories.",
    )
    p.add_argument("--config", default="eyeriss", help="preset or JSON file (default eyeriss)")
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of the configuration (may be repeated)",
    )
    p.add_argument("--json", metavar="FILE", help="write the table there")
    p.set_defaults(function=gates)

    p = commands.add_parser(
        "precision",
        help="accuracy as activations and weights become narrower",
        description="A network through golden at widths from 16 bits down, "
        "linear against a "
        "codebook, all layers and each alone.",
    )
    _data_options(p, 0)
    p.add_argument(
        "--bits",
        type=int,
        nargs="+",
        metavar="N",
        help="widths, 2..16 (default 16 12 10 8 and below)",
    )
    p.add_argument(
        "--psum-bits",
        type=int,
        choices=range(24, 33),
        default=32,
        metavar="N",
        help="24..32 (default 32)",
    )
    p.add_argument("--overall", action="store_true", help="all layers together only")
    p.add_argument("--json", metavar="FILE", help="write the table there")
    p.add_argument("--plot", metavar="FILE", help="write a picture there")
    p.set_defaults(function=precision)

    p = commands.add_parser(
        "explore",
        help="a network on many configurations: the front of cycles, energy and area",
        description="Every combination of the swept fields, by the model, on "
        "all cores or a Dask "
        "cluster; what is done is kept.",
    )
    net(p, "conv")
    modes(p, "gate")
    p.add_argument(
        "--sweep",
        action="append",
        metavar="FIELD=VALUE,...",
        help="values of a field of the configuration; again for more fields",
    )
    p.add_argument(
        "--exact", action="store_true", help="cycles and energy of the front from the commands, too"
    )
    p.add_argument(
        "--costs",
        default="eyeriss_65nm",
        metavar="NAME",
        help="a table of compiler/studies/costs, or a .json file (default eyeriss_65nm)",
    )
    p.add_argument(
        "--pe-area",
        type=_count,
        metavar="N",
        help="logic of a PE in bytes of a large buffer (docs/study.md)",
    )
    p.add_argument(
        "--jobs", type=_positive, metavar="N", help="points at a time (default one a core)"
    )
    p.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, as tcp://host:8786")
    p.add_argument("--plot", metavar="FILE", help="write a picture there")
    p.set_defaults(function=explore)

    p = commands.add_parser(
        "scale",
        help="a network's convolutions on arrays from 12 to 336 PEs",
        description="The cost model for arrays of several sizes, or a memory "
        "of several latencies, "
        "beside the RTL where measured.",
    )
    p.add_argument(
        "--by",
        choices=("array", "latency"),
        default="array",
        help="what is changed (default array)",
    )
    p.add_argument("--net", choices=("alexnet", "vgg16"), default="alexnet", help="default alexnet")
    p.add_argument("--plot", metavar="FILE", help="write a picture there")
    modes(p, "dense")
    p.set_defaults(function=scale)

    p = commands.add_parser(
        "bench",
        help="a network's convolutions on the RTL against the Eyeriss chip",
        description="Simulates every layer, compares each ofmap with golden, keeps what is done.",
    )
    p.add_argument("--net", choices=("alexnet", "vgg16"), default="alexnet", help="default alexnet")
    p.add_argument(
        "--layer", action="append", metavar="NAME", help="only this one (may be repeated)"
    )
    p.add_argument(
        "--jobs", type=_positive, metavar="N", help="layers at a time (default one a core)"
    )
    p.add_argument(
        "--clustered",
        action="store_true",
        help="zeros in patches and by channel, as ReLU leaves them",
    )
    p.add_argument("--plot", metavar="FILE", help="write a picture there")
    modes(p, "dense")
    p.set_defaults(function=bench)

    p = commands.add_parser(
        "fpga",
        help="a board's bitstream, and its report",
        description="Builds build/fpga/<board>-<preset>/ with Yosys and nextpnr.",
    )
    p.add_argument("board", help="a board, or list")
    p.add_argument(
        "--seed", type=_positive, default=1, metavar="N", help="of placement (default 1)"
    )
    p.add_argument("--json", metavar="DIR", help="write <board>-<preset>.json there")
    p.set_defaults(function=fpga)

    p = commands.add_parser(
        "flash",
        help="load a board with its bitstream",
        description="Runs the board's loader on what `eyrie fpga` has built.",
    )
    p.add_argument("board")
    p.add_argument("--persist", action="store_true", help="into flash, to stay after power is off")
    p.set_defaults(function=flash)

    p = commands.add_parser(
        "clean", help="remove build/", description="Removes build/, the simulators' cache too."
    )
    p.set_defaults(function=clean)

    p = commands.add_parser(
        "compile",
        help="what an integrator takes away: Verilog, memory image, address map, C driver",
        description="Writes a folder, whole or not at all: docs/integration.md says what is in it.",
    )
    p.add_argument(
        "model", nargs="?", metavar="net.onnx", help="ONNX network (default the project's LeNet-5)"
    )
    p.add_argument("--config", default="demo", help="preset or .json file (default demo)")
    p.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="new folder, or one of an earlier compile",
    )
    p.add_argument(
        "--calib",
        metavar="FILE",
        help="images to calibrate on: IDX, .npy, .npz, PNG or a folder of PNGs",
    )
    p.add_argument(
        "--images",
        metavar="FILE",
        help="without --calib: images, the last of which are calibrated on",
    )
    p.add_argument(
        "--batch", type=int, default=1, metavar="N", help="images of a start, 1..255 (default 1)"
    )
    p.add_argument(
        "--base",
        type=lambda text: int(text, 0),
        default=0,
        metavar="ADDRESS",
        help="first byte that the accelerator may use, a multiple of 4096 (default 0)",
    )
    _sparse_options(p)
    p.add_argument(
        "--huffman",
        action="store_true",
        help="memory.huff with Huffman-coded streams of compressed layers in place of memory.bin",
    )
    p.set_defaults(function=compile_)

    p = commands.add_parser(
        "unpack",
        help="the plain memory image of a compiled folder",
        description="Decodes memory.huff of `eyrie compile --huffman`.",
    )
    p.add_argument("folder", metavar="DIR", help="of an earlier compile")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the image, as memory.bin")
    p.set_defaults(function=unpack)
    return top


def _check_outputs(args) -> None:
    """That there can be files where the results shall go, before anything takes time. Raises
    OSError."""
    import os

    for name in ("json", "plot", "out"):
        if path := getattr(args, name, None):
            folder = next(p for p in Path(path).absolute().parents if p.exists())
            if not folder.is_dir() or not os.access(folder, os.W_OK):
                raise OSError(f"{path}: {folder} is no folder that can be written to")


def main(argv: list[str] | None = None) -> int:
    """Runs one command. What cannot be done is one line on stderr and status 2; 1 is for what
    was done and differs."""
    args = parser().parse_args(argv)
    try:
        _check_outputs(args)
        return args.function(args)
    except (ValueError, OSError) as e:
        print(f"eyrie: error: {e}", file=sys.stderr)
        return 2
    except RuntimeError as e:  # a tool or the simulator failed
        if type(e).__module__.partition(".")[0] not in ("sim", "compiler", "fpga"):
            raise
        print(f"eyrie: error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
