"""The searches of a network's mappings: on all cores, and kept on disk.

A search takes milliseconds to a second, and a network asks for hundreds. What was found is kept
under build/map, named by all that it depends on, so that it is searched once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import signal
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from compiler.mapping.mapping import Mapping, Shape
from compiler.mapping.search import EMPTY, search
from compiler.progress import Progress, silent
from hdl.config import Config
from hdl.emit.files import BUILD
from hdl.emit.sources import fingerprint

STORE = BUILD / "map" / "mappings.sqlite"
FEW = 48  # searches that are not worth processes of their own
AT_ONCE = 8  # searches that a process is given
WAIT = 5.0  # seconds for another that writes to the store, once; then it is left alone
PENDING = Mapping(**EMPTY)  # in place of what is not searched yet

Search = Callable[[Shape], Mapping | None]
Plan = TypeVar("Plan")


class _Store:
    """Mappings by key, in a file that several processes may share. One that cannot be read or
    written is left alone: what it would have spared is done again. One that is damaged is removed,
    so that the next is whole."""

    def __init__(self, path: Path | None):
        self.path, self.database = path, None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        for _ in range(2):  # the second in place of a damaged one
            try:
                self.database = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
                self.database.execute(
                    "CREATE TABLE IF NOT EXISTS mappings (key TEXT PRIMARY KEY, mapping TEXT) "
                    "WITHOUT ROWID"
                )
                return
            except sqlite3.Error as error:
                self._fail(error)

    def _fail(self, error: sqlite3.Error) -> None:
        self.database = None
        assert self.path is not None
        # Operational: locked, read-only, a full disk. Others tell of the file's content.
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            with contextlib.suppress(OSError):
                self.path.unlink()

    def get(self, key: str) -> str | None:
        if self.database is None:
            return None
        try:
            found = self.database.execute(
                "SELECT mapping FROM mappings WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.Error as error:
            return self._fail(error)
        return found and found[0]

    def put(self, rows: list[tuple[str, str]]) -> None:
        if self.database is None:
            return
        try:
            self.database.execute("BEGIN IMMEDIATE")
            self.database.executemany("INSERT OR REPLACE INTO mappings VALUES (?, ?)", rows)
            self.database.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)


def _left_to_the_parent() -> None:
    """An interrupt at the terminal goes to every process; the parent ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _search_part(part: tuple[list[Shape], Config, str]) -> dict[Shape, Mapping | None]:
    shapes, config, objective = part
    return {shape: search(shape, config, objective) for shape in shapes}


class Mapper:
    """The best mappings on a configuration. objective: as compiler.mapping.search.ranking; jobs:
    processes that search (with more than one the calling program's main module must be guarded, as
    multiprocessing asks); keep: in the file `store` (STORE by default), and read from there;
    progress: told of searches done. `searched` counts those that were not kept, `seconds` is the
    time of it all."""

    def __init__(
        self,
        config: Config,
        objective: str = "cycles",
        jobs: int = 1,
        keep: bool = True,
        store: Path | None = None,
        progress: Progress = silent,
    ):
        self.config, self.objective, self.jobs, self.progress = config, objective, jobs, progress
        self.searched, self.seconds = 0, 0.0
        self.store = _Store((store or STORE) if keep else None)
        # The name of a configuration tells nothing.
        fields = sorted((config.to_dict() | {"name": ""}).items())
        self.context = repr((fingerprint("compiler.mapping.search"), fields, objective))
        self.found: dict[Shape, Mapping | None] = {}

    def _key(self, shape: Shape) -> str:
        return hashlib.sha256(f"{self.context} {shape}".encode()).hexdigest()

    def search(self, shape: Shape) -> Mapping | None:
        """The best mapping; None if nothing fits."""
        if shape not in self.found:
            self.prepare([shape])
        return self.found[shape]

    def prepare(self, shapes: Iterable[Shape]) -> None:
        """Finds the mappings of all these shapes."""
        todo = []
        for shape in dict.fromkeys(shapes):
            if shape in self.found:
                continue
            kept = _read(self.store.get(self._key(shape)))
            if kept is None:
                todo.append(shape)
            else:
                self.found[shape] = kept[0]
        self.searched += len(todo)
        count = 0
        alone = self.jobs == 1 or len(todo) < FEW or multiprocessing.current_process().daemon
        parts = [
            (todo[at : at + AT_ONCE], self.config, self.objective)
            for at in range(0, len(todo), AT_ONCE)
        ]
        for done in map(_search_part, parts) if alone else self._together(parts):
            self.found.update(done)
            count += len(done)
            self.progress(count, len(todo), "mapping")
            self.store.put([(self._key(shape), _written(m)) for shape, m in done.items()])

    def _together(self, parts: list[tuple[list[Shape], Config, str]]):
        # Fresh processes: a fork would take over the locks of a progress display. They end with the
        # block.
        with multiprocessing.get_context("spawn").Pool(self.jobs, _left_to_the_parent) as pool:
            yield from pool.imap_unordered(_search_part, parts)

    def settle(self, plan: Callable[[Search], Plan]) -> Plan:
        """plan(search), again until nothing that it searches is new: the searches of a round run
        together. plan has no effect but its result; what is not known yet it is given as PENDING.
        """
        started = time.perf_counter()
        missing: dict[Shape, None] = {}

        def known(shape: Shape) -> Mapping | None:
            if shape not in self.found:
                missing[shape] = None
            return self.found.get(shape, PENDING)

        while True:
            missing.clear()
            result = plan(known)
            if not missing:
                self.seconds += time.perf_counter() - started
                return result
            self.prepare(missing)


def _written(m: Mapping | None) -> str:
    return json.dumps(m and list(dataclasses.astuple(m)))


def _read(text: str | None) -> tuple[Mapping | None] | None:
    """The mapping in a text, in a tuple; None for no text, or one that is none."""
    try:
        values = json.loads(text) if text is not None else 0
    except (ValueError, TypeError, RecursionError):
        return None
    if values is None:
        return (None,)
    if not isinstance(values, list) or len(values) != len(dataclasses.fields(Mapping)):
        return None
    *numbers, bound = values
    whole = all(type(n) is int and n >= 0 for n in numbers) and isinstance(bound, str)
    return (Mapping(*values),) if whole else None
