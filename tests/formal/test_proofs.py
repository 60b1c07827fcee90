"""Every part of the list is proved, its covers are reached, and undecided is not proved."""

import ast
import json
import re
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

import hdl.lib
from tests.formal import engine
from tests.formal.__main__ import main
from tests.formal.parts import PARTS
from tests.formal.proof import proofs, searches

LIB = Path(hdl.lib.__file__).parent
# Of these folders every component is in the list, but for these.
PLACES = (
    *(LIB / "stream").glob("*.py"),
    *LIB.glob("*_arbiter.py"),
    LIB / "axi.py",
    LIB / "level_counter.py",
)
UNPROVED = set()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_part(part):
    table = proofs(part) + searches(part)
    assert {row.property for row in table} == set(part.faults)
    assert not [row for row in table if not row.good]


def test_list_is_complete():
    components = {
        node.name
        for path in PLACES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        and "elaborate" in {getattr(member, "name", None) for member in node.body}
    }
    assert components - UNPROVED == {part.component.__name__ for part in PARTS}
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_document_has_every_part():
    """Its table, and the file that it is made of, are of the list as it is."""
    text = (LIB.parents[1] / "docs" / "formal.md").read_text()
    assert re.findall(r"^\| `(.+?)` \|", text, re.M) == [part.name for part in PARTS]
    table = json.loads((LIB.parents[1] / "docs" / "results" / "formal.json").read_text())
    assert [(row["part"], row["property"]) for row in table] == [
        (part.name, property)
        for part in PARTS
        for property in (*part.harness(part.make()).properties, *part.structural)
    ]
    assert {row["answer"] for row in table} == {engine.PROVED}


class Counter(wiring.Component):
    """`late` is 1 from the 20th cycle on, `never` never."""

    late: Out(1)
    never: Out(1)

    def elaborate(self, platform):
        m = Module()
        count = Signal(5)
        with m.If(count != 20):
            m.d.sync += count.eq(count + 1)
        m.d.comb += [self.late.eq(count == 20), self.never.eq(count == 21)]
        return m


def test_engine(monkeypatch):
    graph = engine.graph(Counter())
    assert engine.prove(graph, "never").verdict == engine.PROVED
    assert engine.prove(graph, "late").verdict == engine.FAILED
    assert engine.reach(graph, "late").depth == 20
    monkeypatch.setattr(engine, "BMC_FRAMES", 10)
    found = engine.reach(graph, "late")
    assert (found.verdict, found.depth) == (engine.UNDECIDED, None)


def test_command(capsys, tmp_path):
    assert main(["--part", "PriorityArbiter 2", "--json", str(tmp_path / "table.json")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 5 and "3 proofs of 1 parts, 0 bad" in shown[-1]
    assert (tmp_path / "table.json").read_text().count("PriorityArbiter 2") == 3
    with pytest.raises(SystemExit):
        main(["--part", "Nothing"])
