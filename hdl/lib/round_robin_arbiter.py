"""Who goes first, by turns."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class RoundRobinArbiter(wiring.Component):
    """Of `clients` that ask, the next after the one that went last.

    Members: `requests`, a bit a client; `free`, nobody whose turn is before asks, which for a
    stream's `ready` needs not its own request; `grants`, `requests` & `free`: one at most, and one
    if any ask; `take`: who is granted goes, and is last from the next cycle on. `free` and `grants`
    depend on `requests` in the same cycle, on `take` not. A client that asks sees at most
    `clients` - 1 others go before it. Cost: a flip-flop and about `clients` LUTs a client. Raises
    ValueError for less than two clients.
    """

    def __init__(self, clients: int):
        if clients < 2:
            raise ValueError(f"turns of {clients} clients: must be 2 or more")
        self.clients = clients
        super().__init__(
            {
                "requests": In(clients),
                "free": Out(clients),
                "grants": Out(clients),
                "take": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        last = Signal(range(self.clients))

        with m.Switch(last):
            for went in range(self.clients):
                order = [(went + 1 + n) % self.clients for n in range(self.clients)]
                with m.Case(went):
                    for n, client in enumerate(order):
                        earlier = Cat(self.requests[before] for before in order[:n])
                        m.d.comb += self.free[client].eq(~earlier.any())
        m.d.comb += self.grants.eq(self.requests & self.free)

        with m.If(self.take):
            for client in range(self.clients):
                with m.If(self.grants[client]):
                    m.d.sync += last.eq(client)
        return m
