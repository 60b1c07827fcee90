"""Multicast input network: the X-buses of a Y-bus (JSSC 2017, fig. 10).

The Y-bus is a Fork (hdl/lib/stream/fork.py) to the rows: a row with room takes a word at once, so
that no path leads from one row's room over the agreement of all to another row.
"""

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class XBus(wiring.Component):
    """One row of a GIN: a register slice that offers its word to all PEs of the row.

    Members: `input` stream; `word`, `fire`, `accept` (a bit per PE); `load`, in the next cycle
    `word` is what is `next` now, for PEs that compare tags a cycle ahead. A PE accepts when the
    word's tag is not its own or it has room; the word moves when all accept, and is dropped where
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
                "fire": Out(1),
                "accept": In(pes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word, spare = Signal(self.layout, reset_less=True), Signal(self.layout, reset_less=True)
        valid, spare_valid = Signal(), Signal()
        moves = Signal()
        m.d.comb += [
            self.input.ready.eq(~spare_valid),
            moves.eq(self.accept.all()),
            self.fire.eq(valid & moves),
            self.word.eq(word),
            self.load.eq(self.fire | ~valid),
            self.next.eq(Mux(spare_valid, spare, self.input.payload)),
        ]
        with m.If(self.load):
            m.d.sync += [
                word.eq(self.next),
                valid.eq(spare_valid | self.input.valid),
                spare_valid.eq(0),
            ]
        with m.Elif(self.input.valid & self.input.ready):
            m.d.sync += [spare.eq(self.input.payload), spare_valid.eq(1)]
        return m
