"""Which tensors are run-length coded in memory."""

from __future__ import annotations

from compiler.layers import Concat, Conv, Pool
from compiler.lowering.emission.store import StoreTiles
from compiler.lowering.structures.coded import choose
from compiler.lowering.structures.state import Coded, Mapped, extend
from compiler.mapping.layout import View

# A view that a layer reads or writes, and whether in whole rows.
Use = tuple[View, bool]


def code(state: Mapped) -> Coded:
    """Sets Storage.rlc where it pays (compiler/lowering/structures/coded.py). Raises ValueError for
    an unknown mode."""
    uses: list[Use] = []
    pools = {pool.name for pool in state.fused.values()}
    for layer in state.graph.layers:
        match layer:
            case Conv():
                uses += _of_conv(state, layer)
            case Concat():
                names = (*layer.inputs, layer.output)
                uses += [(state.views[name], False) for name in names]
            case _ if layer.name not in pools:
                sources = [state.views[name] for name in layer.inputs]
                pool = layer if isinstance(layer, Pool) else None
                target = state.views[layer.output]
                uses += _of_store(state, layer.inputs[0], sources, target, layer.name, pool)
    choose(state.rlc, state.views, uses, state.zeros, set(state.options.dense))
    return extend(Coded, state)


def _of_store(
    state: Mapped,
    tensor: str,
    sources: list[View],
    target: View,
    name: str,
    pool: Pool | None = None,
) -> list[Use]:
    """Of a layer, or a copy, that the store engine does alone."""
    channels, *size = state.graph.tensors[tensor].shape
    tiles = StoreTiles(sources, target, (size[0], size[1]), channels, pool)
    whole = tiles.fit(state.config.glb_words, name).whole
    return [(view, whole) for view in (*sources, target)]


def _of_conv(state: Mapped, layer: Conv) -> list[Use]:
    views, uses = state.views, []
    if layer.name in state.compressed:
        return [(views[layer.input], False), (views[layer.output], False)]
    source = state.source(layer)
    if source is not views[layer.input]:
        uses += _of_store(state, layer.input, [views[layer.input]], source, layer.name)
    m, shape = state.mappings[layer.name], state.shapes[layer.name]
    rows = m.columns >= shape.F
    reach = (shape.F - 1) * shape.ux - layer.pads[1] + shape.S
    output = state.fused[layer.name].output if layer.name in state.fused else layer.output
    return [*uses, (source, rows and reach >= shape.W), (views[output], rows)]
