"""A FIFO of a few wide words in registers."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class ChainFifo(wiring.Component):
    """A chain of `depth` words, which move on as there is room: no RAM and no multiplexers, where a
    RAM of LUTs takes one and a half for every bit of a queue however short.

    Members: `input`, `output` streams; `level`, the words inside. Latency `depth` cycles. A word
    enters when the last place is empty, so that no path leads from `output.ready` to `input.ready`,
    nor from any input to an output in the same cycle: throughput a word every two cycles. What both
    ends show are registers, `level` counts them. Cost: a flip-flop a bit and place, without
    multiplexers, and two LUTs a place. Raises ValueError for a depth below one.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        if depth < 1:
            raise ValueError(f"a queue of {depth} words: must be 1 or more")
        self.shape, self.depth = shape, depth
        super().__init__(
            {
                "input": In(stream.Signature(shape)),
                "output": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = [Signal(self.shape, name=f"word_{n}", reset_less=True) for n in range(self.depth)]
        valid = [Signal(name=f"valid_{n}") for n in range(self.depth)]
        moves = self.output.ready  # the word in this place leaves it
        for n in range(self.depth):
            last = n == self.depth - 1
            word, there = (
                (self.input.payload, self.input.valid) if last else (words[n + 1], valid[n + 1])
            )
            room = Signal(name=f"room_{n}")
            m.d.comb += room.eq(~valid[n] if last else ~valid[n] | moves)
            with m.If(room):
                m.d.sync += [words[n].eq(word), valid[n].eq(there)]
            with m.Elif(moves):
                m.d.sync += valid[n].eq(0)
            moves = room
        m.d.comb += [
            self.input.ready.eq(~valid[-1]),
            self.output.payload.eq(words[0]),
            self.output.valid.eq(valid[0]),
            self.level.eq(sum(valid)),
        ]
        return m
