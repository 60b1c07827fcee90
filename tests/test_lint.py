"""The house in order: what `make count` counts stays within its limits, and ruff finds nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import house

SPLIT = ("golden", "compiler", "cli")  # where no function is over house.LONG lines
SEMAPHORES_FREE = 8  # of a mask, without a name yet
STORE_FREE = 48  # bits of the longest command's words, for what it does not do yet


@pytest.fixture(scope="module")
def texts():
    return house.sources()


@pytest.fixture(scope="module")
def rows(texts):
    return {path: house.measure(text) for path, text in texts.items()}


@pytest.fixture(scope="module")
def room(texts):
    return house.free_room(texts)


@pytest.mark.parametrize("kind", ["circles", "folder_circles", "upward"])
def test_imports(texts, kind):
    assert house.measure_imports(texts)[kind] == []


def test_every_module_of_hdl_has_a_rank(texts):
    assert house.measure_imports(texts)["unranked"]["hdl"] == 0


def test_folders_are_not_crowded():
    assert {path: n for path, n in house.folders().items() if n > house.CROWDED} == {}


def test_no_long_lines(rows):
    assert {path: row["long_lines"] for path, row in rows.items() if row["long_lines"]} == {}


@pytest.mark.parametrize("top", SPLIT)
def test_no_long_functions(rows, top):
    mine = {path: row for path, row in rows.items() if house.top_of(path) == top}
    assert mine
    assert {
        path: row["long_functions"] for path, row in mine.items() if row["long_functions"]
    } == {}


def test_room_of_the_formats(room):
    assert room["semaphores"]["free"] >= SEMAPHORES_FREE
    assert room["command_free_bits"]["STORE"] >= STORE_FREE


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["check", "format"])
def test_ruff(command):
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not installed: the extra `lint` brings it")
    done = subprocess.run(
        [ruff, *command, "--no-cache", "."], cwd=house.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Components over a limit; the list only gets shorter.
LONG_ELABORATES: set[str] = set()
MOST_TESTS = 3  # of the configuration, in an `elaborate`
MOST_TESTS_OF_HDL = 78


def test_elaborates_are_short(rows):
    """Over house.LONG lines only what is listed."""
    long = {
        path
        for path, row in rows.items()
        if path.startswith(("hdl/", "fpga/"))
        if any(name.endswith(".elaborate") for name in row["long_functions"])
    }
    assert long == LONG_ELABORATES


def test_elaborates_test_the_configuration_seldom(texts):
    rows = {p: row for p, row in house.measure_all(texts).items() if p.startswith("hdl/")}
    units = {(p, name): n for p, row in rows.items() for name, (_, n) in row["units"].items()}
    assert len(units) > 30
    assert {unit: n for unit, n in units.items() if n > MOST_TESTS} == {}
    assert sum(row["tests"] for row in rows.values()) <= MOST_TESTS_OF_HDL
