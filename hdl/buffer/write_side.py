"""The writes of the global buffer: grant, bank."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.clients import writers
from hdl.buffer.grants import BankGrants, SingleGrant
from hdl.buffer.words import WRITE_SIGNATURE, bank_write
from hdl.buffer.write_port import WritePort
from hdl.config import Config


class WriteSide(wiring.Component):
    """Members: `write_<client>` for writers(config); `even_<pair>`, `odd_<pair>`, banks, a cycle
    later; `written`, halves of a client's write that are in this cycle; `refused`, one was not
    granted. Throughput as GlobalBuffer says.
    """

    def __init__(self, config: Config):
        self.config = config
        banks = [f"{half}_{pair}" for pair in range(config.glb_pairs) for half in ("even", "odd")]
        super().__init__(
            {f"write_{client}": In(WRITE_SIGNATURE) for client in writers(config)}
            | {bank: Out(bank_write(config)) for bank in banks}
            | {"written": Out(2 * len(writers(config))), "refused": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        c, clients = self.config, writers(self.config)
        kind = SingleGrant if c.glb_pairs == 1 else BankGrants
        m.submodules.grants = grants = kind(c, len(clients))
        ports = [WritePort(c) for _ in clients]
        for n, (name, port) in enumerate(zip(clients, ports)):
            m.submodules[f"port_{name}"] = port
            wiring.connect(m, wiring.flipped(getattr(self, f"write_{name}")), port.port)
            need = grants.needs[n]
            m.d.comb += [
                grants.requests[n].eq(port.asks),
                need.even.eq(port.even.mask.any()),
                need.even_pair.eq(port.even.pair),
                need.odd.eq(port.odd.mask.any()),
                need.odd_pair.eq(port.odd.pair),
                port.grant.eq(grants.grants[n]),
            ]

        for pair in range(c.glb_pairs):
            for half in ("even", "odd"):
                bank = getattr(self, f"{half}_{pair}")
                for port in ports:
                    part = getattr(port, f"{half}_now")
                    with m.If(part.mask.any() & (part.pair == pair)):
                        m.d.comb += [
                            bank.mask.eq(part.mask),
                            bank.row.eq(part.row),
                            bank.data.eq(part.data),
                        ]
        m.d.comb += [
            self.written.eq(
                Cat(p.mask.any() for port in ports for p in (port.even_now, port.odd_now))
            ),
            self.refused.eq((grants.requests & ~grants.grants).any()),
        ]
        return m
