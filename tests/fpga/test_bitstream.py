"""All tools of a bitstream on the smallest thing worth placing: one PE."""

import pytest

from fpga.area import measure
from fpga.tools import ToolError, find
from hdl.config import BOARD_PRESETS
from hdl.verilog import BUILD


@pytest.fixture(scope="module", autouse=True)
def needs_tools():
    try:
        for name in ("yosys", "nextpnr-ecp5", "ecppack"):
            find(name)
    except ToolError as e:
        pytest.skip(str(e))


def test_pe_to_a_bitstream():
    config = BOARD_PRESETS["ecp5-45"].replace(name="test")
    found = measure("pe", config)
    assert (found["dsp"], found["bram"]) == (1, 1)
    assert found["lut"] <= 530 and found["ff"] <= 850 and found["fmax_mhz"] > 100
    assert (BUILD / "fpga" / "pe-test" / "top.bit").stat().st_size > 100_000
