"""Random legal layers, drawn by stratum, and one-layer networks of them."""

import numpy as np

from compiler.graph import Conv, Graph, Tensor
from compiler.quantise.fixed_point import ConvNumbers, QuantisedGraph
from golden.geometry import output_size

STRATA = (
    "R=12",
    "S=32",
    "U=12",
    "C=1024",
    "M=1024",
    "depthwise",
    "batch 4",
    "E=F=1",
    "pad=filter",
    "grouped",
    "vertical stride 4",
    "free",
    "free",
    "free",
)
MOST_MACS = 250_000


def draw(seed: int):
    """(stratum, batch, QuantisedGraph, int16 images) of one random layer. Dimensions are not
    capped but for the MACs of the case."""
    stratum = STRATA[seed % len(STRATA)]
    rng = np.random.default_rng(seed)

    def pick(low, high):
        """Small values more often than large."""
        return int(round(np.exp(rng.uniform(np.log(low), np.log(high + 0.49)))))

    for _ in range(10_000):
        R, S = pick(1, 12), pick(1, 32)
        ux, uy = pick(1, 12), int(rng.choice([1, 1, 2, 4]))
        C, M, groups, N = pick(1, 64), pick(1, 64), 1, int(rng.integers(1, 5))
        pads = tuple(int(x) for x in rng.integers(0, 4, 4))
        H, W = pick(1, 40), pick(1, 60)
        match stratum:
            case "R=12":
                R = 12
            case "S=32":
                S = 32
            case "U=12":
                ux = 12
            case "C=1024":
                C = 1024
            case "M=1024":
                M = 1024
            case "depthwise":
                groups, M = C, C * pick(1, 3)
            case "batch 4":
                N = 4
            case "E=F=1":
                H, W, pads = max(1, R - pads[0]), max(1, S - pads[1]), (pads[0], pads[1], 0, 0)
                H, W = R - min(pads[0], R - 1), S - min(pads[1], S - 1)
                pads = (min(pads[0], R - 1), min(pads[1], S - 1), 0, 0)
            case "pad=filter":
                pads = (R, S, R, S)
            case "grouped":
                groups = pick(2, 8)
                C, M = groups * pick(1, 12), groups * pick(1, 12)
            case "vertical stride 4":
                uy = 4
        E, F = output_size((H, W), (R, S), (uy, ux), pads)
        if E < 1 or F < 1 or (stratum == "E=F=1" and (E, F) != (1, 1)):
            continue
        if N * E * F * M * (C // groups) * R * S <= MOST_MACS:
            break
    else:
        raise AssertionError(f"seed {seed}: no layer of stratum {stratum} under the MAC limit")
    psum_peak = 2**30 * (C // groups) * R * S
    weights = rng.integers(-(2**15), 2**15, (M, C // groups, R, S)).astype(np.int16)
    images = rng.integers(-(2**15), 2**15, (N, C, H, W)).astype(np.int16)
    match seed // len(STRATA) % 4:
        case 0:
            images[rng.random(images.shape) < 0.5] = 0
        case 1:
            images[:] = 0
        case 2:
            images[:] = rng.choice([-(2**15), 2**15 - 1], images.shape)
            weights[:] = rng.choice([-(2**15), 2**15 - 1], weights.shape)
        case 3:
            images >>= 8
            weights >>= 8
            psum_peak >>= 16
    bias = rng.integers(-(2**31), 2**31, M).astype(np.int32)
    shift = min(31, max(0, int(psum_peak).bit_length() // 2 - 8 + int(rng.integers(0, 12))))
    layer = Conv(
        "layer",
        "in",
        "out",
        weights.astype(np.float32),
        np.zeros(M, np.float32),
        (uy, ux),
        pads,
        groups,
        bool(rng.integers(0, 2)),
    )
    graph = Graph(
        "in", "out", [layer], {"in": Tensor("in", C, H, W), "out": Tensor("out", M, E, F)}
    )
    network = QuantisedGraph(
        graph, 32, {"in": 0, "out": 0}, {"layer": ConvNumbers(weights, bias, 0, shift)}, {}
    )
    return stratum, N, network, images
