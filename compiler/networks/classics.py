"""Known networks at full size as ONNX models, with random weights: what `run --net` runs.

Sizes of the layers are those of compiler/networks/layer_tables.py where it has them. Local response
normalisation (AlexNet, GoogLeNet), dropout and auxiliary classifiers are left out, and ReLU6 is
ReLU. Weights are drawn so that activations keep their size from layer to layer (He 2015).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compiler.networks.layer_tables import NETWORKS, ConvLayer

OPSET = 19
LINEAR = 0.5  # variance of weights that no ReLU follows, of those that one does
BRANCH = 0.1  # ... of the last layer of a residual's branch, so that sums grow slowly


class _Model:
    """An ONNX model under way; each method returns the name of its output."""

    def __init__(self, name: str, *shape: int):
        self.name, self.rng = name, np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes, self.constants, self.channels = [], {}, {"x": shape[0]}
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, *shape])

    def put(self, op: str, name: str, inputs: list[str], channels: int, **attributes) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.channels[name] = channels
        return name

    def constant(self, name: str, values) -> str:
        self.constants[name] = np.asarray(values, np.float32)
        return name

    def weights(self, name: str, shape: tuple[int, ...], size: float) -> str:
        values = self.rng.standard_normal(shape, np.float32)
        return self.constant(name, values * np.float32(math.sqrt(2 * size / math.prod(shape[1:]))))

    def conv(
        self,
        name: str,
        x: str,
        filters: int,
        kernel: int = 1,
        stride: int = 1,
        pad: int | None = None,
        groups: int = 1,
        norm: bool = False,
        bias: bool = True,
        relu: bool = True,
        size: float | None = None,
    ) -> str:
        """norm: batch normalisation in place of a bias; pad: by default an odd kernel's half; size:
        of the variance of weights, 1 where a ReLU follows."""
        size = size or (1.0 if relu else LINEAR)
        pad = kernel // 2 if pad is None else pad
        inputs = [
            x,
            self.weights(f"{name}.w", (filters, self.channels[x] // groups, kernel, kernel), size),
        ]
        if bias and not norm:
            inputs.append(self.constant(f"{name}.b", 0.1 * self.rng.standard_normal(filters)))
        y = self.put(
            "Conv",
            name,
            inputs,
            filters,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            group=groups,
        )
        if norm:
            y = self.norm(f"{name}.norm", y)
        return self.relu(f"{name}.relu", y) if relu else y

    def norm(self, name: str, x: str) -> str:
        count = self.channels[x]
        ones = 1 + 0.1 * self.rng.standard_normal((2, count)).clip(-3, 3)
        small = 0.1 * self.rng.standard_normal((2, count))
        values = {"scale": ones[0], "bias": small[0], "mean": small[1], "variance": ones[1]}
        return self.put(
            "BatchNormalization",
            name,
            [x, *(self.constant(f"{name}.{k}", v) for k, v in values.items())],
            count,
        )

    def layer(self, x: str, layer: ConvLayer, **options) -> str:
        """A layer of a table."""
        return self.conv(
            layer.name, x, layer.M, layer.R, layer.stride, layer.pad, layer.groups, **options
        )

    def relu(self, name: str, x: str) -> str:
        return self.put("Relu", name, [x], self.channels[x])

    def pool(
        self,
        name: str,
        x: str,
        kernel: int,
        stride: int,
        pad: int = 0,
        ceil: bool = False,
        kind: str = "MaxPool",
    ) -> str:
        return self.put(
            kind,
            name,
            [x],
            self.channels[x],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            ceil_mode=int(ceil),
        )

    def add(self, name: str, a: str, b: str, relu: bool = True) -> str:
        y = self.put("Add", name, [a, b], self.channels[a])
        return self.relu(f"{name}.relu", y) if relu else y

    def concat(self, name: str, *parts: str) -> str:
        return self.put("Concat", name, list(parts), sum(self.channels[p] for p in parts), axis=1)

    def full(self, x: str, layers: tuple[ConvLayer, ...]) -> str:
        """Fully connected layers of a table, a ReLU after each but the last."""
        x = self.put("Flatten", f"{x}.flat", [x], layers[0].C * layers[0].H ** 2)
        for n, layer in enumerate(layers):
            last = n == len(layers) - 1
            matrix = self.weights(
                f"{layer.name}.w", (layer.M, self.channels[x]), LINEAR if last else 1.0
            )
            bias = self.constant(f"{layer.name}.b", 0.1 * self.rng.standard_normal(layer.M))
            x = self.put("Gemm", layer.name, [x, matrix, bias], layer.M, transB=1)
            x = x if last else self.relu(f"{layer.name}.relu", x)
        return x

    def classes(self, x: str, count: int = 1000) -> str:
        """Means of the pixels, and a fully connected layer."""
        x = self.put("GlobalAveragePool", "mean", [x], self.channels[x])
        return self.full(x, (ConvLayer("classes", self.channels[x], 1, count, 1, 1, 0, full=True),))

    def model(self, output: str) -> onnx.ModelProto:
        info = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [self.input],
            [info],
            [numpy_helper.from_array(v, k) for k, v in self.constants.items()],
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9
        )


def _lenet5(name: str) -> onnx.ModelProto:
    net, b = NETWORKS[name], _Model(name, 1, 32, 32)
    x = "x"
    for n, layer in enumerate(net.layers):
        x = b.pool(f"pool{n + 1}", b.layer(x, layer), 2, 2, kind="AveragePool")
    return b.model(b.full(x, net.full))


def _alexnet(name: str) -> onnx.ModelProto:
    net, b = NETWORKS[name], _Model(name, 3, 227, 227)
    x = "x"
    for layer in net.layers:
        x = b.layer(x, layer)
        if layer.name in ("CONV1", "CONV2", "CONV5"):
            x = b.pool(f"POOL{layer.name[-1]}", x, 3, 2)
    return b.model(b.full(x, net.full))


def _vgg16(name: str) -> onnx.ModelProto:
    net, b = NETWORKS[name], _Model(name, 3, 224, 224)
    x = "x"
    for layer, after in zip(net.layers, (*net.layers[1:], net.full[0])):
        x = b.layer(x, layer)
        if after.H < layer.H:
            x = b.pool(f"pool-{layer.name}", x, 2, 2)
    return b.model(b.full(x, net.full))


def _googlenet(name: str) -> onnx.ModelProto:
    b = _Model(name, 3, 224, 224)
    table = {layer.name: layer for layer in NETWORKS[name].layers}
    x = b.pool("pool1", b.layer("x", table["conv1"]), 3, 2, ceil=True)
    x = b.layer(b.layer(x, table["conv2-reduce"]), table["conv2"])
    x, side = b.pool("pool2", x, 3, 2, ceil=True), 28
    for module in dict.fromkeys(
        key.partition("-")[0] for key in table if not key.startswith("conv")
    ):
        rows = {
            key.partition("-")[2]: layer
            for key, layer in table.items()
            if key.startswith(f"{module}-")
        }
        if rows["1x1"].H < side:
            x, side = b.pool(f"pool{module}", x, 3, 2, ceil=True), rows["1x1"].H
        x = b.concat(
            f"{module}-concat",
            b.layer(x, rows["1x1"]),
            b.layer(b.layer(x, rows["3x3-reduce"]), rows["3x3"]),
            b.layer(b.layer(x, rows["5x5-reduce"]), rows["5x5"]),
            b.layer(b.pool(f"{module}-maximum", x, 3, 1, 1), rows["pool"]),
        )
    return b.model(b.classes(x))


def _squeezenet(name: str) -> onnx.ModelProto:
    b = _Model(name, 3, 227, 227)
    first, *fires, last = NETWORKS[name].layers
    x, side = b.layer("x", first), first.E
    for squeeze, one, three in zip(fires[::3], fires[1::3], fires[2::3]):
        if squeeze.H < side:
            x, side = (
                b.pool(f"pool-{squeeze.name.partition('-')[0]}", x, 3, 2, ceil=True),
                squeeze.H,
            )
        s = b.layer(x, squeeze)
        x = b.concat(squeeze.name.replace("squeeze", "concat"), b.layer(s, one), b.layer(s, three))
    if last.H < side:
        x = b.pool("pool-conv10", x, 3, 2, ceil=True)
    x = b.layer(x, last)
    x = b.put("GlobalAveragePool", "mean", [x], last.M)
    return b.model(b.put("Flatten", "scores", [x], last.M))


def _bottleneck(b: _Model, x: str, rows: dict[str, ConvLayer], name: str) -> str:
    """A residual block of ResNet-50: its layers by the last part of their names."""
    y = b.layer(b.layer(x, rows["1"], norm=True), rows["2"], norm=True)
    y = b.layer(y, rows["3"], norm=True, relu=False, size=BRANCH)
    return b.add(
        f"{name}-add", b.layer(x, rows["skip"], norm=True, relu=False) if "skip" in rows else x, y
    )


def _blocks(name: str) -> dict[str, dict[str, ConvLayer]]:
    """Blocks of ResNet-50's table."""
    out: dict[str, dict[str, ConvLayer]] = {}
    for layer in NETWORKS[name].layers[1:]:
        block, _, part = layer.name.rpartition("-")
        out.setdefault(block, {})[part] = layer
    return out


def _resnet50(name: str) -> onnx.ModelProto:
    b = _Model(name, 3, 224, 224)
    x = b.pool("pool1", b.layer("x", NETWORKS[name].layers[0], norm=True), 3, 2, 1)
    for block, rows in _blocks(name).items():
        x = _bottleneck(b, x, rows, block)
    return b.model(b.classes(x))


def _resnet50_last(name: str) -> onnx.ModelProto:
    """The last block alone: 2,048 channels of 7 x 7."""
    block, rows = list(_blocks("resnet50").items())[-1]
    b = _Model(name, rows["1"].C, rows["1"].H, rows["1"].H)
    return b.model(_bottleneck(b, b.relu("positive", "x"), rows, block))


def _resnet18(name: str) -> onnx.ModelProto:
    b = _Model(name, 3, 224, 224)
    x = b.pool("pool1", b.conv("conv1", "x", 64, 7, 2, norm=True), 3, 2, 1)
    for stage, width in enumerate((64, 128, 256, 512), 2):
        for block in (1, 2):
            at, stride = f"conv{stage}-{block}", 2 if block == 1 and stage > 2 else 1
            y = b.conv(f"{at}-1", x, width, 3, stride, norm=True)
            y = b.conv(f"{at}-2", y, width, 3, norm=True, relu=False, size=BRANCH)
            same = b.channels[x] == width
            x = b.add(
                f"{at}-add",
                x if same else b.conv(f"{at}-skip", x, width, 1, stride, norm=True, relu=False),
                y,
            )
    return b.model(b.classes(x))


def _mobilenetv1(name: str) -> onnx.ModelProto:
    b = _Model(name, 3, 224, 224)
    x = b.conv("conv1", "x", 32, 3, 2, norm=True)
    widths = (64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)
    for n, width in enumerate(widths, 1):
        stride = 2 if n in (2, 4, 6, 12) else 1
        x = b.conv(f"depthwise{n}", x, b.channels[x], 3, stride, groups=b.channels[x], norm=True)
        x = b.conv(f"pointwise{n}", x, width, norm=True)
    return b.model(b.classes(x))


def _mobilenetv2(name: str) -> onnx.ModelProto:
    b = _Model(name, 3, 224, 224)
    x = b.conv("conv1", "x", 32, 3, 2, norm=True)
    stages = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    n = 0
    for expansion, width, repeats, first in stages:
        for repeat in range(repeats):
            n, stride = n + 1, first if repeat == 0 else 1
            wide = expansion * b.channels[x]
            y = b.conv(f"expand{n}", x, wide, norm=True) if expansion > 1 else x
            y = b.conv(f"depthwise{n}", y, wide, 3, stride, groups=wide, norm=True)
            y = b.conv(f"project{n}", y, width, norm=True, relu=False)
            x = b.add(f"add{n}", x, y, relu=False) if stride == 1 and width == b.channels[x] else y
    return b.model(b.classes(b.conv("conv-last", x, 1280, norm=True)))


def _densenet121(name: str) -> onnx.ModelProto:
    b = _Model(name, 3, 224, 224)

    def active(at, x):
        return b.relu(f"{at}.relu", b.norm(f"{at}.norm", x))

    x = b.pool("pool1", b.conv("conv1", "x", 64, 7, 2, norm=True), 3, 2, 1)
    for block, count in enumerate((6, 12, 24, 16), 1):
        for n in range(1, count + 1):
            at = f"dense{block}-{n}"
            y = b.conv(f"{at}-1", active(f"{at}-in", x), 128, norm=True)
            x = b.concat(f"{at}-concat", x, b.conv(f"{at}-2", y, 32, 3, bias=False, relu=False))
        if block < 4:
            x = b.conv(
                f"transition{block}",
                active(f"transition{block}-in", x),
                b.channels[x] // 2,
                bias=False,
                relu=False,
            )
            x = b.pool(f"transition{block}-pool", x, 2, 2, kind="AveragePool")
    return b.model(b.classes(active("last", x)))


CLASSICS: dict[str, Callable[[str], onnx.ModelProto]] = {
    "lenet5": _lenet5,
    "alexnet": _alexnet,
    "vgg16": _vgg16,
    "googlenet": _googlenet,
    "resnet18": _resnet18,
    "resnet50": _resnet50,
    "resnet50-last": _resnet50_last,
    "squeezenet1.0": _squeezenet,
    "squeezenet1.1": _squeezenet,
    "mobilenetv1": _mobilenetv1,
    "mobilenetv2": _mobilenetv2,
    "densenet121": _densenet121,
}


def classic(name: str) -> onnx.ModelProto:
    """A known network with random weights, the same at every call; input `x` [N, C, H, W], N open.
    Raises ValueError for another name."""
    if name not in CLASSICS:
        raise ValueError(f"network {name!r}: choose from {', '.join(CLASSICS)}")
    return CLASSICS[name](name)


def classic_images(shape: tuple[int, int, int], count: int) -> np.ndarray:
    """float32 [count, *shape], normal, the same at every call: as images of zero mean and unit
    variance, and in patches as those have them."""
    rng, (c, h, w) = np.random.default_rng(1), shape
    coarse = (
        rng.standard_normal((count, c, -(-h // 8), -(-w // 8)), np.float32)
        .repeat(8, 2)
        .repeat(8, 3)[:, :, :h, :w]
    )
    return (0.8 * coarse + 0.6 * rng.standard_normal((count, *shape), np.float32)).astype(
        np.float32
    )
