"""SPARSE_STREAM: columns that were found to words of their records for the PEs."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import READ_SIGNATURE
from hdl.config import Config
from hdl.isa import Error
from hdl.lib.axi import ADDRESS, ReadMaster
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through
from hdl.sparse.stream.errors import SparseErrors
from hdl.sparse.stream.fetch import ColumnFetcher
from hdl.sparse.stream.spread import RecordSpreader
from hdl.sparse.stream.tracker import StreamTracker
from hdl.sparse.words import RecordWord, records_signature, stream_signature, wanted_layout

TELL = 4  # cycles from an error to its report: more than from a `done` to an Issue's index


class RecordSource(wiring.Component):
    """A ColumnFetcher, a RecordSpreader, a StreamTracker and SparseErrors.

    Members: `stream`, from the commands, and `records`, to the PEs, as their signatures in words.py
    say; `wanted`, `glb`, `base`, `limit` and `read` of the fetcher; `passed` of the tracker; `met`
    of SparseErrors and the `error` of all; `adding`, sums are under way; `waits`, a word is held
    for the PEs; `spreading`, one was in the spreader or before it a cycle ago.

    A word a cycle; latency those of fetcher and spreader.
    """

    def __init__(self, config: Config):
        self.config = c = config
        k = c.sparse_pes
        super().__init__(
            {
                "wanted": In(stream.Signature(wanted_layout(c))),
                "stream": In(stream_signature()),
                "glb": Out(READ_SIGNATURE),
                "base": In(ADDRESS),
                "limit": In(ADDRESS),
                "read": Out(ReadMaster),
                "records": Out(records_signature(c)),
                "met": In(k),
                "adding": In(1),
                "error": Out(Error),
                "passed": Out(1),
                "waits": Out(1),
                "spreading": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Columns to records.
        m.submodules.fetcher = fetcher = ColumnFetcher(self.config)
        wiring.connect(m, wiring.flipped(self.wanted), fetcher.wanted)
        wiring.connect(m, fetcher.glb, wiring.flipped(self.glb))
        wiring.connect(m, fetcher.read, wiring.flipped(self.read))
        m.d.comb += [
            fetcher.table.eq(self.stream.table),
            fetcher.dram.eq(self.stream.dram),
            fetcher.base.eq(self.base),
            fetcher.limit.eq(self.limit),
            self.stream.looked_up.eq(fetcher.looked_up),
        ]

        # Records to the PEs, whose agreement ends in the skid buffer and in a register.
        m.submodules.spreader = spreader = RecordSpreader(self.config)
        skid, output, records = SkidBuffer(RecordWord), spreader.output, self.records
        wiring.connect(m, through(m, "records_cut", skid, fetcher.record), spreader.record)
        busy = spreader.busy | skid.full
        m.d.sync += [output.ready.eq(records.room.all()), self.spreading.eq(busy)]
        m.d.comb += [
            records.record.valid.eq(output.valid & output.ready),
            records.record.payload.eq(output.payload),
            *(own.eq(span) for own, span in zip(records.spans, spreader.spans)),
            records.load.eq(spreader.load),
            records.mark.eq(spreader.mark),
            self.waits.eq(output.valid),
        ]

        # A command's end waits until the PEs have decoded the one before.
        m.submodules.tracker = tracker = StreamTracker(self.config)
        m.d.comb += [
            tracker.begun.eq(self.stream.begun),
            tracker.mark.eq(spreader.mark),
            tracker.pending.eq(records.marked),
            spreader.hold.eq(tracker.marked),
            self.passed.eq(tracker.passed),
            self.stream.any.eq(tracker.any),
        ]

        # Which command an error belongs to.
        m.submodules.errors = errors = SparseErrors(self.config)
        m.d.comb += [
            errors.met.eq(self.met),
            errors.pending.eq(records.marked),
            errors.marked.eq(tracker.marked),
            errors.records.eq(spreader.error),
            errors.outside.eq(fetcher.outside),
            errors.drained.eq(~busy & ~self.spreading & ~self.adding),
        ]

        # An Issue knows by then that the command before is done, and which is the oldest.
        told = errors.error
        for n in range(TELL):
            late = Signal(Error, name=f"error_{n}")
            m.d.sync += late.eq(told)
            told = late
        m.d.comb += self.error.eq(told)
        return m
