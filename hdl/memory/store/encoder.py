"""Entries to run-length coded strips, the format of golden/rlc.py."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES
from hdl.memory.words import PAIR_BITS, PAIRS, RUN_BITS, STRIP_BITS, EncodedWord, Entries

SLOTS = PAIRS + LANES  # pairs held


class RlcEncoder(wiring.Component):
    """Encodes strips one after the other.

    Members: `entries` in, `count` (1..4, entries taken of each item) stable while not `idle`;
    `words` out, at least one item a strip.

    A word waits until another follows it or its strip has ended. Latency two cycles. Throughput
    an item in per cycle as long as it makes no more than a word out per cycle (four levels make
    one and a third); a run takes a cycle for every four pairs that continue it, strips follow
    each other without a gap where three pairs or fewer are left.
    """

    entries: In(stream.Signature(Entries))
    count: In(3)
    words: Out(stream.Signature(EncodedWord))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        lanes = range(LANES)

        # ---- entries to pairs -----------------------------------------------------------
        item = self.entries.p
        zeros = Signal(STRIP_BITS)  # since the last level
        some = [Signal(name=f"some_{i}") for i in lanes]
        rank = [Signal(range(LANES + 1), name=f"rank_{i}") for i in range(LANES + 1)]
        # up to this lane, behind a level of the item
        run = [Signal(2, name=f"run_{i}") for i in range(LANES)]
        # zeros before the item's first level, all of it if it has none
        leading = Signal(range(LANES + 1))
        trailing = Signal(range(LANES))  # behind its last
        first_run = Signal(STRIP_BITS)  # up to its first level
        full = Signal()
        pairs = [Signal(PAIR_BITS, name=f"pair_{i}") for i in lanes]
        levels = Signal(range(LANES + 1))
        fillers = Signal(STRIP_BITS - RUN_BITS)  # pairs that continue the first level's run
        last = Signal()
        taken = Signal()
        accept = Signal()
        m.d.comb += [
            self.entries.ready.eq(~full | taken),
            accept.eq(self.entries.valid & self.entries.ready),
            rank[0].eq(0),
            leading.eq(self.count),
            first_run.eq(zeros + leading),
        ]
        # Only the run up to an item's first level reaches back over the items before: one adder.
        for i in reversed(lanes):
            with m.If(some[i]):
                m.d.comb += leading.eq(i)
        for i in lanes:
            with m.If(some[i]):
                m.d.comb += trailing.eq(self.count - 1 - i)
        for i in lanes:
            m.d.comb += [
                some[i].eq((i < self.count) & (item.entries[i] != 0)),
                rank[i + 1].eq(rank[i] + some[i]),
            ]
            for k in range(i):
                with m.If(some[k]):
                    m.d.comb += run[i].eq(i - 1 - k)
        with m.If(taken):
            m.d.sync += full.eq(0)
        with m.If(accept):
            m.d.sync += [
                full.eq(1),
                levels.eq(rank[LANES]),
                last.eq(item.last),
                zeros.eq(Mux(item.last, 0, Mux(rank[LANES] == 0, first_run, trailing))),
                fillers.eq(Mux(rank[LANES] == 0, 0, first_run >> RUN_BITS)),
            ]
            for k in lanes:
                value = 0
                for i in range(k, LANES):
                    this = some[i] & (rank[i] == k)
                    value = value | Mux(
                        this,
                        Cat(run[i] if k else Const(0, 2), Const(0, RUN_BITS - 2), item.entries[i]),
                        0,
                    )
                m.d.sync += pairs[k].eq(value)
            m.d.sync += pairs[0][:RUN_BITS].eq(first_run)

        # ---- pairs to words -------------------------------------------------------------
        held = [Signal(PAIR_BITS, name=f"held_{i}") for i in range(SLOTS)]
        level = Signal(range(SLOTS + 1))  # pairs held
        ended = Signal()  # they are a strip's last
        final, go = Signal(), Signal()
        after = Signal(range(SLOTS + 1))  # pairs held behind the word that goes
        room, move = Signal(), Signal()
        filling = Signal()
        added = Signal(range(LANES + 1))
        out = self.words
        m.d.comb += [
            final.eq(ended & (level <= PAIRS)),
            out.valid.eq(ended | (level > PAIRS)),
            out.p.last.eq(final),
            out.p.empty.eq(level == 0),
            go.eq(out.valid & out.ready),
            after.eq(Mux(go, Mux(final, 0, level - PAIRS), level)),
            room.eq((after <= PAIRS) & (~ended | (go & final))),
            filling.eq(fillers != 0),
            added.eq(Mux(filling, Mux(fillers < LANES, fillers, LANES), levels)),
            move.eq(full & room),
            taken.eq(move & ~filling),
            self.idle.eq(~full & ~ended & (level == 0)),
            out.p.data.eq(Cat(*(Mux(i < level, held[i], 0) for i in range(PAIRS)), final)),
        ]
        # Pair n of the new ones goes to place after + n: they are turned once for all places.
        turned = [Signal(PAIR_BITS, name=f"turned_{i}") for i in lanes]
        filled = [Mux(filling, (1 << RUN_BITS) - 1, p) for p in pairs]
        half = [Signal(PAIR_BITS, name=f"half_{i}") for i in lanes]
        m.d.comb += [h.eq(Mux(after[0], filled[i - 1], filled[i])) for i, h in enumerate(half)]
        m.d.comb += [t.eq(Mux(after[1], half[i - 2], half[i])) for i, t in enumerate(turned)]
        for i, h in enumerate(held):
            with m.If(move & (i >= after)):
                m.d.sync += h.eq(turned[i % LANES])
            with m.Elif(go):
                m.d.sync += h.eq(held[i + PAIRS] if i + PAIRS < SLOTS else 0)
        with m.If(go):
            m.d.sync += [level.eq(after), ended.eq(ended & ~final)]
        with m.If(move):
            m.d.sync += level.eq(after + added)
            with m.If(filling):
                m.d.sync += fillers.eq(fillers - added)
            with m.Else():
                m.d.sync += ended.eq(last)
        return m
