"""The LOAD engine: DRAM to global buffer."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import GlbWrite
from hdl.isa import WORD_ADDR, Error, LoadBody
from hdl.lib.axi import ADDRESS, BurstSplitter, ReadMaster, Request, Window
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through
from hdl.memory.load.decoder import RlcDecoder
from hdl.memory.load.lengths import LengthReader
from hdl.memory.words import LENGTH, CodedStrip, CodedWord
from hdl.timing import LOADS, READ_BURSTS


class Target(data.Struct):
    """Where a command's words go, and whether they come from the decoder."""

    word: WORD_ADDR
    rlc: 1


class Expected(data.Struct):
    """What a burst under way brings."""

    last: 1  # the last of a command that is not coded
    coded: 1  # words for the decoder
    table: 1  # lengths of strips


class Found(data.Struct):
    """A strip of the walk."""

    address: ADDRESS
    words: WORD_ADDR
    rlc: 1
    last: 1  # of its command
    sound: 1  # its length fits the slot
    bad: 1  # it came with an error


class Written(data.Struct):
    """A word on its way to the global buffer."""

    word: WORD_ADDR
    data: 64
    last: 1  # of a command


class Load(wiring.Component):
    """Walks LOAD commands, reads their strips in bursts, writes them to the global buffer.

    Members: `command`, stream of LoadBody; `done`; `error` (held until reset); `base` and
    `limit`, the read window; `read`, an AXI read master; `write`, the port of the global
    buffer (a 64-bit beat in lanes 0-3 of each; the others repeat it).

    A strip is checked as a whole before its first burst. The strips of a command follow the
    bursts of the command before without waiting for its data. Throughput one beat a cycle, and
    one strip a cycle or its bursts, with a cycle between two commands; first address six cycles
    after the command.

    Run-length coded strips go through a decoder, which takes a beat per cycle and gives a word of
    four entries per cycle. Their lengths are read ahead, those of the next command too, with bursts
    of their own between those of strips. After an error nothing more is asked for, and what is
    under way is taken and dropped. address: bits of an address in memory; rlc: strips can be coded.
    """

    command: In(stream.Signature(LoadBody))
    done: Out(1)
    error: Out(Error)
    base: In(ADDRESS)
    limit: In(ADDRESS)
    read: Out(ReadMaster)
    write: Out(stream.Signature(GlbWrite))

    def __init__(self, *, address: int = ADDRESS, rlc: bool = True):
        self.address, self.rlc = address, rlc
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.window = window = Window()
        m.submodules.splitter = splitter = BurstSplitter(self.address)
        # buffered: its head is in a register
        m.submodules.bursts = bursts = SyncFIFOBuffered(width=3, depth=READ_BURSTS)
        # Of each command under way: where it goes.
        m.submodules.words = words = SyncFIFOBuffered(width=WORD_ADDR + 1, depth=LOADS)

        written = stream.Signature(Written).create(path=("written",))
        requests = through(m, "requests", skid := SkidBuffer(Request), window.request)
        wiring.connect(m, requests, splitter.request)
        if self.rlc:
            m.submodules.lengths = lengths = LengthReader(self.address)
            m.submodules.decoder = decoder = RlcDecoder()
            # Of each coded command under way: the words of its strips.
            m.submodules.sizes = sizes = SyncFIFO(width=WORD_ADDR, depth=LOADS)
            # Of each coded strip under way: its length, and whether it is its command's last.
            m.submodules.coded = coded = SyncFIFO(width=LENGTH + 1, depth=READ_BURSTS)
            words_in = stream.Signature(CodedWord).create(path=("coded_in",))
            coded_skid = SkidBuffer(CodedWord)
            wiring.connect(m, through(m, "coded_words", coded_skid, words_in), decoder.coded)
            strips_in = stream.Signature(CodedStrip).create(path=("strips_in",))
            strips = through(m, "strips", SkidBuffer(CodedStrip), strips_in)
            wiring.connect(m, strips, decoder.strips)

        # ---- commands -------------------------------------------------------------------
        ahead = Signal(LoadBody)  # its lengths are being read
        waiting = Signal()
        start = Signal()
        accept = Signal()
        m.d.comb += [
            self.command.ready.eq(
                ~waiting & ((~self.command.p.rlc | lengths.command.ready) if self.rlc else 1)
            ),
            accept.eq(self.command.valid & self.command.ready),
        ]
        if self.rlc:
            m.d.comb += [
                lengths.command.valid.eq(accept & self.command.p.rlc),
                lengths.command.payload.eq(self.command.payload),
            ]
        with m.If(start):
            m.d.sync += waiting.eq(0)
        with m.If(accept):
            m.d.sync += [waiting.eq(1), ahead.eq(self.command.payload)]

        # ---- walk -----------------------------------------------------------------------
        body = Signal(LoadBody)
        walking = Signal()
        at_a, at_b, at_c = (Signal(self.address, name=n) for n in ("at_a", "at_b", "at_c"))
        left_a, left_b, left_c = Signal(16), Signal(16), Signal(16)  # laps after this one
        # The place of the row's first length in its word, and of this strip's.
        row_a, row_b, lane = Signal(2), Signal(2), Signal(2)
        length = Signal(LENGTH)
        here = Signal(Found)  # the strip of this lap
        there = Signal()  # it is known, its length too
        # What is to be checked: a stage after, where the length has been compared with its slot.
        strip, offered = Signal(Found, reset_less=True), Signal()
        check = window.check
        final = Signal()
        step, leaves = Signal(), Signal()
        with m.If(~offered | leaves):
            m.d.sync += [strip.eq(here), offered.eq(there)]
        m.d.comb += [
            step.eq(there & (~offered | leaves)),
            final.eq((left_a == 0) & (left_b == 0) & (left_c == 0)),
            here.address.eq(at_c),
            here.last.eq(final),
            leaves.eq(check.valid & check.ready),
            check.p.begin.eq(strip.address),
            check.p.request.words.eq(strip.words),
            check.p.bytes.eq(strip.words << 3),
            check.p.request.address.eq(strip.address),
            # Lengths steer the walk; it is the tag alone that sends words through the decoder.
            check.p.request.last.eq(strip.last),
            check.p.request.tag.eq(strip.rlc),
            start.eq(waiting & ~walking & words.w_rdy),
            words.w_en.eq(start),
            words.w_data.eq(Cat(ahead.word, ahead.rlc if self.rlc else 0)),
        ]
        if self.rlc:
            m.d.comb += [
                length.eq(lengths.words.p.data.word_select(lane, LENGTH)),
                there.eq(walking & (~body.rlc | lengths.words.valid)),
                here.rlc.eq(body.rlc),
                here.bad.eq(lengths.words.p.bad),
                here.words.eq(Mux(body.rlc, length, body.length)),
                here.sound.eq(~here.bad & (length <= body.slot)),
                check.valid.eq(offered & (~strip.rlc | (strip.sound & coded.w_rdy))),
                coded.w_en.eq(leaves & strip.rlc),
                coded.w_data.eq(Cat(strip.words[:LENGTH], strip.last)),
                lengths.words.ready.eq(step & body.rlc & ((lane == 3) | (left_c == 0))),
                # Never full before `words` is.
                sizes.w_en.eq(start & ahead.rlc),
                sizes.w_data.eq(ahead.length),
            ]
        else:
            m.d.comb += [there.eq(walking), here.words.eq(body.length), check.valid.eq(offered)]
        with m.If(step):
            m.d.sync += walking.eq(~final)
            with m.If(left_c != 0):
                m.d.sync += [
                    left_c.eq(left_c - 1),
                    at_c.eq(at_c + body.stride_c),
                    lane.eq(lane + 1),
                ]
            with m.Else():
                m.d.sync += left_c.eq(body.count_c - 1)
                with m.If(left_b != 0):
                    m.d.sync += [
                        left_b.eq(left_b - 1),
                        at_b.eq(at_b + body.stride_b),
                        at_c.eq(at_b + body.stride_b),
                    ]
                    m.d.sync += [r.eq(row_b + body.table_b[1:3]) for r in (row_b, lane)]
                with m.Else():
                    m.d.sync += [left_b.eq(body.count_b - 1), left_a.eq(left_a - 1)]
                    m.d.sync += [r.eq(at_a + body.stride_a) for r in (at_a, at_b, at_c)]
                    m.d.sync += [r.eq(row_a + body.stride_a[1:3]) for r in (row_a, row_b, lane)]
        with m.If(start):
            m.d.sync += [
                walking.eq(1),
                body.eq(ahead),
                left_a.eq(ahead.count_a - 1),
                left_b.eq(ahead.count_b - 1),
                left_c.eq(ahead.count_c - 1),
            ]
            m.d.sync += [r.eq(ahead.dram) for r in (at_a, at_b, at_c)]
            m.d.sync += [r.eq(ahead.table[1:3]) for r in (row_a, row_b, lane)]

        # ---- addresses ------------------------------------------------------------------
        stopped = Signal()
        m.d.comb += stopped.eq(self.error != Error.NONE)
        address = self.read.address
        for port in (window, lengths) if self.rlc else (window,):
            m.d.comb += [port.base.eq(self.base), port.limit.eq(self.limit)]
        asks = lengths.request.valid if self.rlc else 0  # a burst of lengths goes first
        issue = Signal()
        expect = Signal(Expected)
        m.d.comb += [
            issue.eq(
                (asks | splitter.burst.valid)
                & bursts.w_rdy
                & ~stopped
                & (~address.valid | address.ready)
            ),
            splitter.burst.ready.eq(issue & (~asks if self.rlc else 1)),
            bursts.w_en.eq(issue),
            bursts.w_data.eq(Value.cast(expect)),
            expect.last.eq(splitter.burst.p.last),
        ]
        with m.If(address.ready):
            m.d.sync += address.valid.eq(0)
        with m.If(issue):
            m.d.sync += [address.valid.eq(1), address.payload.eq(splitter.burst.payload)]
        if self.rlc:
            table = lengths.request
            m.d.comb += [
                table.ready.eq(issue),
                expect.table.eq(asks),
                expect.coded.eq(~asks & splitter.burst.p.tag),
            ]
            with m.If(issue & asks):
                m.d.sync += [
                    address.p.address.eq(table.p.address),
                    address.p.length.eq(table.p.words - 1),
                ]

        # ---- data -----------------------------------------------------------------------
        beat = self.read.data
        head = Signal(Target)  # of the oldest command
        kind = Signal(Expected)
        mine = Signal()  # the beat is a word of the oldest command
        free = Signal()
        take, copy, put = Signal(), Signal(), Signal()
        word = Signal(WORD_ADDR)  # of the next word
        first = Signal(init=1)  # the next word is a command's first
        place = Signal(WORD_ADDR)
        ends = Signal()
        entries = Signal(64)  # what is written
        m.d.comb += [
            Value.cast(head).eq(words.r_data),
            Value.cast(kind).eq(bursts.r_data),
            free.eq((~written.valid | written.ready) & ~stopped),
            mine.eq((~kind.table & ~kind.coded & ~head.rlc) if self.rlc else 1),
            beat.ready.eq(
                bursts.r_rdy
                & (
                    stopped
                    | (mine & free)
                    | ((kind.table | (kind.coded & words_in.ready)) if self.rlc else 0)
                )
            ),
            take.eq(beat.valid & beat.ready),
            bursts.r_en.eq(take & beat.p.last),
            copy.eq(take & mine & ~stopped),
            place.eq(word),
            words.r_en.eq(put & ends),
        ]
        if self.rlc:
            m.d.comb += [
                lengths.beats.valid.eq(take & kind.table),
                lengths.beats.p.data.eq(beat.p.data),
                lengths.beats.p.bad.eq(beat.p.resp[1]),
                strips_in.valid.eq(coded.r_rdy),
                Cat(strips_in.p.coded, strips_in.p.last).eq(coded.r_data),
                strips_in.p.words.eq(sizes.r_data),
                coded.r_en.eq(strips_in.ready),
                sizes.r_en.eq(coded.r_rdy & strips_in.ready & strips_in.p.last),
                words_in.valid.eq(beat.valid & bursts.r_rdy & kind.coded),
                words_in.p.data.eq(beat.p.data),
                words_in.p.bad.eq(beat.p.resp[1]),
                decoder.out.ready.eq(free & head.rlc & words.r_rdy),
                put.eq(copy | (decoder.out.valid & decoder.out.ready)),
                ends.eq(Mux(head.rlc, decoder.out.p.last, beat.p.last & kind.last)),
                entries.eq(Mux(head.rlc, decoder.out.p.data, beat.p.data)),
            ]
        else:
            m.d.comb += [put.eq(copy), ends.eq(beat.p.last & kind.last), entries.eq(beat.p.data)]
        with m.If(first):
            m.d.comb += place.eq(head.word)
        with m.If(written.ready):
            m.d.sync += written.valid.eq(0)
        with m.If(put):
            m.d.sync += [
                written.valid.eq(1),
                written.p.word.eq(place),
                written.p.data.eq(entries),
                written.p.last.eq(ends),
                word.eq(place + 1),
                first.eq(ends),
            ]
        m.d.comb += [
            self.write.valid.eq(written.valid),
            written.ready.eq(self.write.ready),
            self.write.p.word.eq(written.p.word),
            self.write.p.data.eq(written.p.data.replicate(2)),
            self.write.p.mask.eq(0x0F),
            self.done.eq(written.valid & written.ready & written.p.last),
        ]

        # ---- errors ---------------------------------------------------------------------
        # An error found ahead belongs to the oldest command only once all before it has landed.
        drained = Signal()
        landed = Signal()
        m.d.comb += [
            landed.eq(~written.valid & (~decoder.out.valid if self.rlc else 1)),
            drained.eq(
                window.idle
                & ~skid.full
                & splitter.idle
                & (bursts.level == 0)
                & landed
                & ((~coded_skid.full & decoder.idle) if self.rlc else 1)
            ),
        ]
        with m.If(~stopped):  # of two at once the older: the last of these that holds wins
            if self.rlc:
                # the walk waits for a length that will not come, and for no strip before it
                lost = Signal()
                m.d.comb += lost.eq(walking & body.rlc & drained & ~offered)
                with m.If(drained & offered & strip.rlc & ~strip.sound):
                    m.d.sync += self.error.eq(Mux(strip.bad, Error.READ_RESPONSE, Error.RLC_STREAM))
                with m.If(lost & lengths.outside):
                    m.d.sync += self.error.eq(Error.READ_WINDOW)
            with m.If(window.outside & drained):
                m.d.sync += self.error.eq(Error.READ_WINDOW)
            if self.rlc:
                with m.If((decoder.error != Error.NONE) & landed):
                    m.d.sync += self.error.eq(decoder.error)
            with m.If(copy & beat.p.resp[1]):
                m.d.sync += self.error.eq(Error.READ_RESPONSE)
        return m
