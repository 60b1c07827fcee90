"""Records of columns to the PEs, a word a cycle to all of them."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config, record_head
from hdl.isa import Error
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import into
from hdl.sparse.stream.counts import RecordCounts
from hdl.sparse.words import RecordWord, span_layout, spread_layout


class RecordSpreader(wiring.Component):
    """Turns the counts at the head of a record into the PEs' spans, and passes its words on.

    Members: `record`, stream of RecordWord; `spans`, of the PEs, `load` those that change, each at
    a record's first word and at that of its count;
    `output`, stream of spread_layout, a cycle after its spans; `mark`, a pulse when all of a
    command has left, held back by `hold`; `error` (until reset): a bad word, or counts that
    do not add up to the record's words; what follows is dropped; `busy`, a word is inside.

    A word a cycle, latency four cycles: those of RecordCounts, and the output in a register.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "record": In(stream.Signature(RecordWord)),
                "spans": Out(span_layout(config)).array(config.sparse_pes),
                "load": Out(config.sparse_pes),
                "output": Out(stream.Signature(spread_layout(config))),
                "mark": Out(1),
                "hold": In(1),
                "error": Out(Error),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        k = self.config.sparse_pes
        slice_ = ForwardSlice(spread_layout(self.config))
        output = into(m, "words", slice_, wiring.flipped(self.output))
        _, final, _ = record_head(k, self.config.sparse_length_bits)

        # Words with the ends of the PEs' bytes.
        m.submodules.counts = counts = RecordCounts(self.config)
        wiring.connect(m, wiring.flipped(self.record), counts.record)
        counted, record = counts.counted, counts.counted.p
        m.d.comb += self.busy.eq(self.output.valid | counts.busy)

        # Spans: of the PEs whose count is in this word. At a record's first word all PEs take one,
        # so that none goes on with the last record's bytes.
        each, move, moved = counts.each, counted.ready, counted.valid & counted.ready
        for pe in range(k):
            word, n = divmod(pe, each)
            m.d.comb += [
                self.spans[pe].begin.eq(counts.ends[n]),
                self.spans[pe].end.eq(counts.ends[n + 1]),
                self.load[pe].eq(
                    moved & ~record.mark & ((record.index == word) | (record.index == 0))
                ),
            ]

        # Whether the counts add up to the record's words.
        wrong, ends_early = Signal(), Signal()
        m.d.comb += [
            ends_early.eq((record.words <= final) & (record.index + 1 == record.words)),
            wrong.eq(
                record.bad
                | Mux(
                    record.index == final,
                    (counts.ends[k - final * each] + 7)[3:] != record.words,
                    ends_early,
                )
            ),
        ]

        # Words leave one by one, a mark when all before it have. After an error all is dropped.
        dropping = Signal()
        m.d.comb += [
            output.p.data.eq(record.data),
            output.p.index.eq(record.index),
            output.p.value.eq(record.value),
        ]
        with m.If(dropping):
            m.d.comb += move.eq(1)
        with m.Elif(counts.marks):
            m.d.comb += [move.eq(~self.output.valid & ~self.hold), self.mark.eq(move)]
        with m.Else():
            m.d.comb += [move.eq(output.ready), output.valid.eq(counted.valid & ~wrong)]
            with m.If(moved):
                with m.If(wrong):
                    m.d.sync += [self.error.eq(Error.SPARSE_STREAM), dropping.eq(1)]
                with m.If(record.bad):
                    m.d.sync += self.error.eq(Error.READ_RESPONSE)
        return m
