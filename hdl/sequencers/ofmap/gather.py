"""Single psums to writes of the global buffer."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring

from hdl.config import ENTRY_BITS, WORD_BITS, Config
from hdl.sequencers.ofmap.place import slot, writer_ports


class OfmapGather(wiring.Component):
    """Entries are put side by side, each into one lane of eight of 16 bits; psums into two.

    Members: `writer_ports`. Latency one cycle from a word's last psum.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(writer_ports(config))

    def elaborate(self, platform):
        m = Module()
        place, lane = self.psums.place, self.psums.lane
        words, mask = Signal(2 * WORD_BITS, reset_less=True), Signal(8)
        word, at = Signal(self.write.word.shape(), reset_less=True), Signal(3)
        to_ring = Signal()
        m.d.comb += [
            at.eq(place.address[:2] + lane),
            self.to_ring.eq(to_ring),
            self.write.data.eq(words),
            self.write.mask.eq(mask),
            self.write.word.eq(Mux(to_ring, self.ring_word, word)),
        ]
        with m.If(self.advance):
            m.d.sync += [
                self.whole.eq(self.valid & self.psums.whole),
                to_ring.eq(place.to_ring),
                self.drop.eq(~place.to_ring & ~place.write),
                self.last.eq(place.last),
                word.eq(place.address[2:]),
            ]

        psum, entry = slot(self.psums.psums), Value.cast(self.entries)
        with m.If(self.advance & self.valid):
            m.d.sync += mask.eq(Mux(lane == 0, 0, mask) | Mux(place.to_ring, 0xFF, 1 << at))
            for n in range(2 * WORD_BITS // ENTRY_BITS):
                with m.If(Mux(place.to_ring, lane == n // 2, at == n)):
                    half = psum[n % 2 * ENTRY_BITS :][:ENTRY_BITS]
                    m.d.sync += words.word_select(n, ENTRY_BITS).eq(Mux(place.to_ring, half, entry))
        return m
