"""8-bit strips on the RTL."""

import pytest

from hdl.config import PRESETS
from hdl.isa import Mode
from sim.device import SimDevice
from tests.compiler.narrow import check_layer, check_store
from tests.compiler.strips import check_random
from tests.device.devices import check_counters
from tests.device.test_simd import SIMD


@pytest.fixture(scope="module", params=(PRESETS["tiny"], SIMD), ids=lambda config: config.name)
def machine(request):
    with SimDevice(request.param, "cpp", 16 << 20) as device:
        yield device


@pytest.fixture(params=[0.0, 0.4])
def stalled(machine, request):
    machine.stall(request.param)
    yield machine
    machine.stall(0.0)


@pytest.mark.parametrize("seed", range(3))
def test_random(stalled, seed):
    """LOADs and STOREs, narrow and wide, as the docstrings of hdl/isa.py say."""
    check_random(stalled, seed)


def test_copies_and_pools(stalled, cases):
    for seed in range(cases(10, 60)):
        check_store(stalled, seed)


def test_convolutions(machine, cases):
    """Bit-exact with golden; accesses are those that the model counts."""
    for seed in range(cases(9, 42)):
        machine.stall(0.3 * (seed % 2))
        mode = Mode(seed % (3 if machine.config.skip else 2))
        program, counters = check_layer(machine, seed, mode=mode)
        if machine.config.counters:
            check_counters(machine, program, counters, seed)
    machine.stall(0.0)
