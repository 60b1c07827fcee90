"""Columns of SPARSE_STREAM: where their records are, and the records from DRAM."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import READ_SIGNATURE
from hdl.config import ENTRY_BITS, Config
from hdl.isa import WORD_ADDR, TableWord
from hdl.lib.axi import ADDRESS, Burst, BurstSplitter, ReadMaster, Window
from hdl.lib.engine import UNDER_WAY
from hdl.lib.stream.block_fifo import BlockFifo
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.skid_buffer import cut
from hdl.sparse.words import WORD_INDEX, RecordWord, wanted_layout

BEATS = 128  # of records asked for and not yet passed on
COLUMNS = 64  # with a record asked for
OUTSTANDING = 32  # bursts under way


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

    config.registered: its latency is longer, and a record takes two cycles at least. A column is
    looked up when there is room for all that is known of it, so that nothing waits between the
    table and two queues in block RAM: of places, which go through the window to the bursts, and of
    the lengths that their data is cut into. Room for data is a difference of two counters, of beats
    asked for and of beats that have left.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "wanted": In(stream.Signature(wanted_layout(config))),
                "table": In(WORD_ADDR),
                "dram": In(ADDRESS),
                "looked_up": Out(1),
                "glb": Out(READ_SIGNATURE),
                "base": In(ADDRESS),
                "limit": In(ADDRESS),
                "read": Out(ReadMaster),
                "record": Out(stream.Signature(RecordWord)),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        return self._registered() if self.config.registered else self._plain()

    def _plain(self) -> Module:
        m = Module()

        # ---- the table's word -----------------------------------------------------------
        note_layout = data.StructLayout({"mark": 1, "lane": 2, "value": signed(ENTRY_BITS)})
        m.submodules.notes = notes = SyncFIFO(width=note_layout.size, depth=UNDER_WAY)
        wanted, note, noted = self.wanted.p, Signal(note_layout), Signal(note_layout)
        m.d.comb += [
            self.glb.request.valid.eq(self.wanted.valid & ~wanted.mark & notes.w_rdy),
            self.glb.request.payload.eq(self.table + (wanted.column >> 2)),
            self.wanted.ready.eq(notes.w_rdy & (wanted.mark | self.glb.request.ready)),
            notes.w_en.eq(self.wanted.valid & self.wanted.ready),
            notes.w_data.eq(note),
            note.mark.eq(wanted.mark),
            note.lane.eq(wanted.column[:2]),
            note.value.eq(wanted.value),
            noted.eq(notes.r_data),
        ]

        # ---- the record's place ---------------------------------------------------------
        word = Signal(TableWord)
        before = Signal(WORD_INDEX + 2)  # words of the records between `offset` and this one
        found, step, leave = Signal(), Signal(), Signal()  # a place is found, and moves on
        place = Signal(
            data.StructLayout(
                {"mark": 1, "begin": ADDRESS, "words": WORD_INDEX, "value": signed(ENTRY_BITS)}
            )
        )
        m.d.comb += [
            word.eq(self.glb.response.payload[:64]),
            before.eq(sum(Mux(noted.lane > n, word.lengths[n], 0) for n in range(3))),
            step.eq(notes.r_rdy & (noted.mark | self.glb.response.valid)),
            self.looked_up.eq(notes.r_en & noted.mark),
        ]
        m.submodules.window = window = Window()
        m.submodules.splitter = splitter = BurstSplitter()
        m.submodules.columns = columns = SyncFIFO(width=1 + WORD_INDEX + ENTRY_BITS, depth=COLUMNS)
        check, ask = window.check, Signal()
        m.d.comb += [
            ask.eq(found & ~place.mark & (place.words != 0)),
            check.valid.eq(ask & columns.w_rdy),
            check.p.begin.eq(place.begin),
            check.p.bytes.eq(place.words << 3),
            check.p.request.address.eq(place.begin),
            check.p.request.words.eq(place.words),
            leave.eq(Mux(ask, check.ready & columns.w_rdy, ~place.mark | columns.w_rdy)),
            columns.w_en.eq(found & leave & (ask | place.mark)),
            columns.w_data.eq(Cat(place.mark, place.words, place.value)),
            notes.r_en.eq(step & (~found | leave)),
            self.glb.response.ready.eq(notes.r_en & ~noted.mark),
        ]
        with m.If(notes.r_en):
            m.d.sync += [
                found.eq(1),
                place.mark.eq(noted.mark),
                place.value.eq(noted.value),
                place.words.eq(word.lengths[noted.lane]),
                place.begin.eq(self.dram + ((word.offset + before) << 3)),
            ]
        with m.Elif(leave):
            m.d.sync += found.eq(0)

        # ---- bursts, as long as there is room for their data ----------------------------
        m.submodules.beats = beats = SyncFIFOBuffered(width=64 + 1, depth=BEATS)
        address, burst = self.read.address, splitter.burst
        room, bursts = Signal(range(BEATS + 1), init=BEATS), Signal(range(OUTSTANDING + 1))
        issue, ended = Signal(), Signal()
        m.d.comb += [
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            issue.eq(
                burst.valid
                & (room > burst.p.length)
                & (bursts != OUTSTANDING)
                & (~address.valid | address.ready)
            ),
            burst.ready.eq(issue),
            self.read.data.ready.eq(1),
            beats.w_en.eq(self.read.data.valid),
            beats.w_data.eq(Cat(self.read.data.p.data, self.read.data.p.resp[1])),
            ended.eq(self.read.data.valid & self.read.data.p.last),
        ]
        wiring.connect(m, window.request, splitter.request)
        m.d.sync += [
            room.eq(room - Mux(issue, burst.p.length + 1, 0) + beats.r_en),
            bursts.eq(bursts + issue - ended),
        ]
        with m.If(address.ready):
            m.d.sync += address.valid.eq(0)
        with m.If(issue):
            m.d.sync += [address.valid.eq(1), address.payload.eq(burst.payload)]

        # ---- records --------------------------------------------------------------------
        record, index, last = self.record.p, Signal(WORD_INDEX), Signal()
        moved = Signal()
        m.d.comb += [
            Cat(record.mark, record.words, record.value).eq(columns.r_data),
            Cat(record.data, record.bad).eq(Mux(record.mark, 0, beats.r_data)),
            record.index.eq(index),
            self.record.valid.eq(columns.r_rdy & (record.mark | beats.r_rdy)),
            moved.eq(self.record.valid & self.record.ready),
            last.eq(record.mark | (index + 1 == record.words)),
            beats.r_en.eq(moved & ~record.mark),
            columns.r_en.eq(moved & last),
            self.outside.eq(window.outside & window.idle & splitter.idle & (room == BEATS)),
        ]
        with m.If(moved):
            m.d.sync += index.eq(Mux(last, 0, index + 1))
        return m

    def _registered(self) -> Module:
        m = Module()
        c = self.config
        address_bits = min(ADDRESS, c.address_bits + 1)  # what lies beyond stays outside

        # ---- the table's word -----------------------------------------------------------
        note_layout = data.StructLayout({"mark": 1, "lane": 2, "value": signed(ENTRY_BITS)})
        m.submodules.notes = notes = SyncFIFO(width=note_layout.size, depth=2 * UNDER_WAY)
        # Both ways a register, since the columns found and the end of a command meet before this.
        m.submodules.asked = asked = RegisterSlice(wanted_layout(c))
        wiring.connect(m, wiring.flipped(self.wanted), asked.input)
        wanted, note, noted = asked.output.p, Signal(note_layout), Signal(note_layout)
        room, take, request = Signal(), Signal(), self.glb.request
        m.d.comb += [
            asked.output.ready.eq(room & (~request.valid | request.ready)),
            take.eq(asked.output.valid & asked.output.ready),
            notes.w_en.eq(take),
            notes.w_data.eq(note),
            note.mark.eq(wanted.mark),
            note.lane.eq(wanted.column[:2]),
            note.value.eq(wanted.value),
            noted.eq(notes.r_data),
        ]
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(take):
            m.d.sync += [
                request.valid.eq(~wanted.mark),
                request.payload.eq(self.table + (wanted.column >> 2)),
            ]
        m.d.comb += [
            self.glb.response.ready.eq(notes.r_rdy & ~noted.mark),
            notes.r_en.eq(notes.r_rdy & (noted.mark | self.glb.response.valid)),
        ]

        # ---- the record's place: four registers that never wait -------------------------
        word, come, here = (
            Signal(TableWord),
            Signal(4),
            [Signal(note_layout, name=f"here_{n}") for n in range(4)],
        )
        # of the records before this one
        lengths = [Signal(WORD_INDEX, name=f"length_{n}") for n in range(3)]
        before, offsets = Signal(WORD_INDEX + 2), [Signal(20, name=f"offset_{n}") for n in range(2)]
        words, begin = (
            [Signal(WORD_INDEX, name=f"words_{n}") for n in range(3)],
            Signal(address_bits),
        )
        pair, third, offset = Signal(WORD_INDEX + 1), Signal(WORD_INDEX), Signal(21)
        place_layout = data.StructLayout({"begin": address_bits - 3, "words": WORD_INDEX})
        m.d.sync += [
            word.eq(self.glb.response.payload[:64]),
            come.eq(Cat(notes.r_en, come)),
            *(behind.eq(ahead) for behind, ahead in zip(here, [noted, *here])),
            *(
                length.eq(Mux(here[0].lane > n, word.lengths[n], 0))
                for n, length in enumerate(lengths)
            ),
            words[0].eq(Mux(here[0].mark, 0, word.lengths[here[0].lane])),
            offsets[0].eq(word.offset),
            pair.eq(lengths[0] + lengths[1]),
            third.eq(lengths[2]),
            offsets[1].eq(offsets[0]),
            words[1].eq(words[0]),
            offset.eq(offsets[1] + before),
            words[2].eq(words[1]),
        ]
        last = Signal(note_layout)
        found, marked, some = Signal(), Signal(), Signal()
        found_words = Signal(WORD_INDEX)
        m.d.comb += [before.eq(pair + third), last.eq(here[-1])]
        m.d.sync += [
            begin.eq(self.dram + (offset << 3)),
            found_words.eq(words[2]),
            found.eq(come[-1]),
            marked.eq(come[-1] & last.mark),
            some.eq(come[-1] & (words[2] != 0)),
        ]
        found_value = Signal(signed(ENTRY_BITS))
        m.d.sync += found_value.eq(last.value)
        length_layout = data.StructLayout(
            {"mark": 1, "words": WORD_INDEX, "value": signed(ENTRY_BITS)}
        )
        m.submodules.columns = columns = BlockFifo(width=length_layout.size, depth=COLUMNS)
        m.submodules.places = places = BlockFifo(width=place_layout.size, depth=COLUMNS)
        m.d.comb += [
            self.looked_up.eq(marked),
            columns.w_en.eq(marked | some),
            columns.w_data.eq(Cat(marked, found_words, found_value)),
            places.w_en.eq(some),
            places.w_data.eq(Cat(begin[3:], found_words)),
        ]
        # As many as wait for the table and are on their way from it, and the one that is taken now.
        m.d.sync += room.eq(
            notes.w_rdy
            & (notes.level < 2 * UNDER_WAY - 2)
            & (columns.level < COLUMNS - 2 * UNDER_WAY - 8)
        )

        # ---- through the window to bursts -----------------------------------------------
        m.submodules.window = window = Window()
        m.submodules.splitter = splitter = BurstSplitter(address_bits)
        # What leaves the first queue finds room in the second, so that nothing waits in the window.
        allowed_layout = data.StructLayout({"address": address_bits - 3, "words": WORD_INDEX})
        m.submodules.allowed = allowed = BlockFifo(width=allowed_layout.size, depth=2 * UNDER_WAY)
        place, waits, check, passes = Signal(place_layout), Signal(), window.check, Signal()
        request, request_valid = Signal(allowed_layout), Signal()
        m.d.sync += [
            passes.eq(allowed.level < UNDER_WAY),
            waits.eq(places.r_rdy & passes),
            place.eq(places.r_data),
        ]
        m.d.comb += [
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            check.valid.eq(waits),
            check.p.begin.eq(place.begin << 3),
            check.p.bytes.eq(place.words << 3),
            check.p.request.address.eq(place.begin << 3),
            check.p.request.words.eq(place.words),
            places.r_en.eq(passes),
            window.request.ready.eq(1),
            allowed.w_en.eq(window.request.valid),
            allowed.w_data.eq(
                Cat(window.request.p.address[3:address_bits], window.request.p.words[:WORD_INDEX])
            ),
            splitter.request.valid.eq(request_valid),
            splitter.request.p.address.eq(request.address << 3),
            splitter.request.p.words.eq(request.words),
            allowed.r_en.eq(~request_valid | splitter.request.ready),
        ]
        with m.If(~request_valid | splitter.request.ready):
            m.d.sync += [request_valid.eq(allowed.r_rdy), request.eq(allowed.r_data)]

        # ---- as long as there is room for their data ------------------------------------
        m.submodules.beats = beats = BlockFifo(width=64 + 1, depth=BEATS)
        address, bursts = self.read.address, Signal(range(OUTSTANDING + 1))
        burst, burst_valid = Signal(Burst), Signal()
        following, held = cut(m, True, "bursts", splitter.burst)
        counter = len(Signal(range(2 * BEATS)))
        beats_asked = Signal(counter)  # with those of `burst`
        allowance = Signal(counter, init=BEATS)  # beats that have left, and BEATS
        issue, moves, ended, few = Signal(), Signal(), Signal(), Signal(init=1)
        difference = Signal(counter)
        m.d.comb += [
            difference.eq(allowance - beats_asked),
            issue.eq(burst_valid & ~difference[-1] & few & (~address.valid | address.ready)),
            moves.eq(~burst_valid | issue),
            following.ready.eq(moves),
            self.read.data.ready.eq(1),
            beats.w_en.eq(self.read.data.valid),
            beats.w_data.eq(Cat(self.read.data.p.data, self.read.data.p.resp[1])),
            ended.eq(self.read.data.valid & self.read.data.p.last),
        ]
        left = Signal()  # a beat, a cycle ago
        m.d.sync += [
            left.eq(beats.r_en),
            allowance.eq(allowance + left),
            bursts.eq(bursts + issue - ended),
        ]
        # One more may be issued while this is found out.
        m.d.sync += few.eq(bursts < OUTSTANDING - 1)
        with m.If(moves):
            m.d.sync += [burst_valid.eq(following.valid), burst.eq(following.payload)]
            with m.If(following.valid):
                m.d.sync += beats_asked.eq(beats_asked + following.p.length + 1)
        with m.If(address.ready):
            m.d.sync += address.valid.eq(0)
        with m.If(issue):
            m.d.sync += [address.valid.eq(1), address.payload.eq(burst)]

        # ---- records --------------------------------------------------------------------
        # so that the queue does not wait for a record's end
        m.submodules.ahead = ahead = RegisterSlice(length_layout)
        coming, current, valid = ahead.output.p, Signal(length_layout), Signal()
        record, index, ends = self.record.p, Signal(WORD_INDEX), Signal()
        moved, leaves = Signal(), Signal()
        m.d.comb += [
            ahead.input.valid.eq(columns.r_rdy),
            ahead.input.payload.eq(columns.r_data),
            columns.r_en.eq(ahead.input.ready),
            ahead.output.ready.eq(leaves),
            leaves.eq(~valid | (moved & ends)),
            record.mark.eq(current.mark),
            record.words.eq(current.words),
            record.value.eq(current.value),
            Cat(record.data, record.bad).eq(beats.r_data),
            record.index.eq(index),
            self.record.valid.eq(valid & (current.mark | beats.r_rdy)),
            moved.eq(self.record.valid & self.record.ready),
            beats.r_en.eq(moved & ~current.mark),
        ]
        with m.If(leaves):
            m.d.sync += [
                valid.eq(ahead.output.valid),
                current.eq(coming),
                index.eq(0),
                ends.eq(coming.mark | (coming.words == 1)),
            ]
        with m.Elif(moved):
            m.d.sync += [index.eq(index + 1), ends.eq(index + 2 == current.words)]
        quiet = Signal()  # all that was asked for has left
        m.d.sync += [
            quiet.eq(
                window.outside
                & window.idle
                & splitter.idle
                & ~held
                & ~burst_valid
                & ~request_valid
                & (allowed.level == 0)
                & (difference == BEATS)
            ),
            self.outside.eq(quiet),
        ]
        return m
