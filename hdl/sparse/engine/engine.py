"""The sparse engine: EIE's PEs, detection tree and central control (ISCA 2016)."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import READ_SIGNATURE, WRITE_SIGNATURE
from hdl.config import Config
from hdl.isa import Error, SparseCommand, SparseFillBody
from hdl.lib.axi import ADDRESS, ReadMaster
from hdl.sparse.engine.array import SparseArray
from hdl.sparse.engine.broadcast import Broadcast
from hdl.sparse.engine.commands import SparseCommands
from hdl.sparse.engine.counters import SparseCounters
from hdl.sparse.engine.dump import DumpSequencer
from hdl.sparse.engine.output import SparseOutput
from hdl.sparse.engine.tree import DetectionTree
from hdl.sparse.fill.fill import SparseFiller
from hdl.sparse.stream.records import RecordSource


class SparseEngine(wiring.Component):
    """K sparse PEs with their control.

    Members
    -------
    fill, fill_done, glb_fill     SPARSE_FILL commands and their read port
    sparse, sparse_done, glb_dump SPARSE_RUN, _OUTPUT, _DUMP, _STREAM and the write port of DUMP
    sparse_freed                  a pulse for each: a STREAM's activations and table are not needed
                                  any more, another is done
    glb_table, column_read        read ports of STREAM: its table, and its records in DRAM
    read_base, read_limit         the window of these
    error                         isa.Error of the oldest of these, until reset
    active, broadcast             events: RUN, STREAM or OUTPUT under way; a column was found
    macs, starved, blocked, padding  events summed over the PEs

    RUN: the PEs scan their activations, a tree of LnzdNode (one for four PEs) brings the
    non-zero ones to the root, one a cycle, and the root broadcasts each when every PE's
    queue has room. It is done when everything has drained. OUTPUT: a RowRounder for every four PEs,
    under way for LANES / sparse_round_lanes cycles a row and 6 more. DUMP: a word of four
    activations a cycle.
    STREAM: the root's columns go to a ColumnFetcher, whose records a RecordSpreader gives to
    the PEs. When the last column of one has been looked up, the next STREAM begins and its
    activations and table are freed, so that the memory's latency is met once and not in every
    command; other commands wait until all have drained.

    What a command says and what the PEs tell end in registers, so that commands begin and end some
    cycles later.
    """

    def __init__(self, config: Config):
        self.config = config
        k = config.sparse_pes
        super().__init__(
            {
                "fill": In(stream.Signature(SparseFillBody)),
                "fill_done": Out(1),
                "sparse": In(stream.Signature(SparseCommand)),
                "sparse_done": Out(1),
                "sparse_freed": Out(1),
                "glb_fill": Out(READ_SIGNATURE),
                "glb_dump": Out(WRITE_SIGNATURE),
                "glb_table": Out(READ_SIGNATURE),
                "column_read": Out(ReadMaster),
                "read_base": In(ADDRESS),
                "read_limit": In(ADDRESS),
                "error": Out(Error),
                "active": Out(1),
                "broadcast": Out(1),
                "macs": Out(range(k + 1)),
                "starved": Out(range(k + 1)),
                "blocked": Out(range(k + 1)),
                "padding": Out(range(8 * k + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config

        # PEs, and what fills them.
        m.submodules.array = array = SparseArray(c)
        m.submodules.filler = filler = SparseFiller(c)
        wiring.connect(m, wiring.flipped(self.fill), filler.command)
        wiring.connect(m, filler.glb, wiring.flipped(self.glb_fill))
        m.d.comb += [
            self.fill_done.eq(filler.done),
            *(own.eq(fill) for own, fill in zip(array.fills, filler.fills)),
        ]

        # Activations that are found, to all PEs or to what fetches their records.
        m.submodules.tree = tree = DetectionTree(c)
        m.submodules.broadcast = broadcast = Broadcast(c)
        m.submodules.record_source = records = RecordSource(c)
        for found, child in zip(array.found, tree.found):
            wiring.connect(m, found, child)
        wiring.connect(m, tree.root, broadcast.root)
        wiring.connect(m, broadcast.column, array.column)
        wiring.connect(m, broadcast.wanted, records.wanted)
        wiring.connect(m, records.records, array.records)
        wiring.connect(m, records.glb, wiring.flipped(self.glb_table))
        wiring.connect(m, records.read, wiring.flipped(self.column_read))
        m.d.comb += [
            broadcast.ready.eq(array.ready),
            self.broadcast.eq(broadcast.moved),
            records.base.eq(self.read_base),
            records.limit.eq(self.read_limit),
        ]

        # Commands, and what carries them out.
        m.submodules.commands = commands = SparseCommands(c)
        m.submodules.output = output = SparseOutput(c)
        m.submodules.dump = dump = DumpSequencer(c)
        wiring.connect(m, wiring.flipped(self.sparse), commands.command)
        wiring.connect(m, commands.search, array.search)
        wiring.connect(m, commands.stream, records.stream)
        wiring.connect(m, commands.output, output.command)
        wiring.connect(m, commands.dump, dump.command)
        wiring.connect(m, output.pes, array.output)
        wiring.connect(m, dump.pes, array.dump)
        wiring.connect(m, dump.glb, wiring.flipped(self.glb_dump))

        # What is under way, told a cycle late.
        busy, was_found = Signal(c.sparse_pes), Signal()
        m.d.sync += [
            busy.eq(array.busy),
            was_found.eq(commands.found),
            self.active.eq(commands.active | records.stream.any),
            self.sparse_done.eq(commands.done | records.passed),
            self.sparse_freed.eq(commands.done | records.stream.looked_up),
        ]
        m.d.comb += [
            *(getattr(broadcast, n).eq(getattr(commands, n)) for n in ("streaming", "ending")),
            commands.ended.eq(broadcast.wanted.ready),
            commands.found.eq(tree.waits | array.search.scanning.any()),
            commands.busy.eq(busy.any() | was_found | records.spreading),
        ]

        # Errors and events.
        m.d.comb += [
            records.met.eq(array.error),
            records.adding.eq(busy.any()),
            self.error.eq(records.error),
        ]
        if c.counters:
            m.submodules.counters = counters = SparseCounters(c)
            m.d.comb += [
                counters.events.eq(array.events),
                counters.paddings.eq(array.paddings),
                counters.full.eq(~array.records.room),
                counters.running.eq(commands.running | records.stream.any),
                counters.waiting.eq(broadcast.root.valid & ~commands.streaming),
                counters.spreading.eq(records.waits),
                *(getattr(self, name).eq(getattr(counters, name)) for name in counters.NAMES),
            ]
        return m
