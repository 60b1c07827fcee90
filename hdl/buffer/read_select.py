"""What the banks of the global buffer show, to the clients that it is for."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import place_layout
from hdl.config import WORD_BITS, Config


def select_ports(config: Config, clients: int) -> dict[str, wiring.Member]:
    """What every such part has: `even` and `odd`, what the banks of each pair show; `shown` and
    `places`, for whom and where; a cycle later `came` and `words`, two a client."""
    shown = data.ArrayLayout(WORD_BITS, config.glb_pairs)
    return {
        "even": In(shown),
        "odd": In(shown),
        "shown": In(clients),
        "places": In(data.ArrayLayout(place_layout(config), clients)),
        "came": Out(clients),
        "words": Out(data.ArrayLayout(2 * WORD_BITS, clients)),
    }


class ReadCrossbar(wiring.Component):
    """From any pair to any client: a multiplexer and a register a client. Members:
    `select_ports`."""

    def __init__(self, config: Config, clients: int):
        self.config, self.clients = config, clients
        super().__init__(select_ports(config, clients))

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.came.eq(self.shown)
        for client in range(self.clients):
            place = self.places[client]
            even, odd = (Signal(WORD_BITS, name=f"{half}_{client}") for half in ("even", "odd"))
            for side, word, shown in (("even", even, self.even), ("odd", odd, self.odd)):
                with m.Switch(place[f"{side}_pair"]):
                    for pair in range(self.config.glb_pairs):
                        with m.Case(pair):
                            m.d.comb += word.eq(shown[pair])
            words = Signal(2 * WORD_BITS, name=f"words_{client}", reset_less=True)
            m.d.sync += words.eq(Mux(place.swap, Cat(odd, even), Cat(even, odd)))
            m.d.comb += self.words[client].eq(words)
        return m


class SinglePairSelect(wiring.Component):
    """From the only pair, whose words are one client's at a time: one multiplexer and register for
    all. Members: `select_ports`."""

    def __init__(self, config: Config, clients: int):
        self.clients = clients
        super().__init__(select_ports(config, clients))

    def elaborate(self, platform):
        m = Module()
        swap, words = Signal(), Signal(2 * WORD_BITS, reset_less=True)
        even, odd = self.even[0], self.odd[0]
        m.d.comb += swap.eq((self.shown & Cat(place.swap for place in self.places)).any())
        m.d.sync += [
            self.came.eq(self.shown),
            words.eq(Mux(swap, Cat(odd, even), Cat(even, odd))),
        ]
        m.d.comb += [self.words[client].eq(words) for client in range(self.clients)]
        return m
