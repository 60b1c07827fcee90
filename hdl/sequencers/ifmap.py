"""IFMAP: a loop nest that streams ifmap strips to the array."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out

from hdl.array.words import ifmap_word
from hdl.buffer.words import READ_SIGNATURE
from hdl.config import Config
from hdl.isa import IfmapBody
from hdl.lib.engine import engine_ports
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.through import through
from hdl.sequencers.ifmap_walk import IfmapWalk
from hdl.sequencers.ifmap_words import IfmapWords
from hdl.sequencers.notes import Notes
from hdl.sequencers.words import ifmap_item, ifmap_note


class IfmapSequencer(wiring.Component):
    """IFMAP: global buffer -> ifmap network (isa.IfmapBody has the nest).

    Members: `command`, `done`; `glb` read port; `output` words. One word a cycle; words of padding
    rows need no read. Between commands 2 cycles pass without a word, one of them for the header if
    there is one. A word's request comes a cycle after its place in the nest, and no path leads from
    the buffer's grant to the nest.
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
        m.submodules.walk = walk = IfmapWalk(c)
        m.submodules.notes = notes = Notes(ifmap_note(c))
        m.submodules.words = words = IfmapWords(c)
        wiring.connect(m, wiring.flipped(self.command), walk.command)
        wiring.connect(m, notes.noted, words.noted)
        wiring.connect(m, wiring.flipped(self.glb.response), words.response)
        wiring.connect(m, words.output, wiring.flipped(self.output))
        m.d.comb += self.done.eq(words.done)

        # An item asks for its word, or needs none, and is noted; a header after all items.
        items = through(m, "items", RegisterSlice(ifmap_item(c)), walk.items)
        item, asked, note = items.payload, self.glb.request, notes.note
        heads, moves = Signal(), Signal()
        m.d.comb += [
            asked.payload.eq(item.word),
            asked.valid.eq(items.valid & item.read & notes.room),
            items.ready.eq(notes.room & (~item.read | asked.ready)),
            moves.eq(items.valid & items.ready),
            walk.header.ready.eq(notes.room & ~items.valid),
            heads.eq(walk.header.valid & walk.header.ready),
        ]
        m.d.comb += [
            notes.push.eq(heads | moves),
            note.header.eq(heads),
            note.read.eq(item.read & ~heads),
            note.last.eq(item.last & ~heads),
            note.rest.eq(Mux(heads, walk.header.payload, item.step)),
        ]
        return m
