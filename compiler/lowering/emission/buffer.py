"""The global buffer and the constants of a program: where a layer's commands find what they
read."""

from __future__ import annotations

import numpy as np

from compiler.lowering.structures.commands import Command, Schedule
from compiler.mapping.mapping import MappingError
from compiler.numbers import ceil
from compiler.sparse.stored import Kind, Table
from hdl.config import Config

AHEAD = 6  # passes that loads run ahead of the one they are for


class Blob:
    """Constant data of a program; addresses are offsets until it is placed."""

    def __init__(self, address: int):
        self.address = address
        self._parts: list[bytes] = []
        self.size = 0
        self.tables: list[Table] = []  # streams of the sparse engine, counted from `address`

    def add(self, data: bytes) -> int:
        """Address of the data, on an 8-byte boundary."""
        at = self.address + self.size
        padded = data + bytes(-len(data) % 8)
        self._parts.append(padded)
        self.size += len(padded)
        return at

    def add_table(self, kind: Kind, data: np.ndarray) -> int:
        """Address of a stream of the sparse engine, [pes, words]."""
        at = self.add(data.tobytes())
        self.tables.append(Table(kind, at - self.address, data.nbytes, data.nbytes // len(data)))
        return at

    def bytes(self) -> bytes:
        return b"".join(self._parts)


class Regions:
    """Bump allocator of the global buffer, in words; regions start on a pair of banks where
    there is room, so that streams do not meet at a bank."""

    def __init__(self, config: Config, wanted: list[tuple[str, int]]):
        pair = 2 * config.glb_depth
        for align in (pair, 2):
            at, self.start = 0, {}
            for name, words in wanted:
                at = ceil(at, align) * align
                self.start[name] = at
                at += words
            if at <= config.glb_words:
                return
        raise MappingError(f"regions of {at} words exceed the global buffer of {config.glb_words}")


class Stream:
    """Units loaded in order into `slots` places of the buffer in turn, ahead of the commands
    that read them. `first`, `last`: the pass that reads a unit first, last."""

    def __init__(self, schedule: Schedule, slots: int, first: list[int], last: list[int], load):
        self.schedule, self.slots, self.first, self.last, self.load = (
            schedule,
            slots,
            first,
            last,
            load,
        )
        self.loads: list[Command] = []
        self.last_reader: dict[int, Command] = {}

    def wanted(self, now: int) -> int | None:
        """The pass that the next unit is for, None if its place is not free before pass `now`."""
        unit = len(self.loads)
        if unit == len(self.first) or (unit >= self.slots and self.last[unit - self.slots] >= now):
            return None
        return self.first[unit]

    def fetch(self) -> None:
        unit = len(self.loads)
        command = self.load(unit, unit % self.slots)
        self.schedule.depend(command, self.last_reader.get(unit - self.slots))
        self.loads.append(command)

    def read(self, unit: int, reader: Command) -> None:
        self.schedule.depend(reader, self.loads[unit])
        self.last_reader[unit] = reader


def prefetch(streams: list[Stream], now: int) -> None:
    """Loads for pass `now` and those that may run ahead of it, in the order of their use."""
    while True:
        ready = [
            (wanted, n)
            for n, stream in enumerate(streams)
            if (wanted := stream.wanted(now)) is not None
        ]
        if not ready or min(ready)[0] > now + AHEAD:
            return
        streams[min(ready)[1]].fetch()
