"""Sums of finished windows on their way out of a PE."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import Config


class DrainBuffer(wiring.Component):
    """A FIFO of `drain_depth` psums in which a place is taken before the psum is there.

    Members: `take` takes a place, only while `room`; `write` fills the oldest place taken with `psum` and `last`;
    `valid`, the oldest psum is at `out` and `out_last`; `next` removes it and gives its place back.

    A psum is at `out` in the cycle after `write`, a place is there in the cycle after `next`; one of each a cycle.
    `room` and `valid` are registers, so that nothing is compared before what waits for them.
    """

    def __init__(self, config: Config):
        self.config = config
        psum = signed(config.psum_bits)
        super().__init__({"take": In(1), "room": Out(1, init=1), "write": In(1), "psum": In(psum), "last": In(1),
                          "valid": Out(1), "out": Out(psum), "out_last": Out(1), "next": In(1)})

    def elaborate(self, platform):
        m = Module()
        depth, bits = self.config.drain_depth, self.config.psum_bits
        m.submodules.storage = storage = Memory(shape=unsigned(bits + 1), depth=depth, init=[])
        read, write = storage.read_port(domain="comb"), storage.write_port()
        produce, consume = Signal(range(depth)), Signal(range(depth))
        after = Signal.like(consume)                 # the place behind the oldest
        free = Signal(range(depth + 1), init=depth)  # places not taken
        m.d.comb += [
            write.addr.eq(produce), write.data.eq(Cat(self.psum, self.last)), write.en.eq(self.write),
            read.addr.eq(consume), self.out.eq(read.data[:bits]), self.out_last.eq(read.data[bits]),
            after.eq(_following(consume, depth))]
        with m.If(self.write):
            m.d.sync += [produce.eq(_following(produce, depth)), self.valid.eq(1)]
        with m.Elif(self.next & (after == produce)):
            m.d.sync += self.valid.eq(0)
        with m.If(self.next):
            m.d.sync += consume.eq(after)
        with m.If(self.next ^ self.take):
            change = Mux(self.next, Const(1, signed(2)), Const(-1, signed(2)))      # one adder
            m.d.sync += [free.eq(free + change), self.room.eq(self.next | (free != 1))]
        return m


def _following(place, depth):
    if depth & (depth - 1) == 0:
        return (place + 1)[:len(place)]
    return Mux(place == depth - 1, 0, place + 1)
