"""Writes coded strips into their slots, and their lengths into the table."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import Range
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import into
from hdl.memory.store.rlc.bursts import CodedBursts
from hdl.memory.store.rlc.lengths import LengthWord
from hdl.memory.store.rlc.queue import SlotQueue
from hdl.memory.words import EncodedWord, PackedWord, Slot


class SlotWriter(wiring.Component):
    """Makes bursts of coded words as they come, and of the lengths of finished strips.

    Members: `slots`, the strips in order; `words`, what the encoder makes of them; `out`, words to
    be written; `check`, the bytes of a burst of them, after its last word, marked last after
    the last of a command; `idle`. `out` must have room for CODED_BURST words without their burst.

    Lengths next to each other in a 64-bit word are written at once. Throughput a word in per cycle
    but for the cycles in which lengths go out: one, or two where the next strip's is not beside.
    """

    slots: In(stream.Signature(Slot))
    words: In(stream.Signature(EncodedWord))
    out: Out(stream.Signature(PackedWord))
    check: Out(stream.Signature(Range))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = SlotQueue()
        m.submodules.bursts = bursts = CodedBursts()
        m.submodules.lengths = lengths = LengthWord()
        wiring.connect(m, wiring.flipped(self.slots), queue.slots)
        word, out, known = self.words, self.out, queue.known
        check = into(m, "ranges", ForwardSlice(Range), wiring.flipped(self.check))

        # Lengths go out before a strip whose length does not go beside them, and that is found at
        # its first word, before its first burst. A burst's last word goes with its range.
        take, noted, apart, may = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            apart.eq(bursts.fresh & lengths.some & ~known.p.beside),
            may.eq(known.valid & ~apart),
            known.ready.eq(take & word.p.last),
            self.idle.eq(~known.valid & ~self.check.valid & ~lengths.some),
        ]
        m.d.comb += [
            bursts.address.eq(known.p.slot.address),
            bursts.take.eq(take),
            bursts.last.eq(word.p.last),
            bursts.empty.eq(word.p.empty),
            lengths.slot.eq(known.p.slot),
            lengths.length.eq(bursts.length),
            lengths.add.eq(known.ready),
            lengths.clear.eq(noted),
        ]

        with m.FSM():
            with m.State("Words"):
                place = ~bursts.closes | check.ready  # for the range
                m.d.comb += [
                    out.valid.eq(word.valid & ~word.p.empty & may & place),
                    out.p.data.eq(word.p.data),
                    out.p.strobe.eq(0xFF),
                    word.ready.eq(may & (word.p.empty | (out.ready & place))),
                    take.eq(word.valid & word.ready),
                    check.valid.eq(take & bursts.closes & ~word.p.empty),
                    check.payload.eq(bursts.range),
                ]
                with m.If(take & word.p.last & lengths.full | word.valid & known.valid & apart):
                    m.next = "Lengths"
            with m.State("Lengths"):
                m.d.comb += [
                    out.valid.eq(check.ready),
                    out.p.eq(lengths.word),
                    noted.eq(check.ready & out.ready),
                    check.valid.eq(out.ready),
                    check.payload.eq(lengths.range),
                ]
                with m.If(noted):
                    m.next = "Words"
        return m
