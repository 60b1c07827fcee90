"""Words of entries that are read ahead of the decoder."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.sparse.words import WORD_ENTRIES, raw_word_layout, word_layout

DEPTH = 16  # words, at most
ENOUGH = 8  # words from which on there is no `room`: those under way find a place


def many(bits: Value) -> Value:
    """More than one of eight bits is set."""

    def two(half):
        return (half[0] & half[1]) | (half[2] & half[3]) | (half[:2].any() & half[2:].any())

    low, high = bits[:4], bits[4:]
    return two(low) | two(high) | (low.any() & high.any())


class WordQueue(wiring.Component):
    """Members: `input`, stream of raw_word_layout that never waits; `output`, stream of
    word_layout, which tells real entries from paddings; `room`, a register: whoever asks for a word
    does so only with it, and has no more than DEPTH - ENOUGH under way.

    A word a cycle; latency one cycle.
    """

    def __init__(self):
        super().__init__(
            {
                "input": In(stream.Signature(raw_word_layout(), always_ready=True)),
                "output": Out(stream.Signature(word_layout())),
                "room": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        raw, word = self.input.p, Signal(word_layout())

        # An entry of index 0 is a padding.
        for n in range(WORD_ENTRIES):
            used = raw.data.word_select(n, 8)[:4].any()
            m.d.comb += [
                word.real[n].eq(raw.inside[n] & used),
                word.padding[n].eq(raw.inside[n] & ~used),
            ]
        m.d.comb += [
            word.many.eq(many(word.real)),
            word.data.eq(raw.data),
            word.first.eq(raw.first),
            word.mark.eq(raw.mark),
            word.value.eq(raw.value),
        ]

        # Until the decoder takes it.
        m.submodules.words = words = StreamFifo(word_layout(), DEPTH)
        m.d.comb += [
            words.input.valid.eq(self.input.valid),
            words.input.payload.eq(word),
        ]
        wiring.connect(m, words.output, wiring.flipped(self.output))
        m.d.sync += self.room.eq(words.level < ENOUGH)
        return m
