"""Granted reads on their way to the banks of the global buffer."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import bank_address, place_layout
from hdl.config import Config
from hdl.lib.block_ram import BlockRam


class ReadIssue(wiring.Component):
    """Addresses the banks, and remembers for whom until their words are there.

    Members: `grants`, a bit a client; `places`, theirs; `even_<pair>`, `odd_<pair>`, addresses of
    the banks, a cycle later; `asked`, whose these are; `shown`, `shown_places`, whose words the
    banks show, BlockRam.LATENCY cycles after that. Any number of clients a cycle, whose banks
    differ: grants see to it.
    """

    def __init__(self, config: Config, clients: int):
        self.config, self.clients = config, clients
        places = data.ArrayLayout(place_layout(config), clients)
        super().__init__(
            {
                "grants": In(clients),
                "places": In(places),
                "asked": Out(clients),
                "shown": Out(clients),
                "shown_places": Out(places),
            }
            | {f"even_{pair}": Out(bank_address(config)) for pair in range(config.glb_pairs)}
            | {f"odd_{pair}": Out(bank_address(config)) for pair in range(config.glb_pairs)}
        )

    def elaborate(self, platform):
        m = Module()
        depth = 1 + BlockRam.LATENCY
        valid = [Signal(self.clients, name=f"valid_{n}") for n in range(depth)]
        places = [
            Signal(self.places.shape(), name=f"places_{n}", reset_less=True) for n in range(depth)
        ]
        m.d.sync += Cat(*valid).eq(Cat(self.grants, *valid[:-1]))
        m.d.sync += Cat(*places).eq(Cat(self.places, *places[:-1]))
        m.d.comb += [
            self.asked.eq(valid[0]),
            self.shown.eq(valid[-1]),
            self.shown_places.eq(places[-1]),
        ]

        for pair in range(self.config.glb_pairs):
            for half in ("even", "odd"):
                bank = getattr(self, f"{half}_{pair}")
                for client in range(self.clients):
                    place = places[0][client]
                    with m.If(valid[0][client] & (place[f"{half}_pair"] == pair)):
                        m.d.comb += [bank.en.eq(1), bank.row.eq(place[f"{half}_row"])]
        return m
