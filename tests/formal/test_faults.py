"""Every proof fails on a fault that is planted into its part, and the command says so."""

from dataclasses import replace

import pytest

from hdl.lib.stream.register_slice import RegisterSlice
from tests.formal import __main__, engine
from tests.formal.parts import PARTS
from tests.formal.planted import planted
from tests.formal.proof import fault, proofs, searches

CASES = [(part, property) for part in PARTS for property in part.faults]
SLICE = next(part for part in PARTS if part.component is RegisterSlice)


@pytest.mark.parametrize("part, property", CASES, ids=lambda case: getattr(case, "name", case))
def test_fault(part, property):
    assert fault(part, property)[0]


@pytest.mark.parametrize("old", ["no such line", "self.input"])
def test_what_is_not_planted(old):
    with pytest.raises(ValueError, match="must be once"):
        planted(RegisterSlice, old, "")


@pytest.mark.parametrize("property", ["stable", "order", "moves"])
def test_pdr_fails_too(property):
    """What the bounded search finds, the proof is not given."""
    faulty = planted(RegisterSlice, *SLICE.faults[property])
    graph = engine.graph(SLICE.harness(SLICE.make(faulty)))
    assert engine.prove(graph, f"bad_{property}").verdict == engine.FAILED


def test_undecided_is_bad(monkeypatch):
    monkeypatch.setattr(engine, "prove", lambda *_: engine.Answer(engine.UNDECIDED, 1.0))
    assert not any(row.good for row in proofs(SLICE))


def test_cover_that_is_not_reached_is_bad(monkeypatch):
    monkeypatch.setattr(engine, "reach", lambda *_: engine.Answer(engine.UNDECIDED, 1.0))
    assert {row.why for row in proofs(SLICE)} == {"the cover is not reached"}


def test_path_that_is_not_there_is_bad():
    row = searches(replace(SLICE, paths=SLICE.paths | {"output.ready > input.ready"}))[0]
    assert (row.answer, row.why) == (engine.FAILED, "no output.ready > input.ready")


def test_command_fails(monkeypatch, capsys):
    harmless = dict.fromkeys(SLICE.faults, ("self.shape = shape", "self.shape = shape "))
    monkeypatch.setattr(__main__, "PARTS", (replace(SLICE, faults=harmless),))
    assert __main__.main([]) == 1
    assert capsys.readouterr().out.count("the fault is not found") == 5
