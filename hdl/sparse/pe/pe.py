"""A PE of the sparse engine: pointers, compressed weights, codebook, accumulators (EIE fig. 4)."""

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config
from hdl.lib.marks import PE, mark_module
from hdl.sparse.pe.activations import Activations
from hdl.sparse.pe.decode import EntryDecoder
from hdl.sparse.pe.mac import SparseMac
from hdl.sparse.pe.reader import WordReader
from hdl.sparse.words import (
    EVENTS,
    SparseFill,
    activation_place,
    column_layout,
    scan_layout,
    span_layout,
    spread_layout,
)


class SparsePe(wiring.Component):
    """One sparse PE.

    Members
    -------
    number          its index among the PEs
    fill            a SparseFill, applied at once
    scan, search    start looking for non-zero activations; the base is saturated to the width of a
                    column
    found           stream of them; `scanning` until the last has been taken
    column          stream of broadcast columns; ready while the queue holds less than `limit`
    record          stream of records' words, of which the PE takes its own bytes, instead of
                    columns; it never waits, but comes at most one cycle after `room` was set
    span, load      its bytes of the words after this one
    mark, marked    a command's last word has come; `marked` until it has been decoded, or for
                    ever if that met an error
    row, show, clear, accumulator    reads an accumulator, two cycles later, 0 where none was shown;
                    sets it to 0
    keep, keep_address, kept   writes an activation
    looking, look, look_address, looked    reads activations: while `looking` they move on with each
                    `look`, and `looked` is that of the look before; not while scanning
    busy            a column is somewhere inside
    error           a pointer or row out of range was met; stays until reset; nothing is added
                    but the three products that may be on their way
    events          one bit per name of EVENTS; `padding`, padding entries met

    A column takes one cycle per non-zero weight of this PE. Padding entries are folded into
    their successor, unless they are all that a word has of a column: such a part takes a
    cycle. The pointer stage passes a column, empty or not, and the weights a word in each
    cycle, ahead of the decoder; empty columns cost a MAC cycle only where these run dry. Up to LATE
    columns come beyond `limit`; with a limit below 3 a column is taken every third cycle at least.
    Latency from a column to the write of its first sum: 18 cycles.

    An accumulator fill must not meet MACs or `clear`, nor an activation fill `keep`: they
    share a write port.
    """

    def __init__(self, config: Config):
        self.config = config
        c = config
        super().__init__(
            {
                "number": In(8),
                "fill": In(SparseFill),
                "scan": In(1),
                "search": In(scan_layout(c)),
                "scanning": Out(1),
                "found": Out(stream.Signature(column_layout(c))),
                "column": In(stream.Signature(column_layout(c))),
                "limit": In(5),
                "record": In(stream.Signature(spread_layout(c), always_ready=True)),
                "room": Out(1),
                "span": In(span_layout(c)),
                "load": In(1),
                "mark": In(1),
                "marked": Out(1),
                "row": In(range(c.sparse_rows)),
                "show": In(1),
                "clear": In(1),
                "accumulator": Out(signed(c.psum_bits)),
                "keep": In(1),
                "keep_address": In(activation_place(c)),
                "kept": In(ENTRY_BITS),
                "looking": In(1),
                "look": In(1),
                "look_address": In(activation_place(c)),
                "looked": Out(ENTRY_BITS),
                "busy": Out(1),
                "error": Out(1),
                "events": Out(len(EVENTS)),
                "padding": Out(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config

        # Activations: found, kept and looked up.
        m.submodules.activation_scan = activations = Activations(c)
        wiring.connect(m, activations.found, wiring.flipped(self.found))
        m.d.comb += [
            activations.number.eq(self.number),
            activations.fill.eq(self.fill),
            activations.scan.eq(self.scan),
            activations.search.eq(self.search),
            self.scanning.eq(activations.scanning),
            activations.keep.eq(self.keep),
            activations.keep_address.eq(self.keep_address),
            activations.kept.eq(self.kept),
            activations.looking.eq(self.looking),
            activations.look.eq(self.look),
            activations.look_address.eq(self.look_address),
            self.looked.eq(activations.looked),
        ]

        # Columns and records to words of entries.
        m.submodules.reader = reader = WordReader(c)
        wiring.connect(m, wiring.flipped(self.column), reader.column)
        wiring.connect(m, wiring.flipped(self.record), reader.record)
        m.d.comb += [
            reader.fill.eq(self.fill),
            reader.limit.eq(self.limit),
            reader.span.eq(self.span),
            reader.load.eq(self.load),
            reader.mark.eq(self.mark),
            self.room.eq(reader.room),
        ]

        # Words to products, and these to sums.
        m.submodules.decoder = decoder = EntryDecoder(c)
        m.submodules.mac = mac = SparseMac(c)
        wiring.connect(m, reader.word, decoder.word)
        wiring.connect(m, decoder.mac, mac.mac)
        m.d.comb += [
            mac.fill.eq(self.fill),
            mac.row.eq(self.row),
            mac.show.eq(self.show),
            mac.clear.eq(self.clear),
            self.accumulator.eq(mac.accumulator),
        ]

        # What the PE tells.
        with m.If(self.mark):
            m.d.sync += self.marked.eq(1)
        with m.Elif(decoder.passed):
            m.d.sync += self.marked.eq(0)
        with m.If(reader.bad | decoder.outside):
            m.d.sync += self.error.eq(1)
        starved = reader.empty & decoder.empty
        m.d.comb += [
            decoder.error.eq(self.error),
            self.busy.eq(~starved | mac.busy),
            self.events.eq(Cat(decoder.mac.valid, starved, ~self.column.ready)),
            self.padding.eq(decoder.padding),
        ]
        mark_module(m, platform, PE)
        return m
