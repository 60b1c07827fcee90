"""The ifmap spad of a PE: entries in a ring."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS


class EntryRing(wiring.Component):
    """`depth` entries, a power of two, that come, are read and are freed in order; reading goes
    back to the oldest one when the window slides (JSSC 2017, fig. 12).

    Members
    -------
    write, data      an entry comes, only while not `full`
    full             register: all places are taken
    entry            the one that is read, in the same cycle
    step, back       go on to the next, or back to the oldest, which may be the next one
    free             the oldest is not needed again
    write_at, read_at, after_read  pointers; the highest bit tells a full ring from an empty one

    One of each a cycle; what is written may be read in the next cycle.
    """

    def __init__(self, depth: int):
        self.depth = depth
        pointer = depth.bit_length()
        super().__init__(
            {
                "write": In(1),
                "data": In(ENTRY_BITS),
                "full": Out(1),
                "entry": Out(ENTRY_BITS),
                "step": In(1),
                "back": In(1),
                "free": In(1),
                "write_at": Out(pointer),
                "read_at": Out(pointer),
                "after_read": Out(pointer),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=unsigned(ENTRY_BITS), depth=self.depth, init=[])
        read, write = memory.read_port(domain="comb"), memory.write_port()
        oldest, after_write = Signal.like(self.read_at), Signal.like(self.write_at)
        m.d.comb += [
            write.addr.eq(self.write_at[:-1]),
            write.data.eq(self.data),
            write.en.eq(self.write),
            read.addr.eq(self.read_at[:-1]),
            self.entry.eq(read.data),
            self.after_read.eq(self.read_at + 1),
            after_write.eq(self.write_at + 1),
        ]

        # Full: in a register, since all PEs of a row may wait for it.
        with m.If(self.free):
            m.d.sync += self.full.eq(0)
        with m.Elif(self.write):
            m.d.sync += self.full.eq(after_write ^ oldest == self.depth)

        with m.If(self.write):
            m.d.sync += self.write_at.eq(after_write)
        with m.If(self.step):
            m.d.sync += self.read_at.eq(Mux(self.back, oldest, self.after_read))
        with m.If(self.free):
            m.d.sync += oldest.eq(oldest + 1)
        return m
