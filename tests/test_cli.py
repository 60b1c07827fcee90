"""The command line: help everywhere, one-line errors, exit statuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("command", [[], ["verilog"], ["sim"], ["compile"], ["unpack"], ["clean"]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as e:
        cli.main([*command, "--help"])
    assert e.value.code == 0 and "usage: eyrie" in capsys.readouterr().out


def test_user_errors(tmp_path, capsys):
    bad = tmp_path / "c.json"
    bad.write_text(json.dumps({"color": 1}))
    for arguments, message in (
            (["verilog", "--config", "nope"], "unknown preset 'nope'"),
            (["verilog", "--config", str(bad)], "unknown key 'color'"),
            (["verilog", "--config", str(tmp_path / "none.json")], "No such file"),
            (["sim", "nope"], "unknown bench 'nope'")):
        assert cli.main(arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith("eyrie: error: ") and message in err and err.count("\n") == 1


def test_exit_status_of_the_process():
    done = subprocess.run([sys.executable, "cli.py", "verilog", "--config", "nope"], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert subprocess.run([sys.executable, "cli.py", "nonsense"], cwd=ROOT, capture_output=True).returncode == 2


def test_make_lists_its_targets():
    out = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "verilog", "run", "sim", "test", "lint", "clean"):
        assert f"make {target}" in out
