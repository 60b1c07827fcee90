"""The cache of simulators: found again by content, and whole or absent."""

import re

import pytest

from hdl.config import PRESETS
from hdl.pe_row import PeRow
from hdl.verilog import emit
from sim import build

from .standin import StandIn


def test_content_is_the_key(tmp_path, monkeypatch):
    text, sidecar = emit(StandIn())
    place = build.build(text, sidecar["top"])
    before = (place / "seconds").read_text()
    assert build.build(text, sidecar["top"]) == place
    assert (place / "seconds").read_text() == before
    assert (place / "sim_cpp").exists() and (place / "sim_cocotb").exists()


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    with pytest.raises(build.BuildError, match="syntax error"):
        build.build("module broken(; endmodule", "broken")
    assert list((tmp_path / "cache").iterdir()) == []


def test_repeated_modules_keep_their_ports():
    text, _ = emit(PeRow(PRESETS["tiny"]))
    kept = build._repeated(text)
    listed = re.search(r"module processing_element\(([^)]*)\)", text)[1]
    assert {module for module, _ in kept} == {"processing_element", "lane_mux", "loop_counter"}    # two of each, or more
    assert sorted(port for module, port in kept if module == "processing_element") == sorted(set(re.split(r"\s*,\s*", listed.strip())) - {"clk"})
