"""What a run of the tests leaves out is listed at its end."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TESTS = """
import pytest

@pytest.mark.sampled(2)
@pytest.mark.parametrize("n", range(9))
def test_sampled(n): pass

def test_many(cases):
    assert cases(5, 1000, "graphs") in (5, 1000, 7)

@pytest.mark.parametrize("n", range(2))
def test_option(n):
    pytest.skip("--netlist: takes long")

def test_other():
    pytest.skip("no file")
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_list(processes, tmp_path):
    (tmp_path / "conftest.py").write_text((HERE / "conftest.py").read_text())
    (tmp_path / "test_x.py").write_text(TESTS)

    def listed(*options):
        words = [sys.executable, "-m", "pytest", "-q", "-n", processes, *options, "test_x.py"]
        out = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True).stdout
        lines = (line.split() for line in out.splitlines() if "::" in line)
        return [(name.partition("::")[2], int(n.replace(",", "")), to) for name, n, _, to in lines]

    skipped = ("test_option", 2, "--netlist")
    assert listed() == [("test_many", 995, "--all"), skipped, ("test_sampled", 4, "--all")]
    assert listed("--graphs", "7")[0] == ("test_many", 993, "--all")
    assert listed("--all") == [skipped]
