"""Where the head of a logical column gets the psums that it adds its sums to."""

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.array.words import psum_bus_word
from hdl.config import Config


def head_ports(config: Config) -> dict[str, wiring.Member]:
    """What every such part has.

    word, match, fire, accept   the bus: what it offers; register: that is for this PE, a head; it
                                moves; not for this PE, or there is room
    due                         a sum waits that can leave
    there, psum, take           a psum for it; which; the sum leaves
    """
    return {
        "word": In(psum_bus_word(config)),
        "match": In(1),
        "fire": In(1),
        "accept": Out(1),
        "due": In(1),
        "there": Out(1),
        "psum": Out(signed(config.psum_bits)),
        "take": In(1),
    }


class BusHead(wiring.Component):
    """The psum that the bus offers, in the same cycle: it moves when the sum does.

    Members: `head_ports`.
    """

    def __init__(self, config: Config):
        super().__init__(head_ports(config))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.accept.eq(~self.match | self.due),
            self.there.eq(self.fire & self.match),
            self.psum.eq(self.word.data),
        ]
        return m
