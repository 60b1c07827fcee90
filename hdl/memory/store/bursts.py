"""The bursts of STORE on the bus."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ADDRESS, Burst, BurstSplitter, Range, Window, WriteData, WriteMaster
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.lib.stream.through import into, through
from hdl.memory.words import PackedWord
from hdl.timing import STORE_WORDS, WRITE_BURSTS


class BurstWriter(wiring.Component):
    """Writes ranges of memory: each is checked as a whole, then split into bursts. AW goes out at
    once, W after its AW.

    Members: `ranges`; `words`, what they hold, STORE_WORDS of which may wait; `write`, an AXI write
    master; `base` and `limit`, the write window; `outside`: the next range lies outside it;
    `answered`, a pulse: the answer to the last burst of a range marked last; `failed`: an answer is
    an error; `halt`: no AW but those in the slice, and the data of those issued goes out with no
    strobes; `outstanding`: an AW or its answer is pending; `idle`: nothing is, and no range waits,
    but for those from the one outside on. address: bits of an address in memory.

    Latency four cycles from a range to its AW; throughput a burst and a word a cycle. WRITE_BURSTS
    bursts wait for their answer at most.
    """

    ranges: In(stream.Signature(Range))
    words: In(stream.Signature(PackedWord))
    write: Out(WriteMaster)
    base: In(ADDRESS)
    limit: In(ADDRESS)
    outside: Out(1)
    answered: Out(1)
    failed: Out(1)
    halt: In(1)
    outstanding: Out(1)
    idle: Out(1)

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.window = window = Window()
        m.submodules.splitter = splitter = BurstSplitter(self.address)
        m.submodules.beats = beats = BeatWriter()
        wiring.connect(m, wiring.flipped(self.ranges), window.check)
        wiring.connect(m, window.request, splitter.request)
        wiring.connect(m, wiring.flipped(self.words), beats.words)
        wiring.connect(m, beats.data, wiring.flipped(self.write.data))

        # Addresses. Each that has been asked for fills a place of both queues, of which that of
        # answers is the slower; two may be in the slice, and one more go there while this is found.
        m.submodules.answers = answers = StreamFifo(1, WRITE_BURSTS)
        address, burst = self.write.address, splitter.burst
        asked = into(m, "asked", RegisterSlice(Burst), wiring.flipped(address))
        places, may, issued = Signal(), Signal(), Signal()
        m.d.sync += places.eq(answers.level < WRITE_BURSTS - 2)
        m.d.comb += [
            may.eq(places & ~self.halt),
            asked.valid.eq(burst.valid & may),
            asked.payload.eq(burst.payload),
            burst.ready.eq(asked.ready & may),
            issued.eq(address.valid & address.ready),
            beats.bursts.valid.eq(issued),
            beats.bursts.payload.eq(address.p.length),
            answers.input.valid.eq(issued),
            answers.input.payload.eq(address.p.last),
        ]

        # Answers.
        answer = self.write.response
        m.d.comb += [
            answer.ready.eq(1),
            answers.output.ready.eq(answer.valid),
            self.answered.eq(answer.valid & answers.output.payload[0]),
            self.failed.eq(answer.valid & answer.payload[1]),
            self.outstanding.eq(address.valid | answers.output.valid),
            self.idle.eq(window.idle & splitter.idle & ~self.outstanding),
        ]

        m.d.comb += [
            beats.halt.eq(self.halt),
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            self.outside.eq(window.outside),
        ]
        return m


class BeatWriter(wiring.Component):
    """The words of bursts whose AW has gone out.

    Members: `bursts`, their lengths less one, always taken: at most WRITE_BURSTS wait; `words`,
    STORE_WORDS of which may wait; `data`, the W channel; `halt`: beats go out with no strobes, but
    those in the slice, and wait for no words.

    Latency two cycles, throughput a beat a cycle.
    """

    bursts: In(stream.Signature(8, always_ready=True))
    words: In(stream.Signature(PackedWord))
    data: Out(WriteMaster.members["data"].signature)
    halt: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = StreamFifo(PackedWord, STORE_WORDS)
        wiring.connect(m, wiring.flipped(self.words), fifo.input)

        # Lengths; the slice keeps the path from the words out of the queue.
        m.submodules.lengths = lengths = StreamFifo(8, WRITE_BURSTS)
        burst = through(m, "burst", RegisterSlice(8), lengths.output)
        m.d.comb += [
            lengths.input.valid.eq(self.bursts.valid),
            lengths.input.payload.eq(self.bursts.payload),
        ]

        # The end of the burst under way is known ahead. Beats leave through a slice.
        beat = into(m, "beat", RegisterSlice(WriteData), wiring.flipped(self.data))
        word, move = fifo.output.p, Signal()
        under_way, left, last = Signal(), Signal(8), Signal()
        m.d.comb += [
            beat.valid.eq(under_way & (fifo.output.valid | self.halt)),
            move.eq(beat.valid & beat.ready),
            fifo.output.ready.eq(move),
            burst.ready.eq(~under_way | (move & last)),
            beat.p.data.eq(word.data),
            beat.p.last.eq(last),
            beat.p.strobe.eq(Mux(self.halt, 0, word.strobe)),
        ]
        with m.If(burst.ready):
            m.d.sync += [under_way.eq(burst.valid), left.eq(burst.payload)]
            m.d.sync += last.eq(burst.payload == 0)
        with m.Elif(move):
            m.d.sync += [left.eq(left - 1), last.eq(left == 1)]
        return m
