"""The queue in front of an engine."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import SEMAPHORES
from hdl.control.words import queued
from hdl.isa import INDEX
from hdl.lib.stream.chain_fifo import ChainFifo
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.timing import IN_FLIGHT

REGISTERS = 2  # depth up to which a RAM of LUTs, sixteen deep, costs more


def fifo_of(shape: ShapeLike, depth: int) -> ChainFifo | StreamFifo:
    """The cheaper FIFO of wide words."""
    return ChainFifo(shape, depth) if depth <= REGISTERS else StreamFifo(shape, depth)


class Issue(wiring.Component):
    """Queues commands, takes their semaphores, hands over the bodies, signals when done.

    Members: `queue`, in stream of `queued(body)`; `command`, out stream of `body`; `done`,
    a pulse per command in order; `available`, `take`, `give` of the semaphores; `halt`, no
    further command is taken up; `index`, the program index of the oldest unfinished command
    (valid while `busy`); `busy`, a command is queued or under way; `active`, one is under
    way; `waiting`, the head of the queue lacks a semaphore.

    Latency four cycles from `queue` to `command`, throughput a command every three cycles; a gift
    comes two cycles after `done`. Semaphores, `done`, `take` and `give` go through registers, so
    that no path leads between the queue and other engines, nor from `command.ready` to it.
    depth: a queue of two commands is a ChainFifo and takes a cycle longer; one of a single command
    takes four cycles a command.
    in_flight: commands that the engine may hold; two or one are registers too, which an engine
    must not be done with in less than two cycles.
    """

    def __init__(self, body: ShapeLike, depth: int, *, in_flight: int = IN_FLIGHT):
        self.body, self.depth, self.in_flight = body, depth, in_flight
        super().__init__(
            {
                "queue": In(stream.Signature(queued(body))),
                "command": Out(stream.Signature(body)),
                "done": In(1),
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
        note = data.StructLayout({"signal": SEMAPHORES, "index": INDEX})
        m.submodules.fifo = fifo = fifo_of(queued(self.body), self.depth)
        m.submodules.flight = flight = fifo_of(note, self.in_flight)
        wiring.connect(m, wiring.flipped(self.queue), fifo.input)
        queue, begun, oldest = fifo.output, flight.input, flight.output

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

        # to the engine
        with m.If(self.command.ready):
            m.d.sync += self.command.valid.eq(0)
        with m.If(move):
            m.d.sync += [
                self.command.valid.eq(1),
                Value.cast(self.command.payload).eq(Value.cast(head.body)),
            ]

        # and its end
        done = Signal()
        m.d.comb += oldest.ready.eq(done)
        m.d.sync += [
            done.eq(self.done),
            self.give.eq(Mux(done & oldest.valid, oldest.p.signal, 0)),
        ]

        # A command on its way through registers does not show in front yet, so levels count.
        m.d.comb += [
            self.index.eq(Mux(oldest.valid, oldest.p.index, head.index)),
            self.active.eq(oldest.valid),
            self.waiting.eq(there & missing),
            self.busy.eq((fifo.level != 0) | (flight.level != 0)),
        ]
        return m
