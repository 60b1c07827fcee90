"""The rows of the length tables of LOAD."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import LoadBody
from hdl.lib.axi import ADDRESS
from hdl.memory.words import table_row


class TableRows(wiring.Component):
    """Walks the (a, b) of run-length coded LOADs: a row is the count_c lengths of each.

    Members: `command`, those LOADs; `rows`, where the words of each lie. address: bits of an
    address in memory.

    Latency one cycle, throughput a row a cycle; a command is taken once the last row of the one
    before has been.
    """

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__(
            {
                "command": In(stream.Signature(LoadBody)),
                "rows": Out(stream.Signature(table_row(address))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        at_a, at_b = Signal(self.address), Signal(self.address)
        left_a, left_b = Signal(16), Signal(16)
        step_a, step_b = Signal(self.address), Signal(self.address)
        before_b, entries = Signal(16), Signal(16)  # b's count less one; lengths of a row

        # A row may begin and end within a word.
        rows = self.rows
        m.d.comb += [
            rows.p.at.eq(at_b & ~7),
            rows.p.words.eq((at_b[1:3] + entries + 3) >> 2),
            self.command.ready.eq(~rows.valid),
        ]

        # The row is made from where the walk is, so no slice holds it.
        with m.If(rows.valid & rows.ready):
            m.d.sync += rows.valid.eq((left_a != 0) | (left_b != 0))
            with m.If(left_b != 0):
                m.d.sync += [left_b.eq(left_b - 1), at_b.eq(at_b + step_b)]
            with m.Else():
                m.d.sync += [
                    left_b.eq(before_b),
                    left_a.eq(left_a - 1),
                    at_a.eq(at_a + step_a),
                    at_b.eq(at_a + step_a),
                ]

        command = self.command.p
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += [
                rows.valid.eq(1),
                at_a.eq(command.table),
                at_b.eq(command.table),
                left_a.eq(command.count_a - 1),
                left_b.eq(command.count_b - 1),
                before_b.eq(command.count_b - 1),
                step_a.eq(command.stride_a),
                step_b.eq(command.table_b),
                entries.eq(command.count_c),
            ]
        return m
