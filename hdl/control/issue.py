"""The queue in front of an engine."""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.config import SEMAPHORES
from hdl.control.words import queued
from hdl.isa import INDEX
from hdl.lib.stream.chain_fifo import ChainFifo
from hdl.timing import IN_FLIGHT


class Issue(wiring.Component):
    """Queues commands, takes their semaphores, hands over the bodies, signals when done.

    Members: `queue`, in stream of `queued(body)`; `command`, out stream of `body`; `done`,
    a pulse per command in order; `available`, `take`, `give` of the semaphores; `halt`, no
    further command is taken up; `index`, the program index of the oldest unfinished command
    (valid while `busy`); `busy`, a command is queued or under way; `active`, one is under
    way; `waiting`, the head of the queue lacks a semaphore.

    Latency two cycles from `queue` to `command`, throughput one command per cycle. A queue of two
    commands or one is a ChainFifo: latency one cycle for each and one, throughput one command
    every two cycles, and `index` comes as late as the command does. in_flight: commands that the
    engine may hold; two or one are registers too, which an engine must not be done with in less
    than two cycles.

    registered: semaphores, `done`, `take` and `give` go through registers, so that no path leads
    between the queue and other engines, nor from `command.ready` to it: latency two cycles more,
    throughput a command every three cycles; a gift comes two cycles after `done`.
    """

    REGISTERS = 2  # depth up to which a RAM of LUTs, sixteen deep, costs more

    def __init__(
        self,
        body: ShapeLike,
        depth: int,
        *,
        in_flight: int = IN_FLIGHT,
        registered: bool = False,
    ):
        self.body, self.depth, self.in_flight, self.registered = body, depth, in_flight, registered
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
        layout = queued(self.body)
        queue = ChainFifo if self.depth <= self.REGISTERS else SyncFIFO
        m.submodules.fifo = fifo = queue(width=Shape.cast(layout).width, depth=self.depth)
        held = ChainFifo if self.in_flight <= self.REGISTERS else SyncFIFO
        m.submodules.flight = flight = held(width=SEMAPHORES + INDEX, depth=self.in_flight)
        head = Signal(layout)
        missing = Signal()
        move = Signal()
        # a command is in front, whose semaphores have been looked at
        there, done = Signal(), Signal()
        m.d.comb += [
            fifo.w_data.eq(Value.cast(self.queue.payload)),
            fifo.w_en.eq(self.queue.valid),
            self.queue.ready.eq(fifo.w_rdy),
            Value.cast(head).eq(fifo.r_data),
            move.eq(
                there
                & ~missing
                & flight.w_rdy
                & ~self.halt
                & (~self.command.valid | (0 if self.registered else self.command.ready))
            ),
            fifo.r_en.eq(move),
            flight.w_en.eq(move),
            flight.w_data[:SEMAPHORES].eq(head.signal),
            flight.w_data[SEMAPHORES:].eq(head.index),
            flight.r_en.eq(done),
            self.index.eq(Mux(flight.r_rdy, flight.r_data[SEMAPHORES:], head.index)),
            self.active.eq(flight.r_rdy),
            self.waiting.eq(there & missing),
            # A command on its way through registers does not show in front yet.
            self.busy.eq((fifo.level != 0) | (flight.level != 0)),
        ]
        take, give = (
            Mux(move, head.wait, 0),
            Mux(done & flight.r_rdy, flight.r_data[:SEMAPHORES], 0),
        )
        if self.registered:
            # of the command in front; it is in `wanted`
            wanted, seen = Signal(SEMAPHORES, reset_less=True), Signal()
            m.d.sync += [
                wanted.eq(head.wait),
                seen.eq(fifo.r_rdy & ~move),
                there.eq(seen & ~move),
                missing.eq((wanted & ~self.available).any()),
                done.eq(self.done),
                self.give.eq(give),
                self.take.eq(Mux(move, wanted, 0)),
            ]
        else:
            m.d.comb += [
                there.eq(fifo.r_rdy),
                missing.eq((head.wait & ~self.available).any()),
                done.eq(self.done),
                self.give.eq(give),
                self.take.eq(take),
            ]
        with m.If(self.command.ready):
            m.d.sync += self.command.valid.eq(0)
        with m.If(move):
            m.d.sync += [
                self.command.valid.eq(1),
                Value.cast(self.command.payload).eq(Value.cast(head.body)),
            ]
        return m
