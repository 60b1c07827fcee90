"""The board's components as Verilog: no complaints of Verilator's."""

import pytest

from fpga.arbiter import Arbiter
from fpga.bridge import Bridge
from fpga.link import Link
from fpga.protocol import VERSION, Identity
from fpga.ram import Ram
from fpga.sdram import Sdram
from fpga.sdram_timing import PARTS
from hdl.verilog import emit, lint


@pytest.mark.parametrize("make", [
    lambda: Link(80_000_000, 3_000_000, 1000), lambda: Bridge(Identity(VERSION, 512, 1, 2, 3, "x")), Arbiter,
    lambda: Ram(4096), lambda: Sdram(PARTS["32MB-6"], 133_000_000, delay=1)])
def test_lint(make, tmp_path):
    text, sidecar = emit(make())
    (tmp_path / "dut.v").write_text(text)
    lint(tmp_path / "dut.v", sidecar["top"])
