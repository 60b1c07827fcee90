"""Random networks as ONNX models, and how far golden may be from them."""

import numpy as np
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from compiler.graph import Add, Concat, Conv, Pool, Relu
from compiler.quantise.fixed_point import QuantisedGraph
from golden.conv import windows

OPSET = 19


class _Drawn:
    """A model under way. live: (name, channels, height, width) of what may be read."""

    def __init__(self, draw):
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
        shape = [draw(st.integers(1, 9)), draw(st.integers(2, 12)), draw(st.integers(2, 12))]
        self.nodes, self.constants, self.kinds = [], {}, []
        self.live, self.read = [("x", *shape)], set()
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, *shape])

    def put(self, op, inputs, shape, **attributes):
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.kinds.append(op)
        self.read.update(inputs)
        self.live.append((name, *shape))
        return self.live[-1]

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values, np.float32)
        return name

    def pick(self, among=None):
        """Mostly of the last few."""
        among = self.live if among is None else among
        late = among[-3:] if self.draw(st.booleans()) else among
        return self.draw(st.sampled_from(late))

    def conv(self, source=None, filters=None, plain=False):
        name, c, h, w = source or self.pick()
        groups = (
            1
            if plain
            else self.draw(st.sampled_from([1, 1, 1, *(g for g in (2, 3, c) if c % g == 0)]))
        )
        r, s = (
            (1, 1)
            if plain
            else (self.draw(st.integers(1, min(3, h))), self.draw(st.integers(1, min(3, w))))
        )
        m = filters or groups * self.draw(st.integers(1, max(1, 20 // groups)))
        stride = [1, 1] if plain else self.draw(st.sampled_from([[1, 1], [1, 1], [2, 2], [1, 2]]))
        pads = [0] * 4 if plain else [self.draw(st.integers(0, k - 1)) for k in (r, s, r, s)]
        out = [
            (h + pads[0] + pads[2] - r) // stride[0] + 1,
            (w + pads[1] + pads[3] - s) // stride[1] + 1,
        ]
        weights = self.rng.normal(size=(m, c // groups, r, s)) / np.sqrt(c // groups * r * s)
        inputs = [name, self.constant(weights), self.constant(self.rng.normal(size=m) * 0.3)]
        made = self.put("Conv", inputs, (m, *out), strides=stride, pads=pads, group=groups)
        if self.draw(st.booleans()):
            made = self.relu(made)
        return made

    def relu(self, source=None):
        name, *shape = source or self.pick()
        return self.put("Relu", [name], shape)

    def pool(self):
        name, c, h, w = self.pick()
        kernel = [self.draw(st.integers(1, min(3, n))) for n in (h, w)]
        stride = [self.draw(st.integers(1, 2)) for _ in kernel]
        pads = [self.draw(st.integers(0, k // 2)) for k in kernel + kernel]
        more = {"ceil_mode": int(self.draw(st.booleans()))}
        kind = self.draw(st.sampled_from(["MaxPool", "AveragePool"]))
        if kind == "AveragePool":
            more["count_include_pad"] = int(self.draw(st.booleans()))
        out = []
        for n, k, u, low, high in zip((h, w), kernel, stride, pads, pads[2:]):
            room = n + low + high - k
            steps = -(-room // u) if more["ceil_mode"] else room // u
            out.append(steps + 1 - (steps * u >= n + low))
        return self.put(
            kind, [name], (c, *out), kernel_shape=kernel, strides=stride, pads=pads, **more
        )

    def add(self):
        name, *shape = self.pick()
        same = [t for t in self.live if list(t[1:]) == shape and t[0] != name]
        other = self.pick(same) if same and self.draw(st.booleans()) else None
        if other is None:
            other = self.conv((name, *shape), shape[0], plain=True)
        return self.put("Add", [name, other[0]], shape)

    def concat(self):
        first = self.pick()
        same = [t for t in self.live if t[2:] == first[2:]]
        parts = [first] + [self.pick(same) for _ in range(self.draw(st.integers(1, 3)))]
        parts = self.draw(st.permutations(parts))
        if sum(t[1] for t in parts) > 60:
            return self.conv(first)
        return self.put(
            "Concat", [t[0] for t in parts], (sum(t[1] for t in parts), *first[2:]), axis=1
        )

    def finish(self):
        """All that nothing reads joined in vectors, or the last tensor only."""
        if self.draw(st.booleans()):
            loose = [t for t in self.live[1:] if t[0] not in self.read]
            flat = [self.put("GlobalAveragePool", [t[0]], (t[1], 1, 1)) for t in loose]
            if len(flat) > 1:
                flat = [
                    self.put(
                        "Concat", [t[0] for t in flat], (sum(t[1] for t in flat), 1, 1), axis=1
                    )
                ]
            if self.draw(st.booleans()):
                self.conv(flat[0], 10, plain=True)
        output = helper.make_tensor_value_info(self.live[-1][0], TensorProto.FLOAT, None)
        graph = helper.make_graph(
            self.nodes,
            "random",
            [self.input],
            [output],
            [numpy_helper.from_array(v, k) for k, v in self.constants.items()],
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9
        )


@st.composite
def models(draw):
    """An ONNX model with input `x` of branches, nested Concats, residuals, pools, groups, and sizes
    that do not fill blocks; its batch is open."""
    drawn = _Drawn(draw)
    drawn.conv()
    steps = [
        drawn.conv,
        drawn.conv,
        drawn.concat,
        drawn.concat,
        drawn.concat,
        drawn.add,
        drawn.pool,
        drawn.relu,
    ]
    for _ in range(draw(st.integers(1, 11))):
        draw(st.sampled_from(steps))()
    return drawn.finish()


def bounds(
    q: QuantisedGraph, floats: dict[str, np.ndarray], golden: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The most that each element of golden can be from the real value, by tensor: rounding of a
    layer's output (half an LSB), of its weights (half of one of theirs) and bias, and what its
    inputs bring along. Holds where nothing saturates or wraps. floats, golden: all tensors [N, C,
    H, W], real and int16."""
    graph, far = q.graph, {}
    lsb = {name: 2.0**-f for name, f in q.formats.items()}
    far[graph.input] = np.full(floats[graph.input].shape, lsb[graph.input] / 2)
    for layer in graph.layers:
        ins = [far[name] for name in layer.inputs]
        half = lsb[layer.output] / 2
        match layer:
            case Conv():
                numbers = q.convs[layer.name]
                weights, off = np.abs(layer.weights), 2.0**-numbers.fraction / 2
                view = windows(ins[0], layer.kernel, layer.stride, layer.pads)
                size = windows(np.abs(floats[layer.input]), layer.kernel, layer.stride, layer.pads)
                each, c = len(weights) // layer.groups, weights.shape[1]
                out = np.empty(floats[layer.output].shape)
                for g in range(layer.groups):
                    own, part = slice(g * each, (g + 1) * each), slice(g * c, (g + 1) * c)
                    out[:, own] = np.einsum("nceFrs,mcrs->nmeF", view[:, part], weights[own] + off)
                    out[:, own] += off * size[:, part].sum(axis=(1, 4, 5))[:, None]
                far[layer.output] = out + half + lsb[layer.input] * 2.0**-numbers.fraction / 2
            case Pool():
                # The largest of a window bounds both kinds: neither a mean nor a maximum spreads
                # further.
                grow = [max(p, 0) for p in layer.pads]
                padded = np.pad(ins[0], ((0, 0), (0, 0), (grow[0], grow[2]), (grow[1], grow[3])))
                rows, columns = (
                    padded.shape[2] + min(layer.pads[2], 0),
                    padded.shape[3] + min(layer.pads[3], 0),
                )
                far[layer.output] = windows(
                    padded[:, :, :rows, :columns], layer.kernel, layer.stride, (0, 0, 0, 0)
                ).max(axis=(4, 5))
                if layer.kind == "average":  # rounded, by a reciprocal of 31 bits
                    far[layer.output] = (
                        far[layer.output] + half * 2 + np.abs(floats[layer.output]) * 2.0**-30
                    )
            case Add():
                far[layer.output] = ins[0] + ins[1] + half
            case Concat():
                far[layer.output] = np.concatenate(ins, axis=1)
            case Relu():
                far[layer.output] = ins[0]
    return far
