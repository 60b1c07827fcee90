"""A FIFO of a few wide words in registers."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib.wiring import In, Out

from hdl.lib.stream.fifo_ports import FifoPorts


class ChainFifo(FifoPorts):
    """A chain of `depth` words, which move on as there is room: no RAM and no multiplexers, where a
    RAM of LUTs takes one and a half for every bit of a queue however short.

    Members: those of amaranth.lib.fifo.SyncFIFO, and of FifoPorts. Latency `depth` cycles. A word
    enters when the last place is empty, so that no path leads from `r_en` to `w_rdy`, nor from any
    input to an output in the same cycle: throughput a word every two cycles. `w_rdy`, `r_rdy` and
    `r_data` are registers, `level` counts them. Cost: a flip-flop a bit and place, without
    multiplexers, and two LUTs a place. Raises ValueError for a depth below one.
    """

    def __init__(self, width: ShapeLike, depth: int):
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
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = [Signal(self.width, name=f"word_{n}", reset_less=True) for n in range(self.depth)]
        valid = [Signal(name=f"valid_{n}") for n in range(self.depth)]
        moves = self.r_en  # the word in this place leaves it
        for n in range(self.depth):
            last = n == self.depth - 1
            word, there = (self.w_data, self.w_en) if last else (words[n + 1], valid[n + 1])
            room = Signal(name=f"room_{n}")
            m.d.comb += room.eq(~valid[n] if last else ~valid[n] | moves)
            with m.If(room):
                m.d.sync += [words[n].eq(word), valid[n].eq(there)]
            with m.Elif(moves):
                m.d.sync += valid[n].eq(0)
            moves = room
        m.d.comb += [
            self.w_rdy.eq(~valid[-1]),
            self.r_data.eq(words[0]),
            self.r_rdy.eq(valid[0]),
            self.level.eq(sum(valid)),
        ]
        return m
