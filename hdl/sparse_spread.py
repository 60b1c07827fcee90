"""Records of columns to the PEs, a word a cycle to all of them."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import ENTRY_BITS, Config, record_head
from .isa import Error
from .sparse_fetch import INDEX, RecordWord

POSITION = INDEX + 3  # bits of a byte's position in a record


class Span(data.Struct):
    """The bytes of a PE in a record: begin .. end - 1."""
    begin: POSITION
    end: POSITION


class Spread(data.Struct):
    """A word of a record; the PEs take their bytes of it."""
    data: 64
    index: INDEX
    value: signed(ENTRY_BITS)


class RecordSpreader(wiring.Component):
    """Turns the counts at the head of a record into the PEs' spans, and passes its words on.

    Members: `record`, stream of RecordWord; `spans`, of the PEs, `load` those that change;
    `output`, stream of Spread, a cycle behind its spans; `mark`, a pulse when all of a
    command has left, held back by `hold`; `error` (until reset): a bad word, or counts that
    do not add up to the record's words; what follows is dropped.

    A word a cycle, latency one cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__({
            "record": In(stream.Signature(RecordWord)),
            "spans": Out(Span).array(config.sparse_pes), "load": Out(config.sparse_pes),
            "output": Out(stream.Signature(Spread)), "mark": Out(1), "hold": In(1), "error": Out(Error)})

    def elaborate(self, platform):
        m = Module()
        k, bits = self.config.sparse_pes, self.config.sparse_length_bits
        each, final, head = record_head(k, bits)
        record, output = self.record.p, self.output
        total, first = Signal(POSITION + 1), Signal(POSITION + 1)   # ends of the PEs known
        move, wrong = Signal(), Signal()
        sums, step = [record.data.word_select(n, bits) for n in range(each)], 1
        while step < each:                             # of the counts 0 .. n
            wider = [Signal(POSITION + 1, name=f"sum_{step}_{n}") for n in range(each)]
            m.d.comb += [wide.eq(own + (sums[n - step] if n >= step else 0))
                         for n, (wide, own) in enumerate(zip(wider, sums))]
            sums, step = wider, 2 * step
        ends = [first, *(first + own for own in sums)]
        ends_early = (record.index < final) & (record.index + 1 == record.words) if final else 0
        m.d.comb += [
            first.eq(Mux(record.index == 0, head, total)), self.record.ready.eq(move),
            wrong.eq(record.bad | Mux(record.index == final, (ends[k - final * each] + 7)[3:] != record.words,
                                      ends_early))]
        for pe in range(k):
            word, n = divmod(pe, each)
            m.d.comb += [self.spans[pe].begin.eq(ends[n]), self.spans[pe].end.eq(ends[n + 1]),
                         self.load[pe].eq(self.record.valid & move & ~record.mark & (record.index == word))]
        with m.If(output.ready):
            m.d.sync += output.valid.eq(0)
        with m.If(self.error != Error.NONE):
            m.d.comb += move.eq(1)
        with m.Elif(record.mark):
            m.d.comb += [move.eq(~output.valid & ~self.hold), self.mark.eq(self.record.valid & move)]
        with m.Else():
            m.d.comb += move.eq(~output.valid | output.ready)
            with m.If(self.record.valid & move):
                m.d.sync += [
                    total.eq(ends[each]), output.valid.eq(~wrong), output.p.data.eq(record.data),
                    output.p.index.eq(record.index), output.p.value.eq(record.value)]
                with m.If(wrong):
                    m.d.sync += self.error.eq(Error.SPARSE_STREAM)
                with m.If(record.bad):
                    m.d.sync += self.error.eq(Error.READ_RESPONSE)
        return m
