"""Random layers through the RTL of the smallest preset, bit-exact with golden."""

from collections import Counter

import pytest

from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.runtime.interpreter import Interpreter
from hdl.config import PRESETS
from hdl.isa import Mode
from sim.device import SimDevice
from tests.device.devices import check_network
from tests.layers import STRATA, draw

TINY = PRESETS["tiny"]


def test_random_layers_on_rtl(request, cases, capsys):
    """Every stratum in turn; half of the layers with random stalls on every memory channel."""
    count, first = cases(28, 120, "layers"), request.config.getoption("first_seed")
    seen, cycles = Counter(), 0
    with SimDevice(TINY, "cpp", 16 << 20) as device:
        for seed in range(first, first + count):
            stratum, batch, network, images = draw(seed)
            device.stall(0.3 if seed % 2 else 0.0)
            try:
                _, counters = check_network(device, network, images, mode=Mode(seed % 3))
            except Exception as error:
                raise AssertionError(f"seed {seed} ({stratum}): {error}") from error
            layer = network.graph.layers[0]
            seen[stratum] += 1
            for limit, holds in (
                ("R = 12", layer.kernel[0] == 12),
                ("S = 32", layer.kernel[1] == 32),
                ("U = 12", layer.stride[1] == 12),
                ("C = 1024", images.shape[1] == 1024),
                ("M = 1024", len(layer.weights) == 1024),
                ("groups = C", layer.groups == images.shape[1] > 1),
                ("batch 4", batch == 4),
                ("pads", layer.pads == layer.kernel * 2),
            ):
                seen[limit] += holds
            seen["E = F = 1"] += network.graph.tensors["out"].shape[1:] == (1, 1)
            cycles += counters["layer"]["cycles"]
    with capsys.disabled():
        print(
            f"\n{count} random layers on tiny, seeds {first}..{first + count - 1}, "
            f"{cycles:,} cycles: {dict(seen)}"
        )
    if count >= 200:
        assert min(seen.values()) >= 5, seen


@pytest.mark.parametrize("preset", PRESETS)
def test_random_layers_interpreted(preset, cases):
    """Layers of every other stratum (with --all of each), others for each preset, mapped for it
    and run by the interpreter."""
    config, turn = PRESETS[preset], list(PRESETS).index(preset)
    step = 1 if cases(len(STRATA) // 2, len(STRATA)) == len(STRATA) else 2
    for seed in range(turn * len(STRATA) + turn % step, (turn + 1) * len(STRATA), step):
        stratum, batch, network, images = draw(seed)
        program = compile_network(network, config, Options(images=batch))
        try:
            check_network(Interpreter(config, program.end), network, images)
        except Exception as error:
            raise AssertionError(f"seed {seed} ({stratum}) on {preset}: {error}") from error


def test_drivers_agree():
    """cocotb and C++ drive one model: equal cycles and counters."""
    _, _, network, images = draw(6)
    seen = []
    for driver in ("cocotb", "cpp"):
        with SimDevice(TINY, driver, 1 << 20) as device:
            _, counters = check_network(device, network, images)
            seen.append(counters["layer"])
    assert seen[0] == seen[1]
    assert seen[0]["macs"] == seen[0]["pe_busy"] > 0


def test_counters_add_up():
    """MACs and words are those of the interpreter, and every PE-cycle has one cause."""
    for seed in (1, 6, 8, 9):
        _, batch, network, images = draw(seed)
        with SimDevice(TINY, "cpp", 4 << 20) as device:
            program, counters = check_network(device, network, images)
        model = Interpreter(TINY, program.end)
        _, expected = check_network(model, network, images)
        got, want = counters["layer"], expected["layer"]
        for name in (
            "macs",
            "macs_gated",
            "filter_words",
            "psum_words",
            "ofmap_words",
            "dram_write_bytes",
            "command_bytes",
        ):
            assert got[name] == want[name], (seed, name)
        causes = sum(
            got[n]
            for n in (
                "pe_busy",
                "pe_wait_filter",
                "pe_wait_ifmap",
                "pe_wait_psum",
                "pe_wait_hazard",
                "pe_idle",
            )
        )
        assert abs(causes - TINY.pes * got["cycles"]) <= 4 * TINY.pes
