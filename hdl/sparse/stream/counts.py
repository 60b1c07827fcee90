"""The counts at the head of a record to the bytes of each PE."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config, record_head
from hdl.sparse.words import RecordWord, counts_of_a_word, position_bits


class RecordCounts(wiring.Component):
    """Members: `record`, stream of RecordWord; `counted`, the same stream a few cycles later, with
    `ends`: where the bytes begin of the first PE that has its count in this word, and where those
    of each end, meaningless in a word without counts; `marks`, `counted` is of a mark; `busy`, a
    word is inside.

    A word a cycle, latency STAGES cycles: the word, the sums of its counts, and the ends of the PEs
    in registers, which move together.
    """

    STAGES = 3

    def __init__(self, config: Config):
        self.config = config
        self.each = counts_of_a_word(config)
        # one bit more, whatever the counts of a damaged record are
        self.ends_layout = data.ArrayLayout(position_bits(config) + 1, self.each + 1)
        super().__init__(
            {
                "record": In(stream.Signature(RecordWord)),
                "counted": Out(stream.Signature(RecordWord)),
                "ends": Out(self.ends_layout),
                "marks": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        each, bits = self.each, self.config.sparse_length_bits
        _, final, head = record_head(self.config.sparse_pes, bits)
        wide = position_bits(self.config) + 1

        # The words, which move together.
        move, valid = Signal(), Signal(self.STAGES)
        words = [Signal(RecordWord, name=f"word_{n}") for n in range(self.STAGES)]
        taken, summed, ended = words
        m.d.comb += [
            move.eq(self.counted.ready),
            self.record.ready.eq(move),
            self.counted.valid.eq(valid[-1]),
            self.counted.payload.eq(ended),
            self.busy.eq(valid.any()),
        ]
        with m.If(move):
            m.d.sync += [
                valid.eq(valid << 1 | self.record.valid),
                taken.eq(self.record.payload),
                summed.eq(taken),
                ended.eq(summed),
                self.marks.eq(valid[1] & summed.mark),
            ]

        # Sums of the counts 0 .. n, in as many levels as they take.
        sums = [taken.data.word_select(n, bits) for n in range(each)]
        for level in range((each - 1).bit_length()):
            wider = [Signal(wide, name=f"sum_{level}_{n}") for n in range(each)]
            for n, total in enumerate(wider):
                m.d.comb += total.eq(sums[n] + (sums[n - (1 << level)] if n >> level else 0))
            sums = wider
        kept = [Signal(len(total), name=f"sum_{n}") for n, total in enumerate(sums)]
        with m.If(move):
            m.d.sync += [register.eq(total) for register, total in zip(kept, sums)]

        # From the end of the PEs that had theirs in the words before.
        first = Signal(wide, init=head)
        ends = [first, *(Signal(wide, name=f"end_{n}") for n in range(each))]
        m.d.comb += [end.eq(first + total) for end, total in zip(ends[1:], kept)]
        if final:
            known = Signal(wide)
            m.d.comb += first.eq(Mux(summed.index == 0, head, known))
            with m.If(valid[1] & move & ~summed.mark):
                m.d.sync += known.eq(ends[each])
        with m.If(move):
            m.d.sync += [register.eq(end) for register, end in zip(self.ends, ends)]
        return m
