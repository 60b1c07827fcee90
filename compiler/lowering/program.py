"""A quantised network as a program: commands, constants and an address map."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from compiler.graph import Add, Concat, Conv, Graph, NetworkError, Pool, Relu
from compiler.lowering.coded import choose
from compiler.lowering.commands import Schedule
from compiler.lowering.emit import (
    MOST_BLOCKS,
    Blob,
    StoreTiles,
    emit_conv,
    emit_store,
    loaded_words,
)
from compiler.lowering.sparse_emit import emit_sparse
from compiler.mapping.layout import BLOCK_SIZES, Storage, View, concat_parts, plan_views
from compiler.mapping.mapper import Mapper, Search
from compiler.mapping.mapping import Mapping, MappingError, Shape, ceil, chunk_of
from compiler.quantise.fixed_point import ConvNumbers, QuantisedGraph
from compiler.sparse.csc import sparse
from compiler.sparse.share import SHARED, codebook_of
from compiler.sparse.slicing import SparseLayer, plan_sparse, positions_of, vector_size
from compiler.sparse.stored import Table
from golden.rlc import expected_bytes
from hdl.config import Config
from hdl.isa import COMMAND_BYTES, Mode

ALIGN = 4096  # of every region in memory
# a denser layer is hardly smaller compressed: an entry costs half a word, and pointers
MOST_DENSE = 0.5


@dataclass
class Segment:
    """The commands of one layer (with a pool fused into it)."""

    name: str
    kind: str  # 'conv', 'fc', 'pool', 'add', 'relu', 'copy', 'reorder'
    output: str  # the view that is in memory afterwards
    first: int  # index of its first command
    count: int
    macs: int = 0  # of the batch
    filter_words: int = 0  # 64-bit words of filters, each sent to the array once at least
    mapping: Mapping | None = None
    pes: int = 0  # PEs that the mapping uses
    sparse: SparseLayer | None = None
    # of a sparse layer: 64-bit words of weights, pointers and vectors that a batch loads
    load_words: int = 0
    copied: str = ""  # of a reorder: the tensor that `output` is a second view of
    layer: str = ""  # the layer that `name` begins with, where a fused pool follows
    joined: tuple[str, ...] = ()  # Concats of tensors in place, which are whole with this output

    @property
    def tensor(self) -> str:
        """The tensor that `output` holds."""
        return self.copied or self.output

    @property
    def written(self) -> list[tuple[str, str]]:
        """(view, tensor in it) of all that is in memory after this layer and was not before."""
        return [(self.output, self.tensor), *((name, name) for name in self.joined)]


@dataclass
class Program:
    """What a device needs to run a network on a batch of `images`.

    Memory, in bytes: tensors from `base` to `constant`, which the device writes; then
    `constants`, and `commands` from `program` to `end`, which it only reads. `segments`
    are in order; each may be started by itself.
    """

    config: Config
    graph: Graph
    images: int
    base: int
    constant: int
    program: int
    end: int
    commands: bytes
    constants: bytes
    views: dict[str, View]
    segments: list[Segment]
    tables: list[Table]  # streams of the sparse engine in `constants`

    @property
    def command_count(self) -> int:
        return len(self.commands) // COMMAND_BYTES

    @property
    def memory(self) -> bytes:
        """What lies from `constant` to `end`."""
        return self.constants.ljust(self.program - self.constant, b"\0") + self.commands

    def load(self, device) -> None:
        """Write constants and commands to a device's memory."""
        device.write(self.constant, self.memory)

    def write_input(self, device, values: np.ndarray) -> None:
        """Put int16 [N, C, H, W], N <= images, where the network reads its input."""
        view = self.views[self.graph.input]
        memory = np.zeros(self.images * view.storage.image_bytes, np.uint8)
        view.pack(values, memory)
        device.write(view.storage.address, memory.tobytes())

    def read_tensor(self, device, name: str) -> np.ndarray:
        """int16 [images, C, H, W] of a tensor in memory."""
        view = self.views[name]
        size = self.images * view.storage.image_bytes
        raw = np.frombuffer(device.read(view.storage.address, size), np.uint8)
        return view.unpack(raw, self.images)


def conv_shape(
    graph: Graph,
    layer: Conv,
    images: int,
    slots: np.ndarray,
    block: int,
    out_block: int,
    pool: Pool | None = None,
    *,
    mode: Mode,
    zeros: dict[str, float],
    uncoded: Collection[str],
) -> Shape:
    """The Shape of one group of a convolution over an input in blocks of `block` channels. zeros:
    share by tensor; uncoded: tensors that are not run-length coded in memory."""
    _, height, width = graph.tensors[layer.input].shape
    _, E, F = graph.tensors[layer.output].shape
    channels = layer.weights.shape[1]
    of_group = slots.reshape(layer.groups, channels)
    span = int((of_group.max(1) // block - of_group.min(1) // block).max()) + 1

    def coded(name, width, block):
        if name in uncoded or name not in zeros:
            return 1.0
        return min(
            1.0, expected_bytes(zeros[name], 1, width * block) / (8 * ceil(width * block, 4))
        )

    return Shape(
        images,
        channels,
        height,
        width,
        len(layer.weights) // layer.groups,
        *layer.kernel,
        E,
        F,
        *layer.stride,
        block,
        span,
        out_block,
        (pool.kernel[0], pool.stride[0]) if pool else None,
        1 - zeros.get(layer.input, 0) if mode is Mode.SKIP else 1.0,
        coded(layer.input, width, block),
        coded(pool.output if pool else layer.output, F, out_block),
    )


def compile_mapped(
    graph: Graph,
    layer: Conv,
    shape: Shape,
    m: Mapping,
    config: Config,
    images: int,
    mode: Mode,
    zeros: dict[str, float],
) -> Program:
    """A convolution alone with this mapping, filters of zeros; its tensors in the blocks of the
    shape, and coded where zeros make them smaller."""
    views = {}
    for name, block in ((layer.input, shape.block), (layer.output, shape.out_block)):
        tensor = graph.tensors[name]
        views[name] = View(
            Storage(name, tensor.height, tensor.width, block, ceil(tensor.channels, block)),
            0,
            np.arange(tensor.channels),
        )
    alone = Graph(layer.input, layer.output, [layer], {name: graph.tensors[name] for name in views})
    choose(
        "auto",
        views,
        _uses(alone, views, config, {layer.name: m}, {layer.name: shape}, {}, {}, set()),
        zeros,
        set(),
    )
    at = 0
    for view in views.values():
        view.storage.address = at
        at += ceil(view.storage.image_bytes * images, ALIGN) * ALIGN
    schedule, blob = Schedule(), Blob(at)
    numbers = ConvNumbers(
        np.zeros(layer.weights.shape, np.int16), np.zeros(len(layer.weights), np.int32), 0, 0
    )
    emit_conv(
        schedule,
        config,
        layer,
        numbers,
        views[layer.input],
        views[layer.output],
        shape,
        m,
        blob,
        graph.tensors[layer.output].shape[1:],
        mode,
        images,
    )
    macs = images * layer.weights[0].size * graph.tensors[layer.output].size
    segment = Segment(
        layer.name, "conv", layer.output, 0, len(schedule.commands), macs, blob.size // 8, m, m.pes
    )
    program = ceil(blob.address + blob.size, ALIGN) * ALIGN
    return Program(
        config,
        alone,
        images,
        0,
        blob.address,
        program,
        program + len(schedule.commands) * COMMAND_BYTES,
        schedule.pack(),
        blob.bytes(),
        views,
        [segment],
        [],
    )


def _cost(mapping: Mapping, objective: str) -> int:
    """What blocks of tensors are chosen by: bytes of traffic, or cycles."""
    return mapping.dram_bytes if objective == "dram" else mapping.cycles


def _reorder(
    graph: Graph,
    layer: Conv,
    view: View,
    shape_of,
    search: Search,
    images: int,
    config: Config,
    objective: str,
) -> int | None:
    """Blocks of a copy of the layer's input, as the last resort: only where the estimate gains a
    tenth of the layer after paying for the copy."""
    tensor = graph.tensors[layer.input]
    if not view.plain:
        return None

    @functools.cache
    def cost(block):
        found = search(shape_of(layer, view.slots, block, 1))
        return _cost(found, objective) * layer.groups if found else float("inf")

    def copying(block):
        entries = images * tensor.size
        if objective == "dram":
            return 4 * entries
        return 300 + max(
            entries / chunk_of(config, view.storage.block, block),
            4 * entries / config.dram_bytes_per_cycle,
        )

    sizes = [q for q in BLOCK_SIZES if q <= tensor.channels and q != view.storage.block]
    best = min(sizes, key=lambda q: cost(q) + copying(q), default=None)
    return (
        best
        if best is not None and cost(best) + copying(best) < 0.9 * cost(view.storage.block)
        else None
    )


def _incompressible(network: QuantisedGraph, layer, config: Config) -> str | None:
    """Why a layer cannot run on the sparse engine; None if it can."""
    graph = network.graph
    if not config.sparse_pes:
        return f"config {config.name!r} has no sparse engine"
    if (
        not isinstance(layer, Conv)
        or layer.groups != 1
        or any(layer.pads)
        or layer.kernel != graph.tensors[layer.input].shape[1:]
    ):
        return "it is not a fully connected layer"
    values = np.count_nonzero(np.unique(network.convs[layer.name].weights))
    if values > SHARED:
        return f"it has {values} distinct non-zero weights, a codebook holds {SHARED}"
    if any(isinstance(reader, Concat) for reader in graph.consumers(layer.output)):
        return "a Concat reads its output"
    return None


def _plan_compressed(
    network: QuantisedGraph,
    views: dict[str, View],
    config: Config,
    most: float,
    placement: str,
    switches: dict[str, bool | None],
) -> dict[str, SparseLayer]:
    """The fully connected layers for the sparse engine, encoded in the order of the network:
    each one's rows are permuted, and the permutation is its output's View."""
    graph, plans = network.graph, {}
    names = [layer.name for layer in graph.layers]
    for name in switches:
        if name not in names:
            raise NetworkError(f"no layer {name!r}: choose from {', '.join(names)}")
    for layer in graph.layers:
        switch = switches.get(layer.name)
        reason = _incompressible(network, layer, config)
        if switch and reason:
            raise NetworkError(f"layer {layer.name!r} cannot be compressed: {reason}")
        if reason or switch is False:
            continue
        _, height, width = graph.tensors[layer.input].shape
        weights = network.convs[layer.name].weights
        if switch is None and np.count_nonzero(weights) > most * weights.size:
            continue
        readers = graph.consumers(layer.output)
        source = views[layer.input]
        matrix = np.zeros((len(weights), vector_size(source)), np.int16)
        matrix[:, positions_of(source, height, width).reshape(-1)] = weights.reshape(
            len(weights), -1
        )
        # Only convolutions and the host undo a permutation.
        keep = all(isinstance(reader, Conv) for reader in readers)
        codebook = codebook_of(weights)
        try:
            plan = plan_sparse(
                sparse(matrix, codebook), codebook, config, placement if keep else "modulo"
            )
        except MappingError as e:
            raise MappingError(f"layer {layer.name!r}: {e}") from None
        block = views[layer.output].storage.block
        block = block if block % 4 == 0 else 4
        while ceil(config.sparse_pes * config.sparse_rows, block) > MOST_BLOCKS:
            block *= 2
        views[layer.output] = View(
            Storage(layer.output, 1, 1, block, ceil(plan.positions, block)), 0, plan.slots
        )
        plans[layer.name] = plan
    return plans


def _uses(
    graph: Graph,
    views: dict[str, View],
    config: Config,
    mappings: dict[str, Mapping],
    shapes: dict[str, Shape],
    fused: dict[str, Pool],
    reorders: dict[str, str],
    compressed: set[str],
) -> list[tuple[View, bool]]:
    """The views that layers read and write, and whether in whole rows."""
    uses = []

    def store(sources, target, name, channels, size, pool=None):
        whole = StoreTiles(sources, target, size, channels, pool).fit(config.glb_words, name).whole
        uses.extend((view, whole) for view in (*sources, target))

    pools = {pool.name for pool in fused.values()}
    for layer in graph.layers:
        tensor = graph.tensors[layer.inputs[0]]
        match layer:
            case Conv() if layer.name in compressed:
                uses += [(views[layer.input], False), (views[layer.output], False)]
            case Conv():
                source = views[reorders.get(layer.name, layer.input)]
                if source is not views[layer.input]:
                    store(
                        [views[layer.input]], source, layer.name, tensor.channels, tensor.shape[1:]
                    )
                m, shape = mappings[layer.name], shapes[layer.name]
                rows = m.columns >= shape.F
                reach = (shape.F - 1) * shape.ux - layer.pads[1] + shape.S
                output = fused[layer.name].output if layer.name in fused else layer.output
                uses += [(source, rows and reach >= shape.W), (views[output], rows)]
            case Concat():
                uses += [(views[name], False) for name in (*layer.inputs, layer.output)]
            case _ if layer.name not in pools:
                store(
                    [views[name] for name in layer.inputs],
                    views[layer.output],
                    layer.name,
                    tensor.channels,
                    tensor.shape[1:],
                    layer if isinstance(layer, Pool) else None,
                )
    return uses


def compile_network(
    network: QuantisedGraph,
    config: Config,
    images: int = 1,
    base: int = 0,
    mode: Mode = Mode.GATE,
    chained: bool = False,
    fuse: bool = True,
    reorder: bool = True,
    compress: float = MOST_DENSE,
    placement: str = "balanced",
    switches: dict[str, bool | None] | None = None,
    rlc: str = "auto",
    zeros: dict[str, float] | None = None,
    dense: Collection[str] = (),
    mapper: Mapper | None = None,
) -> Program:
    """Map every layer and emit its commands.

    images: batch of one run; base: first byte address used; chained: one program for all layers,
    ordered by tokens, instead of a start per layer; fuse: pools into convolutions where the buffer
    allows; reorder: give a convolution its own copy of its input, in blocks that suit it, where
    that pays for the copy; compress: fully connected layers of shared weights go to the sparse
    engine up to this density (below 0: none), rows on its PEs by `placement`
    (compiler.sparse.csc.PLACEMENTS); switches: layers, by name, that go there at any density
    (True), never (False), or as the others (None); rlc: tensors run-length coded in memory: "on",
    all that can be (compiler/lowering/coded.py), "auto", of those the ones that get smaller, "off";
    zeros: tensor -> share of zeros, those of the calibration if not given; dense: tensors not to be
    coded; mapper: of this configuration, one for the fewest cycles if not given.

    Raises NetworkError or MappingError naming the layer, ValueError for an unknown `rlc`.
    """
    graph = network.graph
    if network.psum_bits != config.psum_bits:
        raise NetworkError(
            f"quantised for {network.psum_bits}-bit psums, config {config.name!r} has "
            f"{config.psum_bits}"
        )
    if not 1 <= images <= 255:
        raise NetworkError(f"a batch of {images}: must be 1..255")

    known = network.zeros if zeros is None else zeros
    if rlc == "on" and not config.rlc:
        raise NetworkError(
            f"config {config.name!r} has no run-length coding (rlc = false): choose auto or off"
        )
    if not config.rlc and rlc == "auto":
        rlc = "off"
    uncoded = graph.tensors if rlc == "off" else dense
    mapper = mapper or Mapper(config)
    objective = mapper.objective

    def shape_of(layer, slots, *blocks):
        return conv_shape(
            graph, layer, images, slots, *blocks, mode=mode, zeros=known, uncoded=uncoded
        )

    def score(search, layer, block, out_block):
        channels = np.arange(graph.tensors[layer.input].channels)
        sizes = [out_block] if out_block else [min(8, len(layer.weights))]
        if not out_block and not layer.full and not graph.consumers(layer.output):
            sizes += [4]  # nothing else decides the blocks of what it writes
        found = [m for m in (search(shape_of(layer, channels, block, n)) for n in sizes) if m]
        return min((_cost(m, objective) for m in found), default=float("inf")) * layer.groups

    def writing(name, block):
        """Cycles by which storing a tensor in such blocks outlasts the layer that makes it;
        traffic does not mind."""
        layer = graph.producer(name)
        if layer is None or isinstance(layer, Concat) or objective == "dram":
            return 0
        entries, reads, macs = images * graph.tensors[name].size, 1, 0
        if isinstance(layer, Pool):
            reads = math.prod(layer.kernel)
            layer = graph.producer(layer.input)
        if isinstance(layer, Conv):
            macs = images * layer.weights[0].size * graph.tensors[layer.output].size
        return max(
            0,
            entries * reads / chunk_of(config, block)
            - max(macs / config.multipliers, 2 * entries / config.dram_bytes_per_cycle),
        )

    views = mapper.settle(
        lambda search: plan_views(graph, functools.partial(score, search), writing)
    )
    compressed = _plan_compressed(network, views, config, compress, placement, switches or {})
    convs = [
        layer for layer in graph.layers if isinstance(layer, Conv) and layer.name not in compressed
    ]
    copies = mapper.settle(
        lambda search: {
            layer.name: _reorder(
                graph, layer, views[layer.input], shape_of, search, images, config, objective
            )
            for layer in convs
            if reorder
        }
    )
    reorders: dict[str, str] = {}  # layer -> the reordered view that it reads
    for layer in convs:
        if block := copies.get(layer.name):
            tensor, key = graph.tensors[layer.input], f"{layer.input}@{block}"
            views.setdefault(
                key,
                View(
                    Storage(key, tensor.height, tensor.width, block, ceil(tensor.channels, block)),
                    0,
                    views[layer.input].slots,
                ),
            )
            reorders[layer.name] = key

    def source(layer):
        return views[reorders.get(layer.name, layer.input)]

    def mapped(search):
        """Mappings and shapes by layer, and the pools that ride on the convolution before them."""
        mappings: dict[str, Mapping] = {}
        shapes: dict[str, Shape] = {}
        fused: dict[str, Pool] = {}
        for layer in convs:
            slots, block = source(layer).slots, source(layer).storage.block
            readers = graph.consumers(layer.output)
            pool = readers[0] if len(readers) == 1 and isinstance(readers[0], Pool) else None
            if fuse and pool is not None and layer.output not in graph.outputs:
                shape = shape_of(layer, slots, block, views[pool.output].storage.block, pool)
                # A group ends on a block, and one STORE takes all of its filters.
                possible = (layer.groups == 1 or shape.M % shape.out_block == 0) and ceil(
                    shape.M, shape.out_block
                ) <= MOST_BLOCKS
                found = search(shape) if possible else None
                if found is not None:
                    mappings[layer.name], shapes[layer.name], fused[layer.name] = found, shape, pool
                    continue
            shape = shape_of(layer, slots, block, views[layer.output].storage.block)
            found = search(shape)
            if found is None:
                raise NetworkError(
                    f"layer {layer.name!r}: no mapping fits the global buffer of {config.name!r}"
                )
            mappings[layer.name], shapes[layer.name] = found, shape
        return mappings, shapes, fused

    mappings, shapes, fused = mapper.settle(mapped)
    silent = {layer.output for layer in graph.layers if layer.name in fused}
    for name in silent:
        del views[name]

    uses = _uses(graph, views, config, mappings, shapes, fused, reorders, set(compressed))
    choose(rlc, views, uses, known, set(dense))

    # Memory: tensors, constants, commands.
    at = base
    for storage in {id(view.storage): view.storage for view in views.values()}.values():
        storage.address = at
        at += ceil(storage.image_bytes * images, ALIGN) * ALIGN
    schedule, blob, segments = Schedule(), Blob(at), []
    last = None
    pools_done = {pool.name for pool in fused.values()}
    for layer in graph.layers:
        first = len(schedule.commands)
        after = last if chained else None
        begin = blob.size
        common = dict(schedule=schedule, config=config, images=images)
        match layer:
            case Conv() if layer.name in compressed:
                plan, n = compressed[layer.name], network.convs[layer.name]
                last = emit_sparse(
                    schedule,
                    config,
                    plan,
                    n.bias,
                    n.shift,
                    layer.relu,
                    views[layer.input],
                    views[layer.output],
                    images,
                    blob,
                    after,
                )
                segments.append(
                    Segment(
                        layer.name,
                        "sparse",
                        layer.output,
                        first,
                        0,
                        images * n.weights.size,
                        sparse=plan,
                        load_words=loaded_words(schedule.commands[first:]),
                    )
                )
            case Conv():
                pool = fused.get(layer.name)
                output = pool.output if pool else layer.output
                m = mappings[layer.name]
                key = reorders.get(layer.name)
                if key is not None and all(s.output != key for s in segments):
                    tensor = graph.tensors[layer.input]
                    last = emit_store(
                        **common,
                        sources=[views[layer.input]],
                        target=views[key],
                        size=(tensor.height, tensor.width),
                        channels=tensor.channels,
                        name=f"reorder {layer.input}",
                        after=after,
                    )
                    after = last if chained else None
                    segments.append(
                        Segment(
                            f"reorder {layer.input}",
                            "reorder",
                            key,
                            first,
                            len(schedule.commands) - first,
                            copied=layer.input,
                        )
                    )
                    first = len(schedule.commands)
                last = emit_conv(
                    **common,
                    layer=layer,
                    numbers=network.convs[layer.name],
                    source=source(layer),
                    target=views[output],
                    shape=shapes[layer.name],
                    m=m,
                    blob=blob,
                    size=graph.tensors[layer.output].shape[1:],
                    mode=mode,
                    pool=pool,
                    after=after,
                )
                macs = images * layer.weights[0].size * graph.tensors[layer.output].size
                segments.append(
                    Segment(
                        layer.name + (f"+{pool.name}" if pool else ""),
                        "fc" if layer.full else "conv",
                        output,
                        first,
                        0,
                        macs,
                        (blob.size - begin) // 8,
                        m,
                        m.pes,
                        layer=layer.name,
                    )
                )
            case Concat():
                # The copies of one layer share the buffer, so each waits for the one before.
                for part, target in zip(layer.inputs, concat_parts(graph, layer, views)):
                    if views[part].at(target):
                        continue
                    tensor = graph.tensors[part]
                    last = after = emit_store(
                        **common,
                        sources=[views[part]],
                        target=target,
                        size=(tensor.height, tensor.width),
                        channels=views[part].extent,
                        name=layer.name,
                        after=after,
                    )
                if len(schedule.commands) > first:
                    segments.append(Segment(layer.name, "copy", layer.output, first, 0))
                else:
                    segments[-1].joined += (layer.output,)
            case Pool() if layer.name in pools_done:
                continue
            case _:
                sources = [views[name] for name in layer.inputs]
                tensor = graph.tensors[layer.inputs[0]]
                last = emit_store(
                    **common,
                    sources=sources,
                    target=views[layer.output],
                    size=(tensor.height, tensor.width),
                    channels=tensor.channels,
                    name=layer.name,
                    after=after,
                    pool=layer if isinstance(layer, Pool) else None,
                    add=network.adds[layer.name] if isinstance(layer, Add) else None,
                    relu=getattr(layer, "relu", False) or isinstance(layer, Relu),
                )
                segments.append(
                    Segment(layer.name, type(layer).__name__.lower(), layer.output, first, 0)
                )
        if segments:
            segments[-1].count = len(schedule.commands) - segments[-1].first
    program = ceil(blob.address + blob.size, ALIGN) * ALIGN
    end = program + len(schedule.commands) * COMMAND_BYTES
    if end >= 1 << config.address_bits:  # limits of windows have no more bits either
        raise NetworkError(
            f"the program would end at address {end:#x}; addresses have {config.address_bits} bits"
        )
    return Program(
        config,
        graph,
        images,
        base,
        blob.address,
        program,
        end,
        schedule.pack(),
        blob.bytes(),
        views,
        segments,
        blob.tables,
    )
