"""A queue of a few narrow words whose head is in a register."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class ShiftFifo(wiring.Component):
    """`depth` words of `width` bits, the first in place 0; all move on when it leaves, so that what
    is read, and whether there is room, come from registers.

    Members: those of amaranth.lib.fifo.SyncFIFO but `level`. Latency one cycle, throughput one word
    a cycle (of a single place one every two). Raises ValueError for a depth below one.
    """

    def __init__(self, width: int, depth: int):
        if depth < 1:
            raise ValueError(f"a queue of {depth} words: must be 1 or more")
        self.width, self.depth = width, depth
        super().__init__(
            {
                "w_data": In(width),
                "w_en": In(1),
                "w_rdy": Out(1),
                "r_data": Out(width),
                "r_en": In(1),
                "r_rdy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = [Signal(self.width, name=f"word_{n}", reset_less=True) for n in range(self.depth)]
        valid = Signal(self.depth)  # places are filled from 0 on
        push, pop = Signal(), Signal()
        m.d.comb += [
            push.eq(self.w_en & self.w_rdy),
            pop.eq(self.r_en & self.r_rdy),
            self.w_rdy.eq(~valid[-1]),
            self.r_rdy.eq(valid[0]),
            self.r_data.eq(words[0]),
        ]
        for n, word in enumerate(words):
            # What a place takes does not depend on whether it takes: the next word, or what comes.
            with m.If(pop | ~valid[n]):
                m.d.sync += word.eq(
                    self.w_data
                    if n == self.depth - 1
                    else Mux(valid[n + 1], words[n + 1], self.w_data)
                )
        with m.If(push & ~pop):
            m.d.sync += valid.eq(valid << 1 | 1)
        with m.Elif(pop & ~push):
            m.d.sync += valid.eq(valid >> 1)
        return m
