"""Command lists and the tokens between them.

`Schedule` collects commands in an order that is itself a legal sequential execution.
`depend` orders two commands of different engines by a semaphore of that pair of engines;
since both engines work in order, a dependency implied by an earlier one costs no token.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hdl import isa
from hdl.isa import Opcode

ENGINE = {
    Opcode.LOAD: "load",
    Opcode.IFMAP: "ifmap",
    Opcode.FILTER: "filter",
    Opcode.PSUM: "psum",
    Opcode.OFMAP: "ofmap",
    Opcode.SCALE: "ofmap",
    Opcode.STORE: "store",
    Opcode.SHAPE: "store",
    Opcode.CONFIG: "config",
    Opcode.SPARSE_FILL: "fill",
    Opcode.SPARSE_RUN: "sparse",
    Opcode.SPARSE_OUTPUT: "sparse",
    Opcode.SPARSE_DUMP: "sparse",
    Opcode.SPARSE_STREAM: "sparse",
}

# One semaphore for each (producer, consumer) pair of engines that ever meet.
CHANNELS = {
    pair: n
    for n, pair in enumerate(
        (
            ("load", "ifmap"),
            ("ifmap", "load"),
            ("load", "filter"),
            ("filter", "load"),
            ("load", "psum"),
            ("psum", "load"),
            ("ofmap", "store"),
            ("store", "ofmap"),
            ("load", "store"),
            ("store", "load"),
            ("load", "fill"),
            ("fill", "load"),
            ("fill", "sparse"),
            ("sparse", "fill"),
            ("sparse", "store"),
            ("store", "sparse"),
        )
    )
}


@dataclass
class Command:
    opcode: Opcode
    fields: dict[str, int]
    order: int  # among the commands of its engine
    wait: int = 0
    signal: int = 0
    waits_for: dict[int, Command] = field(default_factory=dict)

    def pack(self) -> bytes:
        return isa.pack(self.opcode, wait=self.wait, signal=self.signal, **self.fields)


class Schedule:
    """Commands in program order."""

    def __init__(self):
        self.commands: list[Command] = []
        self._count: dict[str, int] = {}
        self._reached: dict[int, int] = {}  # channel -> order of the last producer waited for

    def add(self, opcode: Opcode, **fields: int) -> Command:
        engine = ENGINE[opcode]
        order = self._count.get(engine, 0)
        self._count[engine] = order + 1
        command = Command(opcode, fields, order)
        self.commands.append(command)
        return command

    def depend(self, consumer: Command, producer: Command | None) -> None:
        """`consumer` starts after `producer` is done. Consumers of an engine are to be given
        in program order, and a producer stands before its consumer."""
        if producer is None:
            return
        channel = CHANNELS[ENGINE[producer.opcode], ENGINE[consumer.opcode]]
        if producer.order <= self._reached.get(channel, -1):
            return
        bit = 1 << channel
        earlier = consumer.waits_for.get(channel)
        if earlier is not None:  # the later producer implies the earlier
            earlier.signal &= ~bit
        consumer.wait |= bit
        producer.signal |= bit
        consumer.waits_for[channel] = producer
        self._reached[channel] = producer.order

    def pack(self) -> bytes:
        return b"".join(command.pack() for command in self.commands)
