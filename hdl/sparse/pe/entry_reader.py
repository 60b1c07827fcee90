"""Words of entries from a PE's weights, or from a record."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import Target
from hdl.sparse.words import (
    WORD_ENTRIES,
    SparseFill,
    lanes_layout,
    place_layout,
    raw_word_layout,
)


class EntryReader(wiring.Component):
    """Members: `place`, stream of place_layout, taken while there is `room`; instead of it, while
    `record` says that a record's word is there, `own` that it counts, and its `data` and `lanes`;
    `mark`, a command's end comes instead of either; `fill`, writes the weights; `word`, stream of
    raw_word_layout that never waits; `busy`, a word is inside.

    A word a cycle; latency two cycles: the RAM, and a register after it.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "place": In(stream.Signature(place_layout(config))),
                "room": In(1),
                "record": In(1),
                "own": In(1),
                "data": In(64),
                "lanes": In(lanes_layout()),
                "mark": In(1),
                "fill": In(SparseFill),
                "word": Out(stream.Signature(raw_word_layout(), always_ready=True)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # The weights, a word of eight entries at an address.
        m.submodules.weights = weights = Memory(
            shape=unsigned(64),
            depth=self.config.sparse_words,
            init=[],
            attrs={"ram_style": "block"},
        )
        write, read = weights.write_port(), weights.read_port()
        m.d.comb += [
            write.en.eq(self.fill.targets[Target.WEIGHTS]),
            write.addr.eq(self.fill.address),
            write.data.eq(self.fill.data),
            read.addr.eq(self.place.p.address),
            read.en.eq(1),
            self.place.ready.eq(self.room),
        ]

        # What the RAM shows next, or a record's word beside it.
        valid, record, kept = Signal(), Signal(), Signal(64)
        note = Signal(data.StructLayout({"mark": 1, "lanes": lanes_layout()}))
        m.d.sync += [
            valid.eq((self.place.valid & self.room) | (self.record & self.own) | self.mark),
            record.eq(self.record),
            kept.eq(self.data),
            note.mark.eq(self.mark),
            note.lanes.eq(Mux(self.record, self.lanes, self.place.p.lanes)),
        ]

        # With the lanes that are the column's.
        lanes, word = note.lanes, self.word.p
        m.d.sync += [
            self.word.valid.eq(valid),
            word.data.eq(Mux(record, kept, read.data)),
            word.mark.eq(note.mark),
            word.first.eq(lanes.first),
            word.value.eq(lanes.value),
        ]
        every = Const((1 << WORD_ENTRIES) - 1)
        end = Mux(lanes.until, every << lanes.high, 0)
        m.d.sync += word.inside.eq(Mux(note.mark, 0, (every << lanes.low) & ~end))
        m.d.comb += self.busy.eq(valid | self.word.valid)
        return m
