"""Two MACs a cycle in a PE (config.simd): layers on the RTL, their counters and their cycles."""

import pytest

from compiler.runtime.interpreter import Interpreter
from hdl.isa import Mode
from sim.device import SimDevice
from tests.device.devices import check_counters, check_network
from tests.device.test_small import SMALL
from tests.layers import STRATA, draw

# As on the boards of most MACs: the array alone.
SIMD = SMALL.replace(name="simd", sparse_pes=0, simd=2, gating=True, counters=True)
# The same with a MAC a cycle.
SINGLE = SIMD.replace(name="simd-1", simd=1)


@pytest.fixture(scope="module")
def simd():
    with SimDevice(SIMD, "cpp", 16 << 20) as device:
        yield device


def test_layers(simd):
    """Every stratum, among them odd numbers of filters, dense and gated; half of them with
    stalls. Without, all counters are as counted."""
    odd = 0
    for seed in range(len(STRATA)):
        _, _, network, images = draw(seed)
        simd.stall(0.4 * (seed % 2))
        program, counters = check_network(simd, network, images, mode=Mode(seed // 2 % 2))
        odd += len(network.graph.layers[0].weights) % 2
        if not seed % 2:
            check_counters(simd, program, counters, seed)
    simd.stall(0.0)
    assert odd >= 3


def test_faster(simd):
    """A layer in fewer cycles than PEs of one MAC a cycle could take if none ever waited."""
    _, _, network, images = draw(12)
    counters = check_network(simd, network, images)[1]["layer"]
    assert counters["macs"] > 1.2 * SIMD.pes * counters["cycles"], counters


def test_interpreted():
    """The interpreter's counts too, in half of the busy cycles."""
    for seed in (1, 4, 8):
        _, _, network, images = draw(seed)
        found = [
            check_network(Interpreter(config, 4 << 20), network, images)[1]["layer"]
            for config in (SIMD, SINGLE)
        ]
        assert (
            found[0]["macs"] == 2 * found[0]["pe_busy"] >= found[1]["macs"] == found[1]["pe_busy"]
        )
