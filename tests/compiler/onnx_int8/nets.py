"""Quantised ONNX models as tests write them, run by onnxruntime, and layer by layer beside it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from compiler.frontend.onnx_import import load
from compiler.graph import Graph
from compiler.layers import Concat, IntAdd, IntConv, IntPool, Rescale
from compiler.quantise.fixed_point import golden_run
from compiler.quantise.integer_graph import integer_network
from compiler.quantise.integer_run import affine_of, integer_run, run_layer
from golden.conv import conv2d
from golden.integer.requantise import Requantiser
from golden.pool import divisors, window_sums

onnxruntime.set_default_logger_severity(4)

MICROSOFT = "com.microsoft"
TYPES = {
    np.dtype(np.int8): TensorProto.INT8,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.float32): TensorProto.FLOAT,
}
PSUM_BITS = 32


@dataclass(frozen=True)
class Scale:
    """scale, zero: names of the constants; dtype: of the integers; number, point: their values."""

    scale: str
    zero: str
    dtype: np.dtype
    number: np.ndarray
    point: np.ndarray

    @property
    def names(self) -> str:
        return f"{self.scale} {self.zero}"


@dataclass
class Net:
    """A model under way, its random numbers drawn from `rng`. Input `x` of `shape`; integers of it
    have the scale `x_scale` where the type is of integers."""

    rng: np.random.Generator
    shape: tuple[int, ...]
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.int8))
    opset: int = 19

    def __post_init__(self):
        self.dtype = np.dtype(self.dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        if self.dtype != np.float32:
            self.x_scale = self.scale("x", self.dtype)

    def constant(self, name, value) -> str:
        self.constants[name] = np.asarray(value)
        return name

    def scale(self, of, dtype, number=None, point=None, count=None) -> Scale:
        """Constants `of`_scale and `of`_zero, random where they are not given; count: of them, none
        for a scalar."""
        info = np.iinfo(dtype)
        if number is None:
            number = 2.0 ** self.rng.uniform(-10, 0, count)
        if point is None:
            point = self.rng.integers(info.min, info.max + 1, count)
        number, point = np.asarray(number, np.float32), np.asarray(point, dtype)
        names = self.constant(f"{of}_scale", number), self.constant(f"{of}_zero", point)
        return Scale(*names, np.dtype(dtype), number, point)

    def integers(self, shape, dtype=None):
        info = np.iinfo(dtype or self.dtype)
        return self.rng.integers(info.min, info.max + 1, shape).astype(dtype or self.dtype)

    def node(self, op, inputs, output, domain="", **attributes) -> str:
        """Named like its output; inputs: names between spaces, '-' for one left out."""
        names = ["" if name == "-" else name for name in inputs.split()]
        made = helper.make_node(
            op, names, [output], name=f"{output}_node", domain=domain, **attributes
        )
        self.nodes.append(made)
        return output

    def real(self, q, scale: Scale, **attributes) -> str:
        """A DequantizeLinear."""
        return self.node("DequantizeLinear", f"{q} {scale.names}", f"{q}_real", **attributes)

    def quantise(self, real, scale: Scale, output) -> str:
        return self.node("QuantizeLinear", f"{real} {scale.names}", output)

    def model(self, outputs="y", kinds=None) -> onnx.ModelProto:
        """outputs: names between spaces; kinds: their types, by name, that of the input where they
        are not given."""
        types = {name: TYPES[np.dtype(kind)] for name, kind in (kinds or {}).items()}
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info("x", TYPES[self.dtype], self.shape)],
            [
                helper.make_tensor_value_info(name, types.get(name, TYPES[self.dtype]), None)
                for name in outputs.split()
            ],
            [numpy_helper.from_array(v, k) for k, v in self.constants.items()],
        )
        sets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=9)

    def images(self):
        """Random, constant and extreme integers of the input."""
        info = np.iinfo(self.dtype)
        yield self.integers(self.shape)
        fill = self.rng.choice([info.min, info.max, int(self.x_scale.point)])
        yield np.full(self.shape, fill, self.dtype)
        yield np.where(self.rng.random(self.shape) < 0.5, info.min, info.max).astype(self.dtype)


class Runtime:
    """onnxruntime on a model, without its kernels of uint8 times int8: those of processors without
    VNNI saturate at 16 bits. The others are of int8 alone, or of uint8 alone."""

    def __init__(self, model: onnx.ModelProto, graph: Graph, floats: bool = False):
        """The tensors of the graph are outputs too. floats: what is between a DequantizeLinear and
        a QuantizeLinear is computed in floats, as the standard has it, not in 8-bit kernels."""
        model = onnx.load_model_from_string(model.SerializeToString())
        made = {o for node in model.graph.node for o in node.output}
        named = {o.name for o in model.graph.output}
        for name in graph.tensors:
            if name in made - named:
                kind = TYPES[affine_of(graph, name).dtype]
                model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
        signed = affine_of(graph, graph.input).signed
        options = onnxruntime.SessionOptions()
        key = "session.qdqisint8allowed" if signed else "session.x64quantprecision"
        options.add_session_config_entry(key, "1")
        if floats:
            level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        self.input = self.session.get_inputs()[0].name

    def run(self, x: np.ndarray) -> dict[str, np.ndarray]:
        names = [o.name for o in self.session.get_outputs()]
        return {self.input: x} | dict(zip(names, self.session.run(names, {self.input: x})))


def nchw(x: np.ndarray) -> np.ndarray:
    return x if x.ndim == 4 else x[:, :, None, None]


def steps(graph: Graph, layer, known: dict[str, np.ndarray]) -> np.ndarray:
    """float64 steps of the output that a layer's result is from its zero point, not rounded, from
    the q of tensors."""
    x = [known[name] for name in layer.inputs]
    v = [affine_of(graph, name).centred(q) for name, q in zip(layer.inputs, x)]

    def of(out: Requantiser, sums):
        factor = np.ldexp(out.multiplier.astype(np.float64), np.asarray(out.shift) - 31)
        return sums * np.reshape(factor, (-1, 1, 1))

    match layer:
        case IntConv():
            window = dict(stride=layer.stride, pads=layer.pads, groups=layer.groups)
            return of(layer.out, conv2d(v[0], layer.weights, layer.bias, **window).exact)
        case IntAdd():
            scales = [affine_of(graph, name).scale for name in layer.inputs]
            total = sum(a * s for a, s in zip(v, scales))
            return total / affine_of(graph, layer.output).scale
        case IntPool(kind="average"):
            window = layer.kernel, layer.stride, layer.pads
            size = x[0].shape[2:]
            by = divisors(size, *window, (0, 0, *size))
            return window_sums(v[0], *window) / by
        case Rescale():
            return of(layer.out, v[0].astype(np.float64))
        case Concat():  # of tensors that are rescaled for it, which onnxruntime has not
            parts = [graph.producer(name) for name in layer.inputs]
            return np.concatenate(
                [
                    steps(graph, part, known) if isinstance(part, Rescale) else part_v
                    for part, part_v in zip(parts, v)
                ],
                axis=1,
            )
    raise AssertionError(f"{layer.name}: rounds nothing")


@dataclass
class Tally:
    """What layers made of the inputs that onnxruntime gave them: outputs that are not at an end of
    their type, those that differ, and of those the ones that are exactly a half before they are
    rounded."""

    counts: Counter = field(default_factory=Counter)
    window: float = 2.0**-20  # of a half, in steps and relative: in it float32 may decide

    def layers(self, graph: Graph, got: dict[str, np.ndarray]) -> None:
        """Of an image. got: onnxruntime's tensors."""
        known = {graph.input: nchw(got[graph.input])}
        for layer in graph.layers:
            x = [known[name] for name in layer.inputs]
            mine = known[layer.output] = run_layer(graph, layer, x)
            if layer.output not in got:
                continue
            theirs = got[layer.output].reshape(mine.shape)
            assert theirs.dtype == mine.dtype, layer.name
            known[layer.output] = theirs
            self.compare(graph, layer, known, mine, theirs)

    def compare(self, graph, layer, known, mine, theirs) -> None:
        wrong = mine != theirs
        out = affine_of(graph, layer.output)
        inside = (theirs > out.lo) & (theirs < out.hi)
        self.counts["outputs"] += int((inside | wrong).sum())
        self.counts["layers"] += 1
        if not wrong.any():
            return
        most = np.abs(mine.astype(int) - theirs)[wrong].max()
        assert most <= 1, f"{layer.name}: {most}"
        real = steps(graph, layer, known)[wrong]
        beside = np.abs(real - np.floor(real) - 0.5)
        far = beside > self.window * np.maximum(np.abs(real), 1)
        assert not far.any(), f"{layer.name}: {real[far]} is no half"
        self.counts["differ"] += int(wrong.sum())
        self.counts["halves"] += int((beside == 0).sum())

    def check(self, model: onnx.ModelProto, images) -> Graph:
        """A model on images: its layers beside onnxruntime's, and golden_run equal to integer_run.
        The model's graph."""
        graph = load(model.SerializeToString())
        runtime = Runtime(model, graph)
        network = integer_network(graph, PSUM_BITS)
        for image in images:
            got = runtime.run(image)
            self.layers(graph, got)
            same_as_golden(graph, network, nchw(got[graph.input]))
        return graph

    def share(self) -> float:
        """Of outputs that differ."""
        return self.counts["differ"] / max(self.counts["outputs"], 1)

    def __str__(self) -> str:
        c = self.counts
        return (
            f"{c['layers']:,} layers, {c['outputs']:,} outputs, {c['differ']:,} differ by 1 "
            f"({100 * self.share():.4f} %), {c['halves']:,} of them exact halves"
        )


def same_as_golden(graph: Graph, network, q: np.ndarray) -> None:
    """The network that the machine runs has the tensors of integer_run, without channels that are
    constant."""
    values = integer_run(graph, q)
    run = golden_run(network, affine_of(graph, graph.input).centred(q))
    for name, v in run.tensors.items():
        restored = affine_of(graph, name).restored(v)
        assert np.array_equal(restored, values[name][:, network.kept[name]]), name
