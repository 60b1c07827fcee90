"""The mapping of every convolution of a network, with what binds it and the runners-up: `make map`.

Results are kept under build/map, named by the content of all that they depend on.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.table import Table

from compiler.frontend.onnx_import import load
from compiler.graph import Graph
from compiler.layers import Conv
from compiler.lowering.single import compile_mapped
from compiler.lowering.structures.options import Options
from compiler.lowering.structures.shape import conv_shape
from compiler.mapping.layout import BLOCK_SIZES, OUT_SIZES
from compiler.mapping.mapping import Mapping, MappingError, Shape, estimate
from compiler.mapping.search import ranking
from compiler.model import access_estimate, cost, timeline
from compiler.networks.classics import CLASSICS, classic
from compiler.networks.layer_tables import NETWORKS, Network
from compiler.progress import Progress, silent
from compiler.tables import new_table
from hdl.config import Config
from hdl.emit.files import BUILD
from hdl.emit.sources import fingerprint
from hdl.isa import Mode

FOLDER = BUILD / "map"
SAVED = 3  # runners-up


@dataclass
class MappedLayer:
    """A convolution of all groups. block: channels of a block of its ifmap (q_T); cycles,
    dram_bytes, shares (what takes how many cycles): of all groups; bound: the largest of shares;
    macs: of the batch; chip_cycles: of the Eyeriss chip, None if not published. accesses: exact, as
    model_cycles, where commands were made, else estimated, with model_cycles 0."""

    name: str
    mapping: str
    block: int
    pes: int
    cycles: int
    macs: int
    dram_bytes: int
    bound: str
    shares: dict[str, int]
    utilisation: float
    runners_up: list[dict]
    chip_cycles: float | None = None
    model_cycles: int = 0
    accesses: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)


def layers_of(
    network: Network, part: str = "conv"
) -> list[tuple[Graph, Conv, dict[str, float], float | None]]:
    """(graph, layer, zeros by tensor, the chip's cycles for an image) of a network's layers."""
    found = []
    for layer in network.part(part):
        graph = layer.graph()
        (conv,) = graph.layers
        assert isinstance(conv, Conv)
        zeros = {"in": layer.zeros, "out": network.ofmap_zeros(layer)}
        chip_cycles = layer.chip_cycles and layer.chip_cycles / network.batch
        found.append((graph, conv, zeros, chip_cycles))
    return found


def layers_named(
    net: str, part: str, batch: int | None
) -> tuple[list[tuple[Graph, Conv, dict[str, float], float | None]], int]:
    """(layers of a part of a known network or an ONNX file, as layers_of gives them; batch, by
    default the published one, or 1). Raises ValueError."""
    if net in NETWORKS:
        return layers_of(NETWORKS[net], part), batch or NETWORKS[net].batch
    if net.endswith(".onnx") or net in CLASSICS:
        graph = load(classic(net).SerializeToString() if net in CLASSICS else net)
        convs = [
            layer
            for layer in graph.layers
            if isinstance(layer, Conv) and part in ("all", "fc" if layer.full else "conv")
        ]
        return [(graph, layer, {}, None) for layer in convs], batch or 1
    raise ValueError(
        f"network {net!r}: choose from {', '.join({**NETWORKS, **CLASSICS})}, or give a .onnx file"
    )


def map_layer(
    graph: Graph,
    layer: Conv,
    zeros: dict[str, float],
    batch: int,
    config: Config,
    mode: Mode,
    objective: str = "cycles",
    commands: bool = False,
) -> MappedLayer:
    """The best mapping over all block sizes of ifmap and ofmap; with `commands` it is emitted, and
    its commands counted. Raises MappingError naming the layer."""
    shapes, first = _shapes(graph, layer, zeros, batch, mode)
    modules = (
        "compiler.mapping.search",
        "compiler.mapping.layout",
        *(
            ("compiler.lowering.single", "compiler.model.cost", "compiler.model.timeline")
            if commands
            else ("compiler.model.access_estimate",)
        ),
    )
    # Zeros and mode are not all in the shapes, but decide accesses.
    depends = (
        shapes,
        config.to_dict(),
        objective,
        mode,
        sorted(zeros.items()),
        fingerprint(*modules),
    )
    key = hashlib.sha256(repr(depends).encode() + Path(__file__).read_bytes()).hexdigest()[:24]
    kept = FOLDER / f"{key}.json"
    if kept.exists():
        found = MappedLayer(**json.loads(kept.read_text()))
        return dataclasses.replace(found, name=layer.name)

    ranked = _ranked(layer, shapes, first, config, objective)
    best, shape = ranked[0]
    result = _of_ranked(layer, ranked, config)
    if commands:
        options = Options(images=batch, mode=mode, zeros=zeros)
        todo = compile_mapped(graph, layer, shape.of(best), best, config, options)
        work = cost.work(todo, todo.segments[0], cost.image(todo, {}, zeros))
        result.accesses, result.model_cycles = cost.count(work).accesses, timeline.cycles(work)
    else:
        result.accesses = access_estimate.accesses(
            shape.of(best),
            best,
            config,
            best.mode(mode),
            zeros.get("in", 0.0),
            shape.times(best, layer.groups),
        )
    FOLDER.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(dataclasses.asdict(result)))
    partial.rename(kept)
    return result


def _out_sizes(layer: Conv) -> list[int]:
    """Block sizes that an ofmap may have: filters of a group end on a block."""
    each = len(layer.weights) // layer.groups
    free = layer.groups == 1 or layer.depthwise  # whose mappings see to it
    return [block for block in BLOCK_SIZES if free or each % block == 0]


def _shapes(
    graph: Graph, layer: Conv, zeros: dict[str, float], batch: int, mode: Mode
) -> tuple[list[Shape], int]:
    """(the layer's shape for each block size of its ifmap; their block size of the ofmap)."""
    channels = graph.tensors[layer.input].channels
    each = channels if layer.depthwise else channels // layer.groups
    first = max(block for block in _out_sizes(layer) if block <= 8)
    shapes = [
        conv_shape(
            graph,
            layer,
            batch,
            np.arange(channels),
            block,
            first,
            mode=mode,
            zeros=zeros,
            uncoded=(),
        )
        for block in BLOCK_SIZES
        if block <= each and (layer.groups == 1 or layer.depthwise or each % block == 0)
    ]
    return shapes, first


def _ranked(
    layer: Conv, shapes: list[Shape], first: int, config: Config, objective: str
) -> list[tuple[Mapping, Shape]]:
    """The mappings of these shapes, and of the best one's with other blocks of the ofmap than
    `first`; best first. Raises MappingError."""
    ranked: list[tuple[Mapping, Shape]] = []

    def figures(item: tuple[Mapping, Shape]) -> tuple[int, int]:
        m, _ = item
        return (m.dram_bytes, m.cycles) if objective == "dram" else (m.cycles, m.dram_bytes)

    def add(some: list[Shape]) -> None:
        for shape in some:
            ranked.extend((m, shape) for m in ranking(shape, config, objective))
        ranked.sort(key=figures)

    add(shapes)
    if not ranked and layer.depthwise:  # no pass of whole blocks of `first`
        add([dataclasses.replace(shape, out_block=n) for shape in shapes for n in (4, 2, 1)])
    if not ranked:
        raise MappingError(f"layer {layer.name!r}: no mapping fits {config.name!r}")
    blocks = [block for block in OUT_SIZES if block in _out_sizes(layer) and block != first]
    add([dataclasses.replace(ranked[0][1], out_block=block) for block in blocks])
    return ranked


def _of_ranked(layer: Conv, ranked: list[tuple[Mapping, Shape]], config: Config) -> MappedLayer:
    """The first of them with the runners-up, its accesses not counted yet."""
    best, shape = ranked[0]
    part = shape.of(best)
    _, _, shares = estimate(part, best, config)
    groups = shape.repeats(layer.groups)
    times = shape.times(best, layer.groups) // part.parts
    return MappedLayer(
        layer.name,
        str(best),
        shape.block,
        best.pes,
        best.cycles * groups,
        shape.macs * groups,
        best.dram_bytes * groups,
        best.bound,
        {name: int(n) * times for name, n in shares.items()},
        shape.macs / (best.cycles * config.multipliers),
        [
            dict(
                mapping=str(m),
                block=s.block,
                cycles=m.cycles * groups,
                dram_bytes=m.dram_bytes * groups,
                bound=m.bound,
            )
            for m, s in ranked[1 : 1 + SAVED]
        ],
    )


@dataclass
class NetworkMap:
    """Layers of a network on a configuration, of a batch of images. mode: what zeros do; objective:
    what mappings were chosen for first."""

    net: str
    config: Config
    batch: int
    mode: str
    objective: str
    rows: list[MappedLayer]

    @property
    def total(self) -> dict:
        """Of all layers."""
        return {
            "cycles": sum(r.cycles for r in self.rows),
            "macs": sum(r.macs for r in self.rows),
            "dram_bytes": sum(r.dram_bytes for r in self.rows),
            "model_cycles": sum(r.model_cycles for r in self.rows),
            "accesses": functools.reduce(cost.added, (r.accesses for r in self.rows), {}),
        }

    def table(self, runners_up: bool = False) -> Table:
        """A row a layer, with `runners_up` those below it, and one for all."""
        table = new_table(
            f"{self.net} on {self.config.name}, batch {self.batch}, {self.mode}, {self.objective} "
            "first: "
            "a model, not a measurement",
            ("layer", "mapping", "bound by"),
            "layer",
            "mapping",
            "q_T",
            "PEs",
            "estimate",
            "model",
            "chip's",
            "of peak %",
            "DRAM MB",
            "DRAM/MAC",
            "GLB/MAC",
            "bound by",
            "next best",
        )

        def per_mac(accesses, macs):
            return [f"{cost.per_mac(accesses, level, macs):.4f}" for level in ("dram", "glb")]

        for r in self.rows:
            second = r.runners_up[0] if r.runners_up else None
            table.add_row(
                r.name,
                r.mapping,
                str(r.block),
                str(r.pes),
                f"{r.cycles:,}",
                f"{r.model_cycles:,}",
                f"{r.chip_cycles:,.0f}" if r.chip_cycles else "-",
                f"{100 * r.utilisation:.1f}",
                f"{r.dram_bytes / 1e6:.2f}",
                *per_mac(r.accesses, r.macs),
                r.bound,
                f"+{100 * (second['cycles'] / r.cycles - 1):.1f} %" if second else "-",
            )
            for other in r.runners_up if runners_up else ():
                table.add_row(
                    "",
                    other["mapping"],
                    str(other["block"]),
                    "",
                    f"{other['cycles']:,}",
                    "",
                    "",
                    "",
                    f"{other['dram_bytes'] / 1e6:.2f}",
                    "",
                    "",
                    other["bound"],
                    "",
                )
        total, chip = self.total, [r.chip_cycles for r in self.rows if r.chip_cycles]
        table.add_section()
        table.add_row(
            "all",
            "",
            "",
            "",
            f"{total['cycles']:,}",
            f"{total['model_cycles']:,}",
            f"{sum(chip):,.0f}" if len(chip) == len(self.rows) else "-",
            f"{100 * total['macs'] / total['cycles'] / self.config.multipliers:.1f}",
            f"{total['dram_bytes'] / 1e6:.2f}",
            *per_mac(total["accesses"], total["macs"]),
            "",
            "",
        )
        return table

    def to_dict(self) -> dict:
        return {
            "config": self.config.to_dict(),
            "batch": self.batch,
            "mode": self.mode,
            "objective": self.objective,
            "total": self.total,
            "layers": [dataclasses.asdict(r) for r in self.rows],
        }


def map_network(
    net: str,
    part: str,
    batch: int | None,
    config: Config,
    mode: Mode,
    objective: str,
    progress: Progress = silent,
) -> NetworkMap:
    """A part of a known network or an ONNX file, with the commands counted. progress: layers done,
    of how many, the one that is mapped. Raises MappingError, ValueError."""
    layers, batch = layers_named(net, part, batch)
    if not layers:
        raise MappingError(f"{net} has no {part} layers")
    rows = []
    for graph, layer, zeros, chip in layers:
        progress(len(rows), len(layers), layer.name)
        rows.append(map_layer(graph, layer, zeros, batch, config, mode, objective, commands=True))
        rows[-1].chip_cycles = chip and chip * batch
    return NetworkMap(net, config, batch, mode.name.lower(), objective, rows)
