"""Words of four psums to writes of the global buffer."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import GlbWrite
from hdl.config import ENTRY_BITS, PSUM_LANES, PSUM_SLOT_BITS, Config
from hdl.isa import WORD_ADDR
from hdl.sequencers.words import ofmap_psums


def writer_ports(config: Config) -> dict[str, wiring.Member]:
    """What every such part has.

    valid, psums, entries  what comes: psums, and the same requantised
    advance                all registers move
    ring_word              the ring's write pointer
    whole                  a word is whole: to_ring, drop, last: it goes to the ring, nowhere, ends
                           its command
    write                  what is to be written
    """
    return {
        "valid": In(1),
        "psums": In(ofmap_psums(config)),
        "entries": In(data.ArrayLayout(signed(ENTRY_BITS), config.psum_lanes)),
        "advance": In(1),
        "ring_word": In(WORD_ADDR),
        "whole": Out(1),
        "to_ring": Out(1),
        "drop": Out(1),
        "last": Out(1),
        "write": Out(GlbWrite),
    }


def slot(psum: Value) -> Value:
    """A psum sign-extended to its slot in the buffer."""
    return Cat(psum, psum[-1].replicate(PSUM_SLOT_BITS - len(psum)))


class OfmapPlace(wiring.Component):
    """Psums to their slots, entries to their place in two words, in the same cycle.

    Members: `writer_ports`; a word comes whole.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(writer_ports(config))

    def elaborate(self, platform):
        m = Module()
        bits, place = self.config.psum_bits, self.psums.place
        lane, lanes = place.address[:2], Signal(PSUM_LANES)
        slots = Cat(slot(self.psums.psums.word_select(n, bits)) for n in range(PSUM_LANES))
        with m.Switch(place.count):
            for n in range(1, PSUM_LANES + 1):
                with m.Case(n):
                    m.d.comb += lanes.eq((1 << n) - 1)
        m.d.comb += [
            self.whole.eq(self.valid),
            self.to_ring.eq(place.to_ring),
            self.drop.eq(~place.to_ring & ~place.write),
            self.last.eq(place.last),
            self.write.word.eq(Mux(place.to_ring, self.ring_word, place.address[2:])),
        ]
        with m.If(place.to_ring):
            m.d.comb += [self.write.data.eq(slots), self.write.mask.eq(0xFF)]
        with m.Else():
            m.d.comb += [
                self.write.data.eq(self.entries.as_value() << (lane << 4)),
                self.write.mask.eq(lanes << lane),
            ]
        return m
