"""The PEs of the sparse engine, side by side."""

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.sparse.pe.pe import SparsePe
from hdl.sparse.words import (
    EVENTS,
    SparseFill,
    column_layout,
    dump_signature,
    output_signature,
    records_signature,
    search_signature,
)


class SparseArray(wiring.Component):
    """K SparsePes. What all of them are told is one signal, what each tells is a bit or an element.

    Members: `fills`, `search`, `found`, `records`, `output` and `dump` as their signatures in
    words.py say; `column`, stream of column_layout that goes to all, only while all are `ready`;
    `busy`, `error`, `events` and `paddings` of each.
    """

    def __init__(self, config: Config):
        self.config = c = config
        k, column = c.sparse_pes, column_layout(c)
        super().__init__(
            {
                "fills": In(SparseFill).array(k),
                "search": In(search_signature(c)),
                "found": Out(stream.Signature(column)).array(k),
                "column": In(stream.Signature(column, always_ready=True)),
                "ready": Out(k),
                "records": In(records_signature(c)),
                "output": In(output_signature(c)),
                "dump": In(dump_signature(c)),
                "busy": Out(k),
                "error": Out(k),
                "events": Out(data.ArrayLayout(len(EVENTS), k)),
                "paddings": Out(data.ArrayLayout(4, k)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        search, records, output, dump = self.search, self.records, self.output, self.dump

        for n in range(self.config.sparse_pes):
            m.submodules[f"pe_{n}"] = pe = SparsePe(self.config)

            # Fills and searches.
            wiring.connect(m, pe.found, wiring.flipped(self.found[n]))
            m.d.comb += [
                pe.number.eq(n),
                pe.fill.eq(self.fills[n]),
                pe.scan.eq(search.start),
                pe.search.eq(search.search),
                pe.limit.eq(search.limit),
                search.scanning[n].eq(pe.scanning),
            ]

            # Columns, or words of their records.
            m.d.comb += [
                pe.column.valid.eq(self.column.valid),
                pe.column.payload.eq(self.column.payload),
                self.ready[n].eq(pe.column.ready),
                pe.record.valid.eq(records.record.valid),
                pe.record.payload.eq(records.record.payload),
                pe.span.eq(records.spans[n]),
                pe.load.eq(records.load[n]),
                pe.mark.eq(records.mark),
                records.room[n].eq(pe.room),
                records.marked[n].eq(pe.marked),
            ]

            # Sums and activations.
            m.d.comb += [
                pe.row.eq(output.row),
                pe.show.eq(output.show[n]),
                pe.clear.eq(output.show[n]),
                output.accumulators[n].eq(pe.accumulator),
                pe.keep.eq(output.keep[n]),
                pe.keep_address.eq(output.address),
                pe.kept.eq(output.entries[n]),
                pe.looking.eq(dump.looking),
                pe.look.eq(dump.look),
                pe.look_address.eq(dump.address),
                dump.looked[n].eq(pe.looked),
            ]

            # What they tell.
            m.d.comb += [
                self.busy[n].eq(pe.busy),
                self.error[n].eq(pe.error),
                self.events[n].eq(pe.events),
                self.paddings[n].eq(pe.padding),
            ]
        return m
