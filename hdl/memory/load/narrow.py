"""8-bit strips to entries."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS
from hdl.memory.words import EntryKind

BYTE = 8


class ByteEntries(wiring.Component):
    """The entries q - zero of eight bytes q, int8 or uint8.

    Members: `word`, `kind`, `entries`. No latency.
    """

    word: In(64)
    kind: In(EntryKind)
    entries: Out(data.ArrayLayout(signed(ENTRY_BITS), 8))

    def elaborate(self, platform):
        m = Module()
        for n, entry in enumerate(self.entries):
            byte = self.word.word_select(n, BYTE)
            q = Signal(signed(BYTE + 1), name=f"q_{n}")
            centred = Signal(signed(BYTE + 2), name=f"centred_{n}")
            m.d.comb += [
                q[:BYTE].eq(byte),
                q[BYTE].eq(byte[BYTE - 1] & ~self.kind.unsigned),
                centred.eq(q - self.kind.zero),
                entry.eq(centred),
            ]
        return m
