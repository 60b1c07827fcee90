"""Searches together, and kept on disk."""

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import compiler.mapping.mapper
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.mapping.mapper import PENDING, Mapper
from compiler.mapping.mapping import Shape
from compiler.mapping.search import search
from compiler.quantise.fixed_point import quantise
from hdl.config import PRESETS
from tests.compiler.builder import Builder

ROOT = Path(__file__).resolve().parents[3]
TINY = PRESETS["tiny"]
SHAPE = Shape(1, 8, 6, 6, 5, 3, 3, 4, 4, 1, 1, 4, 2, 4)
SHAPES = [dataclasses.replace(SHAPE, M=m) for m in range(1, 61)]
# a fused pool wants all filters at once
TOO_LARGE = dataclasses.replace(SHAPE, M=4000, pool=(2, 2))


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """Where this test's mappings are kept."""
    monkeypatch.setattr(compiler.mapping.mapper, "STORE", path := tmp_path / "folder" / "m.sqlite")
    return path


def counted(mapper, shapes):
    before = mapper.searched
    found = [mapper.search(shape) for shape in shapes]
    return found, mapper.searched - before


def test_kept():
    """Once searched, a mapping is read again, as is that nothing fits; another configuration or
    objective is searched."""
    shapes = [SHAPE, TOO_LARGE]
    expected = [search(shape, TINY) for shape in shapes]
    assert expected[0] and expected[1] is None
    assert counted(Mapper(TINY), [*shapes, SHAPE]) == ([*expected, expected[0]], 2)
    assert counted(Mapper(TINY), shapes) == (expected, 0)
    assert counted(Mapper(TINY.replace(name="other")), shapes) == (expected, 0)
    assert counted(Mapper(TINY, "dram"), [SHAPE])[1] == 1
    assert counted(Mapper(TINY.replace(glb_depth=1024)), [SHAPE])[1] == 1
    assert counted(Mapper(TINY, keep=False), [SHAPE])[1] == 1


def test_another_source_is_another_mapping(monkeypatch):
    Mapper(TINY).search(SHAPE)
    monkeypatch.setattr(compiler.mapping.mapper, "fingerprint", lambda *names: "changed")
    assert counted(Mapper(TINY), [SHAPE])[1] == 1


@pytest.mark.parametrize(
    "damage", ["not a database", "a folder", "of another kind", "rows of others"]
)
def test_a_store_that_is_none(store, damage):
    """Searched again, without an error."""
    store.parent.mkdir()
    match damage:
        case "not a database":
            store.write_bytes(b"nonsense" * 1000)
        case "a folder":
            store.mkdir()
        case "of another kind":
            sqlite3.connect(store).execute("CREATE TABLE mappings (other INTEGER)")
        case _:
            Mapper(TINY).search(SHAPE)
            with sqlite3.connect(store) as database:
                database.execute("UPDATE mappings SET mapping = '[1, 2]'")
    assert counted(Mapper(TINY), [SHAPE]) == ([search(SHAPE, TINY)], 1)
    if damage in ("not a database", "rows of others"):  # mended
        assert counted(Mapper(TINY), [SHAPE]) == ([search(SHAPE, TINY)], 0)


def test_a_store_that_another_holds(store, monkeypatch):
    """It is waited for once."""
    monkeypatch.setattr(compiler.mapping.mapper, "WAIT", 0.5)
    mapper = Mapper(TINY)
    with sqlite3.connect(store, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.perf_counter()
        assert counted(mapper, SHAPES[:4])[0] == [search(shape, TINY) for shape in SHAPES[:4]]
        assert time.perf_counter() - started < 2 * 0.5 + 2


def test_an_interrupt_ends_all(tmp_path):
    """As at a terminal: to the whole group of processes."""
    (tmp_path / "main.py").write_text(
        "import dataclasses\nfrom compiler.mapping.mapper import Mapper\nfrom hdl.config import "
        "PRESETS\n"
        "from tests.compiler.mapping.test_mapper import SHAPE\n"
        "if __name__ == '__main__':\n"
        "    shapes = [dataclasses.replace(SHAPE, M=m, N=3, E=4 + m % 9) for m in range(1, 4000)]\n"
        "    Mapper(PRESETS['demo'], jobs=2, keep=False, progress=lambda *now: print(now, "
        "flush=True)).prepare(shapes)\n"
    )
    process = subprocess.Popen(
        [sys.executable, tmp_path / "main.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        text=True,
    )
    assert process.stdout.readline().startswith("(8, 3999")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0 and err.rstrip().endswith("KeyboardInterrupt")
    with pytest.raises(ProcessLookupError):  # within ten seconds
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def test_processes_find_the_same():
    told = []
    mapper = Mapper(TINY, jobs=2, progress=lambda *now: told.append(now))
    mapper.prepare(SHAPES)
    assert [mapper.search(shape) for shape in SHAPES] == [search(shape, TINY) for shape in SHAPES]
    assert mapper.searched == len(SHAPES) and told[-1] == (len(SHAPES), len(SHAPES), "mapping")
    assert counted(Mapper(TINY), SHAPES)[1] == 0


def test_settle():
    """A plan is made again until it asks for nothing new."""
    rounds = []

    def plan(find):
        first = find(SHAPE)
        rounds.append(first)
        return (
            first if first is PENDING else (first, find(dataclasses.replace(SHAPE, M=first.p + 1)))
        )

    mapper = Mapper(TINY, keep=False)
    first, second = mapper.settle(plan)
    assert rounds == [PENDING, first, first] and mapper.searched == 2
    assert (first, second) == (
        search(SHAPE, TINY),
        search(dataclasses.replace(SHAPE, M=first.p + 1), TINY),
    )


def test_the_same_program_of_several_processes(store, monkeypatch):
    b = Builder((3, 9, 8))
    x = b.conv("x", 12, pads=(1, 1, 1, 1), relu=True)
    b.pool(b.conv(x, 7), "max", (2, 2), (2, 2))
    network = quantise(b.graph, np.random.default_rng(0).normal(size=(2, 3, 9, 8)))
    monkeypatch.setattr(compiler.mapping.mapper, "FEW", 2)
    one = compile_network(network, TINY, Options(images=1))
    store.unlink()
    two = compile_network(network, TINY, Options(images=1, mapper=Mapper(TINY, jobs=2)))
    assert one.commands == two.commands and one.constants == two.constants
