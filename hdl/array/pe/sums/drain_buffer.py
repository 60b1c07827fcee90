"""Sums of finished windows on their way out of a PE."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import Config


class DrainBuffer(wiring.Component):
    """A FIFO of `drain_depth` psums in which a place, of `config.simd` psums, is taken before they
    are there.

    Members: `take` takes a place, only while `room`; `write` fills the oldest place taken with
    `psums`, of whose last `last` is, or of two with the first (`single`); `valid`, the oldest psum
    is at `out` and `out_last`; `next` removes it, and with the last of a place gives that back.

    A psum is at `out` in the cycle after `write`, a place is there in the cycle after `next`; one
    of each a cycle. `room` and `valid` are registers, so that nothing is compared before what waits
    for them.
    """

    def __init__(self, config: Config):
        self.config = config
        psum = signed(config.psum_bits)
        super().__init__(
            {
                "take": In(1),
                "room": Out(1, init=1),
                "write": In(1),
                "psums": In(config.simd * config.psum_bits),
                "last": In(1),
                "single": In(1),
                "valid": Out(1),
                "out": Out(psum),
                "out_last": Out(1),
                "next": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits, each = self.config.psum_bits, self.config.simd
        depth = self.config.drain_depth // each
        m.submodules.storage = storage = Memory(
            shape=unsigned(each * bits + each), depth=depth, init=[]
        )
        read, write = storage.read_port(domain="comb"), storage.write_port()
        produce, consume = Signal(range(depth)), Signal(range(depth))
        after = Signal.like(consume)  # the place behind the oldest
        free = Signal(range(depth + 1), init=depth)  # places not taken
        # leaves: a place becomes free
        out, last, leaves = read.data[:bits], read.data[each * bits], self.next
        if each == 2:
            second = Signal()  # of a place, is at `out`
            ends = second | read.data[-1]
            out, last, leaves = (
                Mux(second, read.data[bits : 2 * bits], out),
                last & ends,
                leaves & ends,
            )
            with m.If(self.next):
                m.d.sync += second.eq(~ends)
        m.d.comb += [
            write.addr.eq(produce),
            write.data.eq(Cat(self.psums, self.last, self.single)),
            write.en.eq(self.write),
            read.addr.eq(consume),
            self.out.eq(out),
            self.out_last.eq(last),
            after.eq(_following(consume, depth)),
        ]
        with m.If(self.write):
            m.d.sync += [produce.eq(_following(produce, depth)), self.valid.eq(1)]
        with m.Elif(leaves & (after == produce)):
            m.d.sync += self.valid.eq(0)
        with m.If(leaves):
            m.d.sync += consume.eq(after)
        with m.If(leaves ^ self.take):
            change = Mux(leaves, Const(1, signed(2)), Const(-1, signed(2)))  # one adder
            m.d.sync += [free.eq(free + change), self.room.eq(leaves | (free != 1))]
        return m


def _following(place: Value, depth: int) -> Value:
    """The place after one of `depth`."""
    if depth & (depth - 1) == 0:
        return (place + 1)[: len(place)]
    return Mux(place == depth - 1, 0, place + 1)
