"""IFMAP: a loop nest that streams ifmap strips to the array."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import Out

from hdl.array.words import PassHeader, ifmap_word
from hdl.buffer.words import READ_SIGNATURE
from hdl.config import ENTRY_BITS, LANES, WORD_BITS, Config
from hdl.isa import IfmapBody
from hdl.lib.engine import engine_ports, room_for_note, under_way
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.stage import Stage
from hdl.sequencers.nest import Nest


class IfmapSequencer(wiring.Component):
    """IFMAP: global buffer -> ifmap network (isa.IfmapBody has the nest).

    Members: `command`, `done`; `glb` read port; `output` words. One word a cycle; words of padding
    rows need no read. Between commands 2 cycles pass without a word, one of them for the header if
    there is one. With config.registered a word's request comes a cycle behind its place in the
    nest, and no path leads from the buffer's grant to the nest.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            engine_ports(IfmapBody)
            | {"glb": Out(READ_SIGNATURE), "output": Out(stream.Signature(ifmap_word(config)))}
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        body = Signal(IfmapBody, reset_less=True)
        # bits of an address; of an offset in a strip one more, its sign
        place = c.glb_entry_bits
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
        m.d.comb += [
            nest.count_0.eq(body.groups),
            nest.count_1.eq(body.rows),
            nest.count_2.eq(words),
            nest.count_3.eq(body.inner),
            nest.count_4.eq(body.outer),
            nest.count_5.eq(body.bands),
            nest.count_6.eq(body.images),
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

        header = Signal(PassHeader)
        step_layout = data.StructLayout(
            {"mask": LANES, "lane": 2, "count": 3, "tag": c.ifmap_tag_bits}
        )
        note_layout = data.StructLayout(
            {
                "header": 1,
                "read": 1,
                "last": 1,
                "rest": max(len(header.as_value()), step_layout.size),
            }
        )
        # buffered: its head is in a register
        queue = fifo.SyncFIFOBuffered if c.registered else fifo.SyncFIFO
        m.submodules.notes = notes = queue(width=note_layout.size, depth=under_way(self.config))
        room = room_for_note(m, c, notes)
        item_layout = data.StructLayout(
            {"read": 1, "last": 1, "word": c.glb_word_bits, "step": step_layout}
        )
        item = Signal(item_layout)  # what the nest presents
        # a header goes to the notes; the nest presents an item
        heading, stepping = Signal(), Signal()
        waits = Signal()  # an item is between the nest and its request
        note, noted, step = Signal(note_layout), Signal(note_layout), Signal(step_layout)
        x, row, read = Signal(signed(place + 1)), Signal(signed(18)), Signal()
        m.d.comb += [
            x.eq(nest.x),
            row.eq(nest.row),
            step.lane.eq(nest.address[:2]),
            step.tag.eq(nest.tag),
            step.count.eq(Mux(nest.left > LANES, LANES, nest.left)),
            read.eq((row >= 0) & (row < body.rows_valid) & (step.mask != 0)),
            item.read.eq(read),
            item.last.eq(nest.last),
            item.word.eq(nest.address[2:]),
            item.step.eq(step),
            header.p.eq(body.p),
            header.window.eq(body.window),
            header.step.eq(body.step),
            header.positions.eq(body.positions),
            header.laps.eq(body.laps),
        ]
        for lane in range(LANES):
            m.d.comb += step.mask[lane].eq((x + lane >= 0) & (x + lane < body.strip))
        m.d.comb += [notes.w_data.eq(note), noted.eq(notes.r_data)]

        # ---- items to requests and notes ------------------------------------------------
        asked = self.glb.request
        offered, move = Signal(), Signal()  # an item is offered; it moves on
        now = item
        if c.registered:
            m.submodules.items = items = RegisterSlice(item_layout)
            now = items.output.payload
            m.d.comb += [
                items.input.payload.eq(item),
                items.input.valid.eq(stepping),
                nest.step.eq(stepping & items.input.ready),
                offered.eq(items.output.valid),
                items.output.ready.eq(move),
                waits.eq(items.output.valid),
            ]
        else:
            m.d.comb += [offered.eq(stepping), nest.step.eq(move)]
        m.d.comb += [
            asked.payload.eq(now.word),
            asked.valid.eq(offered & now.read & room),
            move.eq(offered & room & (~now.read | asked.ready)),
        ]

        m.d.comb += [
            notes.w_en.eq(heading | move),
            note.header.eq(heading),
            note.read.eq(now.read & ~heading),
            note.last.eq(now.last & ~heading),
            note.rest.eq(Mux(heading, header, now.step)),
        ]
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
                m.d.comb += [heading.eq(body.header & ~waits & room), nest.load.eq(1)]
                with m.If((room & ~waits) | ~body.header):
                    m.next = "words"
            with m.State("words"):
                m.d.comb += stepping.eq(1)
                with m.If(nest.step & nest.last):
                    m.next = "idle"

        # ---- words as the reads come back -----------------------------------------------
        m.submodules.words = out = (RegisterSlice if c.registered else Stage)(ifmap_word(c))
        here, word = Signal(step_layout), out.input.p
        entries = self.glb.response.payload
        taken = Signal()
        m.d.comb += [
            here.eq(noted.rest),
            out.input.valid.eq(notes.r_rdy & (~noted.read | self.glb.response.valid)),
            taken.eq(out.input.valid & out.input.ready),
            notes.r_en.eq(taken),
            self.glb.response.ready.eq(taken & noted.read),
            self.done.eq(taken & noted.last),
            word.header.eq(noted.header),
            word.tag.eq(here.tag),
            word.count.eq(here.count),
            word.data.eq(noted.rest),
        ]
        with m.If(~noted.header):
            moved = Signal(WORD_BITS)
            m.d.comb += [
                moved.eq(entries >> (here.lane << 4)),
                word.data.eq(
                    Cat(
                        *(
                            Mux(noted.read & here.mask[n], moved.word_select(n, ENTRY_BITS), 0)
                            for n in range(LANES)
                        )
                    )
                ),
            ]
        wiring.connect(m, out.output, wiring.flipped(self.output))
        return m
