"""The tags of one PE after the other, as CONFIG maps logical columns to the chain."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.segment_room import SegmentRoom
from hdl.array.words import tag_layout
from hdl.config import Config
from hdl.isa import ConfigBody


class TagWalk(wiring.Component):
    """Set row i, set g, group k and PE j of a logical column, PE innermost.

    Members: `body`, which holds; `restart`, with the first PE; `shift`, to the next one; `tags`, of
    the PE; `placed`, all logical columns are in. A PE every second cycle at most: comparisons end
    in registers in the cycle between two.
    """

    def __init__(self, config: Config):
        self.build = config
        super().__init__(
            {
                "body": In(ConfigBody),
                "restart": In(1),
                "shift": In(1),
                "tags": Out(tag_layout(config)),
                "placed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, body, placed, starts = self.build, self.body, self.placed, self.restart

        # Where the walk is; a comparison ends in a register in the cycle between two PEs.
        i, g, k, j = (Signal(8, name=f"place_{name}") for name in "igkj")
        last_j, last_k, last_g, last_i = (Signal(name=f"last_{name}") for name in "jkgi")
        # Tags of a row: one for each channel group, of which the depthwise have one in every set.
        spread = Signal(8)
        column_base = Signal(c.ifmap_tag_bits)  # U*i*spread
        row_base = Signal(c.ifmap_tag_bits)  # (U*i + j)*spread
        slide = Signal(c.ifmap_tag_bits)
        filter_tag, psum_tag = Signal(c.pe_tag_bits), Signal(c.pe_tag_bits)
        height = Signal(16)  # of a logical column
        m.d.sync += [
            height.eq(body.height * body.groups),
            spread.eq(Mux(body.depthwise, body.sets, body.groups)),
            slide.eq(body.stride * spread),
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
            tags.ifmap.eq(row_base + Mux(body.depthwise, g, k)),
            tags.filter.eq(filter_tag),
            tags.psum.eq(psum_tag),
        ]
        with m.If(self.shift & used):
            m.d.sync += [
                j.eq(j + 1),
                row_base.eq(row_base + spread),
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
        return m
