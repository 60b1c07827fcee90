"""A convolution alone, for studies of mappings: through the same passes as a network."""

from __future__ import annotations

import numpy as np

from compiler.graph import Graph
from compiler.layers import Conv
from compiler.lowering.passes.allocate import allocate
from compiler.lowering.passes.code import code
from compiler.lowering.passes.emit import emit
from compiler.lowering.structures.options import Options
from compiler.lowering.structures.program import Program
from compiler.lowering.structures.state import Mapped, extend, request
from compiler.mapping.layout import Storage, View
from compiler.mapping.mapping import Mapping, Shape
from compiler.numbers import ceil
from compiler.quantise.fixed_point import ConvNumbers, QuantisedGraph
from hdl.config import Config


def compile_mapped(
    graph: Graph, layer: Conv, shape: Shape, mapping: Mapping, config: Config, options: Options
) -> Program:
    """A convolution with this mapping, filters of zeros; its tensors in the blocks of the shape,
    and coded where zeros make them smaller."""
    views = {}
    for name, block in ((layer.input, shape.block), (layer.output, shape.out_block)):
        tensor = graph.tensors[name]
        blocks = ceil(tensor.channels, block)
        storage = Storage(name, tensor.height, tensor.width, block, blocks, affine=tensor.affine)
        views[name] = View(storage, 0, np.arange(tensor.channels))

    alone = Graph(
        layer.input, (layer.output,), [layer], {name: graph.tensors[name] for name in views}
    )
    weights, bias = np.zeros(layer.weights.shape, np.int16), np.zeros(len(layer.weights), np.int32)
    numbers = ConvNumbers(weights, bias, 0, 0)
    network = QuantisedGraph(alone, config.psum_bits, {}, {layer.name: numbers}, {})
    mapped = extend(
        Mapped,
        request(network, config, options),
        views=views,
        compressed={},
        reorders={},
        mappings={layer.name: mapping},
        shapes={layer.name: shape},
        fused={},
    )
    return emit(allocate(code(mapped)))
