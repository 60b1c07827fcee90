"""The convolutions of a network on the RTL, layer by layer, against the Eyeriss chip.

Weights are random, ifmaps random with the published share of zeros, biases such that each
ofmap has the next layer's share; ofmaps are written unpooled. Every ofmap is compared with
golden. Layers are independent jobs over the local cores; a finished one is kept under
build/bench, named by the content of everything that it depends on.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.lowering.structures.program import Program
from compiler.mapping.mapper import Mapper
from compiler.model import cost, timeline
from compiler.networks.layer_tables import ConvLayer, Network
from compiler.quantise.fixed_point import ConvNumbers, QuantisedGraph, golden_run
from compiler.runtime.run import start_segment
from golden.conv import conv2d
from golden.fixed import INT16_MAX
from hdl.config import Config
from hdl.emit.files import BUILD
from hdl.emit.sources import fingerprint
from hdl.emit.verilog import emit
from hdl.isa import Mode
from sim import device as sim_device
from sim.build import simulator_key
from sim.device import SimDevice

FOLDER = BUILD / "bench"
PE_CAUSES = ("busy", "wait_filter", "wait_ifmap", "wait_psum", "wait_hazard", "idle")


@dataclass
class LayerBench:
    """A layer on the RTL. cycles: doorbell to completion, of all images; stalls: share of all
    PE-cycles by cause (`unused`: PEs that the mapping leaves out); chip_cycles: the Eyeriss chip's
    for as many images; seconds: of simulation. model_cycles: of compiler/model/timeline.py;
    estimate_cycles, model_dram_bytes: of the mapper; accesses: of compiler/model/cost.py;
    counters_equal: whether these counts are those of the RTL, all of cost.EXACT."""

    name: str
    cycles: int
    macs: int
    nonzero_macs: int
    dram_bytes: int
    mismatches: int
    stalls: dict[str, float]
    utilisation: float
    model_cycles: int
    model_dram_bytes: int
    bound: str
    mapping: str
    pes: int
    chip_cycles: float
    zeros: float
    ofmap_zeros: float
    seconds: float
    counters: dict[str, int] = field(default_factory=dict)
    estimate_cycles: int = 0
    accesses: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    counters_equal: bool = False

    def to_dict(self) -> dict:
        return asdict(self)


def make_layer(
    network: Network,
    layer: ConvLayer,
    batch: int,
    seed: int = 1,
    clustered: bool = False,
    psum_bits: int = 32,
) -> tuple[QuantisedGraph, np.ndarray]:
    """A network of this one layer and its int16 images [batch, C, H, W], smaller numbers for
    narrower psums.

    clustered: zeros in patches and more in some channels than in others, as ReLU leaves them,
    instead of independent of each other.
    """
    rng = np.random.default_rng([seed, sum(layer.name.encode()), layer.C, layer.M])
    shape = (batch, layer.C, layer.H, layer.H)
    scale = 2.0 ** ((psum_bits - 32) / 2)
    weights = np.clip(
        np.rint(rng.normal(0, 600 * scale, (layer.M, layer.C // layer.groups, layer.R, layer.R))),
        -INT16_MAX,
        INT16_MAX,
    ).astype(np.int16)
    images = np.rint(np.abs(rng.normal(0, 2000 * scale, shape))).clip(1, INT16_MAX).astype(np.int16)
    if clustered:
        field_ = rng.normal(0, 1, shape)
        for axis in (2, 3):  # neighbours share
            field_ = field_ + np.roll(field_, 1, axis) + np.roll(field_, -1, axis)
        field_ = field_ / field_.std() + rng.normal(0, 0.5, (1, layer.C, 1, 1))
        images[field_ < np.quantile(field_, layer.zeros)] = 0
    else:
        images[rng.random(shape) < layer.zeros] = 0
    graph = layer.graph(weights.astype(np.float32))
    conv = graph.layers[0]
    psums = conv2d(images, weights, stride=conv.stride, pads=conv.pads, groups=layer.groups).exact
    share = network.ofmap_zeros(layer)
    flat = psums.transpose(1, 0, 2, 3).reshape(layer.M, -1)
    bias = -np.quantile(flat[:, :: max(1, flat.shape[1] // 20_000)], share, axis=1)
    shift = max(0, int(np.abs(flat).max()).bit_length() - 15)
    numbers = ConvNumbers(weights, np.rint(bias).astype(np.int32), 0, shift)
    return QuantisedGraph(
        graph,
        psum_bits,
        {"in": 0, "out": 0},
        {layer.name: numbers},
        {},
        zeros={"in": layer.zeros, "out": share},
    ), images


def nonzero_macs(layer: ConvLayer, images: np.ndarray) -> int:
    """MACs whose activation is not zero; padding counts as zero."""
    count = np.pad((images != 0).sum((0, 1)), layer.pad)
    span = layer.stride * (layer.E - 1) + 1
    return (
        int(
            sum(
                count[y : y + span : layer.stride, x : x + span : layer.stride].sum()
                for y in range(layer.R)
                for x in range(layer.R)
            )
        )
        * layer.M
        // layer.groups
    )


def _key(program: Program, images: np.ndarray, config: Config) -> str:
    """Of the result of `simulate`: the simulator and what it is given, and what computes the rest
    here. The modules of hdl count by the Verilog that they make."""
    text, sidecar = emit(config)
    memory = f"{config.dram_bytes_per_cycle} {config.dram_latency}"  # not in the Verilog
    own = b"".join(Path(file).read_bytes() for file in (__file__, sim_device.__file__))
    key = hashlib.sha256()
    for part in (
        simulator_key(text, sidecar["top"]).encode(),
        program.commands,
        program.constants,
        images.tobytes(),
        memory.encode(),
        own,
        repr(program.segments[-1].mapping).encode(),
        fingerprint(
            "compiler.model.cost", "compiler.model.timeline", "compiler.runtime.run"
        ).encode(),
    ):
        key.update(hashlib.sha256(part).digest())
    return key.hexdigest()[:16]


def run_layer(
    network: Network,
    layer: ConvLayer,
    batch: int,
    config: Config,
    mode: Mode,
    seed: int = 1,
    clustered: bool = False,
    objective: str = "cycles",
) -> LayerBench:
    """Compile, simulate and compare one layer; or the result of that, if it is kept."""
    quantised, images = make_layer(network, layer, batch, seed, clustered, config.psum_bits)
    program = compile_network(
        quantised, config, Options(images=batch, mode=mode, mapper=Mapper(config, objective))
    )
    kept = FOLDER / f"{network.name}-{layer.name}-{_key(program, images, config)}.json"
    chip = layer.chip_cycles * batch / network.batch
    if kept.exists():
        return replace(LayerBench(**json.loads(kept.read_text())), chip_cycles=chip)
    result = simulate(layer, quantised, program, images, config)
    result.chip_cycles = chip
    FOLDER.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(result.to_dict()))
    partial.rename(kept)
    return result


def simulate(
    layer: ConvLayer,
    quantised: QuantisedGraph,
    program: Program,
    images: np.ndarray,
    config: Config,
) -> LayerBench:
    """The RTL's run of a compiled layer."""
    batch = len(images)
    begin = time.monotonic()
    segment = program.segments[-1]
    with SimDevice(config, "cpp", -(-(program.end + 4096) // 4096) * 4096) as device:
        program.load(device)
        program.write_input(device, images)
        counters: dict[str, int] = {}
        for part in program.segments:  # a reorder of the input counts
            for name, value in start_segment(program, device, part).counters.items():
                counters[name] = counters.get(name, 0) + value
        got = program.read_tensor(device, "out")
        memory = np.frombuffer(device.read(program.base, program.constant - program.base), np.uint8)
    seconds = time.monotonic() - begin
    want = golden_run(quantised, images).tensors["out"]
    model, counted, accesses = 0, {}, {}
    for part in program.segments:
        work = cost.work(program, part, memory)
        found = cost.count(work)
        model += timeline.cycles(work)
        counted, accesses = (
            cost.added(counted, found.counters),
            cost.added(accesses, found.accesses),
        )
    cycles, m = counters["cycles"], segment.mapping
    slots = cycles * config.pes
    stalls = {name: counters[f"pe_{name}"] / slots for name in PE_CAUSES}
    unused = 1 - m.pes / config.pes
    stalls["idle"] -= unused
    stalls["unused"] = unused
    dense = batch * layer.macs
    return LayerBench(
        layer.name,
        cycles,
        dense,
        nonzero_macs(layer, images),
        counters["dram_read_bytes"] + counters["dram_write_bytes"],
        int((got != want).sum()) if got.shape == want.shape else want.size,
        stalls,
        dense / (cycles * config.multipliers),
        model,
        m.dram_bytes * layer.groups,
        m.bound,
        str(m),
        m.pes,
        0.0,
        float((images == 0).mean()),
        float((want == 0).mean()),
        seconds,
        counters,
        m.cycles * layer.groups,
        accesses,
        all(counters[name] == counted[name] for name in cost.EXACT),
    )


def run_bench(
    network: Network,
    config: Config,
    mode: Mode,
    batch: int,
    jobs: int,
    layers: list[ConvLayer],
    progress: Callable[[LayerBench], None],
    **options,
) -> list[LayerBench]:
    """All layers, `jobs` at a time, the largest first; results in the order of the network."""
    results: dict[str, LayerBench] = {}
    with ProcessPoolExecutor(jobs) as pool:
        waiting = {
            pool.submit(run_layer, network, layer, batch, config, mode, **options): layer
            for layer in sorted(layers, key=lambda layer: -layer.macs)
        }
        for done in as_completed(waiting):
            results[waiting[done].name] = done.result()
            progress(done.result())
    return [results[layer.name] for layer in layers]
