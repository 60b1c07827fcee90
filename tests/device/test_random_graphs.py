"""Random networks: golden against onnxruntime, programs against golden."""

import dataclasses
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from compiler.frontend.onnx_import import load
from compiler.graph import NetworkError
from compiler.layers import Conv
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.mapping.mapping import MappingError
from compiler.quantise.fixed_point import dequantise, golden_run, quantise, quantise_input
from compiler.quantise.float_run import float_run
from compiler.runtime.verify import verify
from golden.fixed import dequantise as dequantise_fixed
from hdl.config import PRESETS
from sim.device import SimDevice
from tests.device.devices import check_network
from tests.graphs import bounds, models
from tests.onnx_models import model as onnx_model
from tests.onnx_models import node

IMAGES = 3
NOISE = 4.0  # powers of ten that an output's noise is below it
onnxruntime.set_default_logger_severity(4)


def agree(model, network, raw):
    """Golden and the float model with onnxruntime, the latter within rounding."""
    graph = network.graph
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = session.run(None, {"x": raw.astype(np.float32)})[0]
    floats = float_run(graph, raw)
    assert floats[graph.output].shape == expected.shape
    np.testing.assert_allclose(floats[graph.output], expected, rtol=1e-4, atol=1e-4)
    run = golden_run(network, quantise_input(network, raw))
    for layer in graph.layers:
        if isinstance(layer, Conv):
            numbers = network.convs[layer.name]
            off = np.abs(dequantise_fixed(numbers.weights, numbers.fraction) - layer.weights)
            assert (off <= 2.0**-numbers.fraction / 2).all(), layer.name
    # The bounds above follow the formats, so these must be fine enough.
    got = dequantise(network, graph.output, run.tensors[graph.output])
    assert np.square(got - expected).sum() <= 10**-NOISE * np.square(expected).sum() + 1e-12
    assert not sum(run.wrapped.values())
    for name, bound in bounds(network, floats, run.tensors).items():
        off = np.abs(dequantise(network, name, run.tensors[name]) - floats[name])
        assert (off <= bound * (1 + 1e-9)).all(), (name, (off - bound).max())


@pytest.mark.parametrize(
    "change", [lambda w: 0 * w, lambda w: -w, lambda w: w[:, :, ::-1].copy(), lambda w: w + 4]
)
def test_wrong_numbers_do_not_agree(change):
    """Weights of zeros, negated, mirrored, a little off: golden is not what onnxruntime
    computes."""
    nodes = [
        node("Conv", "x w", "u", pads=[1, 1, 1, 1]),
        node("Relu", "u", "v"),
        node("GlobalAveragePool", "v"),
    ]
    rng = np.random.default_rng(0)
    m = onnx_model(nodes, (None, 2, 5, 5), {"w": rng.normal(size=(4, 2, 3, 3)).astype(np.float32)})
    raw = rng.normal(size=(IMAGES, 2, 5, 5))
    network = quantise(load(m.SerializeToString()), raw)
    agree(m, network, raw)
    name, numbers = next(iter(network.convs.items()))
    network.convs[name] = dataclasses.replace(numbers, weights=change(numbers.weights))
    with pytest.raises(AssertionError):
        agree(m, network, raw)


def drawn(request, count, device_of, seen):
    """Runs `count` models by what device_of(preset) gives, a configuration and a function of
    network and int16 images that compares them with golden. seen: a Counter of what came."""
    first = request.config.getoption("first_seed")

    @seed(first)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(models(), st.sampled_from(["tiny", "demo", "eyeriss"]))
    def run(model, preset):
        seen["graphs"] += 1
        try:
            one(model, preset)
        except Exception as error:
            error.add_note(f"on {preset}, of seed {first}:\n{onnx.printer.to_text(model)}")
            raise

    def one(model, preset):
        config, check = device_of(preset)
        try:
            graph = load(model.SerializeToString())
            raw = np.random.default_rng(0).normal(size=(IMAGES, *graph.tensors["x"].shape))
            network = quantise(graph, raw, psum_bits=config.psum_bits)
            agree(model, network, raw)
            check(network, quantise_input(network, raw))
        except (NetworkError, MappingError) as error:
            seen[f"refused: {error}"] += 1
            return
        seen["equal"] += 1
        for kind in {type(layer).__name__ for layer in graph.layers}:
            seen[kind] += 1

    run()
    refused = sum(n for key, n in seen.items() if key.startswith("refused"))
    assert seen["equal"] + refused == seen["graphs"] >= count and seen["equal"] >= 0.9 * count


def test_random_graphs(request, cases, capsys):
    """Of every graph each tensor in memory equals golden, on three presets; what is refused is
    refused by name."""
    count, seen = cases(25, 1000, "graphs"), Counter()

    def device_of(preset):
        config = PRESETS[preset]

        def check(network, images):
            program = compile_network(network, config, Options(images=IMAGES, chained=True))
            equal, kept = verify(program, network, images)
            seen["tensors equal"] += equal
            seen["before a fused pool, not in memory"] += kept
            for kind in {segment.kind for segment in program.segments}:
                seen[kind] += 1

        return config, check

    drawn(request, count, device_of, seen)
    with capsys.disabled():
        print(
            f"\n{count} random networks, seed {request.config.getoption('first_seed')}: "
            f"{dict(seen)}"
        )
    assert min(seen[kind] for kind in ("copy", "add", "pool", "conv")) > 0


def test_random_graphs_on_rtl(request, cases):
    """The same on the RTL of the smallest preset, with random stalls."""
    count, config, seen = cases(5, 100, "graphs"), PRESETS["tiny"], Counter()
    with SimDevice(config, "cpp", 4 << 20) as device:
        device.stall(0.2)
        drawn(
            request,
            count,
            lambda _: (config, lambda network, images: check_network(device, network, images)),
            seen,
        )
