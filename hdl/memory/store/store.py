"""The STORE engine: tile in the global buffer -> pool, add, reorder, encode -> DRAM."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.isa import ENTRY_ADDR, WORD_ADDR, Error, ShapeBody, StoreBody, StoreCommand
from hdl.lib.axi import ADDRESS, BurstSplitter, Range, Window, WriteMaster
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through
from hdl.memory.store.encoder import RlcEncoder
from hdl.memory.store.packer import Packer
from hdl.memory.store.pooler import Pooler
from hdl.memory.store.slots import SlotWriter
from hdl.memory.store.strips import StripWalker
from hdl.memory.store.taps import TapReader
from hdl.memory.words import EncodedWord, PackedWord
from hdl.timing import STORE_WORDS, WRITE_BURSTS

COMMANDS = 8  # commands under way


class Store(wiring.Component):
    """Executes STORE and SHAPE.

    Members: `command`, stream of StoreCommand; `done`; `error` (held until reset); `base`
    and `limit`, the write window; `request` and `response`, a read port of the global
    buffer; `write`, an AXI write master; `halt`: no new AW, and the data of those issued
    goes out with no strobes; `outstanding`: an AW or its response is pending.

    A strip is checked as a whole (its bytes) before its first burst. AW goes out at once, W behind
    its AW. Of a run-length coded strip every burst is checked, and its AW goes out when its words
    are there: nothing is written past the last. The next command starts when the arithmetic of the
    one before has drained; its last words and responses may still be under way. place: bits of an
    entry's address in the global buffer; address: those of one in memory; lanes: the most entries
    of a chunk; rlc: strips can be coded. Throughput one read of the global buffer a cycle within a
    command, one burst and one beat a cycle.
    """

    command: In(stream.Signature(StoreCommand))
    done: Out(1)
    error: Out(Error)
    base: In(ADDRESS)
    limit: In(ADDRESS)
    request: Out(stream.Signature(WORD_ADDR))
    response: In(stream.Signature(128))
    write: Out(WriteMaster)
    halt: In(1)
    outstanding: Out(1)

    def __init__(
        self,
        place: int = ENTRY_ADDR,
        *,
        address: int = ADDRESS,
        lanes: int = LANES,
        rlc: bool = True,
    ):
        self.place, self.address, self.lanes, self.rlc = place, address, lanes, rlc
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.strips = strips = StripWalker(
            self.place, address=self.address, lanes=self.lanes, rlc=self.rlc
        )
        m.submodules.taps = taps = TapReader(self.place, self.lanes)
        m.submodules.pooler = pooler = Pooler(self.lanes)
        m.submodules.packer = packer = Packer(self.lanes)
        m.submodules.window = window = Window()
        m.submodules.splitter = splitter = BurstSplitter(self.address)
        if self.rlc:
            m.submodules.encoder = encoder = RlcEncoder()
            m.submodules.slots = slots = SlotWriter()
            encoded = SkidBuffer(EncodedWord)
            words_out = through(m, "encoded", encoded, encoder.words)
            ranges = SkidBuffer(Range)
            coded_check = through(m, "ranges", ranges, slots.check)

        pooled, check = pooler.out, window.check
        wiring.connect(m, window.request, splitter.request)

        # ---- commands -------------------------------------------------------------------
        # One bit per command under way, in order: it is a SHAPE.
        m.submodules.order = order = SyncFIFO(width=1, depth=COMMANDS)
        store = Signal(StoreBody, name="store_body")
        shape = Signal(ShapeBody, name="shape_body")
        busy = Signal(2)  # the walk has started but may not show yet
        take = Signal()
        chunk = store.chunk if self.lanes > 1 else 1
        # all arithmetic; may come a cycle late, since `busy` lasts until the walk shows
        idle = Signal()
        m.d.sync += idle.eq(
            strips.idle
            & taps.idle
            & pooler.idle
            & ((encoder.idle & ~encoded.full & slots.idle & ~ranges.full) if self.rlc else 1)
        )
        m.d.comb += [
            self.command.ready.eq((busy == 0) & idle & order.w_rdy),
            take.eq(self.command.valid & self.command.ready),
            order.w_en.eq(take),
            order.w_data.eq(self.command.p.is_shape),
            strips.start.eq(busy == 2),
        ]
        # Two cycles for the parameters to reach the registers that depend on them.
        with m.If(busy != 0):
            m.d.sync += busy.eq(busy - 1)
        with m.If(take):
            with m.If(self.command.p.is_shape):
                m.d.sync += Value.cast(shape).eq(self.command.p.body)
            with m.Else():
                m.d.sync += [Value.cast(store).eq(self.command.p.body), busy.eq(3)]

        m.d.comb += [
            strips.store.eq(store),
            strips.shape.eq(shape),
            taps.store.eq(store),
            taps.shape.eq(shape),
            taps.offsets.eq(strips.offsets),
            pooler.add.eq(store.add),
            pooler.relu.eq(store.relu),
            pooler.pool.eq(store.pool),
            pooler.chunk.eq(chunk),
            packer.count.eq(chunk),
            window.base.eq(self.base),
            window.limit.eq(self.limit),
        ]
        m.d.comb += [
            getattr(pooler, n).eq(shape[n])
            for n in ("shift_a", "shift_b", "shift_out", "fixed", "reciprocal", "shift")
        ]

        # ---- data -----------------------------------------------------------------------
        wiring.connect(m, strips.strips, taps.strips)
        wiring.connect(m, wiring.flipped(self.request), taps.request)
        wiring.connect(m, wiring.flipped(self.response), taps.response)
        wiring.connect(m, taps.taps, pooler.taps)
        m.submodules.words = words = SyncFIFO(width=Shape.cast(PackedWord).width, depth=STORE_WORDS)
        m.d.comb += [packer.entries.payload.eq(pooled.payload), packer.words.ready.eq(words.w_rdy)]
        if self.rlc:
            m.d.comb += [encoder.entries.payload.eq(pooled.payload), encoder.count.eq(chunk)]
            with m.If(store.rlc):
                m.d.comb += [
                    encoder.entries.valid.eq(pooled.valid),
                    pooled.ready.eq(encoder.entries.ready),
                ]
            with m.Else():
                m.d.comb += [
                    packer.entries.valid.eq(pooled.valid),
                    pooled.ready.eq(packer.entries.ready),
                ]
            wiring.connect(m, words_out, slots.words)
            # Packed words that are left come from the command before.
            older = packer.words.valid
            m.d.comb += [
                words.w_data.eq(
                    Mux(older, Value.cast(packer.words.payload), Value.cast(slots.out.payload))
                ),
                words.w_en.eq(older | slots.out.valid),
                slots.out.ready.eq(words.w_rdy & ~older),
            ]
        else:
            m.d.comb += [
                packer.entries.valid.eq(pooled.valid),
                pooled.ready.eq(packer.entries.ready),
                words.w_data.eq(Value.cast(packer.words.payload)),
                words.w_en.eq(packer.words.valid),
            ]

        # ---- write addresses ------------------------------------------------------------
        writes = strips.writes

        def dense():
            return [
                check.valid.eq(writes.valid),
                check.payload.eq(writes.p.range),
                writes.ready.eq(check.ready),
            ]

        if self.rlc:
            m.d.comb += [
                slots.slots.p.address.eq(writes.p.range.begin),
                slots.slots.p.table.eq(writes.p.table),
                slots.slots.p.last.eq(writes.p.range.request.last),
            ]
            with m.If(store.rlc):
                m.d.comb += [
                    check.valid.eq(coded_check.valid),
                    check.payload.eq(coded_check.payload),
                    coded_check.ready.eq(check.ready),
                ]
                m.d.comb += [slots.slots.valid.eq(writes.valid), writes.ready.eq(slots.slots.ready)]
            with m.Else():
                m.d.comb += dense()
        else:
            m.d.comb += dense()
        m.submodules.lengths = lengths = SyncFIFO(width=8, depth=WRITE_BURSTS)  # awaiting W
        m.submodules.answers = answers = SyncFIFO(width=1, depth=WRITE_BURSTS)  # awaiting B
        address = self.write.address
        issue, issued = Signal(), Signal()
        # An address under way fills a place of each; the slower queue is `answers`. Another may go
        # out while this is found.
        places = Signal()
        m.d.sync += places.eq(answers.level < WRITE_BURSTS - 2)
        m.d.comb += [
            issue.eq(splitter.burst.valid & ~self.halt & places & (~address.valid | address.ready)),
            splitter.burst.ready.eq(issue),
            issued.eq(address.valid & address.ready),
            lengths.w_en.eq(issued),
            lengths.w_data.eq(address.p.length),
            answers.w_en.eq(issued),
            answers.w_data.eq(address.p.last),
            self.outstanding.eq(address.valid | answers.r_rdy),
        ]
        with m.If(address.ready):
            m.d.sync += address.valid.eq(0)
        with m.If(issue):
            m.d.sync += [address.valid.eq(1), address.payload.eq(splitter.burst.payload)]

        # ---- write data -----------------------------------------------------------------
        beat = self.write.data
        word = Signal(PackedWord)
        following = stream.Signature(8).create(path=("following",))  # burst's length
        burst = through(m, "burst", RegisterSlice(8), following)
        under_way, left, last = Signal(), Signal(8), Signal()  # of the burst's beats
        move = Signal()
        m.d.comb += [
            following.valid.eq(lengths.r_rdy),
            following.payload.eq(lengths.r_data),
            lengths.r_en.eq(following.ready),
            Value.cast(word).eq(words.r_data),
            move.eq(under_way & (words.r_rdy | self.halt) & (~beat.valid | beat.ready)),
            words.r_en.eq(move),
            burst.ready.eq(~under_way | (move & last)),
        ]
        with m.If(burst.ready):
            m.d.sync += [
                under_way.eq(burst.valid),
                left.eq(burst.payload),
                last.eq(burst.payload == 0),
            ]
        with m.Elif(move):
            m.d.sync += [left.eq(left - 1), last.eq(left == 1)]
        with m.If(beat.ready):
            m.d.sync += beat.valid.eq(0)
        with m.If(move):
            m.d.sync += [
                beat.valid.eq(1),
                beat.p.data.eq(word.data),
                beat.p.last.eq(last),
                beat.p.strobe.eq(Mux(self.halt, 0, word.strobe)),
            ]

        # ---- responses ------------------------------------------------------------------
        answer = self.write.response
        finished = Signal(range(COMMANDS + 1))  # STOREs answered, not yet reported
        more = Signal()
        m.d.comb += [
            answer.ready.eq(1),
            answers.r_en.eq(answer.valid),
            more.eq(answer.valid & answers.r_data[0]),
            self.done.eq(order.r_rdy & (order.r_data[0] | (finished != 0))),
            order.r_en.eq(self.done),
        ]
        m.d.sync += finished.eq(finished + more - (self.done & ~order.r_data[0]))

        # ---- errors ---------------------------------------------------------------------
        # An error of the walk belongs to the oldest command once all before it is answered.
        mine = Signal()
        m.d.comb += mine.eq(
            window.idle
            & splitter.idle
            & ~address.valid
            & ~answers.r_rdy
            & (finished == 0)
            & order.r_rdy
            & ~order.r_data[0]
        )
        with m.If(self.error == Error.NONE):
            with m.If(answer.valid & answer.payload[1]):
                m.d.sync += self.error.eq(Error.WRITE_RESPONSE)
            with m.Elif(window.outside & mine):
                m.d.sync += self.error.eq(Error.WRITE_WINDOW)
            with m.Elif(strips.too_long & mine):
                m.d.sync += self.error.eq(Error.ILLEGAL_COMMAND)
        return m
