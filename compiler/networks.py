"""The convolutions of the networks that the Eyeriss chip was measured on, with its figures.

Shapes are those of the original AlexNet (two groups in CONV2, 4 and 5) and of VGG-16. Zeros
of each ifmap and the chip's times: JSSC 2017, tables V and VI.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.graph import Conv, Graph, Tensor

CHIP_MHZ = 200


@dataclass(frozen=True)
class ConvLayer:
    """C, M: all channels and filters; H: ifmap height and width without padding; zeros: share
    of the ifmap's entries; chip_ms: the chip's time for the published batch."""
    name: str
    C: int
    H: int
    M: int
    R: int
    stride: int
    pad: int
    groups: int
    zeros: float
    chip_ms: float

    @property
    def E(self) -> int:
        return (self.H + 2 * self.pad - self.R) // self.stride + 1

    @property
    def macs(self) -> int:
        """Of one image."""
        return self.E ** 2 * self.M * self.C // self.groups * self.R ** 2

    @property
    def chip_cycles(self) -> float:
        return self.chip_ms * CHIP_MHZ * 1000

    def graph(self, weights: np.ndarray | None = None) -> Graph:
        """This layer alone, followed by a ReLU; weights of zeros if not given."""
        if weights is None:
            weights = np.zeros((self.M, self.C // self.groups, self.R, self.R), np.float32)
        conv = Conv(self.name, "in", "out", weights, np.zeros(self.M, np.float32), (self.stride,) * 2,
                    (self.pad,) * 4, self.groups, True)
        return Graph("in", "out", [conv], {"in": Tensor("in", self.C, self.H, self.H),
                                           "out": Tensor("out", self.M, self.E, self.E)})


@dataclass(frozen=True)
class Network:
    """last_zeros: share of zeros in the last ofmap; accesses_per_mac: the chip's DRAM accesses of
    16 bits."""
    name: str
    batch: int
    layers: tuple[ConvLayer, ...]
    last_zeros: float
    accesses_per_mac: float

    @property
    def chip_cycles(self) -> float:
        return sum(layer.chip_cycles for layer in self.layers)

    def ofmap_zeros(self, layer: ConvLayer) -> float:
        """Share of zeros that a layer's ofmap should have: those of the next one's ifmap."""
        at = self.layers.index(layer) + 1
        return self.layers[at].zeros if at < len(self.layers) else self.last_zeros


def _vgg():
    sizes = ((224, (3, 64), (64, 64)), (112, (64, 128), (128, 128)), (56, (128, 256), (256, 256), (256, 256)),
             (28, (256, 512), (512, 512), (512, 512)), (14, (512, 512), (512, 512), (512, 512)))
    zeros = (1.6, 47.7, 24.8, 38.7, 39.7, 58.1, 58.7, 64.3, 74.7, 85.4, 79.4, 87.4, 88.5)
    times = (76.2, 910.3, 470.3, 894.3, 241.1, 460.9, 457.7, 135.8, 254.8, 246.3, 54.3, 53.7, 53.7)
    at = 0
    for number, (size, *convs) in enumerate(sizes, 1):
        for n, (C, M) in enumerate(convs, 1):
            yield ConvLayer(f"CONV{number}-{n}", C, size, M, 3, 1, 1, 1, zeros[at] / 100, times[at])
            at += 1


# What leaves the last layer: the activations of FC6 in EIE's table (ISCA 2016, table III).
NETWORKS: dict[str, Network] = {network.name: network for network in (
    Network("alexnet", 4, (
        ConvLayer("CONV1", 3, 227, 96, 11, 4, 0, 1, 0.0001, 20.9),
        ConvLayer("CONV2", 96, 27, 256, 5, 1, 2, 2, 0.387, 41.9),
        ConvLayer("CONV3", 256, 13, 384, 3, 1, 1, 1, 0.725, 23.6),
        ConvLayer("CONV4", 384, 13, 384, 3, 1, 1, 2, 0.793, 18.4),
        ConvLayer("CONV5", 384, 13, 256, 3, 1, 1, 2, 0.776, 10.5)), 0.649, 0.0029),
    Network("vgg16", 3, tuple(_vgg()), 0.817, 0.0035))}
