"""The queue in front of an engine."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import SEMAPHORES
from hdl.control.flight import EarlyFlight, Flight
from hdl.control.words import queue_of, queued
from hdl.isa import INDEX
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import into
from hdl.timing import IN_FLIGHT


class Issue(wiring.Component):
    """Queues commands, takes their semaphores, hands over the bodies, signals when done.

    Members: `queue`, in stream of `queued(body)`; `command`, out stream of `body`; `done`,
    a pulse per command in order; `freed`, another, which only an EarlyIssue heeds; `available`,
    `take`, `give` of the semaphores; `halt`, no further command is taken up; `index`, the program
    index of the oldest unfinished command (valid while `busy`); `busy`, a command is queued or
    under way; `active`, one is under way; `waiting`, the head of the queue lacks a semaphore.

    Latency five cycles from `queue` to `command`, throughput a command every three cycles; a gift
    comes two cycles after `done`, or `freed`. Semaphores, `done`, `take` and `give` go through
    registers, so that no path leads between the queue and other engines, nor from `command.ready`
    to it.
    depth: a power of two; a single command is four cycles on its way, and takes as many.
    in_flight: commands that the engine may hold; two or one are registers too, which an engine
    must not be done with in less than two cycles.
    """

    FLIGHT: type[Flight | EarlyFlight] = Flight

    def __init__(self, body: ShapeLike, depth: int, *, in_flight: int = IN_FLIGHT):
        self.body, self.depth, self.in_flight = body, depth, in_flight
        super().__init__(
            {
                "queue": In(stream.Signature(queued(body))),
                "command": Out(stream.Signature(body)),
                "done": In(1),
                "freed": In(1),
                "available": In(SEMAPHORES),
                "take": Out(SEMAPHORES),
                "give": Out(SEMAPHORES),
                "halt": In(1),
                "index": Out(INDEX),
                "busy": Out(1),
                "active": Out(1),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = queue_of(queued(self.body), self.depth)
        m.submodules.flight = flight = self.FLIGHT(self.in_flight)
        wiring.connect(m, wiring.flipped(self.queue), fifo.input)
        queue, begun = fifo.output, flight.begun

        # The command in front is looked at for two cycles: its semaphores, then whether they are
        # all available. Then it moves on.
        head = queue.p
        wanted = Signal(SEMAPHORES, reset_less=True)
        seen, there, missing, move = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            wanted.eq(head.wait),
            seen.eq(queue.valid & ~move),
            there.eq(seen & ~move),
            missing.eq((wanted & ~self.available).any()),
            self.take.eq(Mux(move, wanted, 0)),
        ]
        m.d.comb += [
            move.eq(there & ~missing & begun.ready & ~self.halt & ~self.command.valid),
            queue.ready.eq(move),
            begun.valid.eq(move),
            begun.p.signal.eq(head.signal),
            begun.p.index.eq(head.index),
        ]

        # To the engine.
        command = into(m, "command", ForwardSlice(self.body), wiring.flipped(self.command))
        m.d.comb += [
            command.valid.eq(move),
            Value.cast(command.payload).eq(Value.cast(head.body)),
        ]

        # A command on its way through registers does not show in front yet, so levels count.
        m.d.comb += [
            flight.done.eq(self.done),
            flight.freed.eq(self.freed),
            self.give.eq(flight.give),
            self.index.eq(Mux(flight.active, flight.index, head.index)),
            self.active.eq(flight.active),
            self.waiting.eq(there & missing),
            self.busy.eq((fifo.level != 0) | flight.holds),
        ]
        return m


class EarlyIssue(Issue):
    """As Issue, of an engine whose commands give their semaphores at `freed` (EarlyFlight)."""

    FLIGHT = EarlyFlight
