"""The board's components as Verilog: no complaints of Verilator's."""

import pytest

from fpga.memory.arbiter import Arbiter
from fpga.memory.ram import Ram
from fpga.memory.sdram.sdram import Sdram
from fpga.memory.sdram.sdram_timing import PARTS
from fpga.serial.bridge.bridge import Bridge
from fpga.serial.link import Link
from fpga.serial.protocol import VERSION, Identity
from hdl.emit.verilog import emit, lint


@pytest.mark.parametrize(
    "make",
    [
        lambda: Link(80_000_000, 3_000_000, 1000),
        lambda: Bridge(Identity(VERSION, 512, 1, 2, 3, "x")),
        Arbiter,
        lambda: Ram(4096),
        lambda: Sdram(PARTS["32MB-6"], 133_000_000, delay=1),
    ],
)
def test_lint(make, tmp_path):
    text, sidecar = emit(make())
    (tmp_path / "dut.v").write_text(text)
    lint(tmp_path / "dut.v", sidecar["top"])
