"""Columns that wait in a sparse PE (EIE's activation queue)."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.sparse.words import column_layout

LATE = 2  # columns that come beyond the limit


class ColumnQueue(wiring.Component):
    """Members: `input`, `output`, streams of column_layout; `limit`, 1 .. sparse_queue.

    `input.ready` is a register: whether less than `limit` waited a cycle ago. So up to LATE columns
    come beyond the limit. Latency one cycle; throughput one a cycle, with a `limit` below 3 every
    third cycle at least. Source: EIE (ISCA 2016), fig. 4a.
    """

    def __init__(self, config: Config):
        self.config = config
        column = stream.Signature(column_layout(config))
        super().__init__({"input": In(column), "output": Out(column), "limit": In(5)})

    def elaborate(self, platform):
        m = Module()
        columns = column_layout(self.config)
        depth = max(16, 1 << (self.config.sparse_queue + LATE - 1).bit_length())
        m.submodules.queue = queue = StreamFifo(columns, depth)

        m.d.sync += self.input.ready.eq(queue.level < self.limit)
        m.d.comb += [
            queue.input.valid.eq(self.input.valid & self.input.ready),
            queue.input.payload.eq(self.input.payload),
        ]
        wiring.connect(m, queue.output, wiring.flipped(self.output))
        return m
