"""The bytes of a record's words that are a PE's."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.sparse.words import lanes_layout, span_layout, spread_layout


class RecordPart(wiring.Component):
    """Members: `record`, stream of spread_layout that never waits; `span`, taken with `load`, the
    PE's bytes in the words after it; `own`, the word has any of these; `lanes`, which.

    Combinational from `record` on; a word a cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "record": In(stream.Signature(spread_layout(config), always_ready=True)),
                "span": In(span_layout(config)),
                "load": In(1),
                "own": Out(1),
                "lanes": Out(lanes_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        record, span = self.record.p, Signal(span_layout(self.config))

        # The first and the last word of the span, and those between.
        begun, begins, ends = Signal(), Signal(), Signal()
        m.d.comb += [
            begins.eq(span.begin[3:] == record.index),
            ends.eq(span.end[3:] == record.index),
            self.own.eq(
                (span.begin != span.end) & (begins | begun) & ~(ends & (span.end[:3] == 0))
            ),
        ]
        with m.If(self.record.valid):
            m.d.sync += begun.eq((begins | begun) & ~ends)
        with m.If(self.load):
            m.d.sync += [span.eq(self.span), begun.eq(0)]

        # Its lanes.
        m.d.comb += [
            self.lanes.low.eq(Mux(begins, span.begin[:3], 0)),
            self.lanes.high.eq(span.end[:3]),
            self.lanes.until.eq(ends),
            self.lanes.first.eq(begins),
            self.lanes.value.eq(record.value),
        ]
        return m
