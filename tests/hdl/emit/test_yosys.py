"""The command that stands for Yosys where none is on PATH."""

import subprocess

import pytest

from hdl.emit import yosys

BAD = "module bad(output o);\n  nothing n();\nendmodule\n"


def run(folder, *words):
    return subprocess.run([*yosys.COMMAND, *words], cwd=folder, capture_output=True, text=True)


def test_script_and_log(tmp_path):
    (tmp_path / "a.v").write_text("module a(input i, output o);\n  assign o = ~i;\nendmodule\n")
    (tmp_path / "a.ys").write_text("read_verilog a.v\nwrite_json a.json\n")
    (tmp_path / "a.rpt").write_text("of another run")
    done = run(tmp_path, "-q", "-l", "a.rpt", "a.ys")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert '"modules"' in (tmp_path / "a.json").read_text()
    log = (tmp_path / "a.rpt").read_text()
    assert "Executing JSON backend" in log and "another" not in log
    assert "JSON" in run(tmp_path, "-p", "read_verilog a.v; write_json a.json").stdout


@pytest.mark.parametrize("words", [["-q"], [], ["-q", "-l", "a.rpt"]])
def test_error_is_a_line_and_status_1(tmp_path, words):
    (tmp_path / "bad.v").write_text(BAD)
    (tmp_path / "bad.ys").write_text(
        "read_verilog bad.v\nhierarchy -check -top bad\nwrite_json bad.json\n"
    )
    done = run(tmp_path, *words, "bad.ys")
    assert done.returncode == 1 and "ERROR: Module `\\nothing'" in done.stderr
    assert not (tmp_path / "bad.json").exists()


def test_usage(tmp_path):
    assert run(tmp_path).returncode == 2
    assert run(tmp_path, "--version").stdout.startswith("Yosys 0.70")
    assert (yosys.share() / "ecp5" / "cells_sim.v").is_file()
