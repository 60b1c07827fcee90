"""Integer convolution, depthwise and grouped too, and fully connected layers."""

import numpy as np

from golden.conv import conv2d
from golden.geometry import Pads
from golden.integer.requantise import Requantiser


def conv(
    v: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    out: Requantiser,
    *,
    stride: tuple[int, int] = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    groups: int = 1,
) -> np.ndarray:
    """int16 q [N, M, E, F] of int16 v = q - zero [N, C, H, W], weights less their zero point
    [M, C/groups, R, S] and int32 bias [M].

    out(bias + sum of v * weights); padding is v = 0. A depthwise layer has C groups, of M/C filters
    each; a fully connected one is a filter that covers the whole ifmap.
    Source: ConvPerChannel and DepthwiseConvPerChannel of LiteRT's reference/integer_ops/conv.h and
    depthwise_conv.h, which round `double`; FullyConnected of fully_connected.h beside them.
    Raises ValueError on shapes that do not fit each other.
    """
    sums = conv2d(v, weights, bias, stride=stride, pads=pads, groups=groups)
    return out(sums.exact)
