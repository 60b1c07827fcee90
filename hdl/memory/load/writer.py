"""The words of LOADs to the global buffer."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import GlbWrite
from hdl.config import LANES, WORD_BITS
from hdl.isa import WORD_ADDR
from hdl.lib.stream.buffered_fifo import BufferedFifo
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.memory.load.narrow import ByteEntries
from hdl.memory.words import DecodedWord, EntryKind, LoadTarget
from hdl.timing import LOADS

WriteNote = data.StructLayout({"word": WORD_ADDR, "rlc": 1, "kind": EntryKind})
Put = data.StructLayout({"pair": WORD_ADDR - 1, "entries": 2 * WORD_BITS, "mask": 2, "last": 1})


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
        m.submodules.puts = puts = ForwardSlice(Put)
        put, word = puts.input, Signal(DecodedWord)
        following, first = Signal(WORD_ADDR), Signal(init=1)
        place = Mux(first, begin, following)
        m.d.comb += [
            word.eq(Mux(coded, self.coded.payload, self.words.payload)),
            put.valid.eq(
                Mux(coded, self.coded.valid & oldest.valid, self.words.valid) & ~self.stop
            ),
            put.p.last.eq(word.last),
            put.p.entries.eq(Mux(narrow, bytes_.entries, word.data.replicate(2))),
            put.p.mask.eq(Cat(narrow | ~place[0], narrow | place[0])),
            put.p.pair.eq(place[1:]),
            self.words.ready.eq(put.ready & ~self.stop & ~coded),
            self.coded.ready.eq(put.ready & ~self.stop & coded & oldest.valid),
            oldest.ready.eq(put.valid & put.ready & word.last),
        ]
        with m.If(put.valid & put.ready):
            m.d.sync += [following.eq(place + 1 + narrow), first.eq(word.last)]

        out = puts.output
        m.d.comb += [
            self.write.valid.eq(out.valid),
            self.write.p.word.eq(out.p.pair << 1),
            self.write.p.data.eq(out.p.entries),
            self.write.p.mask.eq(Cat(half.replicate(LANES) for half in out.p.mask)),
            out.ready.eq(self.write.ready),
            self.done.eq(out.valid & out.ready & out.p.last),
            self.idle.eq(~out.valid),
        ]
        return m
