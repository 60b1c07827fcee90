"""Columns, and records of columns, to words of entries."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.sparse.pe.column_queue import ColumnQueue
from hdl.sparse.pe.entry_reader import EntryReader
from hdl.sparse.pe.pointers import PointerLookup
from hdl.sparse.pe.record_part import RecordPart
from hdl.sparse.pe.word_queue import WordQueue
from hdl.sparse.pe.word_walk import WordWalk
from hdl.sparse.words import SparseFill, column_layout, span_layout, spread_layout, word_layout


class WordReader(wiring.Component):
    """ColumnQueue, PointerLookup, WordWalk, EntryReader and WordQueue, one after the other.

    Members: `column`, `limit`, `record`, `room`, `span`, `load`, `mark` and `fill` as in SparsePe;
    `word`, stream of word_layout, a mark among the words that it came after; `bad` of
    PointerLookup; `empty`, nothing is inside.

    A column a cycle and a word a cycle; latency from a column to its first word 10 cycles. What a
    block RAM shows goes to a register and nowhere else.
    """

    def __init__(self, config: Config):
        self.config = c = config
        super().__init__(
            {
                "column": In(stream.Signature(column_layout(c))),
                "limit": In(5),
                "record": In(stream.Signature(spread_layout(c), always_ready=True)),
                "room": Out(1),
                "span": In(span_layout(c)),
                "load": In(1),
                "mark": In(1),
                "fill": In(SparseFill),
                "word": Out(stream.Signature(word_layout())),
                "bad": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config

        # Columns to places of words.
        m.submodules.queue = queue = ColumnQueue(c)
        m.submodules.pointers = pointers = PointerLookup(c)
        m.submodules.walk = walk = WordWalk(c)
        wiring.connect(m, wiring.flipped(self.column), queue.input)
        wiring.connect(m, queue.output, pointers.column)
        wiring.connect(m, pointers.bounds, walk.bounds)
        m.d.comb += [
            queue.limit.eq(self.limit),
            pointers.fill.eq(self.fill),
            self.bad.eq(pointers.bad),
        ]

        # Or bytes of a record's words.
        m.submodules.part = part = RecordPart(c)
        wiring.connect(m, wiring.flipped(self.record), part.record)
        m.d.comb += [part.span.eq(self.span), part.load.eq(self.load)]

        # Words of either, until they are decoded.
        m.submodules.entries = entries = EntryReader(c)
        m.submodules.words = words = WordQueue()
        wiring.connect(m, walk.place, entries.place)
        wiring.connect(m, entries.word, words.input)
        wiring.connect(m, words.output, wiring.flipped(self.word))
        m.d.comb += [
            entries.room.eq(words.room),
            entries.record.eq(self.record.valid),
            entries.own.eq(part.own),
            entries.data.eq(self.record.p.data),
            entries.lanes.eq(part.lanes),
            entries.mark.eq(self.mark),
            entries.fill.eq(self.fill),
            self.room.eq(words.room),
        ]

        # Whether there is anything.
        columns = queue.output.valid | pointers.busy | pointers.bounds.valid | walk.place.valid
        m.d.comb += self.empty.eq(~(columns | entries.busy | words.output.valid))
        return m
