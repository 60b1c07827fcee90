"""A PE of the sparse engine: pointers, compressed weights, codebook, accumulators (EIE fig. 4)."""

from amaranth.hdl import Cat, Module, Mux, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config, bits_for
from hdl.isa import Target
from hdl.lib.marks import PE, mark_module
from hdl.sparse.decode import EntryDecoder
from hdl.sparse.mac import SparseMac
from hdl.sparse.reader import WordReader
from hdl.sparse.scan import ActivationScan
from hdl.sparse.words import EVENTS, SparseFill, column_layout, span_layout, spread_layout


class SparsePe(wiring.Component):
    """One sparse PE.

    Members
    -------
    number          its index among the PEs
    fill            a SparseFill, applied at once
    scan, scan_address, scan_count, scan_base    start looking for non-zero activations; the base is
                    saturated to the width of a column
    found           stream of them; `scanning` until the last has been taken
    column          stream of broadcast columns; ready while the queue holds less than `limit`
    record          stream of records' words, of which the PE takes its own bytes, instead of
                    columns, and which may come a cycle after `ready` has fallen; `span`, `load`:
                    its bytes of the words after this one
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
        local = bits_for(2 * c.sparse_activations - 1)
        column = stream.Signature(column_layout(c))
        super().__init__(
            {
                "number": In(8),
                "fill": In(SparseFill),
                "scan": In(1),
                "scan_address": In(local),
                "scan_count": In(16),
                "scan_base": In(c.sparse_column_bits),
                "scanning": Out(1),
                "found": Out(column),
                "column": In(column),
                "limit": In(5),
                "record": In(stream.Signature(spread_layout(c))),
                "span": In(span_layout(c)),
                "load": In(1),
                "mark": In(1),
                "marked": Out(1),
                "row": In(range(c.sparse_rows)),
                "show": In(1),
                "clear": In(1),
                "accumulator": Out(signed(c.psum_bits)),
                "keep": In(1),
                "keep_address": In(local),
                "kept": In(ENTRY_BITS),
                "looking": In(1),
                "look": In(1),
                "look_address": In(local),
                "looked": Out(ENTRY_BITS),
                "busy": Out(1),
                "error": Out(1),
                "events": Out(len(EVENTS)),
                "padding": Out(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, fill = self.config, self.fill
        m.submodules.scanner = scanner = ActivationScan(c)
        m.submodules.reader = reader = WordReader(c)
        m.submodules.decoder = decoder = EntryDecoder(c)
        m.submodules.mac = mac = SparseMac(c)
        for name in (
            "number",
            "scan",
            "scan_address",
            "scan_count",
            "scan_base",
            "looking",
            "look",
            "look_address",
        ):
            m.d.comb += getattr(scanner, name).eq(getattr(self, name))
        wiring.connect(m, scanner.found, wiring.flipped(self.found))
        wiring.connect(m, wiring.flipped(self.column), reader.column)
        wiring.connect(m, wiring.flipped(self.record), reader.record)
        wiring.connect(m, reader.word, decoder.word)
        for name in ("limit", "span", "load", "mark"):
            m.d.comb += getattr(reader, name).eq(getattr(self, name))
        for name in ("valid", "row", "index", "value"):
            m.d.comb += getattr(mac, name).eq(getattr(decoder, name))
        m.d.comb += [
            scanner.write.eq(self.keep | fill.targets[Target.ACTIVATIONS]),
            scanner.write_address.eq(Mux(self.keep, self.keep_address, fill.address)),
            scanner.write_data.eq(Mux(self.keep, self.kept, fill.entry)),
            self.scanning.eq(scanner.scanning),
            self.looked.eq(scanner.looked),
            reader.weights.eq(fill.targets[Target.WEIGHTS]),
            reader.pointers.eq(fill.targets[Target.POINTERS]),
            reader.address.eq(fill.address),
            reader.data.eq(fill.data),
            decoder.error.eq(self.error),
            mac.code.eq(fill.targets[Target.CODEBOOK]),
            mac.code_address.eq(fill.address),
            mac.code_data.eq(fill.code),
            mac.fill.eq(fill.targets[Target.ACCUMULATORS]),
            mac.fill_address.eq(fill.address),
            mac.fill_data.eq(fill.psum),
            mac.own_row.eq(self.row),
            mac.show.eq(self.show),
            mac.clear.eq(self.clear),
            self.accumulator.eq(mac.accumulator),
        ]
        with m.If(self.mark):
            m.d.sync += self.marked.eq(1)
        with m.Elif(decoder.passed):
            m.d.sync += self.marked.eq(0)
        with m.If(reader.bad | decoder.outside):
            m.d.sync += self.error.eq(1)
        m.d.comb += [
            self.busy.eq(~reader.empty | ~decoder.empty | mac.busy),
            self.events.eq(Cat(decoder.valid, reader.empty & decoder.empty, ~self.column.ready)),
            self.padding.eq(decoder.padding),
        ]
        mark_module(m, platform, PE)
        return m
