"""Columns of SPARSE_STREAM: where their records are, and the records from DRAM."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import READ_SIGNATURE
from hdl.config import Config
from hdl.isa import WORD_ADDR
from hdl.lib.axi import ADDRESS, ReadMaster
from hdl.sparse.stream.bursts import BurstReader
from hdl.sparse.stream.cutter import RecordCutter
from hdl.sparse.stream.locator import RecordLocator
from hdl.sparse.stream.permit import RecordPermit
from hdl.sparse.stream.table import LOOK_UPS, TableReader
from hdl.sparse.words import RecordWord, wanted_layout

COLUMNS = 64  # with a record asked for


class ColumnFetcher(wiring.Component):
    """Reads the records of columns (isa.SparseStreamBody), in their order.

    Members: `wanted`, stream of wanted_layout; `table` and `dram` of the command, stable from
    its first column until `looked_up`, a pulse: its mark has been taken; `glb` read
    port; `base` and `limit`, the read window; `read`, an AXI read master; `record`, stream of
    RecordWord; `outside`: the next record lies outside the window and all before it have
    left (until reset).

    One column a cycle, latency 18 cycles and those of the buffer and the memory, which are hidden
    while BEATS suffice: data is asked for only when there is room for it, so that `read.data` is
    always ready. A column without a record costs nothing but its lookup; a record takes two cycles
    at least. A column is looked up when there is room for all that is known of it, so that nothing
    waits between the table and two queues in block RAM: of places, which go through the window to
    the bursts, and of the lengths that their data is cut into.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "wanted": In(stream.Signature(wanted_layout(config))),
                "table": In(WORD_ADDR),
                "dram": In(ADDRESS),
                "looked_up": Out(1),
                "glb": Out(READ_SIGNATURE),
                "base": In(ADDRESS),
                "limit": In(ADDRESS),
                "read": Out(ReadMaster),
                "record": Out(stream.Signature(RecordWord)),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config

        # Columns to the places and lengths of their records.
        m.submodules.table = table = TableReader(c)
        m.submodules.locator = locator = RecordLocator(c)
        wiring.connect(m, wiring.flipped(self.wanted), table.wanted)
        wiring.connect(m, table.glb, wiring.flipped(self.glb))
        wiring.connect(m, table.entry, locator.entry)
        m.d.comb += [
            table.table.eq(self.table),
            locator.dram.eq(self.dram),
            locator.hold.eq(table.under_way),
            table.left.eq(locator.left),
            self.looked_up.eq(table.looked_up),
        ]

        # Places to data.
        m.submodules.permit = permit = RecordPermit(c, COLUMNS)
        m.submodules.bursts = bursts = BurstReader(c)
        wiring.connect(m, locator.place, permit.place)
        wiring.connect(m, permit.allowed, bursts.place)
        wiring.connect(m, bursts.read, wiring.flipped(self.read))
        m.d.comb += [permit.base.eq(self.base), permit.limit.eq(self.limit)]

        # Data to records.
        m.submodules.cutter = cutter = RecordCutter(COLUMNS, LOOK_UPS + 8)
        wiring.connect(m, locator.length, cutter.length)
        wiring.connect(m, bursts.beat, cutter.beat)
        wiring.connect(m, cutter.record, wiring.flipped(self.record))
        m.d.comb += table.space.eq(cutter.space)

        # All that was asked for has left.
        quiet = Signal()
        m.d.sync += [
            quiet.eq(permit.outside & permit.idle & bursts.idle),
            self.outside.eq(quiet),
        ]
        return m
