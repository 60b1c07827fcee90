"""FILTER: streams the filters of a pass to the array."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out

from hdl.array.words import filter_word
from hdl.buffer.words import READ_SIGNATURE
from hdl.config import LANES, WORD_BITS, Config
from hdl.isa import FilterBody
from hdl.lib.engine import engine_ports
from hdl.sequencers.notes import Notes


class FilterSequencer(wiring.Component):
    """FILTER: a linear region of the global buffer -> filter network (isa.FilterBody).

    Members: `command`, `done`; `glb` read port; `output` words. One word a cycle, one cycle
    lost between commands.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            engine_ports(FilterBody)
            | {"glb": Out(READ_SIGNATURE), "output": Out(stream.Signature(filter_word(config)))}
        )

    def elaborate(self, platform):
        m = Module()
        body = Signal(FilterBody, reset_less=True)
        address, tag, word = Signal(self.config.glb_word_bits), Signal(8), Signal(10)
        active, step = Signal(), Signal()
        # Registers, found as the step before is taken.
        last_tag, last_word, near_tag, near_word = (
            Signal(name=n) for n in ("last_tag", "last_word", "near_tag", "near_word")
        )
        one_tag, two_tags = Signal(), Signal()
        note_layout = data.StructLayout({"tag": 8, "closes": 1, "count": 3, "last": 1})
        m.submodules.notes = notes = Notes(note_layout)
        note, noted = notes.note, notes.noted.payload
        m.d.comb += [
            self.command.ready.eq(~active),
            self.glb.request.valid.eq(active & notes.room),
            self.glb.request.payload.eq(address),
            step.eq(self.glb.request.valid & self.glb.request.ready),
            note.tag.eq(tag),
            note.closes.eq(last_word),
            note.last.eq(last_word & last_tag),
            note.count.eq(Mux(last_word, body.tail, LANES)),
            notes.push.eq(step),
        ]
        with m.If(~active):
            b = self.command.payload
            m.d.sync += [
                body.eq(b),
                active.eq(self.command.valid),
                address.eq(b.word),
                tag.eq(0),
                word.eq(2),
                last_tag.eq(b.tags == 1),
                near_tag.eq(b.tags == 2),
                one_tag.eq(b.tags == 1),
                two_tags.eq(b.tags == 2),
                last_word.eq(b.words == 1),
                near_word.eq(b.words == 2),
            ]
        with m.If(step):
            m.d.sync += [
                address.eq(address + 1),
                tag.eq(Mux(last_tag, 0, tag + 1)),
                last_tag.eq(Mux(last_tag, one_tag, near_tag)),
                near_tag.eq(Mux(last_tag, two_tags, tag + 3 == body.tags)),
            ]
            with m.If(last_tag):
                m.d.sync += [
                    word.eq(word + 1),
                    last_word.eq(near_word),
                    near_word.eq(word + 1 == body.words),
                ]
                with m.If(last_word):
                    m.d.sync += active.eq(0)
        m.d.comb += [
            self.output.valid.eq(self.glb.response.valid & notes.noted.valid),
            self.glb.response.ready.eq(self.output.ready & notes.noted.valid),
            notes.noted.ready.eq(self.output.valid & self.output.ready),
            self.done.eq(notes.noted.ready & noted.last),
            self.output.payload.data.eq(self.glb.response.payload[:WORD_BITS]),
            self.output.payload.count.eq(noted.count),
            self.output.payload.last.eq(noted.closes),
            self.output.payload.tag.eq(noted.tag),
        ]
        return m
