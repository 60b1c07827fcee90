"""The wheel: everything that is needed is in it, and it works outside of the checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which the wheel is installed, without what it depends on."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"  # or setuptools would build into the checkout
    ignored = shutil.ignore_patterns(".*", "build", "tests", "docs", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(work), str(source)], check=True)
    (wheel,) = work.glob("eyrie-*.whl")
    folder = work / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder), wheel], check=True)
    return folder


def run(installed: Path, folder: Path, *arguments: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_the_wheel_that_runs(installed, tmp_path):
    code = "import cli, hdl.emit.files as f; print(cli.__file__, f.BUILD)"
    env = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.split() == [
        str(installed / "cli" / "__init__.py"),
        str(tmp_path.resolve() / "build"),
    ]


def test_files_that_are_not_python(installed):
    """All of them are in it, but for what only the checkout needs."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    tops = tuple(p.rstrip("*") + "/" for p in packages["packages"]["find"]["include"])
    wanted = [name for name in tracked.stdout.split("\n") if name.startswith(tops)]
    assert len(wanted) > 250
    assert [name for name in wanted if not (installed / name).is_file()] == []


def test_it_works_elsewhere(installed, tmp_path):
    run(installed, tmp_path, "verilog", "--config", "tiny")
    assert (tmp_path / "build" / "tiny" / "tiny.v").stat().st_size > 100_000
    said = run(installed, tmp_path, "run", "--device", "golden", "--limit", "3", "--config", "tiny")
    assert "all 3 images equal to golden in every layer" in said
    run(installed, tmp_path, "compile", "-o", "out", "--calib", str(calibration(installed)))
    assert {"memory.bin", "eyrie.c", "eyrie.h", "map.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def calibration(installed: Path) -> Path:
    return installed / "compiler" / "models" / "digits_calibration.npz"
