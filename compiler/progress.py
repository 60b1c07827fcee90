"""How long work tells what it is at."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]  # done, of how many, what is worked on


def silent(done: int, total: int, text: str) -> None:
    """Of a progress that nobody looks at."""
