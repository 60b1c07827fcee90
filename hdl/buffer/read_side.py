"""The reads of the global buffer: request, grant, bank, selection, response."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.clients import PROMPT, read_signature, readers
from hdl.buffer.grants import BankGrants, SingleGrant
from hdl.buffer.prompt_read_port import PromptReadPort
from hdl.buffer.read_issue import ReadIssue
from hdl.buffer.read_port import ReadPort
from hdl.buffer.read_select import ReadCrossbar, SinglePairSelect
from hdl.buffer.words import bank_read
from hdl.config import Config


class ReadSide(wiring.Component):
    """Members: `read_<client>` for readers(config); `even_<pair>`, `odd_<pair>`, banks; `asked`,
    reads that address banks in this cycle, a bit a client; `refused`, one was not granted.

    Latency 7 cycles from an accepted request to the response: place, grant, the bank's two,
    selection, FIFO and its output; the last two not for a prompt client. Throughput as GlobalBuffer
    says.
    """

    def __init__(self, config: Config):
        self.config = config
        banks = [f"{half}_{pair}" for pair in range(config.glb_pairs) for half in ("even", "odd")]
        super().__init__(
            {f"read_{client}": In(read_signature(client)) for client in readers(config)}
            | {bank: Out(bank_read(config)) for bank in banks}
            | {"asked": Out(len(readers(config))), "refused": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        c, clients = self.config, readers(self.config)
        many, single = (BankGrants, ReadCrossbar), (SingleGrant, SinglePairSelect)
        grants_of, select_of = single if c.glb_pairs == 1 else many
        m.submodules.grants = grants = grants_of(c, len(clients))
        m.submodules.select = select = select_of(c, len(clients))
        m.submodules.issue = issue = ReadIssue(c, len(clients))

        # From clients to banks; all need both halves of a pair.
        for n, name in enumerate(clients):
            port_of = PromptReadPort if name in PROMPT else ReadPort
            m.submodules[f"port_{name}"] = port = port_of(c)
            wiring.connect(m, wiring.flipped(getattr(self, f"read_{name}")), port.port)
            place, need = port.place, grants.needs[n]
            m.d.comb += [
                grants.requests[n].eq(place.valid),
                place.ready.eq(grants.grants[n]),
                need.even.eq(1),
                need.even_pair.eq(place.p.even_pair),
                need.odd.eq(1),
                need.odd_pair.eq(place.p.odd_pair),
                issue.places[n].eq(place.payload),
                port.came.eq(select.came[n]),
                port.words.eq(select.words[n]),
            ]
        m.d.comb += [
            issue.grants.eq(grants.grants),
            self.asked.eq(issue.asked),
            self.refused.eq((grants.requests & ~grants.grants).any()),
        ]

        # From banks to clients.
        m.d.comb += [select.shown.eq(issue.shown), select.places.eq(issue.shown_places)]
        for pair in range(c.glb_pairs):
            for half in ("even", "odd"):
                bank, address = getattr(self, f"{half}_{pair}"), getattr(issue, f"{half}_{pair}")
                m.d.comb += [
                    bank.en.eq(address.en),
                    bank.row.eq(address.row),
                    getattr(select, half)[pair].eq(bank.data),
                ]
        return m
