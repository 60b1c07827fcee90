"""The commands of STORE, from the queue to their end."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import ShapeBody, StoreBody, StoreCommand
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.timing import STORES


class StoreCommands(wiring.Component):
    """Takes a command when the arithmetic of the one before has drained, and tells in order which
    are done: a SHAPE at once, a STORE when its last word has been answered.

    Members: `command`; `idle`: the arithmetic has drained; `store` and `shape`, what it works on;
    `start`, a pulse, when all that depends on these alone is there; `answered`, a pulse: the last
    word of the oldest STORE not answered has been; `done`; `oldest`: the oldest command not done is
    a STORE whose words have not all been answered. STORES commands are under way at most.

    Latency two cycles from a command to `start`.
    """

    command: In(stream.Signature(StoreCommand))
    idle: In(1)
    store: Out(StoreBody)
    shape: Out(ShapeBody)
    start: Out(1)
    answered: In(1)
    done: Out(1)
    oldest: Out(1)

    def elaborate(self, platform):
        m = Module()
        # One bit per command under way, in order: it is a SHAPE.
        m.submodules.order = order = StreamFifo(1, STORES)
        # `idle` comes a cycle late; the walk has started but may not show yet.
        idle, busy, take = Signal(), Signal(2), Signal()
        m.d.sync += idle.eq(self.idle)
        m.d.comb += [
            self.command.ready.eq((busy == 0) & idle & order.input.ready),
            take.eq(self.command.valid & self.command.ready),
            order.input.valid.eq(take),
            order.input.payload.eq(self.command.p.is_shape),
            self.start.eq(busy == 2),
        ]

        # Two cycles for the parameters to reach the registers that depend on them.
        with m.If(busy != 0):
            m.d.sync += busy.eq(busy - 1)
        with m.If(take):
            with m.If(self.command.p.is_shape):
                m.d.sync += Value.cast(self.shape).eq(self.command.p.body)
            with m.Else():
                m.d.sync += [Value.cast(self.store).eq(self.command.p.body), busy.eq(3)]

        # STOREs answered and not yet reported.
        finished, shape = Signal(range(STORES + 1)), order.output.payload[0]
        m.d.comb += [
            self.done.eq(order.output.valid & (shape | (finished != 0))),
            order.output.ready.eq(self.done),
            self.oldest.eq(order.output.valid & ~shape & (finished == 0)),
        ]
        m.d.sync += finished.eq(finished + self.answered - (self.done & ~shape))
        return m
