"""Beats to the words of records."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.stream.block_fifo import BlockFifo
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.through import through
from hdl.sparse.words import WORD_INDEX, Beat, RecordLength, RecordWord


class RecordCutter(wiring.Component):
    """Members: `length`, stream of RecordLength that never waits, of at most `depth`; `beat`,
    stream of Beat; `record`, stream of RecordWord, marks among them; `space`: there is room for
    `reserve` lengths and more.

    A mark's data mean nothing and may change while it waits.

    A word a cycle, also from one record to the next; latency from a length to its first word 4
    cycles, from a beat none. Raises ValueError if `reserve` is above `depth`.
    """

    def __init__(self, depth: int, reserve: int):
        if reserve >= depth:
            raise ValueError(f"a reserve of {reserve} lengths: must be below the depth, {depth}")
        self.depth, self.reserve = depth, reserve
        super().__init__(
            {
                "length": In(stream.Signature(RecordLength, always_ready=True)),
                "beat": In(stream.Signature(Beat)),
                "record": Out(stream.Signature(RecordWord)),
                "space": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Lengths wait for their data; a slice, so that the queue does not wait for a record's end.
        m.submodules.lengths = lengths = BlockFifo(RecordLength, self.depth)
        m.d.comb += [
            lengths.input.valid.eq(self.length.valid),
            lengths.input.payload.eq(self.length.payload),
            self.space.eq(lengths.level < self.depth - self.reserve),
        ]
        coming = through(m, "ahead", RegisterSlice(RecordLength), lengths.output)

        # The record that comes, and which of its words.
        current, valid, index, ends = Signal(RecordLength), Signal(), Signal(WORD_INDEX), Signal()
        moved = Signal()
        m.d.comb += coming.ready.eq(~valid | (moved & ends))
        with m.If(coming.ready):
            m.d.sync += [
                valid.eq(coming.valid),
                current.eq(coming.payload),
                index.eq(0),
                ends.eq(coming.p.mark | (coming.p.words == 1)),
            ]
        with m.Elif(moved):
            m.d.sync += [index.eq(index + 1), ends.eq(index + 2 == current.words)]

        # With its data.
        record = self.record
        m.d.comb += [
            record.valid.eq(valid & (current.mark | self.beat.valid)),
            moved.eq(record.valid & record.ready),
            self.beat.ready.eq(moved & ~current.mark),
            record.p.mark.eq(current.mark),
            record.p.words.eq(current.words),
            record.p.value.eq(current.value),
            record.p.index.eq(index),
            record.p.data.eq(self.beat.p.data),
            record.p.bad.eq(self.beat.p.bad),
        ]
        return m
