"""OFMAP: stores psums, or requantises them into an ofmap tile."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import PSUM_LANES, PSUM_SLOT_BITS, Config
from .engine import engine_ports
from .glb import WRITE_SIGNATURE
from .isa import WORD_ADDR, OfmapBody
from .nest import Nest
from .pe import ofmap_word
from .requantise import Requantise


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
        words = Signal(8)               # of a column's p psums
        place = c.glb_entry_bits
        WORD, SET, ROW, POSITION, IMAGE = range(5)
        m.submodules.nest = nest = Nest(
            (8, 8, 8, 16, 16), {"address": (place, (WORD, SET, POSITION, IMAGE)),
                               "left": (8, (WORD,)), "row": (8, (ROW,))})
        m.d.comb += [
            nest.count_0.eq(words), nest.count_1.eq(body.sets), nest.count_2.eq(body.rows),
            nest.count_3.eq(body.positions), nest.count_4.eq(body.images),
            nest.address_start.eq(body.base), nest.address_stride_0.eq(PSUM_LANES),
            nest.address_stride_1.eq(body.p), nest.address_stride_3.eq(body.position_stride),
            nest.address_stride_4.eq(body.image_stride),
            nest.left_start.eq(body.p), nest.left_stride_0.eq(-PSUM_LANES), nest.row_stride_2.eq(1)]
        row_at, row_offset = Signal(17), Signal(place)  # ring row of the ofmap row

        advance = Signal()
        stage_layout = data.StructLayout({
            "valid": 1, "to_ring": 1, "write": 1, "last": 1, "address": place, "count": 3,
            "psums": c.psum_bits * PSUM_LANES})
        pipe = [Signal(stage_layout, name=f"stage_{n}") for n in range(Requantise.LATENCY)]
        end = pipe[-1]
        m.submodules.requantise = requantise = Requantise(c)
        m.d.comb += [requantise.enable.eq(advance), requantise.psums.eq(self.input.payload.data),
                     requantise.shift.eq(body.shift), requantise.relu.eq(body.relu)]
        with m.If(advance):
            m.d.sync += [
                pipe[0].valid.eq(nest.step), pipe[0].to_ring.eq(body.to_ring),
                pipe[0].write.eq(nest.row < body.rows_valid), pipe[0].last.eq(nest.last),
                pipe[0].address.eq(nest.address + row_offset),
                pipe[0].count.eq(Mux(nest.left > PSUM_LANES, PSUM_LANES, nest.left)),
                pipe[0].psums.eq(self.input.payload.data)]
            for before, after in zip(pipe, pipe[1:]):
                m.d.sync += after.eq(before)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [body.eq(self.command.payload), words.eq((self.command.p.p + PSUM_LANES - 1) >> 2)]
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
                    with m.If(nest.last_0 & nest.last_1):
                        with m.If(nest.last_2):
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
