"""Reads length tables ahead of the strips they belong to."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.isa import LoadBody
from hdl.lib.axi import ADDRESS, Request, Window
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
    four words. First request five cycles after its command. address: bits of an address in memory.
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
        m.submodules.window = window = Window()
        m.submodules.fifo = fifo = SyncFIFO(width=65, depth=LENGTH_WORDS)
        m.d.comb += [
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            fifo.w_data.eq(Cat(self.beats.p.data, self.beats.p.bad)),
            fifo.w_en.eq(self.beats.valid),
            self.beats.ready.eq(1),
            Cat(self.words.p.data, self.words.p.bad).eq(fifo.r_data),
            self.words.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.words.ready),
        ]
        wiring.connect(m, window.request, wiring.flipped(self.request))

        # ---- walk -----------------------------------------------------------------------
        walking = Signal()
        at_a, at_b = Signal(self.address), Signal(self.address)
        left_a, left_b = Signal(16), Signal(16)
        step_a, step_b = Signal(self.address), Signal(self.address)
        laps_b, entries = Signal(16), Signal(16)
        begin = Signal()  # at a row's first burst
        at = Signal(self.address)  # of the next word
        to_come = Signal(16)  # words of the row
        # where the row begins, and its words
        row_at, row_words = Signal(self.address), Signal(16)
        most = Signal(range(LENGTH_BURST + 1))  # words to the end of the aligned burst
        some = Signal(range(LENGTH_BURST + 1))
        room = Signal(range(LENGTH_WORDS + 1), init=LENGTH_WORDS)
        check = window.check
        step, row_ends, final = Signal(), Signal(), Signal()
        m.d.comb += [
            row_at.eq(at_b & ~7),
            row_words.eq((at_b[1:3] + entries + 3) >> 2),
            most.eq(LENGTH_BURST - at[3:5]),
            some.eq(Mux(row_ends, to_come, most)),
            check.valid.eq(walking & (room >= LENGTH_BURST) & ~begin),
            check.p.begin.eq(at),
            check.p.bytes.eq(some << 3),
            check.p.request.address.eq(at),
            check.p.request.words.eq(some),
            step.eq(check.valid & check.ready),
            row_ends.eq(~to_come[3:].any() & (to_come[:3] <= most)),
            final.eq(row_ends & (left_a == 0) & (left_b == 0)),
            self.command.ready.eq(~walking),
            self.outside.eq(window.outside & window.idle & ~fifo.r_rdy),
        ]
        m.d.sync += room.eq(room + (self.words.valid & self.words.ready) - Mux(step, some, 0))
        with m.If(begin):
            m.d.sync += [begin.eq(0), at.eq(row_at), to_come.eq(row_words)]
        with m.If(step):
            m.d.sync += [
                walking.eq(~final),
                begin.eq(row_ends),
                at.eq(at + (some << 3)),
                to_come.eq(to_come - some),
            ]
            with m.If(row_ends):
                with m.If(left_b != 0):
                    m.d.sync += [left_b.eq(left_b - 1), at_b.eq(at_b + step_b)]
                with m.Else():
                    m.d.sync += [
                        left_b.eq(laps_b),
                        left_a.eq(left_a - 1),
                        at_a.eq(at_a + step_a),
                        at_b.eq(at_a + step_a),
                    ]
        with m.If(self.command.valid & self.command.ready):
            p = self.command.p
            m.d.sync += [
                walking.eq(1),
                begin.eq(1),
                at_a.eq(p.table),
                at_b.eq(p.table),
                left_a.eq(p.count_a - 1),
                left_b.eq(p.count_b - 1),
                laps_b.eq(p.count_b - 1),
                step_a.eq(p.stride_a),
                step_b.eq(p.table_b),
                entries.eq(p.count_c),
            ]
        return m
