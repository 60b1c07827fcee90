"""Entries as they are in memory."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES
from hdl.memory.words import Entries, EntryKind, strip_bytes

BYTE = 8
NEAR = 10  # bits of an entry that a zero point can bring into a byte


class EntryBytes(wiring.Component):
    """Makes bytes of entries: two of each or, with `narrow`, one, entry + zero saturated to int8
    or uint8.

    Members: `entries`, `bytes`; `kind`, stable from an item's coming to its leaving. Latency one
    cycle, throughput an item a cycle; `entries.ready` waits for `bytes.ready` in the same cycle.
    lanes: the most entries of an item.
    """

    def __init__(self, lanes: int = LANES):
        self.lanes = lanes
        super().__init__(
            {
                "entries": In(stream.Signature(Entries)),
                "bytes": Out(stream.Signature(strip_bytes(lanes))),
                "kind": In(EntryKind),
            }
        )

    def elaborate(self, platform):
        m = Module()
        item, out, narrow = self.entries.p, self.bytes, self.kind.narrow

        # Nothing is added to what keeps its bits.
        zero = Signal(signed(BYTE + 1))
        m.d.comb += zero.eq(Mux(narrow, self.kind.zero, 0))
        low = [self._low(m, n, zero) for n in range(self.lanes)]

        # One byte of each entry lies in the low bytes; one alone in both.
        wide = Cat(Cat(byte, item.entries[n][BYTE:]) for n, byte in enumerate(low))
        few = BYTE * max(self.lanes, 2)
        small = Cat(low).replicate(2)[:few]

        m.d.comb += self.entries.ready.eq(~out.valid | out.ready)
        with m.If(self.entries.ready):
            m.d.sync += [
                out.valid.eq(self.entries.valid),
                out.p.data.eq(Cat(Mux(narrow, small, wide[:few]), wide[few:])),
                out.p.first.eq(item.first),
                out.p.last.eq(item.last),
                out.p.lane.eq(item.lane),
            ]
        return m

    def _low(self, m, n, zero):
        """The low byte of entry `n`, or what it saturates to."""
        kind, entry = self.kind, Signal(signed(ENTRY_BITS), name=f"entry_{n}")
        total = Signal(signed(NEAR + 1), name=f"total_{n}")
        near, inside, below = (Signal(name=f"{name}_{n}") for name in ("near", "inside", "below"))
        far, top = entry[NEAR - 1 :], total[BYTE - 1 :]
        m.d.comb += [
            entry.eq(self.entries.p.entries[n]),
            total.eq(entry[:NEAR].as_signed() + zero),
            near.eq(~far.any() | far.all()),
            below.eq(Mux(near, total[-1], entry[-1])),
            inside.eq(near & Mux(kind.unsigned, ~top[1:].any(), ~top.any() | top.all())),
        ]
        bound = Cat((~below).replicate(BYTE - 1), below ^ kind.unsigned)
        return Mux(inside | ~kind.narrow, total[:BYTE], bound)
