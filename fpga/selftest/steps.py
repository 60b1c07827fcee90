"""The steps in their order, up to the first thing that is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from compiler.runtime.device import DeviceError
from fpga.selftest import engines, line, memory, registers
from fpga.selftest.bench import Bench, Check


@dataclass(frozen=True)
class Step:
    """name; check, of which each Check is a line, the last of them the first that is not ok; look:
    where to look if the line breaks off."""

    name: str
    check: Callable[[Bench], Iterator[Check]]
    look: str = line.LOOK


FIRST = (
    Step("serial line", line.check),
    Step("registers", registers.check),
    Step("memory", memory.check),
    Step("engines", engines.check),
)


@dataclass
class Result:
    """What a step has found, in so many seconds."""

    name: str
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> Check | None:
        return next((check for check in self.checks if not check.ok), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ok": not self.wrong,
            "seconds": round(self.seconds, 2),
            "checks": [asdict(check) for check in self.checks],
        }


def run(bench: Bench, steps: Sequence[Step]) -> Iterator[Result]:
    """Each step's result; after one that is wrong no more."""
    for step in steps:
        result, started = Result(step.name), time.monotonic()
        try:
            for check in step.check(bench):
                result.checks.append(check)
                if not check.ok:
                    break
        except DeviceError as error:
            result.checks.append(Check("every request", "an answer", str(error), False, step.look))
        result.seconds = time.monotonic() - started
        yield result
        if result.wrong:
            return
