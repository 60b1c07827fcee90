"""Reads length tables ahead of the strips they belong to."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import LoadBody
from hdl.lib.axi import ADDRESS, Request, Window
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.memory.load.rows import TableRows
from hdl.memory.words import TableWord
from hdl.timing import LENGTH_BURST, LENGTH_WORDS


class LengthReader(wiring.Component):
    """Walks the rows of the length tables of run-length coded LOADs; a row is the count_c
    lengths of an (a, b).

    Members: `command`, those LOADs; `base` and `limit`, the read window; `request`, a burst;
    `beats`, its words as they come (always ready: room is kept for them); `words` out, the words
    of each row, its first and last holding lengths of the row in some places only; `outside`: the
    next word of `words`, but for those under way, lies outside the window.

    Runs ahead by LENGTH_WORDS words, across commands. Throughput a burst of up to four words a
    cycle, and a cycle more for each row, in which its words are counted; a burst waits for room for
    four words. First request four cycles after its command. address: bits of an address in memory.
    """

    command: In(stream.Signature(LoadBody))
    base: In(ADDRESS)
    limit: In(ADDRESS)
    request: Out(stream.Signature(Request))
    beats: In(stream.Signature(TableWord))
    words: Out(stream.Signature(TableWord))
    outside: Out(1)

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = TableRows(self.address)
        m.submodules.window = window = Window()
        m.submodules.fifo = fifo = StreamFifo(TableWord, LENGTH_WORDS)
        wiring.connect(m, wiring.flipped(self.command), rows.command)
        wiring.connect(m, window.request, wiring.flipped(self.request))
        row, check = rows.rows, window.check

        # Words as they come.
        m.d.comb += [
            fifo.input.valid.eq(self.beats.valid),
            fifo.input.payload.eq(self.beats.payload),
            self.beats.ready.eq(1),
        ]
        wiring.connect(m, fifo.output, wiring.flipped(self.words))

        # The burst at hand: to the end of an aligned one, or of the row.
        begun, at, to_come = Signal(), Signal(self.address), Signal(16)
        most, some = (Signal(range(LENGTH_BURST + 1), name=name) for name in ("most", "some"))
        step, ends = Signal(), Signal()
        m.d.comb += [
            most.eq(LENGTH_BURST - at[3:5]),
            ends.eq(~to_come[3:].any() & (to_come[:3] <= most)),
            some.eq(Mux(ends, to_come, most)),
            step.eq(check.valid & check.ready),
            row.ready.eq(step & ends),
        ]
        with m.If(row.valid & ~begun):
            m.d.sync += [begun.eq(1), at.eq(row.p.at), to_come.eq(row.p.words)]
        with m.Elif(step):
            m.d.sync += [begun.eq(~ends), at.eq(at + (some << 3)), to_come.eq(to_come - some)]

        # It is asked for when there is room for a whole one.
        room = Signal(range(LENGTH_WORDS + 1), init=LENGTH_WORDS)
        m.d.sync += room.eq(room + (self.words.valid & self.words.ready) - Mux(step, some, 0))
        m.d.comb += [
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            check.valid.eq(begun & (room >= LENGTH_BURST)),
            check.p.begin.eq(at),
            check.p.bytes.eq(some << 3),
            check.p.request.address.eq(at),
            check.p.request.words.eq(some),
            self.outside.eq(window.outside & window.idle & ~fifo.output.valid),
        ]
        return m
