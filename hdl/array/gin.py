"""Multicast input network: the X-buses of a Y-bus (JSSC 2017, fig. 10).

The Y-bus is a Fork (hdl/lib/stream/fork.py) to the rows, an X-bus one to the PEs of a row: who has
room takes a word at once, so that no path leads from one's room over the agreement of all to
another.
"""

from amaranth.hdl import Cat, Module, ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.stream.fork import Fork
from hdl.lib.stream.register_slice import RegisterSlice


class XBus(wiring.Component):
    """One row of a GIN: a register slice that offers its word to all PEs of the row.

    Members: `input` stream; `word`; `accept`, `fire` (a bit per PE): it does not want the word or
    has room, and the word is there and is taken; `load`, in the next cycle `word` is what is `next`
    now, for PEs that compare tags a cycle ahead. A PE accepts when the word's tag is not its own or
    it has room, and sees it once; the word leaves when the last accepts it, and is dropped where
    none matches. Two words deep, so one word a cycle is sustained; latency 1 cycle.
    """

    def __init__(self, layout: ShapeLike, pes: int):
        self.layout, self.pes = layout, pes
        super().__init__(
            {
                "input": In(stream.Signature(layout)),
                "word": Out(layout),
                "next": Out(layout),
                "load": Out(1),
                "fire": Out(pes),
                "accept": In(pes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.slice = slice_ = RegisterSlice(self.layout)
        m.submodules.fork = fork = Fork(self.layout, self.pes)
        wiring.connect(m, wiring.flipped(self.input), slice_.input)
        wiring.connect(m, slice_.output, fork.input)

        ends = [getattr(fork, f"output_{n}") for n in range(self.pes)]
        m.d.comb += [
            Cat(end.ready for end in ends).eq(self.accept),
            self.fire.eq(Cat(end.valid & end.ready for end in ends)),
            self.word.eq(slice_.output.payload),
            self.next.eq(slice_.next),
            self.load.eq(slice_.load),
        ]
        return m
