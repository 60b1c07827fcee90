"""Networks for tests, built directly in the graph."""

import numpy as np

from compiler.graph import Graph, Tensor
from compiler.layers import Add, Concat, Conv, Pool, Relu
from golden.geometry import pool_geometry


class Builder:
    """Adds layers and works out the shapes; each method returns the output's name."""

    def __init__(self, shape, seed=0):
        self.rng = np.random.default_rng(seed)
        self.graph = Graph(
            "x",
            "x",
            tensors={"x": Tensor("x", *shape)},
            input_scale=np.ones(shape[0]),
            input_offset=np.zeros(shape[0]),
        )

    def put(self, layer):
        self.graph.tensors[layer.output] = Tensor(layer.output, *self.graph.output_shape(layer))
        self.graph.layers.append(layer)
        self.graph.output = layer.output
        return layer.output

    def name(self):
        return f"t{len(self.graph.layers)}"

    def conv(self, x, m, kernel=(3, 3), scale=1.0, bias=1.0, groups=1, **options):
        c = self.graph.tensors[x].channels // groups
        weights = self.rng.normal(size=(m, c, *kernel)) * scale / np.sqrt(c * kernel[0] * kernel[1])
        return self.put(
            Conv(
                "conv_" + self.name(),
                x,
                self.name(),
                weights.astype(np.float32),
                (self.rng.normal(size=m) * bias).astype(np.float32),
                groups=groups,
                **options,
            )
        )

    def pool(self, x, kind, kernel, stride, **options):
        geometry = pool_geometry(self.graph.tensors[x].shape[1:], kernel, stride, **options)
        name, pads, count = "pool_" + self.name(), geometry.pads, geometry.count
        return self.put(Pool(name, kind, x, self.name(), kernel, stride, pads, count))

    def add(self, a, b, relu=False):
        return self.put(Add("add_" + self.name(), a, b, self.name(), relu))

    def concat(self, *inputs):
        return self.put(Concat("concat_" + self.name(), inputs, self.name()))

    def relu(self, x):
        return self.put(Relu("relu_" + self.name(), x, self.name()))


def branches(seed=0):
    """A network with every kind of layer: residual, concat of 3 + 5 channels, both pools, a full
    conv."""
    b = Builder((3, 12, 11), seed)
    a = b.conv("x", 8, pads=(1, 1, 1, 1), relu=True)
    c = b.conv(a, 8, pads=(1, 1, 1, 1), scale=4.0, groups=2)
    d = b.add(a, c, relu=True)
    e = b.concat(
        b.conv(d, 3, (1, 1), scale=0.1), b.conv(d, 5, (2, 3), pads=(1, 1, 0, 1), scale=10.0)
    )
    f = b.pool(b.relu(e), "max", (3, 3), (2, 2), ceil_mode=True)
    g = b.pool(f, "average", (3, 2), (2, 2), pads=(1, 0, 1, 1), count_include_pad=True)
    tensor = b.graph.tensors[g]
    b.conv(g, 10, (tensor.height, tensor.width), full=True)
    return b.graph
