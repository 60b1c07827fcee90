"""Records of columns to the PEs, a word a cycle to all of them."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config, record_head
from hdl.isa import Error
from hdl.sparse.words import RecordWord, position_bits, span_layout, spread_layout


class RecordSpreader(wiring.Component):
    """Turns the counts at the head of a record into the PEs' spans, and passes its words on.

    Members: `record`, stream of RecordWord; `spans`, of the PEs, `load` those that change, each at
    a record's first word and at that of its count;
    `output`, stream of spread_layout, a cycle behind its spans; `mark`, a pulse when all of a
    command has left, held back by `hold`; `error` (until reset): a bad word, or counts that
    do not add up to the record's words; what follows is dropped; `busy`, a word is inside.

    A word a cycle, latency four cycles: the word, the sums of its counts, the ends of the PEs, and
    the output in registers, of which all but the output move together.
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
        k, bits = self.config.sparse_pes, self.config.sparse_length_bits
        each, final, head = record_head(k, bits)
        each = min(each, k)
        move = Signal()
        wide = position_bits(self.config) + 1  # whatever the counts of a damaged record are

        def stage(name, valid, record, *values):
            """What moves on with a word, in registers."""
            valid_1, record_1 = Signal(name=f"{name}_valid"), Signal(RecordWord, name=name)
            kept = [Signal(len(v), name=f"{name}_{n}") for n, v in enumerate(values)]
            inside.append(valid_1)
            with m.If(move):
                m.d.sync += [
                    valid_1.eq(valid),
                    record_1.eq(record),
                    *(own.eq(v) for own, v in zip(kept, values)),
                ]
            return valid_1, record_1, kept

        inside = []
        valid, record, _ = stage("taken", self.record.valid, self.record.p)
        sums, step = [record.data.word_select(n, bits) for n in range(each)], 1
        while step < each:  # of the counts 0 .. n
            wider = [Signal(wide, name=f"sum_{step}_{n}") for n in range(each)]
            m.d.comb += [
                own.eq(low + (sums[n - step] if n >= step else 0))
                for n, (own, low) in enumerate(zip(wider, sums))
            ]
            sums, step = wider, 2 * step
        valid, record, sums = stage("summed", valid, record, *sums)
        total, first = Signal(wide), Signal(wide)  # ends of the PEs known
        m.d.comb += first.eq(Mux(record.index == 0, head, total) if final else head)
        ends = [first]
        for n, own in enumerate(sums):
            end = Signal(wide, name=f"end_{n}")
            m.d.comb += end.eq(first + own)
            ends.append(end)
        if final:
            with m.If(valid & move & ~record.mark):
                m.d.sync += total.eq(ends[each])
        before = valid, record
        valid, record, ends = stage("ended", valid, record, *ends)
        output, wrong = self.output, Signal()
        ends_early = (record.index < final) & (record.index + 1 == record.words) if final else 0
        m.d.comb += [
            self.record.ready.eq(move),
            wrong.eq(
                record.bad
                | Mux(
                    record.index == final,
                    (ends[k - final * each] + 7)[3:] != record.words,
                    ends_early,
                )
            ),
        ]
        for pe in range(k):
            word, n = divmod(pe, each)
            m.d.comb += [
                self.spans[pe].begin.eq(ends[n]),
                self.spans[pe].end.eq(ends[n + 1]),
                # At the first word all PEs, so that none goes on with the last record's bytes.
                self.load[pe].eq(
                    valid & move & ~record.mark & ((record.index == word) | (record.index == 0))
                ),
            ]
        m.d.comb += self.busy.eq(Cat(output.valid, *inside).any())
        with m.If(output.ready):
            m.d.sync += output.valid.eq(0)
        dropping, marks = Signal(), Signal()  # the last stage holds a mark
        with m.If(move):
            m.d.sync += marks.eq(before[0] & before[1].mark)
        with m.If(dropping):
            m.d.comb += move.eq(1)
        with m.Elif(marks):
            m.d.comb += [move.eq(~output.valid & ~self.hold), self.mark.eq(move)]
        with m.Else():
            m.d.comb += move.eq(~output.valid | output.ready)
            with m.If(valid & move):
                m.d.sync += [
                    output.valid.eq(~wrong),
                    output.p.data.eq(record.data),
                    output.p.index.eq(record.index),
                    output.p.value.eq(record.value),
                ]
                with m.If(wrong):
                    m.d.sync += [self.error.eq(Error.SPARSE_STREAM), dropping.eq(1)]
                with m.If(record.bad):
                    m.d.sync += self.error.eq(Error.READ_RESPONSE)
        return m
