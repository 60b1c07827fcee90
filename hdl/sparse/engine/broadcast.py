"""Columns from the root of the detection tree to the PEs, or to the fetcher."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.sparse.words import column_layout, wanted_layout


class Broadcast(wiring.Component):
    """Members: `root`, stream of column_layout; `streaming`: it goes to `wanted`, stream of
    wanted_layout, else to all PEs at once as `column`, a stream that never waits, when all are
    `ready`; `ending`: `wanted` takes the mark of a command instead, while `root` has nothing;
    `moved`, a pulse a cycle later: a column has gone to either.

    A column a cycle, combinational.
    """

    def __init__(self, config: Config):
        column = column_layout(config)
        super().__init__(
            {
                "root": In(stream.Signature(column)),
                "streaming": In(1),
                "ending": In(1),
                "ready": In(config.sparse_pes),
                "column": Out(stream.Signature(column, always_ready=True)),
                "wanted": Out(stream.Signature(wanted_layout(config))),
                "moved": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        root, wanted, column = self.root, self.wanted, self.column

        # To the fetcher.
        m.d.comb += [
            wanted.valid.eq((self.streaming & root.valid) | self.ending),
            wanted.p.mark.eq(self.ending),
            wanted.p.column.eq(root.p.column),
            wanted.p.value.eq(root.p.value),
        ]
        with m.If(self.streaming):
            m.d.comb += root.ready.eq(wanted.ready)

        # To the PEs.
        with m.Else():
            m.d.comb += [root.ready.eq(self.ready.all()), column.valid.eq(root.valid & root.ready)]
        m.d.comb += column.payload.eq(root.payload)
        m.d.sync += self.moved.eq(root.valid & root.ready)
        return m
