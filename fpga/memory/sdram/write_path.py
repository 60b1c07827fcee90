"""Words on their way to the part."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.memory.sdram.words import BURST, Place
from hdl.lib.axi import DECERR, OKAY, WriteData
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import into


class WritePath(wiring.Component):
    """Sends the word in front in four pieces and answers its burst.

    Members: `data`, in stream of WriteData; `response`, out stream of AXI's, one a burst; `there`,
    a word is; `free`, no answer waits; `sends`, the word goes, given a WRITE in this cycle;
    `place`, of it; `initial`, the part is not ready, and masked. Pins: `dq_o`, `dq_oe`, `dqm`,
    registers, the first piece a cycle after `sends`. A word beyond the memory is masked, and its
    burst answered with DECERR. A word leaves `data` three cycles after `sends`, one every four
    cycles.
    """

    data: In(stream.Signature(WriteData))
    response: Out(stream.Signature(unsigned(2)))
    there: Out(1)
    free: Out(1)
    sends: In(1)
    place: In(Place)
    initial: In(1)
    dq_o: Out(16)
    dq_oe: Out(1)
    dqm: Out(2, init=3)

    def elaborate(self, platform):
        m = Module()
        piece = Signal(range(BURST))  # which is next; the first, any goes
        moving, writes = Signal(), Signal(2)
        word = self.data.p
        m.d.comb += [
            self.there.eq(self.data.valid),
            moving.eq(self.sends | (piece != 0)),
            writes.eq(word.strobe.word_select(piece, 2) & ~self.place.bad.replicate(2)),
        ]
        with m.If(moving):
            m.d.sync += piece.eq(piece + 1)

        # A part that reads must not be masked.
        m.d.sync += [
            self.dq_oe.eq(moving),
            self.dq_o.eq(word.data.word_select(piece, 16)),
            self.dqm.eq((~writes & moving.replicate(2)) | self.initial.replicate(2)),
            self.data.ready.eq(piece == BURST - 2),
        ]

        answer = into(m, "answer", ForwardSlice(unsigned(2)), wiring.flipped(self.response))
        m.d.comb += [
            self.free.eq(~self.response.valid),
            answer.valid.eq(self.sends & self.place.last),
            answer.payload.eq(Mux(self.place.bad, DECERR, OKAY)),
        ]
        return m
