"""One part: its proofs, their covers, and the faults that they must find."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace

from amaranth.lib import wiring

from tests.formal import engine
from tests.formal.parts import WIDE, Part
from tests.formal.paths import Reach, differences
from tests.formal.planted import planted


@dataclass(frozen=True)
class Row:
    """A line of the table. Depths are cycles from reset; of a search of paths there are none."""

    part: str
    property: str
    answer: str
    seconds: float
    cover: int | None
    fault: int | None
    why: str = ""  # what is wrong

    @property
    def good(self) -> bool:
        return self.answer == engine.PROVED and not self.why

    def asdict(self) -> dict[str, object]:
        return asdict(self)


def reach(part: Part, component: type[wiring.Component] | None = None) -> Reach:
    """For the search of paths: of the part, or of one of another class."""
    return Reach(engine.graph(part.make(component, WIDE)))


def wrong(part: Part, property: str, found: Reach) -> list[str]:
    """What the search finds wrong."""
    if property == "data":
        return found.data()
    bits = any("[" in path for path in part.paths)
    return differences(found.combinational(bits=bits), part.paths)


def searches(part: Part) -> list[Row]:
    """The rows of the searches of paths, without faults."""
    found, table = reach(part), []
    for property in part.structural:
        began = time.monotonic()
        why = wrong(part, property, found)
        answer = engine.FAILED if why else engine.PROVED
        took = time.monotonic() - began
        table.append(Row(part.name, property, answer, took, None, None, "; ".join(why)))
    return table


def proofs(part: Part) -> list[Row]:
    """The rows of the proofs with their covers, without faults."""
    harness = part.harness(part.make())
    graph, table = engine.graph(harness), []
    for property in harness.properties:
        answer = engine.prove(graph, f"bad_{property}")
        cover = engine.reach(graph, f"cover_{property}")
        why = f"broken in cycle {answer.depth}" if answer.verdict == engine.FAILED else ""
        why = why or ("the cover is not reached" if cover.depth is None else "")
        row = Row(part.name, property, answer.verdict, answer.seconds, cover.depth, None, why)
        table.append(row)
    return table


def fault(part: Part, property: str) -> tuple[bool, int | None]:
    """Whether the planted fault of this property is found, and in which cycle a proof fails."""
    faulty = planted(part.component, *part.faults[property])
    if property in part.structural:
        return bool(wrong(part, property, reach(part, faulty))), None
    answer = engine.reach(engine.graph(part.harness(part.make(faulty))), f"bad_{property}")
    return answer.verdict == engine.FAILED, answer.depth


def rows(part: Part) -> list[Row]:
    """Everything of a part."""
    table = []
    for row in proofs(part) + searches(part):
        found, depth = fault(part, row.property)
        why = row.why or ("" if found else "the fault is not found")
        table.append(replace(row, fault=depth, why=why))
    return table
