"""Layer tables of known networks: convolutions and fully connected layers, with the Eyeriss chip's
figures where it was measured.

Shapes are those of the papers: LeNet-5 with every channel connected to every filter (LeCun 1998),
AlexNet of two columns (groups in CONV2, 4 and 5; Krizhevsky 2012), VGG-16 (Simonyan 2014, D),
GoogLeNet without its auxiliary classifiers (Szegedy 2014, table 1), ResNet-50 with strides in the
first 1x1 of a stage (He 2015), SqueezeNet on 227 x 227 pixels (Iandola 2016; v1.1 as its authors'
release). Zeros of each ifmap and the chip's times: JSSC 2017, tables V and VI.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.graph import Graph, Tensor
from compiler.layers import Conv

CHIP_MHZ = 200


@dataclass(frozen=True)
class ConvLayer:
    """A convolution, or a fully connected layer, whose filter covers its whole ifmap (`full`). C,
    M: all channels and filters; H: ifmap height and width without padding; zeros: share of the
    ifmap's entries; chip_ms: the chip's time for the published batch, None if not published."""

    name: str
    C: int
    H: int
    M: int
    R: int
    stride: int
    pad: int
    groups: int = 1
    zeros: float = 0.0
    chip_ms: float | None = None
    full: bool = False

    @property
    def E(self) -> int:
        return (self.H + 2 * self.pad - self.R) // self.stride + 1

    @property
    def macs(self) -> int:
        """Of one image."""
        return self.E**2 * self.M * self.C // self.groups * self.R**2

    @property
    def weights(self) -> int:
        return self.M * self.C // self.groups * self.R**2

    @property
    def chip_cycles(self) -> float | None:
        return None if self.chip_ms is None else self.chip_ms * CHIP_MHZ * 1000

    def graph(self, weights: np.ndarray | None = None) -> Graph:
        """This layer alone, followed by a ReLU; weights of zeros if not given."""
        if weights is None:
            weights = np.zeros((self.M, self.C // self.groups, self.R, self.R), np.float32)
        conv = Conv(
            self.name,
            "in",
            "out",
            weights,
            np.zeros(self.M, np.float32),
            (self.stride, self.stride),
            (self.pad, self.pad, self.pad, self.pad),
            self.groups,
            True,
            self.full,
        )
        return Graph(
            "in",
            ("out",),
            [conv],
            {
                "in": Tensor("in", self.C, self.H, self.H),
                "out": Tensor("out", self.M, self.E, self.E),
            },
        )


@dataclass(frozen=True)
class Network:
    """layers: convolutions; full: fully connected layers; batch: the chip's, or 1. last_zeros:
    share of zeros in the last convolution's ofmap; accesses_per_mac: the chip's DRAM accesses of 16
    bits, None if not published. chain: layers follow one another."""

    name: str
    batch: int
    layers: tuple[ConvLayer, ...]
    last_zeros: float = 0.0
    accesses_per_mac: float | None = None
    full: tuple[ConvLayer, ...] = ()
    chain: bool = True

    @property
    def chip_cycles(self) -> float | None:
        times = [layer.chip_cycles for layer in self.layers if layer.chip_cycles is not None]
        return sum(times) if len(times) == len(self.layers) else None

    def part(self, name: str) -> tuple[ConvLayer, ...]:
        """Layers of a part: conv, fc or all."""
        return {"conv": self.layers, "fc": self.full, "all": self.layers + self.full}[name]

    def ofmap_zeros(self, layer: ConvLayer) -> float:
        """Share of zeros that a layer's ofmap should have: those of the next one's ifmap, if
        there is one next."""
        layers = self.layers + self.full
        at = layers.index(layer) + 1
        if at == len(self.layers) and self.last_zeros:
            return self.last_zeros
        return layers[at].zeros if self.chain and at < len(layers) else 0.0


def _vgg():
    sizes = (
        (224, (3, 64), (64, 64)),
        (112, (64, 128), (128, 128)),
        (56, (128, 256), (256, 256), (256, 256)),
        (28, (256, 512), (512, 512), (512, 512)),
        (14, (512, 512), (512, 512), (512, 512)),
    )
    zeros = (1.6, 47.7, 24.8, 38.7, 39.7, 58.1, 58.7, 64.3, 74.7, 85.4, 79.4, 87.4, 88.5)
    times = (76.2, 910.3, 470.3, 894.3, 241.1, 460.9, 457.7, 135.8, 254.8, 246.3, 54.3, 53.7, 53.7)
    at = 0
    for number, (size, *convs) in enumerate(sizes, 1):
        for n, (C, M) in enumerate(convs, 1):
            yield ConvLayer(f"CONV{number}-{n}", C, size, M, 3, 1, 1, 1, zeros[at] / 100, times[at])
            at += 1


def _full(*widths: int, side: int = 1, zeros: tuple[float, ...] = (), first: int = 6):
    """Fully connected layers FC<first>... of these widths, the first on an ifmap of side x side
    pixels."""
    for n, (C, M) in enumerate(zip(widths, widths[1:])):
        H = side if n == 0 else 1
        yield ConvLayer(
            f"FC{first + n}", C, H, M, H, 1, 0, 1, zeros[n] if zeros else 0.0, None, True
        )


def _googlenet():
    yield ConvLayer("conv1", 3, 224, 64, 7, 2, 3)
    yield ConvLayer("conv2-reduce", 64, 56, 64, 1, 1, 0)
    yield ConvLayer("conv2", 64, 56, 192, 3, 1, 1)
    # Filters: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, after the pool.
    modules = {
        "3a": (28, 64, 96, 128, 16, 32, 32),
        "3b": (28, 128, 128, 192, 32, 96, 64),
        "4a": (14, 192, 96, 208, 16, 48, 64),
        "4b": (14, 160, 112, 224, 24, 64, 64),
        "4c": (14, 128, 128, 256, 24, 64, 64),
        "4d": (14, 112, 144, 288, 32, 64, 64),
        "4e": (14, 256, 160, 320, 32, 128, 128),
        "5a": (7, 256, 160, 320, 32, 128, 128),
        "5b": (7, 384, 192, 384, 48, 128, 128),
    }
    C = 192
    for name, (H, one, reduce3, three, reduce5, five, pool) in modules.items():
        for kind, channels, M, R in (
            ("1x1", C, one, 1),
            ("3x3-reduce", C, reduce3, 1),
            ("3x3", reduce3, three, 3),
            ("5x5-reduce", C, reduce5, 1),
            ("5x5", reduce5, five, 5),
            ("pool", C, pool, 1),
        ):
            yield ConvLayer(f"{name}-{kind}", channels, H, M, R, 1, R // 2)
        C = one + three + five + pool


def _resnet50():
    yield ConvLayer("conv1", 3, 224, 64, 7, 2, 3)
    C, H = 64, 56
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 2):
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 2 else 1
            name = f"conv{stage}-{block + 1}"
            if block == 0:
                yield ConvLayer(f"{name}-skip", C, H, 4 * width, 1, stride, 0)
            yield ConvLayer(f"{name}-1", C, H, width, 1, stride, 0)
            H //= stride
            yield ConvLayer(f"{name}-2", width, H, width, 3, 1, 1)
            yield ConvLayer(f"{name}-3", width, H, 4 * width, 1, 1, 0)
            C = 4 * width


def _squeezenet(first: ConvLayer, sides: tuple[int, ...]):
    """sides: of the ifmaps of fire2 to fire9 and of conv10."""
    yield first
    C = first.M
    for n, H in enumerate(sides[:-1], 2):
        squeeze, expand = 16 * (n // 2), 64 * (n // 2)
        yield ConvLayer(f"fire{n}-squeeze", C, H, squeeze, 1, 1, 0)
        yield ConvLayer(f"fire{n}-expand1", squeeze, H, expand, 1, 1, 0)
        yield ConvLayer(f"fire{n}-expand3", squeeze, H, expand, 3, 1, 1)
        C = 2 * expand
    yield ConvLayer("conv10", C, sides[-1], 1000, 1, 1, 0)


# What leaves the last convolution, and zeros before FC7 and FC8: the activations in EIE's table
# (ISCA 2016, table III).
NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        Network(
            "alexnet",
            4,
            (
                ConvLayer("CONV1", 3, 227, 96, 11, 4, 0, 1, 0.0001, 20.9),
                ConvLayer("CONV2", 96, 27, 256, 5, 1, 2, 2, 0.387, 41.9),
                ConvLayer("CONV3", 256, 13, 384, 3, 1, 1, 1, 0.725, 23.6),
                ConvLayer("CONV4", 384, 13, 384, 3, 1, 1, 2, 0.793, 18.4),
                ConvLayer("CONV5", 384, 13, 256, 3, 1, 1, 2, 0.776, 10.5),
            ),
            0.649,
            0.0029,
            tuple(_full(256, 4096, 4096, 1000, side=6, zeros=(0.649, 0.647, 0.625))),
        ),
        Network(
            "vgg16",
            3,
            tuple(_vgg()),
            0.817,
            0.0035,
            tuple(_full(512, 4096, 4096, 1000, side=7, zeros=(0.817, 0.625, 0.589))),
        ),
        Network(
            "lenet5",
            1,
            (ConvLayer("C1", 1, 32, 6, 5, 1, 0), ConvLayer("C3", 6, 14, 16, 5, 1, 0)),
            full=tuple(_full(16, 120, 84, 10, side=5, first=5)),
        ),
        Network(
            "googlenet", 1, tuple(_googlenet()), full=tuple(_full(1024, 1000, first=1)), chain=False
        ),
        Network(
            "resnet50", 1, tuple(_resnet50()), full=tuple(_full(2048, 1000, first=1)), chain=False
        ),
        Network(
            "squeezenet1.0",
            1,
            tuple(
                _squeezenet(
                    ConvLayer("conv1", 3, 227, 96, 7, 2, 0), (55, 55, 55, 27, 27, 27, 27, 13, 13)
                )
            ),
            chain=False,
        ),
        Network(
            "squeezenet1.1",
            1,
            tuple(
                _squeezenet(
                    ConvLayer("conv1", 3, 227, 64, 3, 2, 0), (56, 56, 28, 28, 14, 14, 14, 14, 14)
                )
            ),
            chain=False,
        ),
    )
}
