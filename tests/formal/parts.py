"""The named list: every part, what it promises, and the faults that its proofs must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib import wiring

from hdl.lib.axi import BurstSplitter, Window
from hdl.lib.level_counter import LevelCounter
from hdl.lib.priority_arbiter import PriorityArbiter
from hdl.lib.round_robin_arbiter import RoundRobinArbiter
from hdl.lib.stream.block_fifo import BlockFifo
from hdl.lib.stream.buffered_fifo import BufferedFifo
from hdl.lib.stream.chain_fifo import ChainFifo
from hdl.lib.stream.credit_fifo import CreditFifo
from hdl.lib.stream.fork import Fork
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.shift_fifo import ShiftFifo
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.stream_fifo import StreamFifo
from tests.formal.axi import SplitterHarness, WindowHarness
from tests.formal.harness import (
    Contract,
    CounterHarness,
    ForkHarness,
    Harness,
    PriorityHarness,
    StreamHarness,
    TurnsHarness,
)

Fault = tuple[str, str]  # a text that is in the component's file once, and what it becomes
WIDE = 2  # bits of a payload in the search of paths, to tell one bit from another


@dataclass(frozen=True)
class Part:
    """paths: every "input > output" in the same cycle, bit by bit if one has brackets. shaped: the
    first argument is a shape, and payloads are checked to be nothing but moved."""

    component: type[wiring.Component]
    harness: Callable[[wiring.Component], Harness]
    faults: dict[str, Fault]
    paths: frozenset[str] = frozenset()
    arguments: tuple[int, ...] = ()
    shaped: bool = True

    @property
    def name(self) -> str:
        return " ".join([self.component.__name__, *(str(n) for n in self.arguments)])

    def make(self, component: type[wiring.Component] | None = None, bits: int = 1):
        """The part, or one of another class with the same arguments."""
        shape = (bits,) if self.shaped else ()
        return (component or self.component)(*shape, *self.arguments)

    @property
    def structural(self) -> tuple[str, ...]:
        return ("paths", "data") if self.shaped else ("paths",)


def _stream(component, faults, *, paths=(), depth=None, **contract) -> Part:
    return Part(
        component,
        lambda part: StreamHarness(part, Contract(**contract)),
        faults,
        frozenset(paths),
        () if depth is None else (depth,),
    )


def _inside(inside, shows):
    return inside


# ---- slices ---------------------------------------------------------------------------------
REGISTER_SLICE = {
    "stable": (
        "self.load.eq(self.output.ready | ~valid)",
        "self.load.eq(self.output.ready | ~valid | self.input.valid)",
    ),
    "order": (
        "with m.If(~full):\n            m.d.sync += spare",
        "with m.If(1):\n            m.d.sync += spare",
    ),
    "moves": ("valid.eq(full | self.input.valid)", "valid.eq(self.input.valid)"),
    "paths": ("self.input.ready.eq(~full)", "self.input.ready.eq(~full | self.output.ready)"),
    "data": ("self.output.valid.eq(valid)", "self.output.valid.eq(valid & word[0])"),
}
FORWARD_SLICE = {
    "stable": ("eq(~self.output.valid | self.output.ready)", "eq(1)"),
    "order": ("self.output.valid.eq(self.input.valid)", "self.output.valid.eq(1)"),
    "moves": (
        "self.output.valid.eq(self.input.valid)",
        "self.output.valid.eq(self.input.valid & ~self.output.valid)",
    ),
    "paths": (
        "eq(~self.output.valid | self.output.ready)",
        "eq(self.input.valid & (~self.output.valid | self.output.ready))",
    ),
    "data": (
        "self.output.valid.eq(self.input.valid)",
        "self.output.valid.eq(self.input.valid & self.input.payload[0])",
    ),
}
SKID_BUFFER = {
    "stable": ("Mux(self.full, held, self.input.payload)", "self.input.payload"),
    "order": ("with m.If(~self.full):", "with m.If(1):"),
    "moves": (
        "with m.If(self.output.ready):",
        "with m.If(self.output.ready & self.input.valid):",
    ),
    "paths": ("self.input.ready.eq(~self.full)", "self.input.ready.eq(self.output.ready)"),
    "data": (
        "self.output.valid.eq(self.input.valid | self.full)",
        "self.output.valid.eq(self.input.valid | self.full | self.input.payload[1])",
    ),
}

# ---- FIFOs ----------------------------------------------------------------------------------
# Of both wrappers of amaranth's.
WRAPPED_FIFO = {
    "stable": ("fifo.r_en.eq(self.output.ready)", "fifo.r_en.eq(1)"),
    "order": ("fifo.w_en.eq(self.input.valid)", "fifo.w_en.eq(1)"),
    "moves": ("eq(fifo.r_rdy)", "eq(fifo.r_rdy & self.input.valid)"),
    "level": ("self.level.eq(fifo.level)", "self.level.eq(fifo.level + fifo.w_en)"),
    "paths": ("eq(fifo.w_rdy)", "eq(fifo.w_rdy | self.output.ready)"),
    "data": ("eq(fifo.r_rdy)", "eq(fifo.r_rdy & fifo.r_data[0])"),
}
BLOCK_FIFO = {
    "stable": ("inside.some & (~self.output.valid | self.output.ready)", "inside.some"),
    "order": ("push.eq(self.input.valid & self.input.ready)", "push.eq(self.input.valid)"),
    "moves": (
        "self.input.ready.eq(inside.room)",
        "self.input.ready.eq(inside.room & ~inside.some)",
    ),
    "level": ("inside.level + self.output.valid", "inside.level"),
    "paths": (
        "self.input.ready.eq(inside.room)",
        "self.input.ready.eq(inside.room | self.output.ready)",
    ),
    "data": (
        "push.eq(self.input.valid & self.input.ready)",
        "push.eq(self.input.valid & self.input.ready & self.input.payload[1])",
    ),
}
CHAIN_FIFO = {
    "stable": ("moves = self.output.ready ", "moves = self.output.ready | self.input.valid "),
    "order": ("(self.input.payload, self.input.valid) if last", "(self.input.payload, 1) if last"),
    "moves": (
        "self.output.valid.eq(valid[0])",
        "self.output.valid.eq(valid[0] & self.input.valid)",
    ),
    "level": ("sum(valid)", "sum(valid[1:])"),
    "paths": (
        "self.input.ready.eq(~valid[-1])",
        "self.input.ready.eq(~valid[-1] | self.output.ready)",
    ),
    "data": ("self.output.valid.eq(valid[0])", "self.output.valid.eq(valid[0] & words[0][0])"),
}
SHIFT_FIFO = {
    "stable": ("pop.eq(self.output.valid & self.output.ready)", "pop.eq(self.output.valid)"),
    "order": ("push.eq(self.input.valid & self.input.ready)", "push.eq(self.input.valid)"),
    "moves": ("with m.If(push & ~pop):", "with m.If(push & ~self.output.ready):"),
    "paths": (
        "self.input.ready.eq(~valid[-1])",
        "self.input.ready.eq(~valid[-1] | self.output.ready)",
    ),
    "data": ("self.output.valid.eq(valid[0])", "self.output.valid.eq(valid[0] & words[0][0])"),
}
CREDIT_FIFO = {
    "stable": (
        "(produce != consume) & (~self.output.valid | self.output.ready)",
        "produce != consume",
    ),
    "order": ("read.addr.eq(consume)", "read.addr.eq(consume + 1)"),
    "moves": ("load.eq((produce", "load.eq(self.input.valid & (produce"),
    "level": ("self.level.eq(produce - consume)", "self.level.eq(produce - consume + 1)"),
    "paths": (
        "self.level.eq(produce - consume)",
        "self.level.eq(produce - consume - self.output.ready)",
    ),
    "data": (
        "with m.If(self.input.valid):",
        "with m.If(self.input.valid & self.input.payload[0]):",
    ),
}

# ---- others ---------------------------------------------------------------------------------
FORK = {
    "once": ("has.eq(taken)", "has.eq(0)"),
    "stable": (
        "end.payload.eq(self.input.payload)",
        "end.payload.eq(self.input.payload ^ has.any())",
    ),
    "paths": ("self.input.valid & ~has[n]", "self.input.valid & ~has[n] & self.input.ready"),
    "data": ("self.input.valid & ~has[n]", "self.input.valid & ~has[n] & self.input.payload[0]"),
}
PRIORITY = {
    "one": ("self.requests & self.free", "self.requests"),
    "order": ("self.requests[:n].any()", "self.requests[n + 1 :].any()"),
    "paths": ("self.requests[:n].any()", "self.requests[: n + 1].any()"),
}
TURNS = {
    "one": ("self.requests & self.free", "self.requests"),
    "bound": ("last.eq(client)", "last.eq(0)"),
    "paths": ("order[:n]", "order[: n + 1]"),
}
COUNTER = {
    "level": ("self.level - 1)", "self.level)"),
    "flags": ("self.up | (self.level != 1)", "self.up | (self.level != 0)"),
    "paths": (
        "    self.room.eq(self.down | (self.level != self.most - 1)),\n            ]",
        "]\n        m.d.comb += self.room.eq(self.level + self.up != self.most)",
    ),
}
SPLITTER = {
    "covers": ("Mux(address[9:12].all(), 0, address[3:9])", "address[3:9]"),
    "fits": ("address[3:9] & address[9:12].all()", "address[3:9] & address[10:12].all()"),
    "marks": ("last.eq(last & final)", "last.eq(last)"),
    "moves": ("some.eq(~final)", "some.eq(0)"),
    "stable": ("(final & self.burst.ready)", "final"),
    "paths": ("(final & self.burst.ready)", "(final & self.burst.ready & self.request.valid)"),
}
WINDOW = {
    "order": ("(end <= self.limit)", "(begin <= self.limit)"),
    "stops": ("(~full | move) & ~self.outside", "~full | move"),
    "moves": ("~self.request.valid & (~full | self.outside)", "~self.request.valid"),
    "stable": ("~self.outside & (~self.request.valid | self.request.ready)", "~self.outside"),
    "paths": ("(~full | move) & ~self.outside", "(~full | move) & self.check.valid"),
}


def _fork(outputs: int) -> Part:
    paths = {
        path
        for n in range(outputs)
        for path in (
            f"input.valid > output_{n}.valid",
            f"input.payload > output_{n}.payload",
            f"output_{n}.ready > input.ready",
        )
    }
    return Part(Fork, ForkHarness, FORK, frozenset(paths), (outputs,))


def _arbiter(component, harness, faults, clients: int, before: Callable[[int, int], bool]) -> Part:
    """before(a, b): whether a's request matters to whether b is free."""
    others = {
        f"requests[{a}] > {kind}[{b}]"
        for a in range(clients)
        for b in range(clients)
        for kind in ("free", "grants")
        if before(a, b)
    }
    own = {f"requests[{n}] > grants[{n}]" for n in range(clients)}
    return Part(component, harness, faults, frozenset(others | own), (clients,), shaped=False)


PARTS = (
    _stream(
        RegisterSlice,
        REGISTER_SLICE,
        paths=["output.ready > load", "input.payload > next"],
        holds=2,
    ),
    _stream(ForwardSlice, FORWARD_SLICE, paths=["output.ready > input.ready"], holds=1),
    _stream(
        SkidBuffer,
        SKID_BUFFER,
        paths=["input.valid > output.valid", "input.payload > output.payload"],
        holds=1,
        latency=0,
        held=True,
    ),
    *(
        _stream(StreamFifo, WRAPPED_FIFO, depth=depth, holds=depth, level=_inside)
        for depth in (1, 2, 3, 4, 8)
    ),
    *(
        _stream(
            BufferedFifo,
            WRAPPED_FIFO,
            depth=depth,
            holds=depth,
            latency=min(depth, 2),
            opens=2 if depth == 2 else 1,
            level=_inside,
        )
        for depth in (1, 2, 3, 4, 8)
    ),
    *(
        _stream(BlockFifo, BLOCK_FIFO, depth=depth, holds=depth + 1, latency=2, level=_inside)
        for depth in (2, 4, 8)
    ),
    *(
        _stream(
            ChainFifo,
            CHAIN_FIFO,
            depth=depth,
            holds=depth,
            latency=depth,
            opens=min(depth, 2),
            level=_inside,
        )
        for depth in (1, 2, 3, 4)
    ),
    *(_stream(ShiftFifo, SHIFT_FIFO, depth=depth, holds=depth) for depth in (1, 2, 3, 4)),
    *(
        _stream(
            CreditFifo,
            CREDIT_FIFO,
            depth=depth,
            holds=depth,
            latency=2,
            level=lambda inside, shows: inside - shows,
            credits=True,
        )
        for depth in (2, 4, 8)
    ),
    *(_fork(outputs) for outputs in (2, 3)),
    *(
        _arbiter(PriorityArbiter, PriorityHarness, PRIORITY, clients, lambda a, b: a < b)
        for clients in (2, 3, 4)
    ),
    *(
        _arbiter(RoundRobinArbiter, TurnsHarness, TURNS, clients, lambda a, b: a != b)
        for clients in (2, 3, 4)
    ),
    *(
        Part(LevelCounter, CounterHarness, COUNTER, arguments=(most,), shaped=False)
        for most in (1, 2, 3, 4, 8)
    ),
    Part(
        BurstSplitter,
        SplitterHarness,
        SPLITTER,
        frozenset(["burst.ready > request.ready"]),
        shaped=False,
    ),
    Part(
        Window,
        WindowHarness,
        WINDOW,
        frozenset(["request.ready > check.ready"]),
        arguments=(3,),
        shaped=False,
    ),
)
