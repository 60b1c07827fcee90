"""The floorplan of large machines: each cell a place of its own, on the rows that a device has."""

import pytest

from fpga.flow import floorplan
from hdl.config import BOARD_PRESETS
from hdl.lib.marks import FILTERS, MULTIPLIER

LARGE, SIMD = BOARD_PRESETS["ecp5-85"], BOARD_PRESETS["ecp5-85-128"]


def test_every_pe_has_its_own_places():
    found = floorplan.places(LARGE, "LFE5U-85F")
    assert len(found) == len(set(found.values())) == 2 * LARGE.pes
    for (mark, _), place in found.items():
        x, y, kind = place.split("/")
        assert y in (("Y22", "Y46") if mark == FILTERS else ("Y10", "Y34"))
        assert kind.startswith("EBR" if mark == FILTERS else "MULT18_") and 4 <= int(x[1:]) <= 120
    # Neighbours in the chain are neighbours on the device.
    at = [int(found[FILTERS, n].split("/")[0][1:]) for n in range(LARGE.pes)]
    assert max(abs(a - b) for a, b in zip(at, at[1:])) <= 9


def test_two_multipliers_a_pe():
    found = floorplan.places(SIMD, "LFE5U-85F")
    assert len(found) == len(set(found.values())) == 3 * SIMD.pes
    assert {place.split("/")[1] for place in found.values()} == {
        "Y10",
        "Y34",
        "Y58",
        "Y22",
        "Y46",
        "Y70",
    }
    for n in range(SIMD.pes):  # a PE's are beside each other
        cells = (FILTERS, n), (MULTIPLIER, 2 * n), (MULTIPLIER, 2 * n + 1)
        x = [int(found[cell].split("/")[0][1:]) for cell in cells]
        assert max(x) - min(x) <= 9


def test_small_machines_and_other_devices_have_none():
    assert floorplan.places(BOARD_PRESETS["ecp5-45"], "LFE5U-85F") == {}
    assert floorplan.commands(LARGE, "LFE5U-45F") == ""


def test_too_many():
    with pytest.raises(
        ValueError, match="ecp5-85: 160 multipliers: the bands of an LFE5U-85F have 156"
    ):
        floorplan.places(LARGE.replace(rows=8, columns=20), "LFE5U-85F")
