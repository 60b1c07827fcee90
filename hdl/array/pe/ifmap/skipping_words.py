"""Ifmap words on their way into the spad of a PE that leaves zeros out."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.pe.ifmap.entries import intake_ports
from hdl.array.words import ifmap_in_word
from hdl.config import ENTRY_BITS, LANES, WORD_BITS, Config
from hdl.lib.arithmetic.lane_mux import LaneMux


class SkippingIfmapWords(wiring.Component):
    """As IfmapWords; with `skip` only entries that are not zero are written, one a cycle, and a
    word without any leaves in one.

    Members: `intake_ports`; `skip`; `place`, of the entry written in the stream; `known`, the first
    place of which nothing is known yet; `near`, it is not too far ahead to go on. Places count all
    entries of a stream, modulo 2**config.place_bits.
    """

    def __init__(self, config: Config):
        self.config = config
        bits = config.place_bits
        super().__init__(
            intake_ports(config)
            | {"skip": In(1), "place": Out(bits), "known": Out(bits), "near": In(1)}
        )

    def elaborate(self, platform):
        m = Module()
        layout = ifmap_in_word()
        m.submodules.fifo = queue = fifo.SyncFIFO(width=layout.size, depth=self.config.ifmap_fifo)
        came, word = Signal(layout), Signal(layout)
        m.d.comb += [
            self.accept.eq(~self.match | queue.w_rdy),
            came.data.eq(self.word.data),
            came.count.eq(self.word.count),
            came.header.eq(self.word.header),
            queue.w_en.eq(self.fire & self.match),
            queue.w_data.eq(came),
            word.eq(queue.r_data),
        ]

        # Which of the oldest word's lanes goes into the spad: the next, or the next not zero.
        lane, taken, final = Signal(2), Signal(2), Signal()
        wanted, near = Signal(), Signal()
        some = Signal(LANES)  # lanes from the next on that are not zero
        rest = Const((1 << LANES) - 1) << lane
        for n in range(LANES):
            entry = word.data.word_select(n, ENTRY_BITS)
            m.d.comb += some[n].eq(rest[n] & (n < word.count) & (entry != 0))
        m.d.comb += [taken.eq(lane), final.eq(lane + 1 == word.count), wanted.eq(1), near.eq(1)]
        with m.If(self.skip):
            m.d.comb += [wanted.eq(some.any()), near.eq(self.near)]
            for n in reversed(range(LANES)):
                with m.If(some[n]):
                    m.d.comb += [taken.eq(n), final.eq((some >> n) == 1)]

        m.submodules.mux = mux = LaneMux()
        entries, begins = Signal(), Signal()  # the oldest word holds entries, a header that leaves
        empty = Signal()  # it leaves since nothing of it is wanted
        m.d.comb += [
            mux.word.eq(word.data),
            mux.lane.eq(taken),
            self.data.eq(mux.entry),
            entries.eq(queue.r_rdy & ~word.header),
            self.write.eq(entries & ~self.full & wanted & near),
            empty.eq(entries & ~wanted & near),
            begins.eq(queue.r_rdy & word.header & ~self.header_valid),
            queue.r_en.eq(begins | empty | (self.write & final)),
        ]
        with m.If(queue.r_en):
            m.d.sync += lane.eq(0)
        with m.Elif(self.write):
            m.d.sync += lane.eq(taken + 1)

        # Places.
        arrived = Signal(self.config.place_bits)  # of the oldest word
        m.d.comb += [self.place.eq(arrived + taken), self.known.eq(arrived + lane)]
        with m.If(queue.r_en & ~word.header):
            m.d.sync += arrived.eq(arrived + word.count)

        # The pass after this one.
        header = Signal(WORD_BITS, reset_less=True)
        m.d.comb += self.header.eq(header)
        with m.If(begins):
            m.d.sync += [header.eq(word.data), self.header_valid.eq(1)]
        with m.If(self.load):
            m.d.sync += self.header_valid.eq(0)
        return m
