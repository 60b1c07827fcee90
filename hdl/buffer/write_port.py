"""What a client of the global buffer writes through."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import WRITE_SIGNATURE, bank_part, place_of
from hdl.config import LANES, WORD_BITS, Config


class WritePort(wiring.Component):
    """Two words to an even and an odd bank, which of them is which by the address.

    Members: `port`, the client's; `asks`, `grant`, which takes what it offers; in the same cycle
    `even` and `odd`, parts for a bank that it needs if their mask is not 0; `even_now`, `odd_now`,
    those granted in the cycle before. Throughput one write a cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        part = bank_part(config)
        super().__init__(
            {
                "port": In(WRITE_SIGNATURE),
                "asks": Out(1),
                "grant": In(1),
                "even": Out(part),
                "odd": Out(part),
                "even_now": Out(part),
                "odd_now": Out(part),
            }
        )

    def elaborate(self, platform):
        m = Module()
        write = self.port.payload
        place = place_of(self.config, write.word)
        low, high = write.mask[:LANES], write.mask[LANES:]
        first, second = write.data[:WORD_BITS], write.data[WORD_BITS:]
        m.d.comb += [
            self.asks.eq(self.port.valid),
            self.port.ready.eq(self.grant),
            self.even.mask.eq(Mux(place["swap"], high, low)),
            self.odd.mask.eq(Mux(place["swap"], low, high)),
            self.even.data.eq(Mux(place["swap"], second, first)),
            self.odd.data.eq(Mux(place["swap"], first, second)),
        ]
        sides = (("even", self.even, self.even_now), ("odd", self.odd, self.odd_now))
        for side, part, now in sides:
            mask = Signal(LANES, name=f"{side}_mask")
            held = Signal.like(part, name=f"{side}_held", reset_less=True)
            m.d.comb += [part.pair.eq(place[f"{side}_pair"]), part.row.eq(place[f"{side}_row"])]
            m.d.sync += [held.eq(part), mask.eq(Mux(self.grant, part.mask, 0))]
            m.d.comb += [now.eq(held), now.mask.eq(mask)]
        return m
