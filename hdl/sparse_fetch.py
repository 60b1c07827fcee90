"""Columns of SPARSE_STREAM: where their records are, and the records from DRAM."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .axi import ADDRESS, BurstSplitter, ReadMaster, Window
from .config import ENTRY_BITS, Config
from .engine import UNDER_WAY
from .glb import READ_SIGNATURE
from .isa import WORD_ADDR, TableWord

BEATS = 128       # of records asked for and not yet passed on
COLUMNS = 64      # with a record asked for
OUTSTANDING = 32  # bursts under way
INDEX = 11        # bits of a word's index in a record


def wanted_layout(config: Config) -> data.StructLayout:
    """A column to be fetched; with `mark` the end of a command instead."""
    return data.StructLayout({"mark": 1, "column": config.sparse_column_bits, "value": signed(ENTRY_BITS)})


class RecordWord(data.Struct):
    """Word `index` of a record of `words`; with `mark` the end of a command instead."""
    mark: 1
    data: 64
    bad: 1       # the memory answered with an error
    index: INDEX
    words: INDEX
    value: signed(ENTRY_BITS)


class ColumnFetcher(wiring.Component):
    """Reads the records of columns (isa.SparseStreamBody), in their order.

    Members: `wanted`, stream of wanted_layout; `table` and `dram` of the command, stable from
    its first column until `looked_up`, a pulse: its mark has passed the table; `glb` read
    port; `base` and `limit`, the read window; `read`, an AXI read master; `record`, stream of
    RecordWord; `outside`: the next record lies outside the window and all before it have
    left (until reset).

    One column a cycle, latency 10 cycles and those of the buffer and the memory, which are
    hidden while BEATS suffice: data is asked for only when there is room for it, so that
    `read.data` is always ready. A column without a record costs nothing but its lookup.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "wanted": In(stream.Signature(wanted_layout(config))),
            "table": In(WORD_ADDR), "dram": In(ADDRESS), "looked_up": Out(1),
            "glb": Out(READ_SIGNATURE), "base": In(ADDRESS), "limit": In(ADDRESS),
            "read": Out(ReadMaster), "record": Out(stream.Signature(RecordWord)), "outside": Out(1)})

    def elaborate(self, platform):
        m = Module()

        # ---- the table's word -----------------------------------------------------------
        note_layout = data.StructLayout({"mark": 1, "lane": 2, "value": signed(ENTRY_BITS)})
        m.submodules.notes = notes = SyncFIFO(width=note_layout.size, depth=UNDER_WAY)
        wanted, note, noted = self.wanted.p, Signal(note_layout), Signal(note_layout)
        m.d.comb += [
            self.glb.request.valid.eq(self.wanted.valid & ~wanted.mark & notes.w_rdy),
            self.glb.request.payload.eq(self.table + (wanted.column >> 2)),
            self.wanted.ready.eq(notes.w_rdy & (wanted.mark | self.glb.request.ready)),
            notes.w_en.eq(self.wanted.valid & self.wanted.ready), notes.w_data.eq(note),
            note.mark.eq(wanted.mark), note.lane.eq(wanted.column[:2]), note.value.eq(wanted.value),
            noted.eq(notes.r_data)]

        # ---- the record's place ---------------------------------------------------------
        word = Signal(TableWord)
        before = Signal(INDEX + 2)     # words of the records between `offset` and this one
        found, step, leave = Signal(), Signal(), Signal()   # a place is found, and moves on
        place = Signal(data.StructLayout({"mark": 1, "begin": ADDRESS, "words": INDEX, "value": signed(ENTRY_BITS)}))
        m.d.comb += [
            word.eq(self.glb.response.payload[:64]),
            before.eq(sum(Mux(noted.lane > n, word.lengths[n], 0) for n in range(3))),
            step.eq(notes.r_rdy & (noted.mark | self.glb.response.valid)),
            self.looked_up.eq(notes.r_en & noted.mark)]
        m.submodules.window = window = Window()
        m.submodules.splitter = splitter = BurstSplitter()
        m.submodules.columns = columns = SyncFIFO(width=1 + INDEX + ENTRY_BITS, depth=COLUMNS)
        check, ask = window.check, Signal()
        m.d.comb += [
            ask.eq(found & ~place.mark & (place.words != 0)),
            check.valid.eq(ask & columns.w_rdy),
            check.p.begin.eq(place.begin), check.p.bytes.eq(place.words << 3),
            check.p.request.address.eq(place.begin), check.p.request.words.eq(place.words),
            leave.eq(Mux(ask, check.ready & columns.w_rdy, ~place.mark | columns.w_rdy)),
            columns.w_en.eq(found & leave & (ask | place.mark)),
            columns.w_data.eq(Cat(place.mark, place.words, place.value)),
            notes.r_en.eq(step & (~found | leave)),
            self.glb.response.ready.eq(notes.r_en & ~noted.mark)]
        with m.If(notes.r_en):
            m.d.sync += [found.eq(1), place.mark.eq(noted.mark), place.value.eq(noted.value),
                         place.words.eq(word.lengths[noted.lane]),
                         place.begin.eq(self.dram + ((word.offset + before) << 3))]
        with m.Elif(leave):
            m.d.sync += found.eq(0)

        # ---- bursts, as long as there is room for their data ----------------------------
        m.submodules.beats = beats = SyncFIFOBuffered(width=64 + 1, depth=BEATS)
        address, burst = self.read.address, splitter.burst
        room, bursts = Signal(range(BEATS + 1), init=BEATS), Signal(range(OUTSTANDING + 1))
        issue, ended = Signal(), Signal()
        m.d.comb += [
            window.base.eq(self.base), window.limit.eq(self.limit),
            issue.eq(burst.valid & (room > burst.p.length) & (bursts != OUTSTANDING)
                     & (~address.valid | address.ready)),
            burst.ready.eq(issue),
            self.read.data.ready.eq(1), beats.w_en.eq(self.read.data.valid),
            beats.w_data.eq(Cat(self.read.data.p.data, self.read.data.p.resp[1])),
            ended.eq(self.read.data.valid & self.read.data.p.last)]
        wiring.connect(m, window.request, splitter.request)
        m.d.sync += [room.eq(room - Mux(issue, burst.p.length + 1, 0) + beats.r_en),
                     bursts.eq(bursts + issue - ended)]
        with m.If(address.ready):
            m.d.sync += address.valid.eq(0)
        with m.If(issue):
            m.d.sync += [address.valid.eq(1), address.payload.eq(burst.payload)]

        # ---- records --------------------------------------------------------------------
        record, index, last = self.record.p, Signal(INDEX), Signal()
        moved = Signal()
        m.d.comb += [
            Cat(record.mark, record.words, record.value).eq(columns.r_data),
            Cat(record.data, record.bad).eq(Mux(record.mark, 0, beats.r_data)), record.index.eq(index),
            self.record.valid.eq(columns.r_rdy & (record.mark | beats.r_rdy)),
            moved.eq(self.record.valid & self.record.ready),
            last.eq(record.mark | (index + 1 == record.words)),
            beats.r_en.eq(moved & ~record.mark), columns.r_en.eq(moved & last),
            self.outside.eq(window.outside & window.idle & splitter.idle & (room == BEATS))]
        with m.If(moved):
            m.d.sync += index.eq(Mux(last, 0, index + 1))
        return m
