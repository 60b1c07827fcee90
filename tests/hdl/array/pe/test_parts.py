"""Parts of a PE, each alone: the ring of its entries, a multiplier with its psums, and what brings
filters into their spad."""

import random

import pytest

from golden.fixed import wrap
from hdl.array.pe.filters.entries import FilterEntries
from hdl.array.pe.filters.words import FilterWords
from hdl.array.pe.ifmap.ring import EntryRing
from hdl.array.pe.mac.lane import MacLane
from hdl.timing import HAZARD
from tests.hdl.array.pe.bus import ENTRIES, PAIRS, WORDS, split
from tests.hdl.streams import run, shared

STALLS = pytest.mark.parametrize("stall", [0.0, 0.4])


@pytest.mark.parametrize("depth", [4, 16])
@STALLS
def test_entry_ring(depth, stall):
    """Entries as they came, from the oldest on again after `back`, whatever comes and is freed
    meanwhile; without stalls one of each in every cycle."""
    dut, rng = shared(EntryRing, depth), random.Random(depth)

    async def main(ctx):
        entries, oldest, read, full = [], 0, 0, 0
        for now in range(400):
            there = read < len(entries)
            writes = not full and rng.random() >= stall
            steps = there and rng.random() >= stall
            back = steps and stall > 0 and rng.random() < 0.3
            frees = oldest < read + (steps and not back) and not back and rng.random() >= stall / 2
            data = rng.getrandbits(16)
            for name, value in dict(
                write=writes, data=data, step=steps, back=back, free=frees
            ).items():
                ctx.set(getattr(dut, name), value)
            got = (
                await ctx.tick().sample(
                    dut.entry, dut.full, dut.read_at, dut.write_at, dut.after_read
                )
            )[2:]
            turn = 2 * depth
            assert not there or got[0] == entries[read]
            assert got[1:] == (full, read % turn, len(entries) % turn, (read + 1) % turn)
            assert stall or now < 2 or (writes and steps and frees)

            entries += [data] if writes else []
            read = oldest if back else read + steps
            oldest += frees
            full = len(entries) - oldest == depth

    run(dut, main)


@pytest.mark.parametrize("config", [WORDS, PAIRS.replace(psum_bits=24)], ids=["one", "of a pair"])
@STALLS
def test_mac_lane(config, stall):
    """A MAC a cycle on psums HAZARD apart: each total four cycles after its operands, and the next
    one of that psum begins with it."""
    dut, rng, count = shared(MacLane, config), random.Random(3), 150
    bits = config.psum_bits

    async def main(ctx):
        psums, recent, under_way, made = {}, [], [None] * 4, 0
        while made < count or any(under_way):
            one = None
            if made < count and rng.random() >= stall:
                index = rng.choice([n for n in range(dut.depth) if n not in recent])
                first = index not in psums or rng.random() < 0.2
                entry, weight = (rng.choice((-(1 << 15), rng.randint(-999, 999))) for _ in "ab")
                held = rng.random() < 0.2  # its product is cleared
                psums[index] = wrap(
                    (0 if first else psums[index]) + (0 if held else entry * weight), bits
                )
                one = dict(index=index, first=first, held=held, total=psums[index])
                ctx.set(dut.entry, entry)
                ctx.set(dut.weight, weight)
                made += 1
            recent = [*recent, one and one["index"]][-(HAZARD - 1) :]
            stages = [one, *under_way]
            ctx.set(dut.load, stages[0] is not None)
            ctx.set(dut.advance, stages[1] is not None)
            if stages[2]:
                ctx.set(dut.clear, stages[2]["held"])
                ctx.set(dut.first, stages[2]["first"])
                ctx.set(dut.read_index, stages[2]["index"])
            ctx.set(dut.write, stages[4] is not None)
            if stages[4]:
                ctx.set(dut.write_index, stages[4]["index"])
                assert ctx.get(dut.total) == stages[4]["total"]
            await ctx.tick()
            under_way = stages[:4]

    run(dut, main)


@pytest.mark.parametrize(
    "intake, config",
    [(FilterWords, WORDS), (FilterEntries, ENTRIES), (FilterEntries, PAIRS)],
    ids=["words", "entries", "pairs"],
)
@STALLS
def test_filter_intake(intake, config, stall):
    """Rows of every half, and its end with its last; an entry a cycle, the first a cycle after it
    was taken."""
    dut, rng, simd = shared(intake, config), random.Random(4), config.simd
    halves = [[rng.getrandbits(16) for _ in range(simd * rng.randint(1, 15))] for _ in range(8)]
    words = []
    for half in halves:
        parts = split(rng, config, half, ragged=stall)
        for n, (bits, count) in enumerate(parts):
            word = dict(data=bits, last=n == len(parts) - 1)
            words.append(word | ({"count": count} if intake is FilterWords else {}))
    got, taken, written = [[]], [], []

    async def main(ctx):
        at = now = 0
        while len(got) <= len(halves):
            takes = at < len(words) and ctx.get(dut.ends) and rng.random() >= stall
            if takes:
                ctx.set(dut.word, words[at])
                taken.append(now)
            ctx.set(dut.take, takes)
            at += takes
            write, row, closes = (await ctx.tick().sample(dut.write, dut.row, dut.closes))[2:]
            if write:
                written.append(now)
                got[-1].append([row >> 16 * n & 0xFFFF for n in range(simd)])
            if closes:
                got.append([])
            now += 1
        assert at == len(words)

    run(dut, main)
    assert got[:-1] == [[h[n : n + simd] for n in range(0, len(h), simd)] for h in halves]
    if not stall:
        assert written[0] == taken[0] + simd
        entries = sum(map(len, halves))
        assert written == list(range(simd, entries + 1, simd))
