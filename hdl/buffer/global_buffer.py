"""Global buffer: pairs of even/odd 64-bit banks behind a crossbar.

The Eyeriss chip's 108 KB buffer has 27 single-port banks with fixed roles per layer (JSSC
2017, V-A); here every client reaches every bank, and the compiler keeps streams apart.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.bank import GlbBank
from hdl.buffer.clients import read_signature, readers, writers
from hdl.buffer.read_side import ReadSide
from hdl.buffer.words import WRITE_SIGNATURE
from hdl.buffer.write_side import WriteSide
from hdl.config import Config


class GlobalBuffer(wiring.Component):
    """The banks and their crossbar.

    Members: `read_<client>` for readers(config), `write_<client>` for writers(config); counters
    `reads` and `writes` (64-bit bank accesses this cycle) and `conflict` (a client was refused).

    A read of word a returns words a and a+1, wherever pairs end. Latency: 7 cycles from an accepted
    request to the response, both through registers: place, grant, bank's two, selection, FIFO and
    its output; five for a prompt client, which has no FIFO. Throughput: every client one access a
    cycle unless a client of higher priority addresses one of the same banks. A client without room
    for its response never blocks another. With one pair a read and a write a cycle, and one
    multiplexer for all clients.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {f"read_{c}": In(read_signature(c)) for c in readers(config)}
            | {f"write_{c}": In(WRITE_SIGNATURE) for c in writers(config)}
            | {"reads": Out(4), "writes": Out(3), "conflict": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reads = reads = ReadSide(self.config)
        m.submodules.writes = writes = WriteSide(self.config)
        for client in readers(self.config):
            port = f"read_{client}"
            wiring.connect(m, wiring.flipped(getattr(self, port)), getattr(reads, port))
        for client in writers(self.config):
            port = f"write_{client}"
            wiring.connect(m, wiring.flipped(getattr(self, port)), getattr(writes, port))

        for pair in range(self.config.glb_pairs):
            for half in ("even", "odd"):
                name = f"{half}_{pair}"
                m.submodules[f"bank_{pair}_{half}"] = bank = GlbBank(self.config)
                wiring.connect(m, getattr(reads, name), bank.read)
                wiring.connect(m, getattr(writes, name), bank.write)

        m.d.comb += [
            self.reads.eq(sum(bit << 1 for bit in reads.asked)),
            self.writes.eq(sum(writes.written)),
            self.conflict.eq(reads.refused | writes.refused),
        ]
        return m
