"""Strips with their lengths from a table."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from hdl.isa import Error
from hdl.lib.axi import ADDRESS
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.memory.load.lengths import LengthReader
from hdl.memory.words import LENGTH, FoundStrip, StripFinder
from hdl.timing import READ_BURSTS


class CodedStrips(wiring.Component):
    """The StripFinder of strips that may be coded. A coded strip waits for its length, which the
    LengthReader reads ahead, those of the next command too.

    `error` is RLC_STREAM for a length above the slot, READ_RESPONSE for one that came with an
    error, READ_WINDOW for one that lies outside the window; nothing is found from there on.
    address: bits of an address in memory.

    Latency one cycle, throughput a strip a cycle; `strips.ready` waits for `found.ready` in the
    same cycle.
    """

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__(StripFinder)

    def elaborate(self, platform):
        m = Module()
        m.submodules.lengths = lengths = LengthReader(self.address)
        wiring.connect(m, wiring.flipped(self.command), lengths.command)
        wiring.connect(m, lengths.request, wiring.flipped(self.request))
        m.d.comb += [
            lengths.base.eq(self.base),
            lengths.limit.eq(self.limit),
            lengths.beats.valid.eq(self.table.valid),
            lengths.beats.payload.eq(self.table.payload),
        ]

        # The strip that is walked, with its length.
        walked, table = self.strips.p, lengths.words
        length, there, step = Signal(LENGTH), Signal(), Signal()
        strip, offered = Signal(FoundStrip, reset_less=True), Signal()
        sound, bad = Signal(reset_less=True), Signal(reset_less=True)
        leaves = self.found.valid & self.found.ready
        m.d.comb += [
            length.eq(table.p.data.word_select(walked.lane, LENGTH)),
            there.eq(self.strips.valid & (~walked.rlc | table.valid)),
            step.eq(there & (~offered | leaves)),
            self.strips.ready.eq(step),
            table.ready.eq(step & walked.rlc & ((walked.lane == 3) | walked.row_last)),
        ]
        with m.If(~offered | leaves):
            m.d.sync += [
                offered.eq(there),
                strip.address.eq(walked.address),
                strip.words.eq(Mux(walked.rlc, length, walked.length)),
                strip.last.eq(walked.last),
                strip.rlc.eq(walked.rlc),
                sound.eq(~table.p.bad & (length <= walked.slot)),
                bad.eq(table.p.bad),
            ]

        # A coded one tells the decoder its length.
        m.submodules.coded = coded = StreamFifo(self.coded.payload.shape(), READ_BURSTS)
        m.d.comb += [
            self.found.valid.eq(offered & (~strip.rlc | (sound & coded.input.ready))),
            self.found.payload.eq(strip),
            coded.input.valid.eq(leaves & strip.rlc),
            coded.input.p.words.eq(strip.words),
            coded.input.p.last.eq(strip.last),
        ]
        wiring.connect(m, coded.output, wiring.flipped(self.coded))

        # The walk may wait for a length that will not come, and for no strip before it.
        with m.If(offered & strip.rlc & ~sound):
            m.d.comb += self.error.eq(Mux(bad, Error.READ_RESPONSE, Error.RLC_STREAM))
        with m.Elif(self.strips.valid & walked.rlc & ~offered & lengths.outside):
            m.d.comb += self.error.eq(Error.READ_WINDOW)
        return m
