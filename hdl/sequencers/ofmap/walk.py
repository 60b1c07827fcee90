"""The loop nest of OFMAP: where a word of psums goes."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import PSUM_LANES, Config
from hdl.isa import OfmapBody
from hdl.sequencers.nest import Nest
from hdl.sequencers.ofmap.rows import OfmapRows
from hdl.sequencers.words import ofmap_place


class OfmapWalk(wiring.Component):
    """Commands (isa.OfmapBody has the nest) -> a place for every word of up to four psums.

    Members: `command`; `places`, a stream of ofmap_place. A place a cycle; two cycles without one
    between commands.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "command": In(stream.Signature(OfmapBody)),
                "places": Out(stream.Signature(ofmap_place(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.config.glb_entry_bits
        body = Signal(OfmapBody, reset_less=True)
        words = Signal(8, reset_less=True)  # of a column's p psums
        WORD, SET, ROW, POSITION, IMAGE = range(5)
        m.submodules.nest = nest = Nest(
            (8, 8, 8, 16, 16),
            {
                "address": (bits, (WORD, SET, POSITION, IMAGE)),
                "left": (8, (WORD,)),
                "row": (8, (ROW,)),
                "scales": (self.config.scale_row_bits, (WORD, SET)),
            },
        )
        m.d.comb += [
            nest.count_0.eq(words),
            nest.count_1.eq(body.sets),
            nest.count_2.eq(body.rows),
            nest.count_3.eq(body.positions),
            nest.count_4.eq(body.images),
            nest.address_start.eq(body.base),
            nest.address_stride_0.eq(PSUM_LANES),
            nest.address_stride_1.eq(body.p),
            nest.address_stride_3.eq(body.position_stride),
            nest.address_stride_4.eq(body.image_stride),
            nest.left_start.eq(body.p),
            nest.left_stride_0.eq(-PSUM_LANES),
            nest.row_stride_2.eq(1),
            nest.scales_stride_0.eq(1),
            nest.scales_stride_1.eq(words),
            nest.step.eq(self.places.valid & self.places.ready),
        ]

        m.submodules.rows = rows = OfmapRows(self.config)
        m.d.comb += [
            rows.body.eq(body),
            rows.load.eq(nest.load),
            rows.next.eq(nest.step & nest.last_0 & nest.last_1),
            rows.again.eq(nest.last_2),
        ]

        place = self.places.p
        m.d.comb += [
            place.to_ring.eq(body.to_ring),
            place.write.eq(nest.row < body.rows_valid),
            place.last.eq(nest.last),
            place.address.eq(nest.address + rows.offset),
            place.count.eq(Mux(nest.left > PSUM_LANES, PSUM_LANES, nest.left)),
            place.scaled.eq(body.scaled),
            place.row.eq(nest.scales),
            place.shift.eq(body.shift),
            place.relu.eq(body.relu),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [
                    body.eq(self.command.payload),
                    words.eq((self.command.p.p + PSUM_LANES - 1) >> 2),
                ]
                with m.If(self.command.valid):
                    m.next = "start"
            with m.State("start"):
                m.d.comb += nest.load.eq(1)
                m.next = "words"
            with m.State("words"):
                m.d.comb += self.places.valid.eq(1)
                with m.If(nest.step & nest.last):
                    m.next = "idle"
        return m
