"""Entries to pairs of a run of zeros and the level after it."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.memory.words import PAIR_BITS, RUN_BITS, STRIP_BITS, CodedPairs, Entries


class EntryPairs(wiring.Component):
    """Makes of each item the pairs of its levels, and of a run too long for a pair those that
    continue it before.

    Members: `entries` in, `count` (1..4, entries taken of each item) stable while not `idle`;
    `pairs` out, perhaps none of an item; `idle`: no item is inside, though a run may be.

    Latency one cycle. Throughput an item a cycle, and a cycle more for every four pairs that
    continue its first run.
    """

    entries: In(stream.Signature(Entries))
    count: In(3)
    pairs: Out(stream.Signature(CodedPairs))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        item, out, lanes = self.entries.p, self.pairs, range(LANES)

        # Levels of the item: how many are before each lane, and how many zeros since the last.
        some = [Signal(name=f"some_{n}") for n in lanes]
        rank = [Signal(range(LANES + 1), name=f"rank_{n}") for n in range(LANES + 1)]
        run = [Signal(2, name=f"run_{n}") for n in lanes]
        for n in lanes:
            m.d.comb += [
                some[n].eq((n < self.count) & (item.entries[n] != 0)),
                rank[n + 1].eq(rank[n] + some[n]),
            ]
            for before in range(n):
                with m.If(some[before]):
                    m.d.comb += run[n].eq(n - 1 - before)

        # Zeros before the item's first level, all of it if it has none, and after its last.
        leading, trailing = Signal(range(LANES + 1)), Signal(range(LANES))
        m.d.comb += leading.eq(self.count)
        for n in lanes:
            with m.If(some[n]):
                m.d.comb += trailing.eq(self.count - 1 - n)
            with m.If(some[LANES - 1 - n]):
                m.d.comb += leading.eq(LANES - 1 - n)

        # Only the run up to an item's first level reaches back over the items before: one adder.
        zeros, first_run, none = Signal(STRIP_BITS), Signal(STRIP_BITS), Signal()
        fillers, levels, last = Signal(STRIP_BITS - RUN_BITS), Signal(range(LANES + 1)), Signal()
        accept, filling = Signal(), Signal()
        m.d.comb += [first_run.eq(zeros + leading), none.eq(rank[LANES] == 0)]
        with m.If(accept):
            m.d.sync += [
                zeros.eq(Mux(item.last, 0, Mux(none, first_run, trailing))),
                fillers.eq(Mux(none, 0, first_run >> RUN_BITS)),
                levels.eq(rank[LANES]),
                last.eq(item.last),
            ]
        with m.Elif(out.valid & out.ready & filling):
            m.d.sync += fillers.eq(fillers - out.p.count)

        # The pairs of the levels.
        pairs = [Signal(PAIR_BITS, name=f"pair_{n}") for n in lanes]
        for at, pair in enumerate(pairs):
            found = 0
            for n in range(at, LANES):
                of_lane = Cat(run[n], Const(0, RUN_BITS - 2), item.entries[n])
                found = found | Mux(some[n] & (rank[n] == at), of_lane, 0)
            with m.If(accept):
                m.d.sync += pair.eq(found)
        with m.If(accept):
            m.d.sync += pairs[0][:RUN_BITS].eq(first_run)

        # Those that continue a run go first, made from the same registers: no slice holds them.
        m.d.comb += [
            filling.eq(fillers != 0),
            out.p.last.eq(last & ~filling),
            out.p.count.eq(Mux(filling, Mux(fillers < LANES, fillers, LANES), levels)),
            *(
                out.p.pairs[n].eq(Mux(filling, (1 << RUN_BITS) - 1, pair))
                for n, pair in enumerate(pairs)
            ),
            self.entries.ready.eq(~out.valid | (out.ready & ~filling)),
            accept.eq(self.entries.valid & self.entries.ready),
            self.idle.eq(~out.valid),
        ]
        with m.If(accept):
            m.d.sync += out.valid.eq(1)
        with m.Elif(out.ready & ~filling):
            m.d.sync += out.valid.eq(0)
        return m
