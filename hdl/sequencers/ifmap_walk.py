"""The loop nest of IFMAP: which word of the buffer is read for whom."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import PassHeader, of_slots
from hdl.config import LANES, Config
from hdl.isa import IfmapBody
from hdl.sequencers.nest import Nest
from hdl.sequencers.words import ifmap_item


class IfmapWalk(wiring.Component):
    """Commands (isa.IfmapBody has the nest) -> a header if there is one, and items.

    Members: `command`; `header`, a stream, offered while the nest is loaded; `items`, a stream of
    ifmap_item. An item a cycle; two cycles without one between commands, in which the header goes.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "command": In(stream.Signature(IfmapBody)),
                "header": Out(stream.Signature(PassHeader)),
                "items": Out(stream.Signature(ifmap_item(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        body = Signal(IfmapBody, reset_less=True)
        place = c.glb_entry_bits  # of an address; of an offset in a strip one more, its sign
        GROUP, ROW, WORD, INNER, OUTER, BAND, IMAGE = range(7)
        m.submodules.nest = nest = Nest(
            (8, 16, place, 16, 16, 8, 8),
            {
                "address": (place, (GROUP, ROW, WORD, INNER, OUTER, BAND, IMAGE)),
                "x": (place + 1, (WORD, INNER, OUTER)),
                "left": (place + 1, (WORD,)),
                "tag": (c.ifmap_tag_bits, (GROUP, ROW)),
                "row": (18, (ROW, BAND)),
            },
        )
        words = Signal(place, reset_less=True)  # of a chunk
        counts = (body.groups, body.rows, words, body.inner, body.outer, body.bands, body.images)
        for level, count in enumerate(counts):
            m.d.comb += getattr(nest, f"count_{level}").eq(count)
        m.d.comb += [
            nest.address_start.eq(body.base + body.start),
            nest.x_start.eq(body.start),
            nest.address_stride_0.eq(body.group_stride),
            nest.address_stride_1.eq(body.row_stride),
            nest.address_stride_2.eq(LANES),
            nest.address_stride_3.eq(body.inner_stride),
            nest.address_stride_4.eq(body.outer_stride),
            nest.address_stride_5.eq(body.band_stride),
            nest.address_stride_6.eq(body.image_stride),
            nest.x_stride_2.eq(LANES),
            nest.x_stride_3.eq(body.inner_stride),
            nest.x_stride_4.eq(body.outer_stride),
            nest.left_start.eq(body.length),
            nest.left_stride_2.eq(-LANES),
            nest.tag_stride_0.eq(1),
            nest.tag_stride_1.eq(body.groups),
            nest.row_start.eq(body.row_first),
            nest.row_stride_1.eq(1),
            nest.row_stride_5.eq(body.band_rows),
        ]

        # An item: lanes left of a row, right of it or in a row that is not there are padding.
        item, header = self.items.p, self.header.p
        x, row = nest.x.as_signed(), nest.row.as_signed()
        m.d.comb += [
            nest.step.eq(self.items.valid & self.items.ready),
            item.read.eq((row >= 0) & (row < body.rows_valid) & (item.step.mask != 0)),
            item.last.eq(nest.last),
            item.word.eq(nest.address[2:]),
            item.step.lane.eq(nest.address[:2]),
            item.step.tag.eq(nest.tag),
            item.step.count.eq(Mux(nest.left > LANES, LANES, nest.left)),
        ]
        for lane in range(LANES):
            m.d.comb += item.step.mask[lane].eq((x + lane >= 0) & (x + lane < body.strip))
        for field in ("window", "step", "positions", "laps", "channels"):
            m.d.comb += header[field].eq(body[field])
        m.d.comb += header.p.eq(of_slots(body.p, c.simd))
        m.d.comb += header.inner.eq(body.window - body.channels - 1)

        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [
                    body.eq(self.command.payload),
                    words.eq((self.command.p.length + LANES - 1) >> 2),
                ]
                with m.If(self.command.valid):
                    m.next = "header"
            with m.State("header"):
                # Loaded as often as it waits, so that the nest waits for nothing.
                m.d.comb += [self.header.valid.eq(body.header), nest.load.eq(1)]
                with m.If(self.header.ready | ~body.header):
                    m.next = "words"
            with m.State("words"):
                m.d.comb += self.items.valid.eq(1)
                with m.If(nest.step & nest.last):
                    m.next = "idle"
        return m
