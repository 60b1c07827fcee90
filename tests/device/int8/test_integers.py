"""Random int8 layers, and what follows them, through the RTL: bit-exact with golden."""

from collections import Counter

import numpy as np
import pytest

from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import golden_run
from compiler.quantise.integer_run import integer_run
from compiler.runtime.interpreter import Interpreter
from hdl.config import BOARD_PRESETS, PRESETS
from sim.device import SimDevice
from tests.device.devices import check_counters, check_network
from tests.integer_layers import AFTER, draw_integer

CONFIGS = {
    name: (PRESETS | BOARD_PRESETS)[name] for name in ("tiny", "demo", "eyeriss", "ecp5-85-128")
}


def drawn(seed, config):
    """(what it is, QuantisedGraph, int16 images); golden of the machine's graph is that of the
    network's."""
    what, graph, network, q = draw_integer(seed, config.psum_bits)
    expected, images = integer_run(graph, q), graph.tensors["in"].affine.centred(q)
    for name, values in golden_run(network, images).tensors.items():
        restored, want = graph.tensors[name].affine.restored(values), expected[name]
        want = want[:, network.kept[name]]
        np.testing.assert_array_equal(restored, want, err_msg=f"seed {seed}: {name}")
    return what, network, images


@pytest.mark.parametrize("preset", CONFIGS)
def test_on_rtl(preset, request, cases, capsys):
    """Half of the layers with random stalls on every memory channel, of the others the cost model's
    counts are compared too. The larger presets, whose simulators take minutes to build, with
    --all."""
    usual = {"tiny": 24}.get(preset, 0)
    count, first = cases(usual, 200, "layers"), request.config.getoption("first_seed")
    if not count:
        pytest.skip("--all: the simulator takes minutes to build")
    seen, cycles = Counter(), 0
    with SimDevice(CONFIGS[preset], "cpp", 16 << 20) as device:
        for seed in range(first, first + count):
            what, network, images = drawn(seed, device.config)
            device.stall(0.3 if seed % 2 else 0.0)
            try:
                program, counters = check_network(device, network, images)
                if not seed % 2:
                    check_counters(device, program, counters, what)
            except Exception as error:
                raise AssertionError(f"seed {seed} ({what}): {error}") from error
            seen[what.split(", ")[1]] += 1
            cycles += sum(segment["cycles"] for segment in counters.values())
    with capsys.disabled():
        print(
            f"\n{count} random int8 layers on {preset}, seeds {first}..{first + count - 1}, "
            f"{cycles:,} cycles: {dict(seen)}"
        )
    assert set(seen) == set(AFTER)


@pytest.mark.parametrize("preset", CONFIGS)
def test_interpreted(preset, cases):
    """Others for each preset, mapped for it and run by the interpreter."""
    config, count = CONFIGS[preset], cases(24, 200)
    for seed in range(1000, 1000 + count):
        what, network, images = drawn(seed, config)
        try:
            program = compile_network(network, config, Options(images=len(images)))
            check_network(Interpreter(config, program.end), network, images)
        except Exception as error:
            raise AssertionError(f"seed {seed} ({what}) on {preset}: {error}") from error
