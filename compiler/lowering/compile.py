"""The compiler: a quantised network in, a program out."""

from __future__ import annotations

from compiler.lowering.passes.allocate import allocate
from compiler.lowering.passes.code import code
from compiler.lowering.passes.compress import compress
from compiler.lowering.passes.emit import emit
from compiler.lowering.passes.fuse_and_map import fuse_and_map
from compiler.lowering.passes.layout import layout
from compiler.lowering.passes.reorder import reorder
from compiler.lowering.structures.options import Options
from compiler.lowering.structures.program import Program
from compiler.lowering.structures.state import request
from compiler.quantise.fixed_point import QuantisedGraph
from hdl.config import Config


def compile_network(
    network: QuantisedGraph, config: Config, options: Options | None = None
) -> Program:
    """Maps every layer and emits its commands, pass by pass; compiler/lowering/structures/state.py
    has what each hands on.

    Raises NetworkError or MappingError naming the layer, ValueError for an unknown `rlc`.
    """
    asked = request(network, config, options or Options())
    placed = layout(asked)
    compressed = compress(placed)
    reordered = reorder(compressed)
    mapped = fuse_and_map(reordered)
    coded = code(mapped)
    allocated = allocate(coded)
    return emit(allocated)
