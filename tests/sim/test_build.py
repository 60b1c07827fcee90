"""The cache of simulators: found again by content, and whole or absent."""

import re
import shutil
import subprocess

import pytest

from hdl.array.row import PeRow
from hdl.config import PRESETS
from hdl.emit.verilog import emit
from sim import build
from tests.sim.standin import StandIn


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
    monkeypatch.setattr(
        build,
        "verilator_command",
        lambda: (command, env | {"VERILATOR_ROOT": str(folder / "verilator")}),
    )
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
    # two of each, or more
    assert set(kept) == {"processing_element", "lane_mux", "loop_counter"}
    ports = re.split(r"\s*,\s*", listed.strip())
    assert sorted(kept["processing_element"]) == sorted(
        port for port in ports if not port.endswith("clk")
    )
    assert not kept["lane_mux"] and not kept["loop_counter"]  # small, so they are inlined


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Our C++ and SystemVerilog, to be changed."""
    place = tmp_path / "sim"
    shutil.copytree(build.HERE, place, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setattr(build, "HERE", place)
    return place


@pytest.mark.parametrize(
    "name", ["main.cpp", "memory.cpp", "memory.h", "tb.sv", "no_vpi.cpp", "fst/lz4.h", "fst/zlib.h"]
)
def test_what_is_compiled_changes_the_key(copy, name):
    before = build.simulator_key("text", "top")
    assert build.simulator_key("text", "top") == before
    (copy / name).write_text((copy / name).read_text() + "// changed\n")
    assert build.simulator_key("text", "top") != before


def test_what_is_not_compiled_does_not(copy):
    before = build.simulator_key("text", "top")
    (copy / "other.h").write_text("// not included\n")
    assert build.simulator_key("text", "top") == before


def test_includes_are_followed(tmp_path):
    """Through headers, once each and wherever the folder is; what is not there is a tool's."""
    first, second = tmp_path / "first", tmp_path / "second"
    for place in (first, second):
        (place / "inner").mkdir(parents=True)
        (place / "a.cpp").write_text(
            '#include <vector>\n#include "Vtop.h"\n  # include "inner/b.h"\n'
        )
        (place / "inner" / "b.h").write_text('#include "c.svh"\n#include "../a.cpp"\n')
        (place / "inner" / "c.svh").write_text('`include "d.svh"\n')
        (place / "inner" / "d.svh").write_text("")
    assert build.sources(first / "a.cpp")[::2] == [b"a.cpp", b"b.h", b"c.svh", b"d.svh"]
    assert build.sources(first / "a.cpp") == build.sources(second / "a.cpp")
    with pytest.raises(FileNotFoundError):
        build.sources(first / "none.cpp")


def test_the_key_of_a_component(monkeypatch):
    """Waves, ports and this module's own code count: each asks for another folder."""
    asked = []
    monkeypatch.setattr(build, "_cached", lambda key, make: asked.append(key))
    build.bench("text", "top", ["a"])
    build.bench("text", "top", ["a"], waves=True)
    build.bench("text", "top", ["a", "b"])
    monkeypatch.setattr(build, "fingerprint", lambda *names: "changed")
    build.bench("text", "top", ["a"])
    assert len(set(asked)) == 4
