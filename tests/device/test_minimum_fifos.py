"""The deadlock argument of docs/deadlock.md at its minimum: every FIFO as shallow as it may be."""

import pytest

from hdl.config import PRESETS
from sim.device import SimDevice
from tests.device.devices import check_network
from tests.layers import STRATA, draw

# One word of psum FIFO holds 4 psums, p is up to 8; one ifmap word; the spad filled by a window.
# They are the array's, so there is no sparse engine.
SHALLOW = PRESETS["tiny"].replace(name="shallow", ifmap_fifo=1, psum_fifo=1, sparse_pes=0)
# With one psum lane there is no FIFO at all: a head adds from its bus.
ONE_LANE = SHALLOW.replace(name="shallow-one-lane", psum_lanes=1, psum_fifo=0)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "config, first_seed", ((SHALLOW, 300), (ONE_LANE, 301)), ids=("four-lanes", "one-lane")
)
def test_shallow_fifos_with_stalls(config, first_seed):
    """Every other stratum with each."""
    with SimDevice(config, "cpp", 16 << 20) as device:
        for seed in range(first_seed, 300 + len(STRATA), 2):
            _, _, network, images = draw(seed)
            device.stall(0.4)
            check_network(device, network, images)
