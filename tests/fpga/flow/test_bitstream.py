"""The smallest board from Amaranth to its bitstream, with all its tools."""

import json

import pytest

import cli
from fpga.boards import BOARDS
from fpga.boards.board import CAPACITY
from fpga.flow.area import measure
from fpga.flow.build import artifact
from fpga.flow.tools import ToolError, find
from hdl.config import BOARD_PRESETS

# The least LUTs of the boards that hold the machine: the die of the 25F.
BOARD = BOARDS["ulx3s-12f"]


@pytest.fixture(scope="module", autouse=True)
def needs_tools(request):
    if not (request.config.getoption("--bitstream") or request.config.getoption("--all")):
        pytest.skip("--bitstream: place and route, six to ten minutes of a core")
    try:
        for name in ("yosys", "nextpnr-ecp5", "ecppack"):
            find(name)
    except ToolError as e:
        pytest.skip(str(e))


def test_smallest_board_to_a_bitstream(tmp_path, capsys):
    artifact(BOARD).unlink(missing_ok=True)
    assert cli.main(["fpga", BOARD.name, "--json", str(tmp_path)]) == 0
    report = json.loads((tmp_path / f"{BOARD.name}-{BOARD.preset}.json").read_text())
    assert report["pes"] == BOARD.config.pes == 4
    assert report["fmax_mhz"] >= report["clock_mhz"] == BOARD.clock_hz / 1e6
    assert report["dsp"][0] == 20 and report["bram"][0] == 46
    assert 10_000 < report["lut"][0] <= report["lut"][1] == CAPACITY[BOARD.device][0]
    assert report["components"]["core.array"]["dsp"] >= report["pes"]
    assert artifact(BOARD).stat().st_size > 100_000
    assert str(report["fmax_mhz"]) in capsys.readouterr().out


def test_pe_alone():
    """`python -m fpga.flow.area pe`, routed."""
    found = measure("pe", BOARD_PRESETS["ecp5-85"].replace(name="test"))
    assert (found["dsp"], found["bram"]) == (1, 1)
    assert found["lut"] <= 450 and found["ff"] <= 500 and found["fmax_mhz"] > 120
