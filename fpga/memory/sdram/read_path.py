"""Words on their way from the part."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.sdram.words import AHEAD, BURST, Piece, Place
from hdl.lib.axi import DECERR, OKAY, ReadData
from hdl.lib.level_counter import LevelCounter
from hdl.lib.stream.stream_fifo import StreamFifo


class ReadPath(wiring.Component):
    """Gathers four pieces of the part into a word.

    Members: `reads`, given a READ in this cycle; `place`, of its word; `dq_i`, the part's pins,
    whose first piece comes `latency` + 1 cycles after `reads`; `data`, out stream of ReadData;
    `room`, another word may be read, a register: AHEAD of them are under way at most. A word beyond
    the memory is 0 and answered with DECERR. A word comes six cycles after its first piece, one
    every four cycles; `data` is of registers.
    """

    def __init__(self, latency: int):
        self.latency = latency
        super().__init__(
            {
                "reads": In(1),
                "place": In(Place),
                "dq_i": In(16),
                "data": Out(stream.Signature(ReadData)),
                "room": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.pieces = pieces = StreamFifo(Piece, AHEAD * BURST)
        m.submodules.ahead = ahead = LevelCounter(AHEAD)
        # What is known of a word travels with its READ; only its fourth piece has it.
        marks, lasts, bads = (
            Signal(self.latency + BURST, name=name) for name in ("marks", "lasts", "bads")
        )
        m.d.sync += [
            marks.eq(Cat(self.reads, marks)),
            lasts.eq(Cat(self.place.last, lasts)),
            bads.eq(Cat(self.place.bad, bads)),
        ]
        m.d.comb += [
            pieces.input.valid.eq(marks[self.latency :].any()),  # there is room: `ahead`
            pieces.input.p.data.eq(self.dq_i),
            pieces.input.p.last.eq(lasts[-1]),
            pieces.input.p.bad.eq(bads[-1] & marks[-1]),
        ]

        # Pieces come in order, the lowest first, into the word that shows: no slice holds it again.
        word, out, piece = Signal(64, reset_less=True), self.data, pieces.output
        index, pull, ended = Signal(range(BURST)), Signal(), Signal()
        m.d.comb += [
            piece.ready.eq(~out.valid | out.ready),
            pull.eq(piece.valid & piece.ready),
            out.p.data.eq(word),
        ]
        with m.If(out.ready):
            m.d.sync += out.valid.eq(0)
        with m.If(pull):
            m.d.sync += [
                word.eq(Cat(word[16:], piece.p.data)),
                index.eq(index + 1),
                out.valid.eq(index == BURST - 1),
                out.p.last.eq(piece.p.last),
                out.p.resp.eq(Mux(piece.p.bad, DECERR, OKAY)),
            ]
            with m.If(piece.p.bad):
                m.d.sync += word.eq(0)

        # A word's room is known to be free a cycle after its last piece has left.
        m.d.sync += ended.eq(pull & (index == BURST - 1))
        m.d.comb += [
            ahead.up.eq(self.reads),
            ahead.down.eq(ended),
            self.room.eq(ahead.room),
        ]
        return m
