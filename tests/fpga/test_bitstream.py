"""All tools of a bitstream on the smallest board: its whole machine, placed, routed and packed."""

import pytest

from fpga.boards import BOARDS
from fpga.build import artifact, build
from fpga.tools import ToolError, find


@pytest.fixture(scope="module", autouse=True)
def needs_tools():
    try:
        for name in ("yosys", "nextpnr-ecp5", "ecppack"):
            find(name)
    except ToolError as e:
        pytest.skip(str(e))


def test_smallest_board_to_a_bitstream():
    """The clock is met, and a PE is a multiplier and a block RAM: all of them are there."""
    board = BOARDS["ulx3s-25f"]
    found = build(board)
    assert found.met, f"{found.fmax_mhz} MHz of {found.clock_mhz}"
    assert found.pes == board.config.pes >= 4 and found.dsp[0] >= found.pes and found.bram[0] >= found.pes
    assert all(used <= capacity for used, capacity in (found.lut, found.ff, found.dsp, found.bram))
    assert artifact(board).stat().st_size > 100_000
