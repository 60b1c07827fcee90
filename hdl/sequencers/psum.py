"""PSUM: streams biases, stored psums or zeros to the heads of the chain."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import psum_word
from hdl.buffer.words import READ_SIGNATURE
from hdl.config import PSUM_LANES, PSUM_SLOT_BITS, Config
from hdl.isa import WORD_ADDR, PsumBody
from hdl.lib.engine import engine_ports
from hdl.sequencers.nest import Nest
from hdl.sequencers.notes import Notes


class PsumSequencer(wiring.Component):
    """PSUM: biases, psums popped from the ring, or zeros -> psum network (isa.PsumBody).

    Members: `command`, `done`; `glb` read port; `output` words; `ring_word`, the ring's
    read pointer, `ring_some`, it holds psums, `pop`, one is being read. One word a cycle,
    two cycles lost between commands.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            engine_ports(PsumBody)
            | {
                "glb": Out(READ_SIGNATURE),
                "output": Out(stream.Signature(psum_word(config))),
                "ring_word": In(WORD_ADDR),
                "ring_some": In(1),
                "pop": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        body = Signal(PsumBody, reset_less=True)
        words = Signal(8, reset_less=True)  # of a column's p psums
        m.submodules.nest = nest = Nest(
            (8, 8, 8, 24),
            {"bias": (c.glb_word_bits, (0, 1)), "left": (8, (0,)), "tag": (c.pe_tag_bits, (1, 2))},
        )
        m.d.comb += [
            nest.count_0.eq(words),
            nest.count_1.eq(body.sets),
            nest.count_2.eq(body.rows),
            nest.count_3.eq(body.positions),
            nest.bias_start.eq(body.bias),
            nest.bias_stride_0.eq(2),
            nest.bias_stride_1.eq(words << 1),
            nest.left_start.eq(body.p),
            nest.left_stride_0.eq(-PSUM_LANES),
            nest.tag_stride_1.eq(1),
            nest.tag_stride_2.eq(body.sets),
        ]
        note_layout = data.StructLayout({"tag": c.pe_tag_bits, "count": 3, "last": 1, "zero": 1})
        m.submodules.notes = notes = Notes(note_layout)
        note, noted = notes.note, notes.noted.payload
        m.d.comb += [
            note.tag.eq(nest.tag),
            note.last.eq(nest.last),
            note.zero.eq(body.zero),
            note.count.eq(Mux(nest.left > PSUM_LANES, PSUM_LANES, nest.left)),
            notes.push.eq(nest.step),
            self.glb.request.payload.eq(Mux(body.from_ring, self.ring_word, nest.bias)),
        ]
        may = Signal()
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
                m.d.comb += [
                    self.glb.request.valid.eq(may & ~body.zero),
                    nest.step.eq(may & (body.zero | self.glb.request.ready)),
                    self.pop.eq(nest.step & body.from_ring),
                ]
                with m.If(nest.step & nest.last):
                    m.next = "idle"
        psums = self.glb.response.payload
        there = noted.zero | self.glb.response.valid
        m.d.comb += [
            may.eq(notes.room & (~body.from_ring | self.ring_some)),
            self.output.valid.eq(there & notes.noted.valid),
            self.glb.response.ready.eq(self.output.ready & notes.noted.valid & ~noted.zero),
            notes.noted.ready.eq(self.output.valid & self.output.ready),
            self.done.eq(notes.noted.ready & noted.last),
            self.output.payload.data.eq(
                Cat(
                    *(
                        Mux(noted.zero, 0, psums.word_select(n, PSUM_SLOT_BITS)[: c.psum_bits])
                        for n in range(PSUM_LANES)
                    )
                )
            ),
            self.output.payload.count.eq(noted.count),
            self.output.payload.tag.eq(noted.tag),
        ]
        return m
