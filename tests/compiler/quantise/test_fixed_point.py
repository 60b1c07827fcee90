import json

import numpy as np
import pytest

from compiler.graph import NetworkError
from compiler.layers import Add, Concat, Conv, Pool, Relu
from compiler.quantise.fixed_point import dequantise, golden_run, quantise, quantise_input
from compiler.quantise.float_run import float_run
from golden.conv import conv2d
from golden.fixed import requantise
from tests.compiler.builder import Builder, branches


def images(graph, n=12, scale=1.0, seed=1):
    return np.random.default_rng(seed).normal(size=(n, *graph.tensors[graph.input].shape)) * scale


def check_constraints(q):
    for layer in q.graph.layers:
        f = [q.formats[name] for name in layer.inputs]
        out = q.formats[layer.output]
        match layer:
            case Conv():
                n = q.convs[layer.name]
                assert n.weights.dtype == np.int16 and n.bias.dtype == np.int32
                assert n.shift == f[0] + n.fraction - out and 0 <= n.shift <= 47
                assert q.peaks[layer.name] < 1 << q.psum_bits - 2
                assert (
                    np.abs(n.bias - np.ldexp(layer.bias.astype(float), f[0] + n.fraction)).max()
                    <= 0.5
                )
            case Add():
                n = q.adds[layer.name]
                assert f[0] + n.shift_a == f[1] + n.shift_b == out + n.shift_out
                assert 0 <= n.shift_a <= 14 and 0 <= n.shift_b <= 14 and 0 <= n.shift_out <= 31
            case Pool() | Concat() | Relu():
                assert set(f) == {out}


@pytest.mark.parametrize("psum_bits", [24, 28, 32])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_every_layer_kind_stays_close_to_float(psum_bits, scale):
    graph = branches()
    x = images(graph, scale=scale)
    q = quantise(graph, x, psum_bits=psum_bits)
    check_constraints(q)
    run = golden_run(q, quantise_input(q, x))
    assert set(run.wrapped.values()) == {0} and run.peaks == q.peaks
    for name, expected in float_run(graph, x).items():
        assert run.tensors[name].dtype == np.int16 and run.tensors[name].shape == expected.shape
        error = (
            np.abs(dequantise(q, name, run.tensors[name]) - expected).max() / np.abs(expected).max()
        )
        assert error < (0.05 if psum_bits == 24 else 0.005), name


def test_formats_are_the_finest_that_fit():
    b = Builder((1, 4, 4))
    b.conv("x", 2, (1, 1), bias=0.0)
    x = images(b.graph)
    q = quantise(b.graph, x, margin=1.0)
    for name, value in float_run(b.graph, x).items():
        peak = np.abs(value).max() * 2.0 ** q.formats[name]
        assert 16383 < peak <= 32767


def test_golden_run_is_golden_and_independent_of_the_chunk():
    graph = branches()
    q = quantise(graph, images(graph))
    x = quantise_input(q, images(graph, 7, seed=3))
    whole, pieces = golden_run(q, x), golden_run(q, x, chunk=2)
    assert all(np.array_equal(whole.tensors[k], pieces.tensors[k]) for k in graph.tensors)
    assert whole.peaks == pieces.peaks
    layer, n = graph.layers[0], q.convs[graph.layers[0].name]
    direct = requantise(conv2d(x, n.weights, n.bias, pads=layer.pads).wrapped, n.shift, True)
    assert np.array_equal(whole.tensors[layer.output], direct)
    assert set(golden_run(q, x, keep={graph.output}).tensors) == {graph.output}


def test_wrapped_psums_are_counted():
    b = Builder((4, 6, 6))
    b.conv("x", 3)
    q = quantise(b.graph, images(b.graph, scale=0.01))
    loud = golden_run(q, np.full((1, 4, 6, 6), 32767, np.int16))
    layer = b.graph.layers[0].name
    n = q.convs[layer]
    exact = conv2d(np.full((1, 4, 6, 6), 32767, np.int16), n.weights, n.bias)
    assert loud.wrapped[layer] == exact.overflows and loud.peaks[layer] == np.abs(exact.exact).max()


@pytest.mark.parametrize(
    "scale,bias", [(1e-6, 0.0), (1e4, 0.0), (1.0, 1e5), (0.0, 0.0), (0.0, 1.0)]
)
def test_extreme_weights_and_biases(scale, bias):
    b = Builder((2, 5, 5))
    b.conv(b.conv("x", 3, scale=scale, bias=bias), 2, (1, 1))
    x = images(b.graph)
    q = quantise(b.graph, x)
    check_constraints(q)
    assert golden_run(q, quantise_input(q, x)).wrapped == dict.fromkeys(q.convs, 0)


def test_an_addition_of_very_different_scales():
    b = Builder((2, 5, 5))
    b.add(b.conv("x", 2, (1, 1), scale=1e-5, bias=0), b.conv("x", 2, (1, 1), scale=1e3, bias=0))
    q = quantise(b.graph, images(b.graph))
    check_constraints(q)


def test_zero_images_calibrate():
    graph = branches()
    check_constraints(quantise(graph, images(graph, scale=0.0)))


def test_refused():
    graph = branches()
    with pytest.raises(ValueError, match="at least one image"):
        quantise(graph, images(graph, 0))
    with pytest.raises(ValueError, match="expected"):
        quantise(graph, np.zeros((1, 3, 11, 12)))
    with pytest.raises(ValueError, match="finite"):
        quantise(graph, images(graph) * np.nan)
    with pytest.raises(ValueError, match="int16"):
        golden_run(quantise(graph, images(graph)), images(graph))
    graph.layers[0].bias[0] = np.inf
    with pytest.raises(NetworkError, match="conv_t0.*finite"):
        quantise(graph, images(graph))


def test_summary_is_json():
    graph = branches()
    q = quantise(graph, images(graph))
    summary = json.loads(json.dumps(q.summary()))
    assert [row["name"] for row in summary["layers"]] == [layer.name for layer in graph.layers]
    assert summary["layers"][0]["psum_peak"] == q.peaks[graph.layers[0].name]
