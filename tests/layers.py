"""Random legal layers, drawn by stratum, and one-layer networks of them."""

import math
from dataclasses import dataclass

import numpy as np

from compiler.graph import Graph, Tensor
from compiler.layers import Conv
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


@dataclass
class Shape:
    """Dimensions of a layer, as in docs/architecture.md; N images."""

    R: int
    S: int
    ux: int
    uy: int
    C: int
    M: int
    groups: int
    N: int
    pads: tuple[int, int, int, int]
    H: int
    W: int

    @property
    def out(self):
        return output_size((self.H, self.W), (self.R, self.S), (self.uy, self.ux), self.pads)

    @property
    def filter_shape(self):
        return self.M, self.C // self.groups, self.R, self.S

    @property
    def macs(self):
        """0 if there is no ofmap."""
        E, F = self.out
        return self.N * max(E, 0) * max(F, 0) * math.prod(self.filter_shape)


class Draw:
    """Draws from one generator, in one order."""

    def __init__(self, seed: int):
        self.seed, self.rng = seed, np.random.default_rng(seed)

    def pick(self, low, high):
        """Small values more often than large."""
        return int(round(np.exp(self.rng.uniform(np.log(low), np.log(high + 0.49)))))

    def free(self):
        """Any shape."""
        pick, rng = self.pick, self.rng
        R, S = pick(1, 12), pick(1, 32)
        ux, uy = pick(1, 12), int(rng.choice([1, 1, 2, 4]))
        C, M, groups, N = pick(1, 64), pick(1, 64), 1, int(rng.integers(1, 5))
        pads = tuple(int(x) for x in rng.integers(0, 4, 4))
        H, W = pick(1, 40), pick(1, 60)
        return Shape(R, S, ux, uy, C, M, groups, N, pads, H, W)

    def of_stratum(self, stratum):
        shape = self.free()
        match stratum:
            case "R=12":
                shape.R = 12
            case "S=32":
                shape.S = 32
            case "U=12":
                shape.ux = 12
            case "C=1024":
                shape.C = 1024
            case "M=1024":
                shape.M = 1024
            case "depthwise":
                shape.groups, shape.M = shape.C, shape.C * self.pick(1, 3)
            case "batch 4":
                shape.N = 4
            case "E=F=1":
                top, left = min(shape.pads[0], shape.R - 1), min(shape.pads[1], shape.S - 1)
                shape.H, shape.W = shape.R - top, shape.S - left
                shape.pads = (top, left, 0, 0)
            case "pad=filter":
                shape.pads = (shape.R, shape.S, shape.R, shape.S)
            case "grouped":
                shape.groups = self.pick(2, 8)
                shape.C = shape.groups * self.pick(1, 12)
                shape.M = shape.groups * self.pick(1, 12)
            case "vertical stride 4":
                shape.uy = 4
        return shape

    def legal(self, stratum):
        """A shape with an ofmap that is not too much work."""
        for _ in range(10_000):
            shape = self.of_stratum(stratum)
            if stratum == "E=F=1" and shape.out != (1, 1):
                continue
            if 0 < shape.macs <= MOST_MACS:
                return shape
        raise AssertionError(f"seed {self.seed}: no layer of {stratum} under the MAC limit")

    def tensors(self, shape, kind):
        """int16 weights and images, and the largest psum there may be. By kind, the images are half
        zeros, all zeros, at the ends of the range as the weights are, or small as they are."""
        rng, ends = self.rng, [-(2**15), 2**15 - 1]
        psum_peak = 2**30 * math.prod(shape.filter_shape[1:])
        weights = rng.integers(-(2**15), 2**15, shape.filter_shape).astype(np.int16)
        of_images = (shape.N, shape.C, shape.H, shape.W)
        images = rng.integers(-(2**15), 2**15, of_images).astype(np.int16)
        match kind:
            case 0:
                images[rng.random(images.shape) < 0.5] = 0
            case 1:
                images[:] = 0
            case 2:
                images[:] = rng.choice(ends, images.shape)
                weights[:] = rng.choice(ends, weights.shape)
            case 3:
                images >>= 8
                weights >>= 8
                psum_peak >>= 16
        return weights, images, psum_peak

    def network(self, shape, weights, psum_peak):
        """The layer alone, with a random bias, a shift about the psums' size, and ReLU or not."""
        bias = self.rng.integers(-(2**31), 2**31, shape.M).astype(np.int32)
        about = psum_peak.bit_length() // 2 - 8
        shift = min(31, max(0, about + int(self.rng.integers(0, 12))))
        layer = Conv(
            "layer",
            "in",
            "out",
            weights.astype(np.float32),
            np.zeros(shape.M, np.float32),
            (shape.uy, shape.ux),
            shape.pads,
            shape.groups,
            bool(self.rng.integers(0, 2)),
        )
        tensors = {
            "in": Tensor("in", shape.C, shape.H, shape.W),
            "out": Tensor("out", shape.M, *shape.out),
        }
        numbers = ConvNumbers(weights, bias, 0, shift)
        graph = Graph("in", "out", [layer], tensors)
        return QuantisedGraph(graph, 32, {"in": 0, "out": 0}, {"layer": numbers}, {})


def draw(seed: int):
    """(stratum, batch, QuantisedGraph, int16 images) of one random layer. Dimensions are not
    capped but for the MACs of the case."""
    random, stratum = Draw(seed), STRATA[seed % len(STRATA)]
    shape = random.legal(stratum)
    weights, images, psum_peak = random.tensors(shape, seed // len(STRATA) % 4)
    return stratum, shape.N, random.network(shape, weights, psum_peak), images
