"""A convolution as the mapper sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from compiler.graph import Graph
from compiler.layers import Conv, IntConv, Pool
from compiler.mapping.mapping import Shape
from compiler.numbers import ceil
from golden.rlc import expected_bytes
from hdl.isa import Mode


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
    zeros: Mapping[str, float],
    uncoded: Collection[str],
) -> Shape:
    """The Shape of one group of a convolution over an input in blocks of `block` channels, or of
    all channels of a depthwise one whose input is in the order of its channels. zeros: share by
    tensor; uncoded: tensors that are not run-length coded in memory."""
    _, height, width = graph.tensors[layer.input].shape
    _, E, F = graph.tensors[layer.output].shape
    channels = layer.weights.shape[1]
    depthwise = layer.depthwise and bool((slots == np.arange(len(slots))).all())
    groups = 1 if depthwise else layer.groups
    channels = channels * layer.groups // groups
    of_group = slots.reshape(groups, channels)
    span = int((of_group.max(1) // block - of_group.min(1) // block).max()) + 1

    output = pool.output if pool else layer.output
    narrow, narrow_out = (graph.tensors[name].affine is not None for name in (layer.input, output))

    def coded(name, width, block):
        if name in uncoded or name not in zeros or graph.tensors[name].affine:
            return 1.0
        return min(
            1.0, expected_bytes(zeros[name], 1, width * block) / (8 * ceil(width * block, 4))
        )

    return Shape(
        images,
        channels,
        height,
        width,
        len(layer.weights) // groups,
        *layer.kernel,
        E,
        F,
        *layer.stride,
        block,
        span,
        out_block,
        (pool.kernel[0], pool.stride[0]) if pool else None,
        1 - zeros.get(layer.input, 0) if mode is Mode.SKIP and not depthwise else 1.0,
        coded(layer.input, width, block),
        coded(output, F, out_block),
        narrow,
        narrow_out,
        isinstance(layer, IntConv),
        depthwise,
    )
