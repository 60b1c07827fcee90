"""Sequencers: loop nests that stream the global buffer through the array, one per type."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import ENTRY_BITS, LANES, PSUM_LANES, PSUM_SLOT_BITS, WORD_BITS, Config
from .glb import READ_SIGNATURE, WRITE_SIGNATURE
from .isa import ENTRY_ADDR, WORD_ADDR, FilterBody, IfmapBody, OfmapBody, PsumBody
from .nest import Nest
from .pe import PassHeader, filter_word, ifmap_word, ofmap_word, psum_word
from .requantise import Requantise

UNDER_WAY = 8  # reads between a sequencer and its network; covers the buffer's latency


def engine_ports(body):
    """What every engine has: see docs/architecture.md."""
    return {"command": In(stream.Signature(body)), "done": Out(1)}


class IfmapSequencer(wiring.Component):
    """IFMAP: global buffer -> ifmap network (isa.IfmapBody has the nest).

    Members: `command`, `done`; `glb` read port; `output` words. One word a cycle; words of
    padding rows need no read. Between commands 2 cycles pass without a word, one of them
    for the header.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(engine_ports(IfmapBody) | {
            "glb": Out(READ_SIGNATURE), "output": Out(stream.Signature(ifmap_word(config)))})

    def elaborate(self, platform):
        m = Module()
        c = self.config
        body = Signal(IfmapBody)
        GROUP, ROW, WORD, INNER, OUTER, IMAGE = range(6)
        m.submodules.nest = nest = Nest(
            (8, 16, ENTRY_ADDR, 16, 16, 8),
            {"address": (ENTRY_ADDR, (GROUP, ROW, WORD, INNER, OUTER, IMAGE)),
             "x": (ENTRY_ADDR, (WORD, INNER, OUTER)), "left": (ENTRY_ADDR, (WORD,)),
             "tag": (c.ifmap_tag_bits, (GROUP, ROW))})
        m.d.comb += [
            nest.count_0.eq(body.groups), nest.count_1.eq(body.rows),
            nest.count_2.eq((body.length + LANES - 1) >> 2), nest.count_3.eq(body.inner),
            nest.count_4.eq(body.outer), nest.count_5.eq(body.images),
            nest.address_start.eq(body.base + body.start), nest.x_start.eq(body.start),
            nest.address_stride_0.eq(body.group_stride), nest.address_stride_1.eq(body.row_stride),
            nest.address_stride_2.eq(LANES), nest.address_stride_3.eq(body.inner_stride),
            nest.address_stride_4.eq(body.outer_stride), nest.address_stride_5.eq(body.image_stride),
            nest.x_stride_2.eq(LANES), nest.x_stride_3.eq(body.inner_stride),
            nest.x_stride_4.eq(body.outer_stride),
            nest.left_start.eq(body.length), nest.left_stride_2.eq(-LANES),
            nest.tag_stride_0.eq(1), nest.tag_stride_1.eq(body.groups)]

        header = Signal(PassHeader)
        step_layout = data.StructLayout({"mask": LANES, "lane": 2, "count": 3,
                                         "tag": c.ifmap_tag_bits})
        note_layout = data.StructLayout({"header": 1, "read": 1, "last": 1,
                                         "rest": max(len(header.as_value()), step_layout.size)})
        m.submodules.notes = notes = fifo.SyncFIFO(width=note_layout.size, depth=UNDER_WAY)
        note, noted, step = Signal(note_layout), Signal(note_layout), Signal(step_layout)
        x, row, read = Signal(signed(ENTRY_ADDR)), Signal(signed(18)), Signal()
        m.d.comb += [
            x.eq(nest.x), row.eq(body.row_first + nest.index_1),
            step.lane.eq(nest.address[:2]), step.tag.eq(nest.tag),
            step.count.eq(Mux(nest.left > LANES, LANES, nest.left)),
            read.eq((row >= 0) & (row < body.rows_valid) & (step.mask != 0)),
            header.p.eq(body.p), header.window.eq(body.window), header.step.eq(body.step),
            header.positions.eq(body.positions), header.images.eq(body.images)]
        for lane in range(LANES):
            m.d.comb += step.mask[lane].eq((x + lane >= 0) & (x + lane < body.strip))
        m.d.comb += [notes.w_data.eq(note), noted.eq(notes.r_data),
                     self.glb.request.payload.eq(nest.address[2:])]

        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += body.eq(self.command.payload)
                with m.If(self.command.valid):
                    m.next = "header"
            with m.State("header"):
                m.d.comb += [note.header.eq(1), note.rest.eq(header), notes.w_en.eq(1)]
                with m.If(notes.w_rdy):
                    m.d.comb += nest.load.eq(1)
                    m.next = "words"
            with m.State("words"):
                m.d.comb += [
                    note.read.eq(read), note.last.eq(nest.last), note.rest.eq(step),
                    self.glb.request.valid.eq(read & notes.w_rdy),
                    nest.step.eq(notes.w_rdy & (~read | self.glb.request.ready)),
                    notes.w_en.eq(nest.step)]
                with m.If(nest.step & nest.last):
                    m.next = "idle"

        # ---- words as the reads come back -----------------------------------------------
        out, out_valid, ready = Signal(ifmap_word(c)), Signal(), Signal()
        here = Signal(step_layout)
        entries = self.glb.response.payload
        taken = Signal()
        m.d.comb += [
            here.eq(noted.rest), ready.eq(~out_valid | self.output.ready),
            taken.eq(notes.r_rdy & ready & (~noted.read | self.glb.response.valid)),
            notes.r_en.eq(taken), self.glb.response.ready.eq(taken & noted.read),
            self.done.eq(taken & noted.last),
            self.output.valid.eq(out_valid), self.output.payload.eq(out)]
        with m.If(ready):
            m.d.sync += out_valid.eq(taken)
        with m.If(taken):
            m.d.sync += [out.header.eq(noted.header), out.tag.eq(here.tag),
                         out.count.eq(here.count), out.data.eq(noted.rest)]
            with m.If(~noted.header):
                moved = Signal(WORD_BITS)
                m.d.comb += moved.eq(entries >> (here.lane << 4))
                m.d.sync += out.data.eq(Cat(*(
                    Mux(noted.read & here.mask[n], moved.word_select(n, ENTRY_BITS), 0)
                    for n in range(LANES))))
        return m


class FilterSequencer(wiring.Component):
    """FILTER: a linear region of the global buffer -> filter network (isa.FilterBody).

    Members: `command`, `done`; `glb` read port; `output` words. One word a cycle, one cycle
    lost between commands.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(engine_ports(FilterBody) | {
            "glb": Out(READ_SIGNATURE), "output": Out(stream.Signature(filter_word(config)))})

    def elaborate(self, platform):
        m = Module()
        c = self.config
        body = Signal(FilterBody)
        address, tag, word = Signal(WORD_ADDR), Signal(8), Signal(10)
        active, last_tag, last_word, step = Signal(), Signal(), Signal(), Signal()
        note_layout = data.StructLayout({"tag": 8, "closes": 1, "count": 3, "last": 1})
        m.submodules.notes = notes = fifo.SyncFIFO(width=note_layout.size, depth=UNDER_WAY)
        note, noted = Signal(note_layout), Signal(note_layout)
        m.d.comb += [
            self.command.ready.eq(~active), last_tag.eq(tag + 1 == body.tags),
            last_word.eq(word + 1 == body.words),
            self.glb.request.valid.eq(active & notes.w_rdy), self.glb.request.payload.eq(address),
            step.eq(self.glb.request.valid & self.glb.request.ready),
            note.tag.eq(tag), note.closes.eq(last_word), note.last.eq(last_word & last_tag),
            note.count.eq(Mux(last_word, body.tail, LANES)),
            notes.w_en.eq(step), notes.w_data.eq(note), noted.eq(notes.r_data)]
        with m.If(~active):
            m.d.sync += [body.eq(self.command.payload), active.eq(self.command.valid),
                         address.eq(self.command.payload.word), tag.eq(0), word.eq(0)]
        with m.If(step):
            m.d.sync += [address.eq(address + 1), tag.eq(Mux(last_tag, 0, tag + 1))]
            with m.If(last_tag):
                m.d.sync += word.eq(word + 1)
                with m.If(last_word):
                    m.d.sync += active.eq(0)
        m.d.comb += [
            self.output.valid.eq(self.glb.response.valid & notes.r_rdy),
            self.glb.response.ready.eq(self.output.ready & notes.r_rdy),
            notes.r_en.eq(self.output.valid & self.output.ready),
            self.done.eq(notes.r_en & noted.last),
            self.output.payload.data.eq(self.glb.response.payload[:WORD_BITS]),
            self.output.payload.count.eq(noted.count), self.output.payload.last.eq(noted.closes),
            self.output.payload.tag.eq(noted.tag)]
        return m


class PsumSequencer(wiring.Component):
    """PSUM: biases, or psums popped from the ring -> psum network (isa.PsumBody).

    Members: `command`, `done`; `glb` read port; `output` words; `ring_word`, the ring's
    read pointer, `ring_some`, it holds psums, `pop`, one is being read. One word a cycle,
    two cycles lost between commands.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(engine_ports(PsumBody) | {
            "glb": Out(READ_SIGNATURE), "output": Out(stream.Signature(psum_word(config))),
            "ring_word": In(WORD_ADDR), "ring_some": In(1), "pop": Out(1)})

    def elaborate(self, platform):
        m = Module()
        c = self.config
        body = Signal(PsumBody)
        words = Signal(8)
        m.d.comb += words.eq((body.p + PSUM_LANES - 1) >> 2)
        m.submodules.nest = nest = Nest(
            (8, 8, 8, 24), {"bias": (WORD_ADDR, (0, 1)), "left": (8, (0,)),
                            "tag": (c.pe_tag_bits, (1, 2))})
        m.d.comb += [
            nest.count_0.eq(words), nest.count_1.eq(body.sets), nest.count_2.eq(body.rows),
            nest.count_3.eq(body.positions),
            nest.bias_start.eq(body.bias), nest.bias_stride_0.eq(2),
            nest.bias_stride_1.eq(words << 1), nest.left_start.eq(body.p),
            nest.left_stride_0.eq(-PSUM_LANES), nest.tag_stride_1.eq(1),
            nest.tag_stride_2.eq(body.sets)]
        note_layout = data.StructLayout({"tag": c.pe_tag_bits, "count": 3, "last": 1})
        m.submodules.notes = notes = fifo.SyncFIFO(width=note_layout.size, depth=UNDER_WAY)
        note, noted = Signal(note_layout), Signal(note_layout)
        m.d.comb += [
            note.tag.eq(nest.tag), note.last.eq(nest.last),
            note.count.eq(Mux(nest.left > PSUM_LANES, PSUM_LANES, nest.left)),
            notes.w_data.eq(note), noted.eq(notes.r_data), notes.w_en.eq(nest.step),
            self.glb.request.payload.eq(Mux(body.from_ring, self.ring_word, nest.bias))]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += body.eq(self.command.payload)
                with m.If(self.command.valid):
                    m.next = "start"
            with m.State("start"):
                m.d.comb += nest.load.eq(1)
                m.next = "words"
            with m.State("words"):
                m.d.comb += [
                    self.glb.request.valid.eq(notes.w_rdy & (~body.from_ring | self.ring_some)),
                    nest.step.eq(self.glb.request.valid & self.glb.request.ready),
                    self.pop.eq(nest.step & body.from_ring)]
                with m.If(nest.step & nest.last):
                    m.next = "idle"
        m.d.comb += [
            self.output.valid.eq(self.glb.response.valid & notes.r_rdy),
            self.glb.response.ready.eq(self.output.ready & notes.r_rdy),
            notes.r_en.eq(self.output.valid & self.output.ready),
            self.done.eq(notes.r_en & noted.last),
            self.output.payload.data.eq(Cat(*(
                self.glb.response.payload.word_select(n, PSUM_SLOT_BITS)[:c.psum_bits]
                for n in range(PSUM_LANES)))),
            self.output.payload.count.eq(noted.count), self.output.payload.tag.eq(noted.tag)]
        return m


class OfmapSequencer(wiring.Component):
    """OFMAP: output network -> the ring, or requantised -> an ofmap tile (isa.OfmapBody).

    Members: `command`, `done`; `input` words; `glb` write port; `ring_word`, the ring's
    write pointer, `ring_room`, it has room, `push`, a word entered it; `starved`, a pass is
    open and no word there. One word a cycle, two cycles lost between commands; latency
    Requantise.LATENCY from word to write.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(engine_ports(OfmapBody) | {
            "input": In(stream.Signature(ofmap_word(config))), "glb": Out(WRITE_SIGNATURE),
            "ring_word": In(WORD_ADDR), "ring_room": In(1), "push": Out(1), "starved": Out(1)})

    def elaborate(self, platform):
        m = Module()
        c = self.config
        body = Signal(OfmapBody)
        words = Signal(8)
        WORD, SET, ROW, POSITION, IMAGE = range(5)
        m.d.comb += words.eq((body.p + PSUM_LANES - 1) >> 2)
        m.submodules.nest = nest = Nest(
            (8, 8, 8, 16, 8), {"address": (ENTRY_ADDR, (WORD, SET, POSITION, IMAGE)),
                               "left": (8, (WORD,))})
        m.d.comb += [
            nest.count_0.eq(words), nest.count_1.eq(body.sets), nest.count_2.eq(body.rows),
            nest.count_3.eq(body.positions), nest.count_4.eq(body.images),
            nest.address_start.eq(body.base), nest.address_stride_0.eq(PSUM_LANES),
            nest.address_stride_1.eq(body.p), nest.address_stride_3.eq(body.position_stride),
            nest.address_stride_4.eq(body.image_stride),
            nest.left_start.eq(body.p), nest.left_stride_0.eq(-PSUM_LANES)]
        row_at, row_offset = Signal(17), Signal(ENTRY_ADDR)  # ring row of ofmap row index_2

        advance = Signal()
        stage_layout = data.StructLayout({
            "valid": 1, "to_ring": 1, "write": 1, "last": 1, "address": ENTRY_ADDR, "count": 3,
            "psums": c.psum_bits * PSUM_LANES})
        pipe = [Signal(stage_layout, name=f"stage_{n}") for n in range(Requantise.LATENCY)]
        end = pipe[-1]
        m.submodules.requantise = requantise = Requantise(c)
        m.d.comb += [requantise.enable.eq(advance), requantise.psums.eq(self.input.payload.data),
                     requantise.shift.eq(body.shift), requantise.relu.eq(body.relu)]
        with m.If(advance):
            m.d.sync += [
                pipe[0].valid.eq(nest.step), pipe[0].to_ring.eq(body.to_ring),
                pipe[0].write.eq(nest.index_2 < body.rows_valid), pipe[0].last.eq(nest.last),
                pipe[0].address.eq(nest.address + row_offset),
                pipe[0].count.eq(Mux(nest.left > PSUM_LANES, PSUM_LANES, nest.left)),
                pipe[0].psums.eq(self.input.payload.data)]
            for before, after in zip(pipe, pipe[1:]):
                m.d.sync += after.eq(before)
        with m.FSM() as fsm:
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += body.eq(self.command.payload)
                with m.If(self.command.valid):
                    m.next = "start"
            with m.State("start"):
                m.d.comb += nest.load.eq(1)
                m.d.sync += [row_at.eq(body.row_first), row_offset.eq(body.row_start)]
                m.next = "words"
            with m.State("words"):
                m.d.comb += [self.input.ready.eq(advance),
                             nest.step.eq(advance & self.input.valid),
                             self.starved.eq(~self.input.valid)]
                with m.If(nest.step):
                    with m.If((nest.index_0 + 1 == words) & (nest.index_1 + 1 == body.sets)):
                        with m.If(nest.index_2 + 1 == body.rows):
                            m.d.sync += [row_at.eq(body.row_first), row_offset.eq(body.row_start)]
                        with m.Elif(row_at + 1 == body.ring):
                            m.d.sync += [row_at.eq(0), row_offset.eq(0)]
                        with m.Else():
                            m.d.sync += [row_at.eq(row_at + 1),
                                         row_offset.eq(row_offset + body.row_stride)]
                    with m.If(nest.last):
                        m.next = "idle"

        # ---- write ----------------------------------------------------------------------
        lane = end.address[:2]
        wants = Signal()
        slots = Cat(*(_extend(m, end.psums.word_select(n, c.psum_bits))
                      for n in range(PSUM_LANES)))
        lanes = Signal(4)
        with m.Switch(end.count):
            for n in range(1, 5):
                with m.Case(n):
                    m.d.comb += lanes.eq((1 << n) - 1)
        m.d.comb += [
            wants.eq(end.valid & (end.to_ring | end.write)),
            self.glb.valid.eq(wants & (~end.to_ring | self.ring_room)),
            advance.eq(~wants | (self.glb.valid & self.glb.ready)),
            self.push.eq(self.glb.valid & self.glb.ready & end.to_ring),
            self.done.eq(end.valid & end.last & advance)]
        with m.If(end.to_ring):
            m.d.comb += [self.glb.payload.word.eq(self.ring_word),
                         self.glb.payload.data.eq(slots), self.glb.payload.mask.eq(0xFF)]
        with m.Else():
            m.d.comb += [
                self.glb.payload.word.eq(end.address[2:]),
                self.glb.payload.data.eq(requantise.entries.as_value() << (lane << 4)),
                self.glb.payload.mask.eq(lanes << lane)]
        return m


def _extend(m, psum):
    """A psum sign-extended to its slot."""
    slot = Signal(signed(PSUM_SLOT_BITS))
    m.d.comb += slot.eq(psum.as_signed())
    return slot
