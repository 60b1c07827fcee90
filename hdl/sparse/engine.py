"""The sparse engine: EIE's PEs, detection tree and central control (ISCA 2016)."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import READ_SIGNATURE, WRITE_SIGNATURE
from hdl.config import LANES, Config, bits_for
from hdl.isa import (
    SPARSE_BODY_BITS,
    SPARSE_KINDS,
    WORD_ADDR,
    Error,
    SparseCommand,
    SparseDumpBody,
    SparseFillBody,
    SparseOutputBody,
    SparseRunBody,
    SparseStreamBody,
)
from hdl.lib.axi import ADDRESS, ReadMaster
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through
from hdl.sparse.fetch import ColumnFetcher
from hdl.sparse.fill import SparseFiller
from hdl.sparse.lnzd import FAN_IN, LnzdNode
from hdl.sparse.pe import SparsePe
from hdl.sparse.rounder import RowRounder
from hdl.sparse.spread import RecordSpreader
from hdl.sparse.words import EVENTS, RecordWord, column_layout
from hdl.timing import IN_FLIGHT


class SparseEngine(wiring.Component):
    """K sparse PEs with their control.

    Members
    -------
    fill, fill_done, glb_fill     SPARSE_FILL commands and their read port
    sparse, sparse_done, glb_dump SPARSE_RUN, _OUTPUT, _DUMP, _STREAM and the write port of DUMP
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
    the PEs. The next STREAM begins when the last column of one has been looked up, so that
    the memory's latency is met once and not in every command; other commands wait until all
    have drained.

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
        k = c.sparse_pes
        m.submodules.filler = filler = SparseFiller(c)
        wiring.connect(m, wiring.flipped(self.fill), filler.command)
        wiring.connect(m, filler.glb, wiring.flipped(self.glb_fill))
        m.d.comb += self.fill_done.eq(filler.done)
        pes = [SparsePe(c) for _ in range(k)]
        for n, pe in enumerate(pes):
            m.submodules[f"pe_{n}"] = pe
            m.d.comb += [pe.number.eq(n), pe.fill.eq(filler.fills[n])]

        # ---- detection tree -------------------------------------------------------------
        # A PE's scan does not wait for what the others found in the same cycle.
        cuts = [SkidBuffer(column_layout(c)) for _ in pes]
        level = [
            through(m, f"found_{n}", skid, pe.found) for n, (skid, pe) in enumerate(zip(cuts, pes))
        ]
        depth = 0
        nodes = []
        while len(level) > 1:
            above = []
            for first in range(0, len(level), FAN_IN):
                m.submodules[f"lnzd_{depth}_{first // FAN_IN}"] = node = LnzdNode(column_layout(c))
                for n, child in enumerate(level[first : first + FAN_IN]):
                    wiring.connect(m, child, getattr(node, f"child_{n}"))
                nodes.append(node)
                above.append(node.output)
            level, depth = above, depth + 1
        root_cut = SkidBuffer(column_layout(c))
        root = through(m, "root_cut", root_cut, level[0])
        everyone, streaming = Signal(), Signal()
        broadcast = Signal()
        m.d.comb += [
            everyone.eq(Cat(pe.column.ready for pe in pes).all()),
            broadcast.eq(root.valid & root.ready),
        ]
        m.d.sync += self.broadcast.eq(broadcast)
        for pe in pes:
            m.d.comb += [
                pe.column.valid.eq(broadcast & ~streaming),
                pe.column.payload.eq(root.payload),
            ]

        # ---- columns from DRAM ----------------------------------------------------------
        m.submodules.fetcher = fetcher = ColumnFetcher(c)
        m.submodules.spreader = spreader = RecordSpreader(c)
        wiring.connect(m, fetcher.glb, wiring.flipped(self.glb_table))
        wiring.connect(m, fetcher.read, wiring.flipped(self.column_read))
        # The PEs' agreement ends here.
        records_cut = SkidBuffer(RecordWord)
        wiring.connect(m, through(m, "records_cut", records_cut, fetcher.record), spreader.record)
        spreading = spreader.busy | records_cut.full
        spread_room = Signal()
        ending = Signal()  # everything found has gone to the fetcher, but the mark
        m.d.comb += [
            fetcher.base.eq(self.read_base),
            fetcher.limit.eq(self.read_limit),
            fetcher.wanted.valid.eq((streaming & root.valid) | ending),
            fetcher.wanted.p.mark.eq(ending),
            fetcher.wanted.p.column.eq(root.payload.column),
            fetcher.wanted.p.value.eq(root.payload.value),
            root.ready.eq(Mux(streaming, fetcher.wanted.ready, everyone)),
            spread_room.eq(Cat(pe.record.ready for pe in pes).all()),
        ]
        m.d.sync += spreader.output.ready.eq(spread_room)
        for n, pe in enumerate(pes):
            m.d.comb += [
                pe.record.valid.eq(spreader.output.valid & spreader.output.ready),
                pe.record.payload.eq(spreader.output.payload),
                pe.span.eq(spreader.spans[n]),
                pe.load.eq(spreader.load[n]),
                pe.mark.eq(spreader.mark),
            ]
        # A mark is out until every PE has decoded what lies before it.
        marked, passed, stream_done = Signal(), Signal(), Signal()
        all_passed = marked & ~Cat(pe.marked for pe in pes).any()
        m.d.comb += [stream_done.eq(passed), spreader.hold.eq(marked)]
        m.d.sync += passed.eq(all_passed & ~passed)
        with m.If(spreader.mark):
            m.d.sync += marked.eq(1)
        with m.Elif(passed):
            m.d.sync += marked.eq(0)

        # ---- commands -------------------------------------------------------------------
        kind = Signal(2)
        raw = Signal(SPARSE_BODY_BITS)
        run, output, dump = Signal(SparseRunBody), Signal(SparseOutputBody), Signal(SparseDumpBody)
        records = Signal(SparseStreamBody)
        for body in (run, output, dump, records):
            m.d.comb += body.eq(raw[: len(body.as_value())])
        stream_kind = SPARSE_KINDS.index(SparseStreamBody)
        with m.If(self.sparse.ready):
            m.d.sync += streaming.eq(self.sparse.payload.kind == stream_kind)
        m.d.comb += [fetcher.table.eq(records.word), fetcher.dram.eq(records.dram)]

        streams = Signal(range(IN_FLIGHT + 1))  # STREAMs under way
        streamed, done, active = Signal(), Signal(), Signal()
        any_found, any_busy = Signal(), Signal()
        # A cycle late, and so what goes to the PEs is seen a cycle longer.
        busy, was_found, spread = [Signal(name=f"busy_{n}") for n in range(k)], Signal(), Signal()
        m.d.sync += streams.eq(streams + streamed - stream_done)
        m.d.comb += [
            any_found.eq(
                Cat(
                    *(pe.scanning for pe in pes),
                    *(skid.full for skid in cuts),
                    *(node.output.valid for node in nodes),
                    root_cut.full,
                ).any()
            ),
            any_busy.eq(Cat(*busy, was_found, spread).any()),
        ]
        m.d.sync += [
            *(late.eq(pe.busy) for late, pe in zip(busy, pes)),
            was_found.eq(any_found),
            spread.eq(spreading),
        ]
        m.d.sync += [
            self.active.eq(active | (streams != 0)),
            self.sparse_done.eq(done | stream_done),
        ]
        self._signals = (
            kind,
            raw,
            run,
            output,
            dump,
            streaming,
            streams,
            streamed,
            done,
            active,
            any_found,
            any_busy,
            ending,
        )
        self._commands(m, pes, fetcher)

        # An error belongs to the command marked if a PE meets it before the mark; otherwise to
        # the one behind, which is the oldest only when the mark has passed.
        with m.If(Cat(pe.error & (pe.marked | ~marked) for pe in pes).any()):
            m.d.sync += self.error.eq(Error.SPARSE_STREAM)
        with m.Elif((self.error == Error.NONE) & ~marked):
            with m.If(spreader.error != Error.NONE):
                m.d.sync += self.error.eq(spreader.error)
            # Columns found behind the one outside may wait for ever.
            with m.Elif(fetcher.outside & ~spreading & ~Cat(*busy, spread).any()):
                m.d.sync += self.error.eq(Error.READ_WINDOW)

        if c.counters:
            running = Signal()
            m.d.comb += running.eq((active & (kind == 0)) | (streams != 0))

            def total(name):
                return sum(pe.events[EVENTS.index(name)] for pe in pes)

            # a PE's event is of its columns
            full = Mux(spreader.output.valid, sum(~pe.record.ready for pe in pes), total("full"))
            m.d.sync += [
                self.macs.eq(total("mac")),
                self.starved.eq(Mux(running, total("starved"), 0)),
                self.blocked.eq(Mux((root.valid & ~streaming) | spreader.output.valid, full, 0)),
                self.padding.eq(sum(pe.padding for pe in pes)),
            ]
        return m

    def _commands(self, m: Module, pes: list[SparsePe], fetcher: ColumnFetcher) -> None:
        c, groups = self.config, self.config.sparse_pes // LANES
        (
            kind,
            raw,
            run,
            output,
            dump,
            streaming,
            streams,
            streamed,
            done,
            active,
            any_found,
            any_busy,
            ending,
        ) = self._signals
        place, highest = bits_for(2 * c.sparse_activations - 1), (1 << c.sparse_column_bits) - 1

        def local(half, address):
            return address[:place] + Mux(half, c.sparse_activations, 0)

        # What the command says, a cycle behind it.
        scanned, written, limit, base = (
            Signal(place),
            Signal(place),
            Signal(5),
            Signal(c.sparse_column_bits),
        )
        scan, scans, found, idle = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            scans.eq(scan),
            limit.eq(Mux(run.queue == 0, c.sparse_queue, run.queue)),
            base.eq(Mux(streaming, 0, run.base)),
            found.eq(~any_found & ~scan & ~scans),
            idle.eq(~any_found & ~any_busy & ~scan & ~scans & (streams == 0)),
        ]
        with m.If(~streaming & (run.base > highest)):
            m.d.sync += base.eq(highest)
        m.d.sync += scanned.eq(local(run.half, run.address))

        # ---- OUTPUT: a row of the PEs that have their turn ------------------------------
        # After `clear`: the RAM, its register, and the rounder.
        WAYS = RowRounder.LATENCY + 2
        turns = LANES // c.sparse_round_lanes
        row, turn, rows_left, row_last = (
            Signal(range(c.sparse_rows)),
            Signal(turns, init=1),
            Signal(bits_for(c.sparse_rows)),
            Signal(),
        )
        clear = Signal()
        under_way = [Signal(turns, name=f"under_way_{n}") for n in range(WAYS)]  # whose turn
        m.d.sync += [
            under_way[0].eq(turn & clear.replicate(turns)),
            *(after.eq(before) for before, after in zip(under_way, under_way[1:])),
        ]
        for g in range(groups):
            m.submodules[f"round_{g}"] = rounder = RowRounder(c.psum_bits, c.sparse_round_lanes)
            m.d.comb += [rounder.shift.eq(output.shift), rounder.relu.eq(output.relu)]
            for n, pe in enumerate(pes[g * LANES : g * LANES + LANES]):
                m.d.comb += [
                    rounder.psums[n].eq(pe.accumulator),
                    pe.clear.eq(clear & turn[n % turns]),
                    pe.show.eq(clear & turn[n % turns]),
                    pe.keep.eq(under_way[-1][n % turns]),
                    pe.keep_address.eq(written),
                    pe.kept.eq(rounder.entries[n]),
                ]

        # ---- DUMP: addresses, what the RAMs show, their registers; all move together ----
        looked, left, last, asking, reading = (
            Signal(place, name="looked"),
            Signal(bits_for(c.sparse_activations)),
            Signal(),
            Signal(),
            Signal(),
        )
        group, read_group, shown_group = (
            Signal(range(max(2, groups)), name=n) for n in ("group", "read_group", "shown_group")
        )
        word, word_at, looking, move = Signal(64), Signal(WORD_ADDR), Signal(), Signal()
        dumped = self.glb_dump
        with m.Switch(shown_group):
            for g in range(groups):
                with m.Case(g):
                    m.d.comb += word.eq(Cat(pe.looked for pe in pes[g * LANES : g * LANES + LANES]))
        m.d.comb += [
            move.eq(~dumped.valid | dumped.ready),
            dumped.payload.word.eq(word_at),
            dumped.payload.data.eq(word),
            dumped.payload.mask.eq(0x0F),
        ]
        for pe in pes:
            m.d.comb += [
                pe.scan.eq(scans),
                pe.scan_address.eq(scanned),
                pe.scan_count.eq(run.count),
                pe.scan_base.eq(base),
                pe.limit.eq(limit),
                pe.row.eq(row),
                pe.looking.eq(looking),
                pe.look.eq(move),
                pe.look_address.eq(looked),
            ]
        with m.If(dumped.valid & dumped.ready):
            m.d.sync += word_at.eq(word_at + 1)
        with m.If(looking & move):
            m.d.sync += [
                reading.eq(asking),
                dumped.valid.eq(reading),
                read_group.eq(group),
                shown_group.eq(read_group),
            ]
            with m.If(asking):
                m.d.sync += group.eq(group + 1)
                with m.If(group == groups - 1):
                    m.d.sync += [
                        group.eq(0),
                        looked.eq(looked + 1),
                        left.eq(left - 1),
                        last.eq(left == 2),
                    ]
                    with m.If(last):
                        m.d.sync += asking.eq(0)

        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.sparse.ready.eq(1)
                m.d.sync += [kind.eq(self.sparse.payload.kind), raw.eq(self.sparse.payload.body)]
                with m.If(self.sparse.valid):
                    m.next = "prepare"
            with m.State("prepare"):
                m.d.sync += [
                    row.eq(0),
                    turn.eq(1),
                    rows_left.eq(output.rows),
                    row_last.eq(output.rows == 1),
                    written.eq(local(output.half, output.address)),
                    looked.eq(local(dump.half, dump.address)),
                    left.eq(dump.count),
                    last.eq(dump.count == 1),
                    group.eq(0),
                    word_at.eq(dump.word),
                ]
                m.next = "begin"
            with m.State("begin"):
                with m.If(streaming):
                    m.d.comb += [scan.eq(1), streamed.eq(1)]
                    m.next = "seek"
                with m.Elif(idle):
                    with m.Switch(kind):
                        with m.Case(0):
                            m.d.comb += scan.eq(1)
                            m.next = "run"
                        with m.Case(1):
                            m.next = "output"
                        with m.Default():
                            m.d.sync += asking.eq(1)
                            m.next = "dump"
            with m.State("seek"):
                m.d.comb += ending.eq(found)
                with m.If(ending & fetcher.wanted.ready):
                    m.next = "look up"
            with m.State("look up"):
                with m.If(fetcher.looked_up):
                    m.next = "idle"
            with m.State("run"):
                m.d.comb += active.eq(1)
                with m.If(idle):
                    m.next = "done"
            with m.State("output"):
                m.d.comb += [active.eq(1), clear.eq(1)]
                m.d.sync += turn.eq(turn.rotate_left(1))
                with m.If(turn[-1]):
                    m.d.sync += [
                        row.eq(row + 1),
                        rows_left.eq(rows_left - 1),
                        row_last.eq(rows_left == 2),
                    ]
                    with m.If(row_last):
                        m.next = "flush"
            with m.State("flush"):
                m.d.comb += active.eq(1)
                with m.If(~Cat(under_way).any()):
                    m.next = "done"
            with m.State("dump"):
                m.d.comb += looking.eq(1)
                with m.If(~asking & ~reading & move):
                    m.next = "done"
            with m.State("done"):
                m.d.comb += done.eq(1)
                m.next = "idle"
        with m.If(under_way[-1][-1]):
            m.d.sync += written.eq(written + 1)
