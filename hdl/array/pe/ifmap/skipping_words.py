"""Ifmap words on their way into the spad of a PE that leaves zeros out."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.pe.ifmap.entries import intake_ports, pass_bus
from hdl.array.pe.ifmap.queue import IfmapQueue
from hdl.config import ENTRY_BITS, LANES, Config
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
        m.submodules.queue = queue = IfmapQueue(self.config)
        word = queue.oldest
        pass_bus(m, self, queue)

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
        empty = Signal()  # the word leaves since nothing of it is wanted
        m.d.comb += [
            mux.word.eq(word.data),
            mux.lane.eq(taken),
            self.data.eq(mux.entry),
            self.write.eq(queue.entries & ~self.full & wanted & near),
            empty.eq(queue.entries & ~wanted & near),
            queue.done.eq(empty | (self.write & final)),
        ]
        with m.If(queue.done):
            m.d.sync += lane.eq(0)
        with m.Elif(self.write):
            m.d.sync += lane.eq(taken + 1)

        # Places.
        arrived = Signal(self.config.place_bits)  # of the oldest word
        m.d.comb += [self.place.eq(arrived + taken), self.known.eq(arrived + lane)]
        with m.If(queue.done):
            m.d.sync += arrived.eq(arrived + word.count)
        return m
