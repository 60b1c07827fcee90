"""CONFIG: the tags of every PE, shifted into the chain."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.segment_room import SegmentRoom
from hdl.array.words import tag_layout
from hdl.config import Config
from hdl.isa import ConfigBody, Mode


class ConfigWalk(wiring.Component):
    """Walks set row i, set g, group k and PE j of a logical column along the chain, the last PE's
    tags first.

    Members
    -------
    config     stream of ConfigBody: taken when all tags have been shifted in, one PE in two cycles,
               and have `settled`; to be offered only while the array is drained
    error      the ConfigBody being taken asks for more PEs than there are
    tags, shift, settled   tags of a PE; they move on; no row has any on the way
    gate, skip   the mode of the ConfigBody taken last
    """

    def __init__(self, config: Config):
        self.build = config
        super().__init__(
            {
                "config": In(stream.Signature(ConfigBody)),
                "error": Out(1),
                "tags": Out(tag_layout(config)),
                "shift": Out(1),
                "settled": In(1),
                "gate": Out(1),
                "skip": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, body = self.build, self.config.payload

        # Where the walk is; a comparison ends in a register in the cycle between two PEs.
        i, g, k, j = (Signal(8, name=f"place_{name}") for name in "igkj")
        last_j, last_k, last_g, last_i = (Signal(name=f"last_{name}") for name in "jkgi")
        column_base = Signal(c.ifmap_tag_bits)  # U*i*r
        row_base = Signal(c.ifmap_tag_bits)  # (U*i + j)*r
        slide = Signal(c.ifmap_tag_bits)
        filter_tag, psum_tag = Signal(c.pe_tag_bits), Signal(c.pe_tag_bits)
        placed, starts = Signal(), Signal()  # all logical columns are in; the walk begins
        height = Signal(16)  # of a logical column
        m.d.sync += [
            height.eq(body.height * body.groups),
            slide.eq(body.stride * body.groups),
            last_j.eq(j + 1 == body.height),
            last_k.eq(k + 1 == body.groups),
            last_g.eq(g + 1 == body.sets),
            last_i.eq(i + 1 == body.rows),
        ]

        # A PE's tags; its logical column may have to wait for the next segment.
        fits = Const(1)
        if c.segment:
            m.submodules.segment = segment = SegmentRoom(c.segment)
            m.d.comb += [
                segment.need.eq(height),
                segment.shift.eq(self.shift),
                segment.restart.eq(starts),
            ]
            fits = (j != 0) | (k != 0) | segment.fits
        used = Signal()
        tags = self.tags
        m.d.comb += [
            used.eq(~placed & fits),
            tags.enable.eq(used),
            tags.head.eq((j == 0) & (k == 0)),
            tags.tail.eq(last_j & last_k),
            tags.ifmap.eq(row_base + k),
            tags.filter.eq(filter_tag),
            tags.psum.eq(psum_tag),
        ]
        with m.If(self.shift & used):
            m.d.sync += [
                j.eq(j + 1),
                row_base.eq(row_base + body.groups),
                filter_tag.eq(filter_tag + 1),
            ]
            with m.If(last_j):
                m.d.sync += [j.eq(0), k.eq(k + 1), row_base.eq(column_base)]
            with m.If(last_j & last_k):
                m.d.sync += [k.eq(0), g.eq(g + 1), psum_tag.eq(psum_tag + 1)]
            with m.If(last_j & last_k & last_g):
                m.d.sync += [
                    g.eq(0),
                    i.eq(i + 1),
                    filter_tag.eq(0),
                    column_base.eq(column_base + slide),
                    row_base.eq(column_base + slide),
                    placed.eq(last_i),
                ]
        with m.If(starts):
            for one in (i, g, k, j, column_base, row_base, filter_tag, psum_tag, placed):
                m.d.sync += one.eq(0)

        # One PE in two cycles.
        left, found = Signal(range(c.pes + 1)), Signal()
        m.d.sync += found.eq(~found)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += starts.eq(self.config.valid)
                with m.If(self.config.valid):
                    m.d.sync += [left.eq(c.pes), found.eq(0)]
                    m.next = "shift"
            with m.State("shift"):
                m.d.comb += self.shift.eq(found)
                with m.If(self.shift):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "settle"
            with m.State("settle"):
                with m.If(self.settled):
                    m.next = "accept"
            with m.State("accept"):
                m.d.comb += [self.config.ready.eq(1), self.error.eq(~placed)]
                m.d.sync += [
                    self.gate.eq(body.mode == Mode.GATE),
                    self.skip.eq(body.mode == Mode.SKIP),
                ]
                m.next = "idle"
        return m
