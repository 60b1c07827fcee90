"""Columns, and records of columns, to words of entries."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config
from hdl.sparse.decode import many
from hdl.sparse.words import WORD_ENTRIES, column_layout, span_layout, spread_layout, word_layout

READ_AHEAD = 16  # read ahead of the decoder, at most
ENOUGH = 8  # words from which on none is asked for: those under way find room
LATE = 2  # columns that come beyond the limit


class WordReader(wiring.Component):
    """Members: `column`, `limit`, `record`, `span`, `load`, `mark`, `error` as in SparsePe;
    `weights`, `pointers`: writes of the memories at `address` with `data`; `word`,
    stream of word_layout, a mark among the words it came behind; `empty`, nothing is inside.

    A column a cycle and a word a cycle; latency from a column to its first word 10 cycles. What a
    block RAM shows goes to a register and nowhere else. The stages of the pointers wait together
    while a column has words left; an empty one goes no further than the comparison of its pointers.
    A record's word may come a cycle after `ready` has fallen.
    """

    def __init__(self, config: Config):
        self.config = c = config
        self.queue_depth = max(16, 1 << (c.sparse_queue + LATE - 1).bit_length())
        super().__init__(
            {
                "column": In(stream.Signature(column_layout(c))),
                "limit": In(5),
                "record": In(stream.Signature(spread_layout(c))),
                "span": In(span_layout(c)),
                "load": In(1),
                "mark": In(1),
                "weights": In(1),
                "pointers": In(1),
                "address": In(16),
                "data": In(64),
                "word": Out(stream.Signature(word_layout())),
                "bad": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        bits = c.sparse_pointer_bits

        # ---- the queue of columns -------------------------------------------------------
        columns = column_layout(c)
        m.submodules.queue = queue = fifo.SyncFIFO(width=columns.size, depth=self.queue_depth)
        m.d.comb += [
            queue.w_en.eq(self.column.valid & self.column.ready),
            queue.w_data.eq(self.column.payload),
        ]
        m.d.sync += self.column.ready.eq(queue.level < self.limit)

        # ---- pointers: p[column] and p[column + 1] from two banks -----------------------
        banks = []
        for name in ("even", "odd"):
            memory = Memory(
                shape=unsigned(bits),
                depth=c.sparse_pointers // 2,
                init=[],
                attrs={"ram_style": "block"},
            )
            m.submodules[f"pointers_{name}"] = memory
            banks.append((memory.read_port(), memory.write_port()))
        (even, even_write), (odd, odd_write) = banks
        move = Signal()
        head, asked, read, looked = (
            Signal(columns),
            *(
                Signal(
                    data.StructLayout({"odd": 1, "beyond": 1, "value": signed(ENTRY_BITS)}), name=n
                )
                for n in ("asked", "read", "looked")
            ),
        )
        valid = Signal(4)  # of these
        pointer_even, pointer_odd, begin, end = (
            Signal(bits, name=n) for n in ("pointer_even", "pointer_odd", "begin", "end")
        )
        m.d.comb += [
            even_write.en.eq(self.pointers),
            odd_write.en.eq(self.pointers),
            even_write.addr.eq(self.address),
            odd_write.addr.eq(self.address),
            even_write.data.eq(self.data[:32]),
            odd_write.data.eq(self.data[32:]),
            even.addr.eq((head.column + 1) >> 1),
            odd.addr.eq(head.column >> 1),
            even.en.eq(move),
            odd.en.eq(move),
            queue.r_en.eq(move),
        ]
        with m.If(move):
            m.d.sync += [
                valid.eq(Cat(queue.r_rdy, valid)),
                head.eq(queue.r_data),
                asked.odd.eq(head.column[0]),
                asked.value.eq(head.value),
                asked.beyond.eq(head.column >= c.sparse_pointers - 1),
                pointer_even.eq(even.data),
                pointer_odd.eq(odd.data),
                read.eq(asked),
                begin.eq(Mux(read.odd, pointer_odd, pointer_even)),
                end.eq(Mux(read.odd, pointer_even, pointer_odd)),
                looked.eq(read),
            ]

        # ---- a column's words -----------------------------------------------------------
        segment = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "at": bits - 3,
                    "final": bits - 3,
                    "last": 1,
                    "low": 3,
                    "high": 3,
                    "first": 1,
                    "value": signed(ENTRY_BITS),
                }
            )
        )
        falls, far = Signal(), Signal()
        final, following = Signal(bits - 3), Signal(bits - 3)
        # of a column with entries
        first, beyond, some, some_value = (
            Signal(bits),
            Signal(bits),
            Signal(),
            Signal(signed(ENTRY_BITS)),
        )
        room, ask, opens = Signal(), Signal(), Signal()
        m.d.comb += [
            falls.eq(end < begin),
            far.eq(looked.beyond | (end > 8 * c.sparse_words)),
            final.eq(beyond[3:] - (beyond[:3] == 0)),
            following.eq(segment.at + 1),
            ask.eq(segment.valid & room),
            opens.eq(~segment.valid | (room & segment.last)),
            move.eq(~some | opens),
        ]
        m.d.sync += self.bad.eq(move & valid[-1] & (falls | far))
        with m.If(move):
            m.d.sync += [
                some.eq(valid[-1] & (begin < end) & ~far),
                first.eq(begin),
                beyond.eq(end),
                some_value.eq(looked.value),
            ]
        with m.If(opens):
            m.d.sync += [
                segment.valid.eq(some),
                segment.at.eq(first[3:]),
                segment.final.eq(final),
                segment.last.eq(first[3:] == final),
                segment.low.eq(first[:3]),
                segment.high.eq(beyond[:3]),
                segment.first.eq(1),
                segment.value.eq(some_value),
            ]
        with m.Elif(room):
            m.d.sync += [
                segment.at.eq(following),
                segment.last.eq(following == segment.final),
                segment.low.eq(0),
                segment.first.eq(0),
            ]
        m.submodules.weights_memory = weights = Memory(
            shape=unsigned(64), depth=c.sparse_words, init=[], attrs={"ram_style": "block"}
        )
        w_read, w_write = weights.read_port(), weights.write_port()
        m.d.comb += [
            w_write.en.eq(self.weights),
            w_write.addr.eq(self.address),
            w_write.data.eq(self.data),
            w_read.addr.eq(segment.at),
            w_read.en.eq(1),
        ]

        # ---- or the PE's bytes of a record's words --------------------------------------
        record, span = self.record.p, Signal(span_layout(c))
        begun, own = Signal(), Signal()
        begins, ends, take = Signal(), Signal(), Signal()
        m.d.comb += [
            self.record.ready.eq(room),
            begins.eq(span.begin[3:] == record.index),
            ends.eq(span.end[3:] == record.index),
            own.eq((span.begin != span.end) & (begins | begun) & ~(ends & (span.end[:3] == 0))),
            take.eq(self.record.valid),
        ]
        with m.If(take):
            m.d.sync += begun.eq((begins | begun) & ~ends)
        with m.If(self.load):
            m.d.sync += [span.eq(self.span), begun.eq(0)]

        # ---- which lanes are the column's -----------------------------------------------
        note = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "record": 1,
                    "low": 3,
                    "high": 3,
                    "until": 1,
                    "first": 1,
                    "mark": 1,
                    "value": signed(ENTRY_BITS),
                }
            )
        )
        record_data = Signal(64)
        word, word_valid, inside = Signal(word_layout()), Signal(), Signal(WORD_ENTRIES)
        m.d.sync += [
            note.valid.eq(ask | (take & own) | self.mark),
            note.record.eq(take),
            note.mark.eq(self.mark),
            note.low.eq(Mux(take, Mux(begins, span.begin[:3], 0), segment.low)),
            note.high.eq(Mux(take, span.end[:3], segment.high)),
            note.until.eq(Mux(take, ends, segment.last & (segment.high != 0))),
            note.first.eq(Mux(take, begins, segment.first)),
            note.value.eq(Mux(take, record.value, segment.value)),
            record_data.eq(record.data),
            word_valid.eq(note.valid),
            word.data.eq(Mux(note.record, record_data, w_read.data)),
            word.mark.eq(note.mark),
            word.first.eq(note.first),
            word.value.eq(note.value),
        ]
        for n in range(WORD_ENTRIES):
            m.d.sync += inside[n].eq(
                (note.low <= n) & ~(note.until & (note.high <= n)) & ~note.mark
            )

        # ---- words ahead of the decoder -------------------------------------------------
        m.submodules.words = words = fifo.SyncFIFO(width=word_layout().size, depth=READ_AHEAD)
        written = Signal(word_layout())
        m.d.comb += [
            written.eq(word),
            words.w_en.eq(word_valid),
            words.w_data.eq(written),
            self.word.valid.eq(words.r_rdy),
            self.word.payload.eq(words.r_data),
            words.r_en.eq(self.word.ready),
        ]
        for n in range(WORD_ENTRIES):
            used = word.data.word_select(n, 8)[:4].any()
            m.d.comb += [
                written.real[n].eq(inside[n] & used),
                written.padding[n].eq(inside[n] & ~used),
            ]
        m.d.comb += written.many.eq(many(written.real))
        m.d.sync += room.eq(words.level < ENOUGH)
        m.d.comb += self.empty.eq(
            ~(
                queue.level.any()
                | valid.any()
                | some
                | segment.valid
                | note.valid
                | word_valid
                | words.level.any()
            )
        )
        return m
