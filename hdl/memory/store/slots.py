"""Writes coded strips into their slots, and their lengths into the table."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ADDRESS, Range
from hdl.memory.words import LENGTH, EncodedWord, PackedWord, Slot
from hdl.timing import CODED_BURST, STRIPS_AHEAD


class Known(data.Struct):
    """A slot that waits for its words."""

    slot: Slot
    beside: 1  # its length lies behind that of the strip before


class SlotWriter(wiring.Component):
    """Makes bursts of coded words as they come, and of the lengths of finished strips.

    Members: `slots`, the strips in order; `words`, what the encoder makes of them; `out`, words to
    be written; `check`, the bytes of a burst of them, behind its last word, marked last behind
    the last of a command; `idle`. `out` must have room for CODED_BURST words without their burst.

    Lengths next to each other in a 64-bit word are written at once. Throughput a word in per
    cycle but for the cycles in which lengths go out.
    """

    slots: In(stream.Signature(Slot))
    words: In(stream.Signature(EncodedWord))
    out: Out(stream.Signature(PackedWord))
    check: Out(stream.Signature(Range))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFO(width=Shape.cast(Known).width, depth=STRIPS_AHEAD)
        coming, head = Signal(Known), Signal(Known)
        slot = head.slot
        following = Signal(ADDRESS)  # behind the length of the strip that came last
        m.d.comb += [
            coming.slot.eq(self.slots.payload),
            coming.beside.eq(self.slots.p.table == following),
            fifo.w_data.eq(Value.cast(coming)),
            fifo.w_en.eq(self.slots.valid),
            self.slots.ready.eq(fifo.w_rdy),
            Value.cast(head).eq(fifo.r_data),
        ]
        with m.If(self.slots.valid & self.slots.ready):
            m.d.sync += following.eq(self.slots.p.table + 2)
        word, check = self.words, self.check
        length = Signal(LENGTH)  # words of the strip so far
        begin = Signal(ADDRESS)  # of the burst under way ...
        pending = Signal(range(CODED_BURST + 1))  # ... and its words
        first, at = Signal(ADDRESS), Signal(ADDRESS)
        count = Signal.like(pending)
        closes = Signal()
        free = Signal()
        take = Signal()

        lengths = Signal(64)  # of the table's word under way
        mask = Signal(4)
        table = Signal(ADDRESS)  # behind the last of them
        noted = Signal(range(5))  # lengths in it
        last = Signal()
        apart = Signal()  # the strip's length does not go beside them
        lane = slot.table[1:3]
        m.d.comb += [
            free.eq(~check.valid | check.ready),
            at.eq(slot.address + (length << 3)),
            first.eq(Mux(pending == 0, at, begin)),
            count.eq(pending + 1),
            closes.eq(word.p.last | at[3:6].all()),
            # Found at the strip's first word, before its first burst.
            apart.eq((pending == 0) & (noted != 0) & ~head.beside),
            self.idle.eq(~fifo.r_rdy & ~check.valid & (noted == 0)),
        ]

        def announce(begin, size, address, words, last):
            return [
                check.valid.eq(1),
                check.p.begin.eq(begin),
                check.p.bytes.eq(size),
                check.p.request.address.eq(address),
                check.p.request.words.eq(words),
                check.p.request.last.eq(last),
            ]

        with m.If(check.ready):
            m.d.sync += check.valid.eq(0)
        with m.FSM():
            with m.State("Words"):
                m.d.comb += [
                    self.out.valid.eq(
                        word.valid & ~word.p.empty & fifo.r_rdy & ~apart & (~closes | free)
                    ),
                    self.out.p.data.eq(word.p.data),
                    self.out.p.strobe.eq(0xFF),
                    word.ready.eq(
                        fifo.r_rdy & ~apart & (word.p.empty | (self.out.ready & (~closes | free)))
                    ),
                    take.eq(word.valid & word.ready),
                    fifo.r_en.eq(take & word.p.last),
                ]
                with m.If(take):
                    m.d.sync += [length.eq(length + 1), begin.eq(first), pending.eq(count)]
                    with m.If(closes & ~word.p.empty):
                        m.d.sync += pending.eq(0)
                        m.d.sync += announce(first, count << 3, first, count, 0)
                    with m.If(word.p.last):
                        m.d.sync += [
                            length.eq(0),
                            pending.eq(0),
                            mask.eq(mask | (1 << lane)),
                            lengths.word_select(lane, LENGTH).eq(length + ~word.p.empty),
                            table.eq(slot.table + 2),
                            noted.eq(noted + 1),
                            last.eq(slot.last),
                        ]
                        with m.If((lane == 3) | slot.last):
                            m.next = "Lengths"
                with m.Elif(word.valid & fifo.r_rdy & apart):
                    m.next = "Lengths"
            with m.State("Lengths"):
                m.d.comb += [
                    self.out.valid.eq(free),
                    self.out.p.data.eq(lengths),
                    *(
                        self.out.p.strobe[2 * i : 2 * i + 2].eq(mask[i].replicate(2))
                        for i in range(4)
                    ),
                ]
                with m.If(free & self.out.ready):
                    start = table - (noted << 1)
                    m.d.sync += [
                        *announce(start[:ADDRESS], noted << 1, (table - 2)[:ADDRESS] & ~7, 1, last),
                        mask.eq(0),
                        noted.eq(0),
                        last.eq(0),
                    ]
                    m.next = "Words"
        return m
