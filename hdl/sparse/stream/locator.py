"""Entries of the table to places of records."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import TableWord
from hdl.lib.axi import ADDRESS
from hdl.sparse.words import (
    WORD_INDEX,
    LookUp,
    RecordLength,
    TableEntry,
    place_of_record_layout,
    record_address,
)

STAGES = 4  # the word, the lengths before the column's, their sum, the offset


class RecordLocator(wiring.Component):
    """Members: `entry`, stream of TableEntry; `dram`, where the command's records begin, at the
    latest three cycles before its first entry comes; `hold`: its mark is on its way, and `dram` may
    be that of the next command; `place`, stream of place_of_record_layout, of the columns that have
    a record; `length`, stream of RecordLength, of these and marks; none of these waits; `left`, a
    pulse: the mark ends what is held.

    An entry a cycle; latency STAGES + 1 cycles.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "entry": In(stream.Signature(TableEntry, always_ready=True)),
                "dram": In(ADDRESS),
                "place": Out(stream.Signature(place_of_record_layout(config), always_ready=True)),
                "length": Out(stream.Signature(RecordLength, always_ready=True)),
                "hold": In(1),
                "left": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # What is looked up, in every stage.
        come = Signal(STAGES)
        here = [Signal(LookUp, name=f"here_{n}") for n in range(STAGES)]
        m.d.sync += come.eq(Cat(self.entry.valid, come))
        m.d.sync += [now.eq(before) for now, before in zip(here, [self.entry.p.look_up, *here])]

        # The word; the lengths of the records before the column's, and its own.
        word, pair, third = Signal(TableWord), Signal(WORD_INDEX + 1), Signal(WORD_INDEX)
        lengths = [Signal(WORD_INDEX, name=f"length_{n}") for n in range(3)]
        words = [Signal(WORD_INDEX, name=f"words_{n}") for n in range(3)]
        m.d.sync += [
            word.eq(self.entry.p.word),
            *(
                length.eq(Mux(here[0].lane > n, word.lengths[n], 0))
                for n, length in enumerate(lengths)
            ),
            words[0].eq(Mux(here[0].mark, 0, word.lengths[here[0].lane])),
            words[1].eq(words[0]),
            words[2].eq(words[1]),
            pair.eq(lengths[0] + lengths[1]),
            third.eq(lengths[2]),
        ]

        # Where its own begins, counted from the command's first.
        before, offset = Signal(WORD_INDEX + 2), Signal(21)
        offsets = [Signal(20, name=f"offset_{n}") for n in range(2)]
        m.d.comb += before.eq(pair + third)
        m.d.sync += [
            offsets[0].eq(word.offset),
            offsets[1].eq(offsets[0]),
            offset.eq(offsets[1] + before),
        ]

        # Those before the mark have been added to their own command's when the next one's comes.
        dram = Signal(ADDRESS)
        m.d.comb += self.left.eq(come[-2] & here[-2].mark)
        with m.If(self.left | ~self.hold):
            m.d.sync += dram.eq(self.dram)

        # In memory.
        begin, last, some, marked = (
            Signal(record_address(self.config)),
            here[-1],
            Signal(),
            Signal(),
        )
        length, place = self.length, self.place
        m.d.sync += [
            begin.eq(dram + (offset << 3)),
            length.p.words.eq(words[2]),
            length.p.value.eq(last.value),
            marked.eq(come[-1] & last.mark),
            some.eq(come[-1] & (words[2] != 0)),
        ]
        m.d.comb += [
            length.valid.eq(marked | some),
            length.p.mark.eq(marked),
            place.valid.eq(some),
            place.p.begin.eq(begin[3:]),
            place.p.words.eq(length.p.words),
        ]
        return m
