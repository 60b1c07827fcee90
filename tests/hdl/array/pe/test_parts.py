"""Parts of a PE, each alone: the ring of its entries, a multiplier with its psums, what brings
filters into their spad and says which are read, what its counters see."""

import random

import pytest

from golden.fixed import wrap
from hdl.array.pe.filters.address import FilterAddress
from hdl.array.pe.filters.entries import FilterEntries
from hdl.array.pe.filters.skipping_address import SkippingFilterAddress
from hdl.array.pe.filters.words import FilterWords
from hdl.array.pe.ifmap.ring import EntryRing
from hdl.array.pe.mac.lane import MacLane
from hdl.array.pe.state import PeState
from hdl.array.words import EVENTS
from hdl.timing import HAZARD
from tests.hdl.array.pe.bus import ENTRIES, PAIRS, SKIPPING, WORDS, split
from tests.hdl.streams import run, run_combinational, shared

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


@pytest.mark.parametrize(
    "address, config, skip",
    [
        (FilterAddress, WORDS, 0),
        (FilterAddress, PAIRS, 0),
        (SkippingFilterAddress, SKIPPING, 0),
        (SkippingFilterAddress, SKIPPING, 1),
    ],
    ids=["words", "pairs", "may skip", "skips"],
)
@STALLS
def test_filter_address(address, config, skip, stall):
    """Rows of the half that the pass has, from its first in every window: all, or those of the
    entries that there are. A row in every cycle of a pass."""
    dut, rng = shared(address, config), random.Random(7)
    size = config.filter_half // config.simd

    async def main(ctx):
        ctx.set(dut.skip, skip)
        for n in range(6):
            p, entries = rng.randint(1, config.psum_spad // config.simd), rng.randint(1, 6)
            p = min(p, size // entries)
            ctx.set(dut.p, p)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.p, rng.randrange(256))
            windows = [range(entries)] * 3
            if skip:
                windows = [sorted(rng.sample(w, rng.randint(1, entries))) for w in windows]
            slots = [
                (entry, index, (entry, index) == (w[-1], p - 1), k == len(windows) - 1)
                for k, w in enumerate(windows)
                for entry in w
                for index in range(p)
            ]
            for entry, index, ends, last in slots:
                for name in ("issue", "window_end", "pass_end"):
                    ctx.set(getattr(dut, name), 0)
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.entry, entry)
                ctx.set(dut.index, index)
                ctx.set(dut.issue, 1)
                ctx.set(dut.window_end, ends)
                ctx.set(dut.pass_end, ends and last)
                half = n % 2
                assert ctx.get(dut.half) == half
                assert ctx.get(dut.address) == half * size + entry * p + index
                await ctx.tick()
            for name in ("issue", "window_end", "pass_end"):
                ctx.set(getattr(dut, name), 0)

    run(dut, main)


def test_state():
    """Of what a PE does or waits for one is told, and `gated` beside it."""
    dut = PeState()

    async def main(ctx):
        for n in range(64):
            names = ("active", "bubble", "filters", "there", "issue", "gated")
            now = {name: n >> k & 1 for k, name in enumerate(names)}
            able = now["active"] and not now["bubble"] and now["filters"] and now["there"]
            if now["issue"] and not able:
                continue  # a slot needs all of these
            for name in names:
                ctx.set(getattr(dut, name), now[name])
            told = {e for k, e in enumerate(EVENTS) if ctx.get(dut.events) >> k & 1}
            if not now["active"]:
                wanted = "idle"
            elif now["bubble"]:
                wanted = "wait_hazard"
            elif not now["filters"]:
                wanted = "wait_filter"
            elif not now["there"]:
                wanted = "wait_ifmap"
            else:
                wanted = "busy" if now["issue"] else "wait_psum"
            assert told == {wanted} | ({"gated"} if now["gated"] else set())

    run_combinational(dut, main)
