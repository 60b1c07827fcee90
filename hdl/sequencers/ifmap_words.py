"""Words of the ifmap network, from what the buffer gives."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import ifmap_word
from hdl.buffer.words import READ_SIGNATURE
from hdl.config import ENTRY_BITS, LANES, WORD_BITS, Config
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.sequencers.words import ifmap_note, ifmap_step


class IfmapWords(wiring.Component):
    """Notes, and the buffer's words for those that read -> words for the array.

    Members: `noted`, stream of ifmap_note; `response`, the buffer's; `output`; `done`, the last
    word of a command is in. Latency one cycle, one word a cycle; lanes that are padding are 0.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "noted": In(stream.Signature(ifmap_note(config))),
                "response": READ_SIGNATURE.members["response"],
                "output": Out(stream.Signature(ifmap_word(config))),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        note, step = self.noted.payload, Signal(ifmap_step(self.config))
        m.submodules.slice = out = RegisterSlice(ifmap_word(self.config))
        word, taken = out.input.p, Signal()
        m.d.comb += [
            out.input.valid.eq(self.noted.valid & (~note.read | self.response.valid)),
            taken.eq(out.input.valid & out.input.ready),
            self.noted.ready.eq(taken),
            self.response.ready.eq(taken & note.read),
            self.done.eq(taken & note.last),
        ]

        entries = Signal(WORD_BITS)
        m.d.comb += [
            step.eq(note.rest),
            entries.eq(self.response.payload >> (step.lane << 4)),
            word.header.eq(note.header),
            word.tag.eq(step.tag),
            word.count.eq(step.count),
            word.data.eq(note.rest),
        ]
        with m.If(~note.header):
            real = (note.read & step.mask[lane] for lane in range(LANES))
            m.d.comb += word.data.eq(
                Cat(Mux(one, entries.word_select(n, ENTRY_BITS), 0) for n, one in enumerate(real))
            )
        wiring.connect(m, out.output, wiring.flipped(self.output))
        return m
