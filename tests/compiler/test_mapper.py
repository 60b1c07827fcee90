"""Searches together, and kept on disk."""

import dataclasses
import sqlite3

import numpy as np
import pytest

import compiler.mapper
from compiler.mapper import PENDING, Mapper
from compiler.mapping import Shape
from compiler.program import compile_network
from compiler.quantise import quantise
from compiler.search import search
from hdl.config import PRESETS
from tests.compiler.networks import Builder

TINY = PRESETS["tiny"]
SHAPE = Shape(1, 8, 6, 6, 5, 3, 3, 4, 4, 1, 1, 4, 2, 4)
SHAPES = [dataclasses.replace(SHAPE, M=m) for m in range(1, 61)]
TOO_LARGE = dataclasses.replace(SHAPE, M=4000)   # its biases do not fit


def counted(mapper, shapes):
    before = mapper.searched
    found = [mapper.search(shape) for shape in shapes]
    return found, mapper.searched - before


def test_kept(tmp_path):
    """Once searched, a mapping is read again, as is that nothing fits; another configuration or objective is searched."""
    store = tmp_path / "folder" / "m.sqlite"
    shapes = [SHAPE, TOO_LARGE]
    expected = [search(shape, TINY) for shape in shapes]
    assert expected[0] and expected[1] is None
    assert counted(Mapper(TINY, store=store), [*shapes, SHAPE]) == ([*expected, expected[0]], 2)
    assert counted(Mapper(TINY, store=store), shapes) == (expected, 0)
    assert counted(Mapper(TINY.replace(name="other"), store=store), shapes) == (expected, 0)
    assert counted(Mapper(TINY, "dram", store=store), [SHAPE])[1] == 1
    assert counted(Mapper(TINY.replace(glb_depth=1024), store=store), [SHAPE])[1] == 1
    assert counted(Mapper(TINY, store=None), [SHAPE])[1] == 1


def test_another_source_is_another_mapping(tmp_path, monkeypatch):
    store = tmp_path / "m.sqlite"
    Mapper(TINY, store=store).search(SHAPE)
    monkeypatch.setattr(compiler.mapper, "fingerprint", lambda *names: "changed")
    assert counted(Mapper(TINY, store=store), [SHAPE])[1] == 1


@pytest.mark.parametrize("damage", ["not a database", "a folder", "of another kind", "rows of others"])
def test_a_store_that_is_none(tmp_path, damage):
    """Searched again, without an error."""
    store = tmp_path / "m.sqlite"
    match damage:
        case "not a database":
            store.write_bytes(b"nonsense" * 1000)
        case "a folder":
            store.mkdir()
        case "of another kind":
            sqlite3.connect(store).execute("CREATE TABLE mappings (other INTEGER)")
        case _:
            Mapper(TINY, store=store).search(SHAPE)
            with sqlite3.connect(store) as database:
                database.execute("UPDATE mappings SET mapping = '[1, 2]'")
    assert counted(Mapper(TINY, store=store), [SHAPE]) == ([search(SHAPE, TINY)], 1)


def test_processes_find_the_same(tmp_path):
    told = []
    mapper = Mapper(TINY, jobs=2, store=tmp_path / "m.sqlite", progress=lambda *now: told.append(now))
    mapper.prepare(SHAPES)
    assert [mapper.search(shape) for shape in SHAPES] == [search(shape, TINY) for shape in SHAPES]
    assert mapper.searched == len(SHAPES) and told[-1] == (len(SHAPES), len(SHAPES), "mapping")
    assert counted(Mapper(TINY, store=tmp_path / "m.sqlite"), SHAPES)[1] == 0


def test_settle():
    """A plan is made again until it asks for nothing new."""
    rounds = []

    def plan(find):
        first = find(SHAPE)
        rounds.append(first)
        return first if first is PENDING else (first, find(dataclasses.replace(SHAPE, M=first.p + 1)))
    mapper = Mapper(TINY, store=None)
    first, second = mapper.settle(plan)
    assert rounds == [PENDING, first, first] and mapper.searched == 2
    assert (first, second) == (search(SHAPE, TINY), search(dataclasses.replace(SHAPE, M=first.p + 1), TINY))


def test_the_same_program_of_several_processes(monkeypatch, tmp_path):
    b = Builder((3, 9, 8))
    x = b.conv("x", 12, pads=(1, 1, 1, 1), relu=True)
    b.pool(b.conv(x, 7), "max", (2, 2), (2, 2))
    network = quantise(b.graph, np.random.default_rng(0).normal(size=(2, 3, 9, 8)))
    monkeypatch.setattr(compiler.mapper, "FEW", 2)
    monkeypatch.setattr(Mapper.__init__, "__defaults__", tuple(
        None if default == compiler.mapper.STORE else default for default in Mapper.__init__.__defaults__))
    one, two = (compile_network(network, TINY, 1, jobs=jobs) for jobs in (1, 2))
    assert one.commands == two.commands and one.constants == two.constants
