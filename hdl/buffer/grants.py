"""Who of the global buffer's clients goes first."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config, bits_for
from hdl.lib.priority_arbiter import PriorityArbiter


def grant_ports(config: Config, clients: int) -> dict[str, wiring.Member]:
    """What every such part has: `requests` and `grants`, a bit a client in the order of priority;
    `pairs`, which pair's even bank and which one's odd bank each client needs, and whether it
    does. Combinational."""
    pair = bits_for(config.glb_pairs - 1)
    need = data.StructLayout({"even": 1, "even_pair": pair, "odd": 1, "odd_pair": pair})
    return {
        "requests": In(clients),
        "needs": In(data.ArrayLayout(need, clients)),
        "grants": Out(clients),
    }


class BankGrants(wiring.Component):
    """A client waits for any before it that wants a bank that it needs. Members: `grant_ports`."""

    def __init__(self, config: Config, clients: int):
        self.clients = clients
        super().__init__(grant_ports(config, clients))

    def elaborate(self, platform):
        m = Module()
        for mine in range(self.clients):
            blocked = Signal(self.clients, name=f"blocked_{mine}")  # by which of those before it
            own = self.needs[mine]
            for other in range(mine):
                its = self.needs[other]
                even = own.even & its.even & (own.even_pair == its.even_pair)
                odd = own.odd & its.odd & (own.odd_pair == its.odd_pair)
                m.d.comb += blocked[other].eq(self.requests[other] & (even | odd))
            m.d.comb += self.grants[mine].eq(self.requests[mine] & ~blocked.any())
        return m


class SingleGrant(wiring.Component):
    """One client at a time, whatever it needs: with one pair of banks a refusal more costs little.
    Members: `grant_ports`."""

    def __init__(self, config: Config, clients: int):
        self.clients = clients
        super().__init__(grant_ports(config, clients))

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = PriorityArbiter(self.clients)
        m.d.comb += [arbiter.requests.eq(self.requests), self.grants.eq(arbiter.grants)]
        return m
