"""The words of LOADs to the global buffer."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import GlbWrite
from hdl.config import LANES
from hdl.isa import WORD_ADDR
from hdl.lib.stream.buffered_fifo import BufferedFifo
from hdl.memory.load.narrow import ByteEntries
from hdl.memory.words import DecodedWord, EntryKind, LoadTarget
from hdl.timing import LOADS

WriteNote = data.StructLayout({"word": WORD_ADDR, "rlc": 1, "kind": EntryKind})


class WordWriter(wiring.Component):
    """Writes the words of each command to consecutive places, two for one of an 8-bit strip.

    Members: `targets`, of each command where its words go, before they come, LOADS of them noted;
    `words` and `coded`, which it takes from the one or the other; `write`, the port of the global
    buffer, always from an even word on: an odd one lies in lanes 4-7; `done`, with a command's last
    word; `stop`: no more words are taken; `idle`: none is inside.

    Latency one cycle, throughput a word a cycle; `ready` waits for `write.ready` in the same cycle.
    """

    targets: In(stream.Signature(LoadTarget))
    words: In(stream.Signature(DecodedWord))
    coded: In(stream.Signature(DecodedWord))
    write: Out(stream.Signature(GlbWrite))
    done: Out(1)
    stop: In(1)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()

        # Of each command under way: where it goes.
        m.submodules.notes = notes = BufferedFifo(WriteNote, LOADS)
        oldest = notes.output
        begin, coded, narrow = oldest.p.word, oldest.p.rlc, oldest.p.kind.narrow
        m.d.comb += [
            notes.input.valid.eq(self.targets.valid),
            notes.input.p.word.eq(self.targets.p.word),
            notes.input.p.rlc.eq(self.targets.p.rlc),
            notes.input.p.kind.eq(self.targets.p.kind),
            self.targets.ready.eq(notes.input.ready),
        ]

        # What a word of an 8-bit strip becomes.
        m.submodules.bytes = bytes_ = ByteEntries()
        m.d.comb += [bytes_.word.eq(self.words.p.data), bytes_.kind.eq(oldest.p.kind)]

        # A word and its place.
        valid, last = Signal(), Signal()
        entries, mask, pair = Signal(128), Signal(2), Signal(WORD_ADDR - 1)
        following, first = Signal(WORD_ADDR), Signal(init=1)
        free, put, word = Signal(), Signal(), Signal(DecodedWord)
        m.d.comb += [
            free.eq((~valid | self.write.ready) & ~self.stop),
            self.words.ready.eq(free & ~coded),
            self.coded.ready.eq(free & coded & oldest.valid),
            word.eq(Mux(coded, self.coded.payload, self.words.payload)),
            put.eq((self.words.valid & self.words.ready) | (self.coded.valid & self.coded.ready)),
            oldest.ready.eq(put & word.last),
        ]
        place = Mux(first, begin, following)
        with m.If(self.write.ready):
            m.d.sync += valid.eq(0)
        with m.If(put):
            m.d.sync += [
                valid.eq(1),
                last.eq(word.last),
                entries.eq(Mux(narrow, bytes_.entries, word.data.replicate(2))),
                mask.eq(Cat(narrow | ~place[0], narrow | place[0])),
                pair.eq(place[1:]),
                following.eq(place + 1 + narrow),
                first.eq(word.last),
            ]

        m.d.comb += [
            self.write.valid.eq(valid),
            self.write.p.word.eq(pair << 1),
            self.write.p.data.eq(entries),
            self.write.p.mask.eq(Cat(half.replicate(LANES) for half in mask)),
            self.done.eq(valid & self.write.ready & last),
            self.idle.eq(~valid),
        ]
        return m
