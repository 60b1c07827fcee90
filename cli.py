"""The command line tool. Exit status: 0 done, 1 a mismatch, 2 bad input."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

MODELS = Path(__file__).resolve().parent / "compiler" / "models"


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


def _calibration(calib, shape, source, images, reported):
    """(raw images to calibrate on, a note that says which): those of the file `calib`, or else the last of
    `images`, which are of the file `source`: those behind the first `reported`, a fifth at least, 100 at most."""
    from compiler.images import read_images
    if calib is not None:
        observed = read_images(calib, shape)
        return observed, f"calibrated on {len(observed)} images of {Path(calib).name}"
    spare = min(100, max(len(images) - reported, (len(images) + 4) // 5))
    return images[-spare:], f"calibrated on the last {spare} of {len(images)} images of {Path(source).name}"


def compile_(args) -> int:
    import json
    from compiler.export import check_directory, export
    from compiler.images import DataError, read_images
    from compiler.onnx_import import load
    from compiler.quantise import quantise
    from hdl.config import Config
    from hdl.verilog import emit
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
    program = export(network, config, args.output, images=args.batch, base=args.base, huffman=args.huffman,
                     placement=args.placement, switches=dict(args.sparse),
                     also={f"{top}.v": text, f"{top}.json": json.dumps(sidecar, indent=1) + "\n"})
    print(f"{args.output}: {program.command_count} commands, memory {program.base:#x}..{program.end:#x}, "
          f"batch of {program.images}\n{note}")
    if args.huffman:
        streams, image = sum(table.size for table in program.tables), len(program.memory)
        stored = (Path(args.output) / "memory.huff").stat().st_size
        print(f"memory.huff: {stored:,} bytes for {image:,}, {streams:,} of them streams of compressed layers, "
              f"stored in {stored - image + streams:,}")
    return 0


def unpack(args) -> int:
    from compiler.export import read_memory
    from hdl.verilog import write_atomic
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
    from compiler.images import DataError, read_images, read_labels
    from compiler.onnx_import import load
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
            raise DataError(f"{args.labels or source}: {len(labels)} labels for {len(images)} images")
    count = len(images) if not args.limit else min(args.limit, len(images))
    calib = args.calib or (MODELS / "digits_calibration.npz" if digits else None)
    observed, note = _calibration(calib, shape, source, images, count)
    if calib is None:
        if len(observed) == len(images):
            raise DataError(f"{source}: one image cannot be both calibrated on and reported; "
                            "give --calib (CALIB=) or more images")
        count, note = min(count, len(images) - len(observed)), f"{note}, which are not reported"
    images, labels = images[:count], labels if labels is None else labels[:count]
    return graph, images, labels, observed, note


def _network(args, config):
    """(quantised network, raw images, labels or None, note on calibration) of `run`."""
    from compiler.quantise import quantise
    graph, images, labels, observed, note = _data(args)
    return quantise(graph, observed, psum_bits=config.psum_bits), images, labels, note


def _has_labels(path) -> bool:
    import numpy as np
    with np.load(path) as archive:
        return "labels" in archive.files


def run(args) -> int:
    return _run(args)[0]


def _run(args) -> tuple[int, dict]:
    """(exit code, what --json writes) of `run`."""
    import json
    import time
    from contextlib import ExitStack

    import numpy as np
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from compiler.compression import whole
    from compiler.float_run import float_run
    from compiler.interpreter import Interpreter
    from compiler.program import ALIGN, compile_network
    from compiler.run import run_network
    from fpga.host.board import BoardDevice
    from hdl.config import Config
    from hdl.verilog import write_atomic
    console = Console(width=None if sys.stdout.isatty() else 160)
    config = Config.load(args.config)
    if args.device == "board" and not args.port:
        raise ValueError("a board needs --port (PORT=), as /dev/ttyUSB0")
    started = time.monotonic()
    with ExitStack() as held:
        progress = held.enter_context(Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(),
                                               TimeElapsedColumn(), console=Console(stderr=True)))
        step = progress.add_task("reading and quantising", total=None)

        layer_now = [""]  # for the board, whose progress is in bytes too

        def stage(text, total=None):
            progress.update(step, total=1, completed=1)
            return progress.add_task(text, total=total)
        if args.device == "board":  # first of all: nothing else takes time in vain
            device = BoardDevice(config, args.port, args.baud, timeout=args.timeout,
                                 progress=lambda what, done, size: progress.update(
                                     step, description=f"board: {layer_now[0]}{what} {done:,} of {size:,} bytes"))
            held.callback(device.close)
        network, images, labels, note = _network(args, config)
        graph = network.graph
        step = stage("mapping and emitting the program")
        program = compile_network(network, config, min(args.batch, len(images)),
                                  mode=_mode(config, args.mode), rlc=args.rlc, placement=args.placement,
                                  switches=dict(args.sparse))
        memory = -(-program.end // ALIGN) * ALIGN
        if args.device == "rtl":
            step = stage(f"Verilog and simulator of {config.name}")
            from sim.device import SimDevice
            device = SimDevice(config, args.driver, memory, waves=args.waves)
            held.callback(device.close)
        elif args.device == "board":
            if memory > device.identity.memory:
                raise ValueError(f"board on {args.port}: the program needs {memory:,} bytes of memory, the board has "
                                 f"{device.identity.memory:,}; try a smaller --batch")
        else:
            device = Interpreter(config, memory)
        step = stage(f"running on {args.device}", len(images))

        def layer_begins(done, layer):
            layer_now[0] = f"{layer}, "
            progress.update(step, completed=done, description=f"{args.device}: {layer}")
        report = run_network(program, network, device, images, layer_begins)
        progress.update(step, description=f"running on {args.device}")
        step = stage("floating point")
        floats = float_run(graph, images, keep={graph.output})[graph.output].reshape(len(images), -1)
        progress.update(step, total=1, completed=1)

    guesses = {"float": floats.argmax(1), "golden": report.golden.argmax(1),
               "interpreter" if args.device == "golden" else args.device: report.device.argmax(1)}
    print_layers(console, report, config, program)
    compression = [whole(s.name, [block.compressed for band in s.sparse.bands for block in band.blocks],
                         config.sparse_pointer_bits) for s in program.segments if s.sparse]
    if compression:
        print_compression(console, compression)
    if report.fmaps:
        print_fmaps(console, report.fmaps)
    print_predictions(console, guesses, labels)
    console.print(note, style="dim")
    result = report.to_dict() | {
        "compression": [r.as_dict() for r in compression], "config": config.to_dict(), "device": args.device, "calibration": note,
        "rlc": args.rlc, "model": Path(args.model).name if args.model else "lenet5.onnx",
        "accuracy": {} if labels is None else {
            name: float(np.mean(guess == labels)) for name, guess in guesses.items()},
        "predictions": {name: guess.tolist() for name, guess in guesses.items()},
        "seconds": round(time.monotonic() - started, 1)}
    if args.json:
        write_atomic(Path(args.json), json.dumps(result, indent=1) + "\n")
    wrapped = sum(row.wrapped for row in report.layers)
    if report.mismatches:
        print(f"eyrie: {report.mismatches} elements differ from golden", file=sys.stderr)
        return 1, result
    console.print(f"all {report.images} images equal to golden in every layer; {wrapped} final psums wrapped; "
                  f"{result['seconds']} s")
    return 0, result


def board_sim(args) -> int:
    import time

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
        args.port, args.baud, args.timeout = board.port, 3_000_000, 30.0  # a terminal has no baud rate
        started, before = time.monotonic(), board.counts()
        try:
            status, result = _run(args)
        except RuntimeError:
            board.counts()  # a simulation that has ended says why itself
            raise
        counts, seconds = board.counts() - before, time.monotonic() - started
    table = _table("the board", (), "cycles", f"at {clock_hz / 1e6:g} MHz, s", "bytes to it", "bytes from it", "cycles a bit",
                   "line busy %", "at 3 Mbaud, s", "simulated, s", "cycles/s")
    line = 10 * (counts.to_board + counts.from_board)
    table.add_row(f"{counts.cycles:,}", f"{counts.cycles / clock_hz:.3f}", f"{counts.to_board:,}", f"{counts.from_board:,}",
                  f"{args.cycles_per_bit:g}", f"{100 * line * args.cycles_per_bit / counts.cycles:.1f}",
                  f"{line / 3e6:.2f}", f"{seconds:.1f}", f"{counts.cycles / seconds:,.0f}")
    console.print(table)
    console.print("line busy: of both directions together; at 3 Mbaud: the same bytes on a board's line", style="dim")
    total = result["total"]
    sustained = total["macs"] * clock_hz / total["cycles"] / 1e9
    console.print(f"{sustained:.3f} GMAC/s sustained at {clock_hz / 1e6:g} MHz, {config.pes * clock_hz / 1e9:.3f} peak of the array")
    if args.board and not status:
        from fpga.build import RESULTS, add_sustained
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
    from fpga.build import artifact, build, save
    board, console = _board(args.board), _console()
    with console.status(f"{board.name}: Yosys, nextpnr, bitstream of {board.preset}"):
        result = build(board, args.seed)
    table = _table(f"{board.name}: {result.preset}, {result.pes} PEs on {result.device}, seed {result.seed}, "
                   f"{result.seconds:.0f} s", ("resource",), "resource", "used", "of", "%")
    for name in ("lut", "ff", "dsp", "bram"):
        used, most = getattr(result, name)
        table.add_row(name.upper(), f"{used:,}", f"{most:,}", f"{100 * used / most:.0f}" if most else "-")
    console.print(table)
    if result.components:
        table = _table("components, after Yosys", ("component",), "component", "LUT", "FF", "DSP", "block RAM")
        for name, row in result.components.items():
            if row["lut"] > 100 or row["dsp"] or row["bram"]:
                table.add_row(name, *(f"{row[kind]:,}" for kind in ("lut", "ff", "dsp", "bram")))
        console.print(table)
    console.print(f"clock {result.clock_mhz:g} MHz, fmax {result.fmax_mhz:g} MHz after routing"
                  f"{'' if result.met else ': TOO SLOW'}; peak {result.peak_gmacs:g} GMAC/s")
    console.print("; ".join(result.tools.values()), style="dim")
    print(artifact(board))
    if args.json:
        print(save(result, Path(args.json)))
    if not result.met:
        print(f"eyrie: {board.name}: {result.fmax_mhz} MHz after routing, the clock is {result.clock_mhz:g}: "
              "try another --seed", file=sys.stderr)
    return 0 if result.met else 1


def _list_boards() -> int:
    from fpga.boards import BOARDS
    from fpga.boards.board import CAPACITY
    from fpga.memory import SPRAM
    table = _table("boards: make fpga BOARD=...", ("board", "device", "preset", "memory", "serial line"),
                   "board", "device", "LUT4", "DSP", "block RAM", "preset", "PEs", "clock, MHz", "memory", "serial line")
    for board in BOARDS.values():
        memory = (f"{board.memory >> 10} KiB on chip" if isinstance(board.memory, int) else
                  board.memory if board.memory == SPRAM else f"SDRAM {board.memory}")
        table.add_row(board.name, board.device, *(f"{n:,}" for n in CAPACITY[board.device]), board.preset, str(board.config.pes),
                      f"{board.clock_hz / 1e6:g}", memory, board.link)
    _console().print(table)
    return 0


def flash(args) -> int:
    from fpga.flash import flash
    flash(_board(args.board), args.persist)
    return 0


def print_layers(console, report, config, program) -> None:
    """The table of `run`: a row a layer, means of a batch."""
    from rich import box
    from rich.table import Table
    table = Table(title=f"{config.name}: {config.pes} PEs, batch of {report.batch}, "
                        f"DRAM at {config.dram_bytes_per_cycle:g} B/cycle", title_justify="left",
                  box=box.SIMPLE_HEAD, pad_edge=False)
    sparse = any(row.load_bound for row in report.layers)
    for name in ("layer", "shape", "mapping", "cycles", "filter bound", *["load bound"] * sparse, "MACs", "util. %",
                 "DRAM bytes", "wrapped", "mismatches"):
        table.add_column(name, justify="left" if name in ("layer", "shape", "mapping") else "right", min_width=8)

    def number(x):
        return f"{x:,.0f}" if x else "-"
    for row in report.layers:
        table.add_row(row.name, row.shape, row.mapping, number(row.cycles), number(row.filter_bound),
                      *[number(row.load_bound)] * sparse, number(row.macs), f"{100 * row.utilisation:.1f}" if row.utilisation else "-",
                      number(row.dram_bytes), str(row.wrapped), str(row.mismatches))
    cycles, macs = (sum(getattr(row, n) for row in report.layers) for n in ("cycles", "macs"))
    table.add_section()
    table.add_row("all", "", "", number(cycles), "", *[""] * sparse, number(macs),
                  f"{100 * macs / (cycles * config.pes):.1f}" if cycles else "-",
                  number(sum(row.dram_bytes for row in report.layers)),
                  str(sum(row.wrapped for row in report.layers)), str(report.mismatches))
    console.print(table)
    console.print("filter bound: cycles to bring every filter once over DRAM; a layer that uses each "
                  "filter word a few times only cannot be faster. "
                  + "load bound: cycles to bring what a compressed layer loads, weights, pointers and vectors. " * sparse
                  + "wrapped: final psums beyond psum_bits", style="dim")


def print_compression(console, reports) -> None:
    """Sizes of the sparse layers, stage by stage."""
    from rich import box
    from rich.table import Table
    table = Table(title="compressed layers, sizes in bytes", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "density %", "non-zeros", "padding", "16-bit dense", "pruned", "shared", "of it pointers",
                 "Huffman", "bits a weight", "smaller by"):
        table.add_column(name, justify="left" if name == "layer" else "right")
    for r in reports:
        table.add_row(r.name, f"{100 * r.density:.1f}", f"{r.nonzeros:,}", f"{r.padding:,}",
                      *(f"{n / 8:,.0f}" for n in (r.dense, r.pruned, r.shared, r.pointers, r.huffman)),
                      f"{r.bits_per_weight:.2f}", f"{r.ratio:.1f}x, {r.huffman_ratio:.1f}x")
    console.print(table)
    console.print("pruned: 16-bit values and 4-bit runs; shared: 4-bit indices into 15 values, as the engine stores "
                  "them; Huffman: as files hold them", style="dim")


def print_fmaps(console, fmaps) -> None:
    """Run-length coded feature maps beside the entropy limit."""
    from rich import box
    from rich.table import Table
    table = Table(title="run-length coded feature maps, bytes of all images", title_justify="left",
                  box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("tensor", "zeros %", "dense", "coded", "ratio", "entropy limit"):
        table.add_column(name, justify="left" if name == "tensor" else "right")
    for f in fmaps:
        table.add_row(f.name, f"{100 * f.zeros:.1f}", f"{f.dense:,}", f"{f.coded:,}", f"{f.ratio:.2f}x",
                      f"{f.entropy:.2f}x")
    dense, coded = (sum(getattr(f, n) for f in fmaps) for n in ("dense", "coded"))
    table.add_section()
    table.add_row("all", "", f"{dense:,}", f"{coded:,}", f"{dense / coded:.2f}x", "")
    console.print(table)
    console.print("coded: words of strips and their lengths; entropy limit: zeros that come independently, "
                  "levels of 16 bits", style="dim")


def print_predictions(console, guesses, labels) -> None:
    """Predictions against labels, and the accuracies."""
    from rich.table import Table
    device = list(guesses)[-1]
    shown = 40
    table = Table(title="predictions", title_justify="left", show_header=False)
    if labels is not None:
        table.add_row("label", " ".join(f"{x:>2}" for x in labels[:shown].tolist()))
    table.add_row(device, " ".join(f"{x:>2}" for x in guesses[device][:shown].tolist()))
    if len(guesses[device]) > shown:
        table.add_row("", f"... {len(guesses[device]) - shown} more")
    console.print(table)
    if labels is not None:
        console.print("accuracy: " + ", ".join(
            f"{name} {100 * (guess == labels).mean():.2f} %" for name, guess in guesses.items())
            + f" of {len(labels)} images")


def fc(args) -> int:
    from compiler.fc_file import read_layer
    from sim.bench_fc import DEEPEST, DEPTHS, run_layer
    from sim.device import SimDevice
    if args.depth and not set(args.depth) <= set(range(1, max(DEPTHS) + 1)):
        raise ValueError(f"--depth: queues of 1..{max(DEPTHS)} are built")
    matrix, codebook, activations = read_layer(args.matrix, args.activations, args.codebook)
    with _progress() as progress, SimDevice(DEEPEST, "cpp", 1 << 30) as device:
        task = progress.add_task("")
        results = run_layer(device, DEEPEST, Path(args.matrix).stem, matrix, codebook, activations, args.placement,
                            tuple(args.depth or (8,)), progress=lambda text: progress.update(task, description=text))
    return _report_fc(results, args.json, {"command": "eyrie fc"})


def bench_fc(args) -> int:
    from compiler.compression import EIE_LAYERS, synthetic
    from compiler.csc import PLACEMENTS
    from sim.bench_fc import DEEPEST, plot, run_batches, run_layer, run_streamed
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
                results += run_layer(device, DEEPEST, name, layer.matrix, layer.codebook, layer.activations,
                                     placement, published=EIE_LAYERS[name].published,
                                     progress=lambda text: progress.update(task, description=text))
                progress.advance(task)
            progress.update(task, description=f"{name}: pointers in batches, columns streamed")
            like = next(r for r in results if (r.name, r.placement, r.queue_depth) == (name, "balanced", 8))
            batches.append(run_batches(device, DEEPEST, like, layer.matrix, layer.codebook, layer.activations))
            streamed.append(run_streamed(device, DEEPEST, name, layer.matrix, layer.codebook, layer.activations))
    if args.plot:
        plot(results, args.plot)
    return _report_fc(results, args.json, {"command": "make bench-fc", "config": DEEPEST.to_dict(),
                                           "pointer_batches": [r.to_dict() for r in batches if r],
                                           "streamed": [r.to_dict() for r in streamed]})


def _table(title, left, *names):
    """A table whose columns in `left` are aligned there, the others to the right."""
    from rich import box
    from rich.table import Table
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for name in names:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    return table


def _console():
    from rich.console import Console
    return Console(width=None if sys.stdout.isatty() else 220)


def _mode(config, name):
    from hdl.config import ConfigError
    from hdl.isa import Mode
    if name == "skip" and not config.skip:
        raise ConfigError(f"config {config.name!r} cannot skip zeros: choose one with skip, or --mode gate")
    return Mode[name.upper()]


def _shapes(net, batch):
    """All layers of a network as dataflows see them."""
    from compiler.dataflows import of_graph, of_table
    from compiler.map_table import layers_named
    from compiler.networks import NETWORKS
    if net in NETWORKS:
        return [of_table(layer, batch) for layer in NETWORKS[net].part("all")]
    return [of_graph(graph, layer, batch) for graph, layer, *_ in layers_named(net, "all", batch)[0]]


def dataflows(args) -> int:
    import json
    from compiler.costs import Costs
    from compiler.dataflows import DATAFLOWS, PUBLISHED, PUBLISHED_FOR, baseline, check, compare, ratios
    from compiler.dataflows.hardware import DataflowError
    from compiler.dataflows.plot import plot
    from hdl.verilog import write_atomic
    costs, batch, names = ratios(Costs.load(args.costs)), args.batch, tuple(args.dataflow or DATAFLOWS)
    check(names, args.pes, args.orders)
    whole = _shapes(args.net, batch)
    parts = {"all": ("conv", "fc")}.get(args.part, (args.part,))
    command = f"make dataflows NET={args.net} PES={args.pes} BATCH={batch}" + "".join(
        f" {name.upper()}={getattr(args, name)}"
        for name, usual in (("part", "all"), ("orders", "published"), ("costs", "isca2016"))
        if getattr(args, name) != usual)
    report = {}
    with _progress() as progress:
        task = progress.add_task("", total=None)

        def step(text):
            progress.update(task, description=text)
        for part in parts:
            layers = [layer for layer in whole if layer.full == (part == "fc")]
            if not layers:
                continue
            report[part] = (layers, compare(layers, whole, args.pes, costs, args.orders, names, step),
                            baseline(layers, whole, args.pes, costs, args.orders))
    if not report:
        raise DataflowError(f"{args.net} has no {args.part} layers")

    def published_of(part):
        return PUBLISHED if (args.net, part, args.pes, batch) == PUBLISHED_FOR and args.costs == "isca2016" else {}
    for part, (layers, results, one) in report.items():
        published = published_of(part)
        own = next((r for r in results if r.dataflow == "rs" and r.fits), None)
        table = _table(f"{args.net} {part.upper()}, {args.pes} PEs, batch {batch}, {args.orders} orders: "
                       "energy of a MAC with its accesses, in MACs", ("dataflow",),
                       "dataflow", "RF, B", "buffer, KiB", "DRAM", "buffer", "array", "RF", "ifmap", "filter", "psum",
                       "energy", "of RS", "of RS, batch 1",
                       *["published", "deviation %"] * bool(published), "DRAM/MAC", "PEs at work", "EDP of RS")
        for r in results:
            about = [r.dataflow.upper(), str(2 * r.hardware.register_words), f"{r.hardware.buffer_words / 512:.1f}"]
            if not r.fits:
                missing = next(layer.name for layer, found in zip(layers, r.layers) if found is None)
                table.add_row(*about, f"{missing}: no mapping fits")
                continue
            relative = r.energy / one if one else None
            table.add_row(*about, *(f"{r.levels[n]:.2f}" for n in ("dram", "buffer", "array", "register")),
                          *(f"{r.kinds[n]:.2f}" for n in ("ifmap", "filter", "psum")), f"{r.energy:.2f}",
                          f"{r.energy / own.energy:.2f}" if own else "-", f"{relative:.3f}" if one else "-",
                          *([f"{published[r.dataflow]:.2f}", f"{100 * (relative / published[r.dataflow] - 1):+.1f}"]
                            if published else []),
                          f"{r.dram:.4f}", f"{1 / r.delay:.1f}",
                          f"{r.energy * r.delay / (own.energy * own.delay):.2f}" if own else "-")
        _console().print(table)
        if published:
            fit = [r for r in results if r.fits]
            ours = [r.dataflow for r in sorted(fit, key=lambda r: r.energy)]
            theirs = sorted((r.dataflow for r in fit), key=published.get)
            print(f"order: {' < '.join(ours).upper()}" + (", as published" if ours == theirs else
                  f"; published: {' < '.join(theirs).upper()}"))
        elif part == "fc" and published_of("conv") and own and len(results) > 1:
            others = [r.energy / own.energy for r in results if r.fits and r is not own]
            print(f"RS at least {min(others):.2f} times below the others; published: at least 1.3")
    print(f"A model: docs/energy.md. {command}")
    if args.json:
        write_atomic(Path(args.json), json.dumps({
            "command": command, "net": args.net, "pes": args.pes, "batch": batch, "orders": args.orders, "costs": costs,
            "parts": {part: {"rs_batch1_energy": one, "dataflows": [r.to_dict() for r in results]}
                      for part, (layers, results, one) in report.items()}}, indent=1) + "\n")
    if args.plot:
        for part, (layers, results, one) in report.items():
            path, published = Path(args.plot), published_of(part)
            plot(f"{args.net} {part.upper()}, {args.pes} PEs, batch {batch}", results, one if published else 1.0,
                 published,
                 "energy per MAC" + (", RS at batch 1 = 1" if published else ", of one MAC = 1"),
                 path.with_stem(f"{path.stem}-{part}") if len(report) > 1 else path)
    return 0


def energy(args) -> int:
    import json
    from compiler import layer_file
    from compiler.costs import Costs
    from compiler.energy import LEVELS, Bits, EnergyError, layer_energy, of_run
    from compiler.map_table import layers_named, map_layer
    from compiler.mapping import MappingError
    from hdl.config import Config
    from hdl.verilog import write_atomic
    costs = Costs.load(args.costs)
    if args.layers and args.run:
        raise EnergyError("--layers and --run: give one of them")
    if bool(args.layers) != bool(args.out):
        raise EnergyError("--layers and --out go together: the file of layers and that of energies")
    config, lines = Config.load(args.config).override(args.set), []
    mode, built = _mode(config, args.mode), config.to_dict()
    if args.layers:
        lines, source = layer_file.read(args.layers), Path(args.layers).name
        todo = [(line.graph, line.layer, line.zeros, line.images, line.bits, f"{args.layers}: line {line.number}: ")
                for line in lines]
    elif not args.run:
        layers, batch = layers_named(args.net, args.part, args.batch)
        todo = [(graph, layer, zeros, batch, Bits(), "") for graph, layer, zeros, _ in layers]
        source = f"{args.net} {args.part.upper()}, batch {batch}"
    with _progress() as progress:
        task = progress.add_task("", total=None)
        if args.run:
            results, about = of_run(args.run, costs, lambda text: progress.update(task, description=text))
            source = f"{Path(args.run).name}, RTL's counters"
            # It may lack fields of today's configurations.
            built, args.mode = about["config"], about.get("mode", args.mode)
        else:
            results = []
            for graph, layer, zeros, images, bits, where in todo:
                progress.update(task, description=layer.name)
                try:
                    row = map_layer(graph, layer, zeros, images, config, mode, args.objective, commands=True)
                except MappingError as e:
                    raise EnergyError(f"{where}{e}") from None
                results.append(layer_energy(layer.name, row.macs, row.accesses, config.psum_bits, costs, bits))
    if not results:
        raise EnergyError(f"{args.net} has no {args.part} layers")
    small = sum(e.total for e in results) < 1e8
    scale, prefix = (1e3, "thousand") if small else (1e6, "million")
    unit = ("nJ" if small else "uJ") if costs.unit == "pJ" else f"{prefix} {costs.unit}"
    table = _table(f"{source}: energy on {built['name']}, {args.mode}, by {costs.name}, {unit}: an estimate, "
                   "without clock, control and leakage",
                   ("layer",), "layer", "MACs", "done %", "MAC", *LEVELS, "all", f"{costs.unit} a MAC", "input",
                   "weights", "output", "commands")

    parts = [lambda e: e.mac, *(lambda e, level=level: e.level(level) for level in LEVELS), lambda e: e.total]
    kinds = [lambda e: e.input, lambda e: e.kind("filter"), lambda e: e.output, lambda e: e.kind("command")]

    def row(name, layers):
        total, macs, done = (sum(getattr(e, field) for e in layers) for field in ("total", "macs", "done"))
        energies = [[f"{sum(f(e) for e in layers) / scale:,.1f}" for f in columns] for columns in (parts, kinds)]
        table.add_row(name, f"{macs:,}", f"{100 * done / macs:.1f}", *energies[0], f"{total / macs:.2f}", *energies[1])
    for result in results:
        row(result.name, [result])
    table.add_section()
    row("all", results)
    _console().print(table)
    if args.out:
        write_atomic(Path(args.out), layer_file.lines([line.index for line in lines], results))
        print(f"{args.out}: index, input, output, weights, computation, in {costs.unit}")
    if args.json:
        write_atomic(Path(args.json), json.dumps(
            {"source": source, "config": built, "mode": args.mode, "costs": costs.name, "unit": costs.unit,
             "total": sum(e.total for e in results), "layers": [e.to_dict() for e in results]}, indent=1) + "\n")
    return 0


def map_(args) -> int:
    import functools
    import json
    from compiler.cost import added, per_mac
    from compiler.map_table import layers_named, map_layer
    from dataclasses import asdict
    from hdl.config import Config
    from hdl.verilog import write_atomic
    config = Config.load(args.config).override(args.set)
    mode = _mode(config, args.mode)
    layers, batch = layers_named(args.net, args.part, args.batch)
    table = _table(f"{args.net} on {config.name}, batch {batch}, {args.mode}, {args.objective} first: a model, "
                   f"not a measurement", ("layer", "mapping", "bound by"),
                   "layer", "mapping", "q_T", "PEs", "estimate", "model", "chip's", "of peak %", "DRAM MB", "DRAM/MAC", "GLB/MAC",
                   "bound by", "next best")
    rows = []
    with _progress() as progress:
        task = progress.add_task("", total=len(layers))
        for graph, layer, zeros, chip in layers:
            progress.update(task, description=layer.name)
            row = map_layer(graph, layer, zeros, batch, config, mode, args.objective, commands=True)
            row.chip_cycles = chip and chip * batch
            rows.append(row)
            second = row.runners_up[0] if row.runners_up else None
            table.add_row(layer.name, row.mapping, str(row.block), str(row.pes), f"{row.cycles:,}", f"{row.model_cycles:,}",
                          f"{row.chip_cycles:,.0f}" if chip else "-", f"{100 * row.utilisation:.1f}",
                          f"{row.dram_bytes / 1e6:.2f}",
                          *(f"{per_mac(row.accesses, level, row.macs):.4f}" for level in ("dram", "glb")), row.bound,
                          f"+{100 * (second['cycles'] / row.cycles - 1):.1f} %" if second else "-")
            if args.all:
                for other in row.runners_up:
                    table.add_row("", other["mapping"], str(other["block"]), "", f"{other['cycles']:,}", "", "", "",
                                  f"{other['dram_bytes'] / 1e6:.2f}", "", "", other["bound"], "")
            progress.advance(task)
    cycles, macs = sum(r.cycles for r in rows), sum(r.macs for r in rows)
    dram, model = sum(r.dram_bytes for r in rows), sum(r.model_cycles for r in rows)
    chip = [r.chip_cycles for r in rows]
    accesses = functools.reduce(added, (r.accesses for r in rows), {})
    table.add_section()
    table.add_row("all", "", "", "", f"{cycles:,}", f"{model:,}", f"{sum(chip):,.0f}" if all(chip) else "-",
                  f"{100 * macs / cycles / config.pes:.1f}", f"{dram / 1e6:.2f}",
                  *(f"{per_mac(accesses, level, macs):.4f}" for level in ("dram", "glb")), "", "")
    _console().print(table)
    print("estimate: the mapper's formula, as DRAM MB and what binds; model: the commands in time; accesses of 16 bits, "
          "counted in the commands")
    if args.json:
        write_atomic(Path(args.json), json.dumps(
            {"config": config.to_dict(), "batch": batch, "mode": args.mode, "objective": args.objective,
             "total": {"cycles": cycles, "macs": macs, "dram_bytes": dram, "model_cycles": model, "accesses": accesses},
             "layers": [asdict(r) for r in rows]}, indent=1) + "\n")
    return 0


def report(args) -> int:
    from compiler.costs import Costs
    from compiler.report import markdown, page, sections
    from hdl.verilog import write_atomic
    folder, costs = Path(args.results), Costs.load(args.costs)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    with _progress() as progress:
        task = progress.add_task("", total=None)
        found = sections(folder, costs, lambda text: progress.update(task, description=text))
    for path, text in ((folder / "report.md", markdown(found, costs.name)), (folder / "report.html", page(found, costs.name, folder))):
        write_atomic(path, text)
        print(path)
    return 0


def precision(args) -> int:
    import json
    from dataclasses import asdict
    from compiler.float_run import float_run
    from compiler.images import DataError
    from compiler.precision import LAYER_SCHEMES, SCHEMES, check, least_width, plot, study
    from hdl.verilog import write_atomic
    widths = tuple(args.bits)
    check(widths)
    graph, images, labels, observed, note = _data(args)
    if labels is None:
        raise DataError("LABELS: accuracies need --labels, or images in an .npz with labels")
    name = Path(args.model).stem if args.model else "lenet5"
    with _progress() as progress:
        task = progress.add_task("floating point", total=None)
        guess = float_run(graph, images, keep={graph.output})[graph.output].reshape(len(images), -1).argmax(1)
        reference = float((guess == labels).mean())
        found = study(graph, observed, images, labels, args.psum_bits, widths, not args.overall,
                      lambda done, total, text: progress.update(task, completed=done, total=total, description=text))
    by = {(a.scheme, a.layer, a.bits): a for a in found}
    layers = list(dict.fromkeys(a.layer for a in found))
    table = _table(f"{name}: {len(images)} images through golden, right %; floating point {100 * reference:.2f} %",
                   ("narrow", "scheme"), "narrow", "scheme", *(f"{bits} bits" for bits in widths), "within 1 point")
    for layer in layers:
        for scheme in SCHEMES if layer is None else LAYER_SCHEMES:
            least = least_width(found, scheme, layer, reference)
            table.add_row(layer or "all layers", scheme, *(f"{100 * by[scheme, layer, bits].share:.2f}" for bits in widths),
                          f"{least} bits" if least else "-")
        table.add_section()
    _console().print(table)
    print("codebook: activations of that width, weights 15 shared values and 0; within 1 point: the least width down to "
          f"which no more is lost against floating point\n{note}")
    if args.json:
        write_atomic(Path(args.json), json.dumps(
            {"command": f"make precision{f' MODEL={args.model}' if args.model else ''}", "model": name, "images": len(images),
             "calibration": note, "float": reference, "psum_bits": args.psum_bits, "widths": widths,
             "rows": [asdict(a) for a in found]}, indent=1) + "\n")
    if args.plot:
        plot(f"{name}: accuracy of {len(images)} images by width", found, reference, args.plot)
    return 0


def explore(args) -> int:
    import json
    from dataclasses import asdict, replace
    from compiler.costs import Costs
    from compiler.explore import DEFAULT_SWEEP, PE_LOGIC, Task, combinations, executor, mark_front, plot
    from compiler.explore import ExploreError
    from compiler.explore import explore as run_all
    from compiler.map_table import layers_named
    from hdl.config import Config
    from hdl.verilog import write_atomic
    base, costs = Config.load(args.config).override(args.set), Costs.load(args.costs)
    net = str(Path(args.net).resolve()) if args.net.endswith(".onnx") else args.net
    if not layers_named(net, args.part, args.batch)[0]:   # before any worker is started
        raise ExploreError(f"{args.net} has no {args.part} layers")
    sweep = args.sweep or list(DEFAULT_SWEEP)
    tasks = [Task(base.to_dict(), changes, net, args.part, args.batch, args.mode, args.objective, costs, args.pe_area)
             for changes in combinations(sweep)]
    with _progress() as progress, executor(args.jobs, args.scheduler) as pool:
        def watch(task):
            return lambda done, text: progress.update(task, completed=done, description=text)
        points = run_all(tasks, pool, watch(progress.add_task("", total=len(tasks))))
        front = mark_front(points)
        if args.exact:
            again = [replace(task, exact=True) for task, p in zip(tasks, points) if p.front]
            counted = run_all(again, pool, watch(progress.add_task("", total=len(again))))
            for p in counted:
                best = next(q for q in front if q.changes == p.changes)
                best.exact_cycles, best.exact_energy = p.cycles, p.energy
    built, failed = [p for p in points if not p.error], [p for p in points if p.error]
    scale, unit = (1e6, "uJ") if costs.unit == "pJ" else (1e6, f"million {costs.unit}")
    title = f"{Path(args.net).name} {args.part.upper()} on {base.name}, {args.mode}"
    table = _table(f"{title}: Pareto front of cycles, energy and area, {len(front)} of {len(points)} points: a model",
                   ("changed",), "", "changed", "PEs", "cycles", *["model"] * args.exact, "of peak %", f"energy, {unit}",
                   *["counted"] * args.exact, "DRAM MB", "storage, KiB", "area, KiB")
    for n, p in enumerate(front, 1):
        table.add_row(str(n), p.name, str(p.pes), f"{p.cycles:,}", *[f"{p.exact_cycles:,}"] * args.exact,
                      f"{100 * p.macs / p.cycles / p.pes:.1f}", f"{p.energy / scale:,.1f}",
                      *[f"{p.exact_energy / scale:,.1f}"] * args.exact, f"{p.dram_bytes / 1e6:.2f}",
                      f"{p.storage_bytes / 1024:.1f}", f"{p.area / 1024:.1f}")
    _console().print(table)
    print(f"{len(built)} points mapped, {len(failed)} cannot be built or mapped"
          + "".join(f"\n  {p.name}: {p.error}" for p in failed))
    print("area: KiB of a large buffer, docs/study.md; model, counted: from the commands" if args.exact else
          "area: KiB of a large buffer, docs/study.md")
    command = " ".join(["make explore", *(f"{name}={value}" for name, value, usual in (
        ("NET", args.net, "alexnet"), ("PART", args.part, "conv"), ("CONFIG", args.config, "eyeriss"),
        ("SET", f'"{" ".join(args.set)}"', '""'), ("MODE", args.mode, "gate"), ("BATCH", args.batch, None),
        ("OBJECTIVE", args.objective, "cycles"), ("COSTS", args.costs, "eyeriss_65nm"),
        ("PE_AREA", args.pe_area, PE_LOGIC), ("EXACT", int(args.exact), 0),
        ("SWEEP", f'"{" ".join(sweep)}"', f'"{" ".join(DEFAULT_SWEEP)}"')) if value != usual)])
    if args.json:
        write_atomic(Path(args.json), json.dumps(
            {"command": command, "config": base.to_dict(), "net": Path(args.net).name, "part": args.part, "mode": args.mode,
             "batch": args.batch, "objective": args.objective, "costs": costs.name, "unit": costs.unit,
             "sweep": sweep, "pe_logic": args.pe_area, "failed": len(failed),
             "points": [asdict(p) for p in points]}, indent=1) + "\n")
    if args.plot and built:
        plot(title, points, scale, f"energy, {unit}", args.plot)
    if not built:
        print("eyrie: no point of the sweep can be built and mapped", file=sys.stderr)
    return 0 if built else 1


# Of `scale`: what is changed, a row of the table each.
SWEEPS = {
    "array": tuple((f"rows={high}", f"columns={wide}") for high, wide in (
        (3, 4), (4, 6), (6, 7), (6, 14), (9, 14), (12, 14), (14, 18), (16, 21))),
    "latency": tuple((f"dram_latency={n}",) for n in (10, 20, 40, 80, 160, 320)),
}


def _command(target: str, args, **more: str | None) -> str:
    """The make command that does the same."""
    given = {"NET": args.net, "CONFIG": args.config if args.config != "eyeriss" else None, "MODE": args.mode,
             "BATCH": args.batch,
             "OBJECTIVE": args.objective if args.objective != "cycles" else None, **more,
             "SET": f'"{" ".join(args.set)}"' if args.set else None}
    return " ".join([f"make {target}", *(f"{name}={value}" for name, value in given.items() if value)])


def scale(args) -> int:
    import json
    from compiler.map_table import layers_of, map_layer
    from compiler.networks import NETWORKS
    from hdl.config import Config
    from hdl.verilog import write_atomic
    from sim.bench_plot import plot_scaling
    base = Config.load(args.config).override(args.set)
    mode, network = _mode(base, args.mode), NETWORKS[args.net]
    batch, layers = args.batch or network.batch, layers_of(network)
    table = _table(f"{args.net}, batch {batch}, {args.mode}: {base.name} with another {args.by}",
                   ("changed",), "changed", "PEs", "model", "of peak %", "faster", "RTL", "model %")
    rows, sweep = [], SWEEPS[args.by]
    with _progress() as progress:
        task = progress.add_task("", total=len(sweep) * len(layers))
        for changes in sweep:
            config = base.override(changes)
            cycles = macs = 0
            for graph, layer, zeros, _ in layers:
                progress.update(task, description=f"{' '.join(changes)}, {layer.name}")
                row = map_layer(graph, layer, zeros, batch, config, mode, args.objective, commands=True)
                cycles, macs = cycles + row.model_cycles, macs + row.macs
                progress.advance(task)
            rows.append({"changed": list(changes), "pes": config.pes, "model_cycles": cycles, "macs": macs,
                         "utilisation": macs / cycles / config.pes, "rtl_cycles": None})
            # What `make bench` has measured of it.
            for name in ("", "".join(f"-{change.replace('=', '')}" for change in changes)):
                found = Path("docs/results", f"bench-{args.net}-{args.mode}{name}.json")
                known = json.loads(found.read_text()) if found.exists() else None
                if (known and Config(**known["config"]) == config and known["batch"] == batch
                        and known["objective"] == args.objective):
                    rows[-1]["rtl_cycles"] = known["total"]["cycles"]
    for row in rows:
        rtl = row["rtl_cycles"]
        table.add_row(" ".join(row["changed"]), str(row["pes"]), f"{row['model_cycles']:,}",
                      f"{100 * row['utilisation']:.1f}", f"{rows[0]['model_cycles'] / row['model_cycles']:.2f}x",
                      f"{rtl:,}" if rtl else "-", f"{100 * (row['model_cycles'] / rtl - 1):+.1f}" if rtl else "-")
    _console().print(table)
    print("model: the commands in time; RTL: of docs/results/bench-*.json, where that was measured")
    if args.json:
        write_atomic(Path(args.json), json.dumps(
            {"command": _command("scale", args, BY=args.by if args.by != "array" else None), "config": base.to_dict(),
             "batch": batch, "mode": args.mode, "objective": args.objective, "rows": rows}, indent=1) + "\n")
    if args.plot and args.by == "array":
        plot_scaling(f"{args.net} CONV, batch {batch}, {args.mode}", rows, args.plot)
    return 0


def bench(args) -> int:
    import functools
    import json
    import os
    from compiler.cost import added, per_mac
    from compiler.networks import NETWORKS
    from hdl.config import Config
    from hdl.verilog import write_atomic
    from sim.bench import run_bench
    from sim.bench_plot import plot
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
        task = progress.add_task(f"simulator of {config.name}", total=sum(layer.macs for layer in layers))
        SimDevice(config, "cpp", 1 << 20).close()    # built once, before the jobs
        progress.update(task, description=f"0 of {len(layers)} layers")
        done = []

        def advance(result):
            done.append(result)
            progress.update(task, advance=result.macs / batch, description=f"{len(done)} of {len(layers)} layers")
        results = run_bench(network, config, mode, batch, args.jobs or os.cpu_count(), layers, advance,
                            clustered=args.clustered, objective=args.objective)
    table = _table(f"{args.net}, batch {batch}, {args.mode}: RTL of {config.name}, {config.pes} PEs",
                   ("layer", "mapping"), "layer", "mapping", "cycles", "chip's", "faster", "of peak %", "model %",
                   "MACs %", "ifmap %", "filter %", "psum %", "no pass %", "unused %", "DRAM MB", "DRAM/MAC", "GLB/MAC", "wrong")
    for r in results:
        s = r.stalls
        table.add_row(r.name, r.mapping, f"{r.cycles:,}", f"{r.chip_cycles:,.0f}", f"{r.chip_cycles / r.cycles:.2f}x",
                      f"{100 * r.utilisation:.1f}", f"{100 * (r.model_cycles / r.cycles - 1):+.1f}",
                      *(f"{100 * s[n]:.1f}" for n in ("busy", "wait_ifmap", "wait_filter", "wait_psum", "idle", "unused")),
                      f"{r.dram_bytes / 1e6:.2f}", f"{r.dram_bytes / 2 / r.macs:.4f}",
                      f"{per_mac(r.accesses, 'glb', r.macs):.4f}", str(r.mismatches))
    total = {name: sum(getattr(r, name) for r in results)
             for name in ("cycles", "macs", "nonzero_macs", "dram_bytes", "mismatches", "chip_cycles", "model_cycles")}
    total["accesses_per_mac"] = total["dram_bytes"] / 2 / total["macs"]
    total["accesses"] = functools.reduce(added, (r.accesses for r in results), {})
    total["counters_equal"] = all(r.counters_equal for r in results)
    table.add_section()
    table.add_row("all", "", f"{total['cycles']:,}", f"{total['chip_cycles']:,.0f}",
                  f"{total['chip_cycles'] / total['cycles']:.2f}x",
                  f"{100 * total['macs'] / total['cycles'] / config.pes:.1f}",
                  f"{100 * (total['model_cycles'] / total['cycles'] - 1):+.1f}", *[""] * 6,
                  f"{total['dram_bytes'] / 1e6:.2f}", f"{total['accesses_per_mac']:.4f}",
                  f"{per_mac(total['accesses'], 'glb', total['macs']):.4f}", str(total["mismatches"]))
    _console().print(table)
    print("model: the commands in time; its counts of accesses "
          + ("equal the counters of the RTL" if total["counters_equal"] else "differ from the RTL's counters in "
             + ", ".join(r.name for r in results if not r.counters_equal)))
    print(f"The chip: {network.accesses_per_mac} DRAM accesses of 16 bits per MAC. {command}")
    if args.json:
        write_atomic(Path(args.json), json.dumps(
            {"command": command, "config": config.to_dict(), "batch": batch, "mode": args.mode,
             "objective": args.objective, "zeros": "clustered" if args.clustered else "independent",
             "chip_accesses_per_mac": network.accesses_per_mac, "total": total,
             "layers": [r.to_dict() for r in results]}, indent=1) + "\n")
    if args.plot:
        plot(f"{args.net} CONV, batch {batch}, {args.mode}: {total['cycles'] / 1e6:.2f} M cycles, "
             f"Eyeriss chip {total['chip_cycles'] / 1e6:.2f} M", results, args.plot)
    if total["mismatches"]:
        print(f"eyrie: {total['mismatches']} ofmap entries differ from golden", file=sys.stderr)
    return 1 if total["mismatches"] else 0


def _progress():
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
                    console=Console(stderr=True))


def _report_fc(results, path, about) -> int:
    """The table of sparse layers, and its JSON."""
    import json
    from hdl.verilog import write_atomic
    table = _table("64 sparse PEs, weights on chip; efficiency = non-zero MACs / (64 x cycles)", ("layer", "placement"),
                   "layer", "placement", "queue", "cycles", "non-zero MACs", "padding", "efficiency %", "with padding %",
                   "EIE's %", "starved %", "fill cycles", "blocks", "mismatches")
    for r in results:
        table.add_row(r.name, r.placement, str(r.queue_depth), f"{r.cycles:,}", f"{r.nonzero_macs:,}",
                      f"{r.padding_entries:,}", f"{100 * r.efficiency:.1f}", f"{100 * r.with_padding:.1f}",
                      f"{100 * r.published:.1f}" if r.published else "-", f"{100 * r.starved:.1f}",
                      f"{r.fill_cycles:,}", str(r.blocks), str(r.mismatches))
    _console().print(table)
    if path:
        write_atomic(Path(path), json.dumps(about | {"layers": [r.to_dict() for r in results]}, indent=1) + "\n")
    wrong = sum(r.mismatches for r in results)
    wrong += sum(r["mismatches"] for kind in ("pointer_batches", "streamed") for r in about.get(kind, ()))
    if wrong:
        print(f"eyrie: {wrong} outputs differ from golden", file=sys.stderr)
    return 1 if wrong else 0


def clean(args) -> int:
    import shutil
    from hdl.verilog import BUILD
    shutil.rmtree(BUILD, ignore_errors=True)
    return 0


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text}: must be 0 or more")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 or more")
    return value


def _switch(text: str) -> tuple[str, bool | None]:
    layer, _, value = text.rpartition("=")
    values = {"on": True, "off": False, "auto": None}
    if not layer or value not in values:
        raise argparse.ArgumentTypeError(f"{text}: expected LAYER=on, LAYER=off or LAYER=auto")
    return layer, values[value]


def _run_options(p: argparse.ArgumentParser, config: str, limit: int) -> None:
    p.add_argument("--model", metavar="FILE", help="ONNX network (default the project's LeNet-5)")
    p.add_argument("--images", metavar="FILE", help="IDX, .npy, .npz, PNG or a folder of PNGs")
    p.add_argument("--labels", metavar="FILE", help="IDX, .npy, .npz or text")
    p.add_argument("--limit", type=_count, default=limit, metavar="N",
                   help=f"images to run, 0 for all (default {limit})")
    p.add_argument("--calib", metavar="FILE", help="images to calibrate on (default some that are not reported)")
    p.add_argument("--config", default=config, help=f"preset or .json file (default {config})")
    p.add_argument("--batch", type=_positive, default=4, metavar="N", help="images of a program run (default 4)")
    p.add_argument("--mode", choices=("dense", "gate", "skip"), default="gate", help="what a zero activation does (default gate)")
    _sparse_options(p)
    p.add_argument("--rlc", choices=("auto", "on", "off"), default="auto",
                   help="feature maps run-length coded in memory: that get smaller, all that can be, none "
                        "(default auto)")
    p.add_argument("--json", metavar="FILE", help="write the table there")


def _placement_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--placement", choices=("modulo", "balanced", "windows"), default="balanced",
                   help="of a compressed layer's rows on PEs (default balanced)")


def _sparse_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("--sparse", type=_switch, action="append", default=[], metavar="LAYER=on|off|auto",
                   help="run a fully connected layer compressed, on the array, or by its density (auto, the "
                        "default); again for more")
    _placement_option(p)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="eyrie", description="Generator of deep-network accelerators.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    p = commands.add_parser("verilog", help="a configuration's Verilog and its description",
                            description="Writes build/<name>/<name>.v and .json.")
    p.add_argument("--config", default="demo", help="preset or .json file (default demo)")
    p.add_argument("--output", metavar="DIR", help="folder (default build/<name>)")
    p.add_argument("--lint", action="store_true", help="check the result with Verilator and Yosys")
    p.set_defaults(function=verilog)

    p = commands.add_parser("run", help="run a network and compare every layer with golden",
                            description="Quantises, maps, emits, simulates and compares; LeNet-5 on "
                                        "handwritten digits by default.")
    _run_options(p, "demo", 20)
    p.add_argument("--device", choices=("rtl", "golden", "board"), default="rtl",
                   help="rtl: the Verilog under Verilator; golden: the functional interpreter; board: one at --port")
    p.add_argument("--port", metavar="PORT", help="serial port of the board, as /dev/ttyUSB0")
    p.add_argument("--baud", type=_positive, default=3_000_000, metavar="N", help="of the board's port (default 3000000)")
    p.add_argument("--timeout", type=float, default=1.0, metavar="S",
                   help="seconds of silence after which a board is asked again (default 1)")
    p.add_argument("--driver", choices=("cocotb", "cpp"), default="cocotb", help="of the simulator (default cocotb)")
    p.add_argument("--waves", action="store_true", help="write an FST file under build/waves")
    p.set_defaults(function=run)

    p = commands.add_parser("board-sim", help="the main job on a simulated board, over its serial line",
                            description="Simulates a whole board with SDRAM, its serial pins on a pseudo-terminal, and "
                                        "runs the network on it as on a board.")
    _run_options(p, "tiny", 4)
    p.add_argument("--board", metavar="NAME", help="with the preset, clock and memory of this board")
    p.add_argument("--cycles-per-bit", type=float, default=4, metavar="N",
                   help="of the serial line, 4 or more (default 4; 26.7 is 3 Mbaud at 80 MHz)")
    p.set_defaults(function=board_sim, device="board", driver=None, waves=False)

    p = commands.add_parser("sim", help="cocotb benches of the components",
                            description="Runs the benches sim/tb_*.py under Verilator.")
    p.add_argument("bench", nargs="*", help="names without tb_ (default all)")
    p.add_argument("--waves", action="store_true", help="write FST files under build/waves")
    p.add_argument("--seed", type=int, help="seed of the random stalls")
    p.set_defaults(function=sim)

    p = commands.add_parser("fc", help="run a compressed fully connected layer on 64 sparse PEs",
                            description="Runs a sparse matrix on the RTL of the eie64 engine and prints its figures.")
    p.add_argument("--matrix", required=True, metavar="FILE", help=".npz of scipy.sparse.save_npz, int16 values")
    p.add_argument("--activations", metavar="FILE", help=".npy of int16 (default the .npz's array `activations`)")
    p.add_argument("--codebook", metavar="FILE", help=".npy of 16 int16, the first 0 (default the matrix's values)")
    _placement_option(p)
    p.add_argument("--depth", type=_positive, action="append", metavar="N", help="queue depth, again for more (default 8)")
    p.add_argument("--json", metavar="FILE", help="write the table there")
    p.set_defaults(function=fc)

    p = commands.add_parser("bench-fc", help="EIE's nine layers on 64 sparse PEs",
                            description="Synthetic matrices of EIE's table at every queue depth and placement.")
    p.add_argument("layer", nargs="*", help="names (default all nine)")
    p.add_argument("--json", metavar="FILE", help="write the table there")
    p.add_argument("--plot", metavar="FILE", help="write a plot (.svg or .png)")
    p.set_defaults(function=bench_fc)

    def modes(p, default):
        p.add_argument("--config", default="eyeriss", help="preset or JSON file (default eyeriss)")
        p.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                       help="change a field of the configuration (may be repeated)")
        p.add_argument("--mode", choices=("dense", "gate", "skip"), default=default,
                       help=f"what a zero activation does (default {default})")
        p.add_argument("--batch", type=_positive, metavar="N", help="images (default the published batch)")
        p.add_argument("--objective", choices=("cycles", "dram"), default="cycles",
                       help="what mappings are chosen for first (default cycles)")
        p.add_argument("--json", metavar="FILE", help="write the table there")

    def net(p, part):
        p.add_argument("--net", default="alexnet", help="a known network or an ONNX file (default alexnet)")
        p.add_argument("--part", choices=("conv", "fc", "all"), default=part,
                       help=f"convolutions, fully connected layers or both (default {part})")

    p = commands.add_parser("map", help="the mapping of every convolution of a network",
                            description="Searches the best mapping of each layer and says what binds it.")
    net(p, "conv")
    p.add_argument("--all", action="store_true", help="the runners-up too")
    modes(p, "dense")
    p.set_defaults(function=map_)

    p = commands.add_parser("dataflows", help="six dataflows on equal area: accesses, energy, delay",
                            description="Searches the mapping of least energy of each layer for weight, output and "
                                        "row stationary and no local reuse, as in ISCA 2016.")
    net(p, "all")
    p.add_argument("--pes", type=int, default=256, metavar="N", help="PEs (default 256)")
    p.add_argument("--batch", type=_positive, default=16, metavar="N", help="images (default 16)")
    p.add_argument("--dataflow", action="append", metavar="NAME",
                   help="rs, ws, osa, osb, osc or nlr; again for more (default all)")
    p.add_argument("--orders", choices=("published", "any"), default="published",
                   help="of the loops over tiles (default published)")
    p.add_argument("--costs", default="isca2016", metavar="NAME",
                   help="a table of compiler/costs, or a .json file (default isca2016)")
    p.add_argument("--json", metavar="FILE", help="write everything there")
    p.add_argument("--plot", metavar="FILE", help="write pictures there, -conv and -fc in their names")
    p.set_defaults(function=dataflows)

    p = commands.add_parser("energy", help="energy of a network's layers on a configuration",
                            description="By a cost table, from the cost model's accesses or an RTL run's counters.")
    net(p, "conv")
    modes(p, "gate")
    p.add_argument("--costs", default="eyeriss_65nm", metavar="NAME",
                   help="a table of compiler/costs, or a .json file (default eyeriss_65nm)")
    p.add_argument("--run", metavar="FILE", help="a JSON of `eyrie bench`: its counters instead of the model")
    p.add_argument("--layers", metavar="FILE", help="layers as text, 25 entries a line, instead of a network")
    p.add_argument("--out", metavar="FILE", help="their energies: index, input, output, weights, computation")
    p.set_defaults(function=energy)

    p = commands.add_parser("report", help="the tables of a benchmark report, as Markdown and HTML",
                            description="From the results of runs in a folder; writes report.md and report.html there.")
    p.add_argument("--results", default="docs/results", metavar="DIR", help="default docs/results")
    p.add_argument("--costs", default="eyeriss_65nm", metavar="NAME",
                   help="a table of compiler/costs, or a .json file (default eyeriss_65nm)")
    p.set_defaults(function=report)

    p = commands.add_parser("precision", help="accuracy as activations and weights become narrower",
                            description="A network through golden at widths from 16 bits down, linear against a codebook, "
                                        "all layers and each alone.")
    p.add_argument("--model", metavar="FILE", help="ONNX network (default the project's LeNet-5)")
    p.add_argument("--images", metavar="FILE", help="IDX, .npy, .npz, PNG or a folder of PNGs")
    p.add_argument("--labels", metavar="FILE", help="IDX, .npy, .npz or text")
    p.add_argument("--limit", type=_count, default=0, metavar="N", help="images to run, 0 for all (default 0)")
    p.add_argument("--calib", metavar="FILE", help="images to calibrate on (default some that are not reported)")
    p.add_argument("--bits", type=int, nargs="+", default=[16, 12, 10, 8, 7, 6, 5, 4], metavar="N", help="widths, 2..16")
    p.add_argument("--psum-bits", type=int, choices=range(24, 33), default=32, metavar="N", help="24..32 (default 32)")
    p.add_argument("--overall", action="store_true", help="all layers together only")
    p.add_argument("--json", metavar="FILE", help="write the table there")
    p.add_argument("--plot", metavar="FILE", help="write a picture there")
    p.set_defaults(function=precision)

    p = commands.add_parser("explore", help="a network on many configurations: the front of cycles, energy and area",
                            description="Every combination of the swept fields, by the model, on all cores or a Dask "
                                        "cluster; what is done is kept.")
    net(p, "conv")
    modes(p, "gate")
    p.add_argument("--sweep", action="append", metavar="FIELD=VALUE,...",
                   help="values of a field of the configuration; again for more fields")
    p.add_argument("--exact", action="store_true", help="cycles and energy of the front from the commands, too")
    p.add_argument("--costs", default="eyeriss_65nm", metavar="NAME",
                   help="a table of compiler/costs, or a .json file (default eyeriss_65nm)")
    p.add_argument("--pe-area", type=_count, default=1024, metavar="N",
                   help="logic of a PE in bytes of a large buffer (default 1024)")
    p.add_argument("--jobs", type=_positive, metavar="N", help="points at a time (default one a core)")
    p.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, as tcp://host:8786")
    p.add_argument("--plot", metavar="FILE", help="write a picture there")
    p.set_defaults(function=explore)

    p = commands.add_parser("scale", help="a network's convolutions on arrays from 12 to 336 PEs",
                            description="The cost model for arrays of several sizes, or a memory of several latencies, "
                                        "beside the RTL where measured.")
    p.add_argument("--by", choices=tuple(SWEEPS), default="array", help="what is changed (default array)")
    p.add_argument("--net", choices=("alexnet", "vgg16"), default="alexnet", help="default alexnet")
    p.add_argument("--plot", metavar="FILE", help="write a picture there")
    modes(p, "dense")
    p.set_defaults(function=scale)

    p = commands.add_parser("bench", help="a network's convolutions on the RTL against the Eyeriss chip",
                            description="Simulates every layer, compares each ofmap with golden, keeps what is done.")
    p.add_argument("--net", choices=("alexnet", "vgg16"), default="alexnet", help="default alexnet")
    p.add_argument("--layer", action="append", metavar="NAME", help="only this one (may be repeated)")
    p.add_argument("--jobs", type=_positive, metavar="N", help="layers at a time (default one a core)")
    p.add_argument("--clustered", action="store_true", help="zeros in patches and by channel, as ReLU leaves them")
    p.add_argument("--plot", metavar="FILE", help="write a picture there")
    modes(p, "dense")
    p.set_defaults(function=bench)

    p = commands.add_parser("fpga", help="a board's bitstream, and its report",
                            description="Builds build/fpga/<board>-<preset>/ with Yosys and nextpnr.")
    p.add_argument("board", help="a board, or list")
    p.add_argument("--seed", type=_positive, default=1, metavar="N", help="of placement (default 1)")
    p.add_argument("--json", metavar="DIR", help="write <board>-<preset>.json there")
    p.set_defaults(function=fpga)

    p = commands.add_parser("flash", help="load a board with its bitstream",
                            description="Runs the board's loader on what `eyrie fpga` has built.")
    p.add_argument("board")
    p.add_argument("--persist", action="store_true", help="into flash, to stay after power is off")
    p.set_defaults(function=flash)

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
    _sparse_options(p)
    p.add_argument("--huffman", action="store_true",
                   help="memory.huff with Huffman-coded streams of compressed layers in place of memory.bin")
    p.set_defaults(function=compile_)

    p = commands.add_parser("unpack", help="the plain memory image of a compiled folder",
                            description="Decodes memory.huff of `eyrie compile --huffman`.")
    p.add_argument("folder", metavar="DIR", help="of an earlier compile")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the image, as memory.bin")
    p.set_defaults(function=unpack)
    return top


def main(argv: list[str] | None = None) -> int:
    """Runs one command; errors of the user are one line on stderr and status 2."""
    args = parser().parse_args(argv)
    try:
        return args.function(args)
    except (ValueError, OSError) as e:
        print(f"eyrie: error: {e}", file=sys.stderr)
        return 2
    except RuntimeError as e:  # a tool or the simulator failed
        if type(e).__module__.partition(".")[0] not in ("sim", "compiler", "fpga"):
            raise
        print(f"eyrie: error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
