"""Passes whose groups of channels share a channel block of the ifmap."""

import pytest

from compiler.mapping import mapper
from compiler.mapping.search import ranking
from hdl.config import PRESETS
from sim.device import SimDevice
from tests.compiler.builder import Builder
from tests.device.devices import check_network
from tests.device.test_rlc import prepare

TINY = PRESETS["tiny"]


@pytest.mark.parametrize(
    "channels,kernel,stride,pads",
    [
        (16, (3, 3), (1, 1), (1, 1, 1, 1)),
        (24, (2, 2), (2, 2), (0, 0, 0, 0)),
        (16, (1, 1), (1, 1), (0, 0, 0, 0)),
        (12, (3, 2), (1, 3), (1, 1, 0, 1)),
    ],
)
def test_groups_of_a_block(channels, kernel, stride, pads, monkeypatch):
    """Forced to split blocks, every mapping gives golden's ofmaps on the RTL, ifmaps coded or
    not."""

    def split_only(shape, config, objective="cycles"):
        found = [m for m in ranking(shape, config, objective, 1000) if m.split > 1]
        return found[0] if found else None

    monkeypatch.setattr(mapper, "search", split_only)
    monkeypatch.setattr(mapper, "STORE", None)
    b = Builder((channels, 7, 9), 3)
    b.conv("x", 5, kernel, stride=stride, pads=pads, relu=True)
    with SimDevice(TINY, "cpp", 1 << 20, stalls=0.2) as device:
        for rlc in ("off", "on"):
            network, images = prepare(b.graph, 3, zeros=0.6)
            compiled, _ = check_network(device, network, images, rlc=rlc)
            m = compiled.segments[-1].mapping
            assert m.split == m.r > 1
