"""What is asked of a stream part, in hardware: it drives the part and watches it.

Every input of a harness is free, its reset too, so that each run of it is one of the part. What a
contract asks of the neighbours holds by construction, so that there are no assumptions. Of every
property `bad_<name>` is 1 in a cycle that breaks it and `cover_<name>` in one that shows that it
was put to the test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Harness(wiring.Component):
    """Members: `free_<name>`, what the engine chooses; `bad_<name>`, `cover_<name>`."""

    def __init__(self, part: wiring.Component, free: dict[str, int], properties: tuple[str, ...]):
        self.part, self.properties = part, properties
        super().__init__(
            {f"free_{name}": In(width) for name, width in free.items()}
            | {f"{kind}_{name}": Out(1) for name in properties for kind in ("bad", "cover")}
        )

    def seen(self, m: Module, name: str, event: Value) -> Signal:
        """Whether `event` was in an earlier cycle."""
        flag = Signal(name=name)
        with m.If(event):
            m.d.sync += flag.eq(1)
        return flag


@dataclass(frozen=True)
class Contract:
    """What the docstring of a stream part promises.

    holds: words. latency: cycles until a word shows that none is before. opens: cycles until
    `input.ready` tells of room. level: what `level` is, of (words inside, `output.valid`). held:
    `input` must hold its word until it moves. credits: whoever writes keeps count of `holds`.
    """

    holds: int
    latency: int = 1
    opens: int = 1
    level: Callable[[Value, Value], Value] | None = None
    held: bool = False
    credits: bool = False


class StreamHarness(Harness):
    """Of a part with streams `input` and `output` of one bit:

    stable  a word at `output` stays, and stays the same, until it is taken
    order   the n-th word that leaves is the n-th that entered, for every n: one that the engine
            picks is followed by the count of those before it. Nothing leaves that did not enter,
            and no more is inside than the part is said to hold
    moves   what is inside shows after `latency` cycles, and room after `opens`: nothing is stuck.
            The cover shows that neither is ever sooner, if it is later than at once
    level   is what the contract says
    """

    def __init__(self, part: wiring.Component, contract: Contract):
        self.contract = contract
        properties = ("stable", "order", "moves") + (("level",) if contract.level else ())
        free = dict(valid=1, payload=1, ready=1, pick=1)
        super().__init__(part, free, properties)

    def elaborate(self, platform):
        m = Module()
        m.submodules.part = self.part
        source, sink = self.part.input, self.part.output
        inside = Signal(range(self.contract.holds + 2))
        push, pop = Signal(), Signal()

        self._drive(m, source, inside)
        m.d.comb += [
            sink.ready.eq(self.free_ready),
            push.eq(source.valid & source.ready),
            pop.eq(sink.valid & sink.ready),
        ]
        m.d.sync += inside.eq(inside + push - pop)

        self._stable(m, sink, pop)
        self._order(m, source, sink, inside, push, pop)
        self._moves(m, source, sink, inside)
        if self.contract.level:
            full = self.seen(m, "was_full", inside == self.contract.holds)
            expected = self.contract.level(inside, sink.valid)
            m.d.comb += [
                self.bad_level.eq(self.part.level != expected),
                self.cover_level.eq(full & (self.part.level == 0)),
            ]
        return m

    def _drive(self, m, source, inside):
        """As free as the contract leaves it."""
        waits, word = Signal(), Signal()  # `input` waited in the last cycle, with this
        m.d.sync += [waits.eq(source.valid & ~source.ready), word.eq(source.payload)]
        again = waits if self.contract.held else 0
        allowed = inside < self.contract.holds if self.contract.credits else 1
        m.d.comb += [
            source.valid.eq((self.free_valid | again) & allowed),
            source.payload.eq(Mux(again, word, self.free_payload)),
        ]

    def _stable(self, m, sink, pop):
        waits, word = Signal(), Signal()  # `output` waited in the last cycle, with this
        m.d.sync += [waits.eq(sink.valid & ~sink.ready), word.eq(sink.payload)]
        m.d.comb += [
            self.bad_stable.eq(waits & (~sink.valid | (sink.payload != word))),
            self.cover_stable.eq(waits & pop),
        ]

    def _order(self, m, source, sink, inside, push, pop):
        holds = self.contract.holds
        # A word is followed: its value, how many are before it, and whether it filled the part.
        follows, value, filled = Signal(), Signal(), Signal()
        before = Signal.like(inside)
        picked, leaves, right = Signal(), Signal(), Signal()
        m.d.comb += [
            picked.eq(push & self.free_pick & ~follows),
            leaves.eq(pop & Mux(follows, before == 0, picked & (inside == 0))),
            right.eq(sink.payload == Mux(follows, value, source.payload)),
        ]
        with m.If(picked & ~leaves):
            m.d.sync += [
                follows.eq(1),
                value.eq(source.payload),
                before.eq(inside - pop),
                filled.eq(inside - pop == holds - 1),
            ]
        with m.Elif(leaves):
            m.d.sync += follows.eq(0)
        with m.Elif(pop):
            m.d.sync += before.eq(before - 1)

        invented = (inside == 0) & sink.valid & ~(source.valid & (source.ready | ~pop))
        m.d.comb += [
            self.bad_order.eq((leaves & ~right) | invented | (inside > holds)),
            # Full, then drained: the last word that had room leaves, and nothing came after it.
            self.cover_order.eq(leaves & follows & filled & (inside == 1)),
        ]

    def _moves(self, m, source, sink, inside):
        latency, opens, holds = self.contract.latency, self.contract.opens, self.contract.holds
        hidden, shut = Signal(range(latency + 2)), Signal(range(opens + 2))
        there, room = Signal(), Signal()
        m.d.comb += [
            there.eq((inside != 0) | (source.valid if latency == 0 else 0)),
            room.eq(inside < holds),
        ]
        # Cycles so far in which there is a word that does not show, or room that does not.
        m.d.sync += [
            hidden.eq(Mux(there & ~sink.valid, hidden + 1, 0)),
            shut.eq(Mux(room & ~source.ready, shut + 1, 0)),
        ]
        late = there & ~sink.valid & (hidden >= max(latency, 1) - 1)
        stuck = room & ~source.ready & (shut >= opens - 1)
        full = self.seen(m, "full", inside == holds)
        shown = self.seen(m, "shown", there & sink.valid & (hidden == max(latency, 1) - 1))
        opened = full & room & source.ready & (shut == opens - 1)
        m.d.comb += [self.bad_moves.eq(late | stuck), self.cover_moves.eq(shown & opened)]


class ForkHarness(Harness):
    """Of a Fork, its input held until it moves:

    once    every consumer takes each word of `input` once, before it leaves, and as it is
    stable  a word at an output stays, and stays the same, until it is taken
    """

    def __init__(self, part: wiring.Component):
        self.outputs = part.outputs
        free = dict(valid=1, payload=1, ready=self.outputs)
        super().__init__(part, free, ("once", "stable"))

    def elaborate(self, platform):
        m = Module()
        m.submodules.part = self.part
        source = self.part.input
        waits, word = Signal(), Signal()
        m.d.sync += [waits.eq(source.valid & ~source.ready), word.eq(source.payload)]
        m.d.comb += [
            source.valid.eq(self.free_valid | waits),
            source.payload.eq(Mux(waits, word, self.free_payload)),
        ]

        leaves = source.valid & source.ready
        wrong, changed, apart, stalled = [], [], [], []
        for n in range(self.outputs):
            sink = getattr(self.part, f"output_{n}")
            took, takes = Signal(name=f"took_{n}"), Signal(name=f"takes_{n}")
            stays, shown = Signal(name=f"stays_{n}"), Signal(name=f"shown_{n}")
            m.d.comb += [
                sink.ready.eq(self.free_ready[n]),
                takes.eq(sink.valid & sink.ready),
            ]
            m.d.sync += [
                took.eq((took | takes) & ~leaves),
                stays.eq(sink.valid & ~sink.ready),
                shown.eq(sink.payload),
            ]
            same = sink.payload == source.payload
            missed = source.valid & ~took & ~sink.valid
            wrong.append(
                (takes & (took | ~source.valid | ~same)) | (leaves & ~(took | takes)) | missed
            )
            changed.append(stays & (~sink.valid | (sink.payload != shown)))
            apart.append(self.seen(m, f"apart_{n}", takes & ~leaves))
            stalled.append(self.seen(m, f"stalled_{n}", stays & takes))
        # and it never waits for consumers that have all taken
        ends = [getattr(self.part, f"output_{n}") for n in range(self.outputs)]
        pending = [end.valid & ~end.ready for end in ends]
        m.d.comb += [
            self.bad_once.eq(any_of(wrong) | (source.valid & ~source.ready & ~any_of(pending))),
            self.cover_once.eq(all_of(apart) & leaves),
            self.bad_stable.eq(any_of(changed)),
            self.cover_stable.eq(all_of(stalled)),
        ]
        return m


def any_of(values: list[Value]) -> Value:
    found = values[0]
    for value in values[1:]:
        found = found | value
    return found


def all_of(values: list[Value]) -> Value:
    found = values[0]
    for value in values[1:]:
        found = found & value
    return found


class ArbiterHarness(Harness):
    """Of an arbiter:

    one     at most one grant, to one that asks, and one if any asks; who asks gets what `free` says
    """

    def __init__(self, part: wiring.Component, others: tuple[str, ...], **free: int):
        self.clients = part.clients
        super().__init__(part, dict(requests=self.clients, **free), ("one", *others))

    def one(self, m: Module) -> None:
        m.submodules.part = part = self.part
        # By a register, since the engine wants one.
        m.d.sync += part.requests.eq(self.free_requests)
        several = any_of(
            [
                part.grants[a] & part.grants[b]
                for a in range(self.clients)
                for b in range(a + 1, self.clients)
            ]
            or [Value.cast(0)]
        )
        granted = [
            self.seen(m, f"granted_{n}", part.grants[n] & part.requests.all())
            if n == 0
            else self.seen(m, f"granted_{n}", part.grants[n])
            for n in range(self.clients)
        ]
        m.d.comb += [
            self.bad_one.eq(
                several
                | (part.grants != (part.requests & part.free))
                | (part.requests.any() & ~part.grants.any())
            ),
            self.cover_one.eq(all_of(granted)),
        ]


class PriorityHarness(ArbiterHarness):
    """And of a fixed priority:

    order   who is granted has nobody before it that asks
    """

    def __init__(self, part: wiring.Component):
        super().__init__(part, ("order",))

    def elaborate(self, platform):
        m = Module()
        self.one(m)
        part = self.part
        overtaken = [part.grants[n] & part.requests[:n].any() for n in range(self.clients)]
        last = self.seen(m, "last_waited", part.requests.all())
        m.d.comb += [
            self.bad_order.eq(any_of(overtaken)),
            self.cover_order.eq(last & part.grants[-1]),
        ]
        return m


class TurnsHarness(ArbiterHarness):
    """And of turns:

    bound   a client that asks sees each other client go once at most, so all others together;
            the cover shows one that waits as long
    """

    def __init__(self, part: wiring.Component):
        super().__init__(part, ("bound",), take=1)

    def elaborate(self, platform):
        m = Module()
        self.one(m)
        part, most = self.part, self.clients - 1
        m.d.comb += part.take.eq(self.free_take)
        late, longest = [], []
        for n in range(self.clients):
            waited = Signal(range(most + 2), name=f"waited_{n}")  # others that went while it asked
            goes = part.take & part.grants.any()
            with m.If(~part.requests[n] | (goes & part.grants[n])):
                m.d.sync += waited.eq(0)
            with m.Elif(goes):
                m.d.sync += waited.eq(waited + 1)
            late.append(waited > most)
            longest.append(self.seen(m, f"longest_{n}", (waited == most) & goes & part.grants[n]))
        m.d.comb += [self.bad_bound.eq(any_of(late)), self.cover_bound.eq(all_of(longest))]
        return m


class CounterHarness(Harness):
    """Of a LevelCounter, never raised at its most nor lowered at 0, but for both at once:

    level   is what was counted
    flags   `some` and `room` compare it
    """

    def __init__(self, part: wiring.Component):
        super().__init__(part, dict(up=1, down=1, both=1), ("level", "flags"))

    def elaborate(self, platform):
        m = Module()
        m.submodules.part = part = self.part
        count = Signal(range(part.most + 2))
        m.d.comb += [
            part.up.eq((self.free_up & (count != part.most)) | self.free_both),
            part.down.eq((self.free_down & (count != 0)) | self.free_both),
        ]
        m.d.sync += count.eq(count + part.up - part.down)
        most = self.seen(m, "was_most", part.level == part.most)
        shut = self.seen(m, "was_shut", ~part.room)
        m.d.comb += [
            self.bad_level.eq((part.level != count) | (count > part.most)),
            self.cover_level.eq(most & (part.level == 0)),
            self.bad_flags.eq((part.some != (count != 0)) | (part.room != (count != part.most))),
            self.cover_flags.eq(
                shut & part.some & part.room if part.most > 1 else shut & part.room
            ),
        ]
        return m
