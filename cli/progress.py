"""What is shown while a command works: bars on stderr if that is a terminal. Elsewhere stderr holds
errors only, each of which is one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


def progress() -> Progress:
    """One bar with the time that is left."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    return _bars(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )


def describe(bars: Progress) -> Callable[..., None]:
    """A function that shows what is being done: a text, or numbers done and to do before it."""
    task = bars.add_task("", total=None)

    def step(*now: Any) -> None:
        *counts, text = now
        bars.update(task, description=text, **dict(zip(("completed", "total"), counts)))

    return step


class Stages:
    """A bar a stage, each begun when the one before it ends. A context manager."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.bars = _bars(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        )
        self.task: Any = None
        self.text = ""

    def __enter__(self) -> Stages:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def begin(self, text: str, total: int | None = None) -> None:
        self.end()
        self.task, self.text = self.bars.add_task(text, total=total), text

    def end(self) -> None:
        if self.task is not None:
            self.bars.update(self.task, total=1, completed=1)

    def show(self, text: str, completed: int, total: int | None = None) -> None:
        """How far the stage is, and at what."""
        self.text = text
        self.bars.update(self.task, description=text, completed=completed, total=total)

    def detail(self, text: str) -> None:
        """What is being done, after the text of the stage."""
        self.bars.update(self.task, description=f"{self.text}: {text}")


def _bars(*columns: Any) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
