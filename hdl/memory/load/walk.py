"""The loops of a LOAD."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.isa import LoadBody
from hdl.lib.axi import ADDRESS
from hdl.memory.words import LoadStrip, LoadTarget


class LoadWalk(wiring.Component):
    """Walks the strips of LOAD commands, in order.

    Members: `command`; `targets`, of each command where its words go; `strips`. The next command is
    taken while the strips of the one before are walked. address: bits of an address in memory.

    Latency two cycles; throughput a strip a cycle, and a cycle more for each command.
    """

    command: In(stream.Signature(LoadBody))
    targets: Out(stream.Signature(LoadTarget))
    strips: Out(stream.Signature(LoadStrip))

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        ahead, waiting = Signal(LoadBody), Signal()  # the next command
        body, walking = Signal(LoadBody), Signal()
        left_a, left_b, left_c = Signal(16), Signal(16), Signal(16)  # turns after this one
        at_a, at_b, at_c = (Signal(self.address, name=f"at_{n}") for n in "abc")
        # The place of the row's first length in its word, and of this strip's.
        row_a, row_b, lane = Signal(2), Signal(2), Signal(2)
        start, step, final = Signal(), Signal(), Signal()

        # The next command.
        m.d.comb += [
            self.command.ready.eq(~waiting),
            self.targets.valid.eq(waiting & ~walking),
            self.targets.p.word.eq(ahead.word),
            self.targets.p.length.eq(ahead.length),
            self.targets.p.rlc.eq(ahead.rlc),
            self.targets.p.kind.narrow.eq(ahead.narrow),
            self.targets.p.kind.unsigned.eq(ahead.unsigned),
            self.targets.p.kind.zero.eq(ahead.zero),
            start.eq(self.targets.valid & self.targets.ready),
        ]
        with m.If(start):
            m.d.sync += waiting.eq(0)
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += [waiting.eq(1), ahead.eq(self.command.payload)]

        # The strip.
        m.d.comb += [
            final.eq((left_a == 0) & (left_b == 0) & (left_c == 0)),
            self.strips.valid.eq(walking),
            self.strips.p.address.eq(at_c),
            self.strips.p.length.eq(body.length),
            self.strips.p.last.eq(final),
            self.strips.p.rlc.eq(body.rlc),
            self.strips.p.slot.eq(body.slot),
            self.strips.p.lane.eq(lane),
            self.strips.p.row_last.eq(left_c == 0),
            step.eq(self.strips.valid & self.strips.ready),
        ]

        # Its successor: in the innermost loop that goes on.
        with m.If(step):
            m.d.sync += walking.eq(~final)
            with m.If(left_c != 0):
                m.d.sync += [
                    left_c.eq(left_c - 1),
                    at_c.eq(at_c + body.stride_c),
                    lane.eq(lane + 1),
                ]
            with m.Elif(left_b != 0):
                m.d.sync += [left_c.eq(body.count_c - 1), left_b.eq(left_b - 1)]
                m.d.sync += [at.eq(at_b + body.stride_b) for at in (at_b, at_c)]
                m.d.sync += [at.eq(row_b + body.table_b[1:3]) for at in (row_b, lane)]
            with m.Else():
                m.d.sync += [left_c.eq(body.count_c - 1), left_b.eq(body.count_b - 1)]
                m.d.sync += left_a.eq(left_a - 1)
                m.d.sync += [at.eq(at_a + body.stride_a) for at in (at_a, at_b, at_c)]
                m.d.sync += [at.eq(row_a + body.stride_a[1:3]) for at in (row_a, row_b, lane)]
        with m.If(start):
            m.d.sync += [walking.eq(1), body.eq(ahead)]
            m.d.sync += left_a.eq(ahead.count_a - 1)
            m.d.sync += [left_b.eq(ahead.count_b - 1), left_c.eq(ahead.count_c - 1)]
            m.d.sync += [at.eq(ahead.dram) for at in (at_a, at_b, at_c)]
            m.d.sync += [at.eq(ahead.table[1:3]) for at in (row_a, row_b, lane)]
        return m
