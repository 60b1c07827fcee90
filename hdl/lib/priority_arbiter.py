"""Who goes first, always the same."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class PriorityArbiter(wiring.Component):
    """Of `clients` that ask, the one of lowest number.

    Members: `requests`, a bit a client; `free`, nobody before it asks, which for a stream's `ready`
    needs not its own request; `grants`, `requests` & `free`: one at most, and one if any ask. All
    in the same cycle, without registers. A client may wait for ever. Cost: a LUT a client up to
    four, a chain of them beyond. Raises ValueError for less than one client.
    """

    def __init__(self, clients: int):
        if clients < 1:
            raise ValueError(f"an arbiter of {clients} clients: must be 1 or more")
        self.clients = clients
        super().__init__({"requests": In(clients), "free": Out(clients), "grants": Out(clients)})

    def elaborate(self, platform):
        m = Module()
        for n in range(self.clients):
            earlier = Signal(name=f"earlier_{n}")
            m.d.comb += [earlier.eq(self.requests[:n].any()), self.free[n].eq(~earlier)]
        m.d.comb += self.grants.eq(self.requests & self.free)
        return m
