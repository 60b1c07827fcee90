"""The deadlock argument of docs/deadlock.md at its minimum: every FIFO as shallow as it may be."""

from hdl.config import PRESETS
from sim.device import SimDevice
from tests.device.devices import check_network
from tests.layers import STRATA, draw

# One word of psum FIFO holds 4 psums, p is up to 8; one ifmap word; the spad filled by a window.
SHALLOW = PRESETS["tiny"].replace(name="shallow", ifmap_fifo=1, psum_fifo=1)


def test_shallow_fifos_with_stalls():
    with SimDevice(SHALLOW, "cpp", 16 << 20) as device:
        for seed in range(300, 300 + 2 * len(STRATA)):
            _, _, network, images = draw(seed)
            device.stall(0.4)
            check_network(device, network, images)
