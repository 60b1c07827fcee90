"""The cache of simulators: found again by content, and whole or absent."""

import re
import subprocess

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


def test_paths_with_blanks(tmp_path, monkeypatch):
    """A checkout whose path has one: the cache, our sources and Verilator's are all behind it."""
    folder = tmp_path / "with a blank"
    folder.mkdir()
    command, env = build.verilator_command()
    for name, place in (("sim", build.HERE), ("verilator", env["VERILATOR_ROOT"])):
        (folder / name).symlink_to(place)
    monkeypatch.setattr(build, "HERE", folder / "sim")
    monkeypatch.setattr(build, "CACHE", folder / "cache")
    monkeypatch.setattr(build, "verilator_command",
                        lambda: (command, env | {"VERILATOR_ROOT": str(folder / "verilator")}))
    text, sidecar = emit(StandIn())
    place = build.build(text, sidecar["top"])
    assert {p.name for p in place.iterdir()} >= {"sim_cpp", "sim_cocotb"}
    assert not any(p.is_symlink() for p in place.iterdir())
    # It runs, and asks for the pipes that it is not given.
    done = subprocess.run([str(place / "sim_cpp")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "no +in=FD" in done.stderr


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
