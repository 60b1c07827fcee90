"""The registers in which a strip waits to be taken."""

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.lib.axi import ADDRESS
from hdl.memory.words import STORE_ENTRIES, STRIP_ENTRIES, Strip, StripTurn, StripWrite


class StripOutput(wiring.Component):
    """Holds a strip until whoever reads it and whoever writes it have taken it, each at its own
    pace.

    Members: `now`; `strip`, as it is found, but for what is known here; `entries` of it, stable,
    and `narrow`: each is one byte; in memory `at`, its address, and `table`, that of its length;
    `strips` and `writes`; `room`: nothing waits.

    A strip is put in while there is `room` only. Latency one cycle.
    """

    now: In(StripTurn)
    strip: In(Strip)
    entries: In(STORE_ENTRIES)
    narrow: In(1)
    at: In(ADDRESS)
    table: In(ADDRESS)
    strips: Out(stream.Signature(Strip))
    writes: Out(stream.Signature(StripWrite))
    room: Out(1)

    def elaborate(self, platform):
        m = Module()
        # By hand: `entries` stay, and slices would hold them again.
        now, strips, writes = self.now, self.strips, self.writes
        m.d.comb += self.room.eq(~strips.valid & ~writes.valid)
        for out in (strips, writes):
            with m.If(now.emit):
                m.d.sync += out.valid.eq(1)
            with m.Elif(out.ready):
                m.d.sync += out.valid.eq(0)

        lane = self.at[:3]  # of its first byte in the words of memory
        span = writes.p.range
        entries = self.entries[:STRIP_ENTRIES]
        m.d.comb += span.bytes.eq(Mux(self.narrow, entries, entries << 1))
        with m.If(now.emit):
            m.d.sync += [
                strips.p.eq(self.strip),
                strips.p.lane.eq(lane),
                strips.p.last.eq(now.ends_all),
                writes.p.table.eq(self.table),
                span.begin.eq(self.at),
                span.request.address.eq(self.at & ~7),
                span.request.last.eq(now.ends_all),
                span.request.words.eq((span.bytes + lane + 7) >> 3),
            ]
        return m
