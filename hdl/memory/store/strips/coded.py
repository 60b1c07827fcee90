"""Where the lengths of coded strips go."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring

from hdl.lib.axi import ADDRESS
from hdl.memory.store.strips.row_address import RowAddress
from hdl.memory.words import STRIP_BITS, STRIP_ENTRIES, StripTable


class LengthTable(wiring.Component):
    """The StripTable of strips that may be coded: the lengths of a row lie next to each other, two
    bytes each.

    No latency from `block` to `table`, and those of RowAddress. address: bits of an address.
    """

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__(StripTable)

    def elaborate(self, platform):
        m = Module()
        m.submodules.row = row = RowAddress(self.address)
        store, table = self.store, Signal(self.address)
        m.d.comb += [
            row.now.eq(self.now),
            row.begin.eq(store.table),
            row.by_image.eq(store.out_image_stride),
            row.by_row.eq(store.table_row),
            table.eq(row.at + (self.block << 1)),
            self.table.eq(table),
        ]

        too_long = self.entries[STRIP_ENTRIES:].any()
        too_long_coded = store.rlc & self.entries[STRIP_BITS:].any()
        m.d.comb += self.excess.eq(too_long | too_long_coded)
        return m
