"""Two halves of filters: filled from the bus in turns, read in the order of the MAC loop."""

import random
from collections import deque

import pytest

from hdl.array.pe.filter_spad import FilterSpad
from tests.hdl.array.pe.bus import ENTRIES, PAIRS, SKIPPING, WORDS, offer, split
from tests.hdl.streams import run, shared

VARIANTS = pytest.mark.parametrize(
    "config, skip",
    [(WORDS, 0), (SKIPPING, 0), (SKIPPING, 1), (ENTRIES, 0), (PAIRS, 0)],
    ids=["words", "words, may skip", "words, skips", "entries", "pairs"],
)


def passes(rng, config, count):
    """Random passes: (filters or pairs of them, entries of a window, windows, filter entries)."""
    for n in range(count):
        most = config.filter_half // config.simd
        slots = rng.randint(1, config.psum_spad // config.simd)
        window = min(rng.randint(1, config.ifmap_spad), most // slots)
        if n == 0:
            slots, window = config.psum_spad // config.simd, config.ifmap_spad
        entries = [rng.getrandbits(16) for _ in range(slots * window * config.simd)]
        yield slots, window, rng.randint(1, 3), entries


def on_bus(rng, config, entries, ragged=0.0):
    words = split(rng, config, entries, ragged=ragged)
    count = {} if config.input_lanes == 1 else {"count"}
    for n, (bits, lanes) in enumerate(words):
        yield dict(data=bits, last=n == len(words) - 1) | dict.fromkeys(count, lanes)


def row(config, entries, at):
    return sum(entries[at * config.simd + n] << 16 * n for n in range(config.simd))


class Reader:
    """Plays the MAC loop: what it issues in each cycle, and the rows that it gets."""

    def __init__(self, dut, skip, rng, stall):
        self.dut, self.skip, self.rng, self.stall = dut, skip, rng, stall
        self.due = deque([None, None])  # rows issued, by cycle
        self.rows, self.cycles = 0, 0

    async def tick(self, ctx, wanted=None, **pulses):
        for name in ("issue", "window_end", "pass_end", "load"):
            ctx.set(getattr(self.dut, name), pulses.get(name, 0))
        self.due.append(wanted)
        got, some = (await ctx.tick().sample(self.dut.weights, self.dut.some))[2:]
        wanted = self.due.popleft()
        assert wanted is None or got == wanted, f"row {self.rows}"
        self.rows += wanted is not None
        self.cycles += 1
        return some

    async def read(self, ctx, config, slots, window, windows, entries):
        ctx.set(self.dut.p, slots * config.simd)
        await self.tick(ctx, load=1)
        ctx.set(self.dut.p, self.rng.getrandbits(8))
        while not await self.tick(ctx):
            pass
        for left in reversed(range(windows)):
            places = list(range(window))
            if self.skip:
                places = sorted(self.rng.sample(places, self.rng.randint(1, window)))
            for place in places:
                for index in range(slots):
                    while self.rng.random() < self.stall:
                        await self.tick(ctx)
                    ends = (place, index) == (places[-1], slots - 1)
                    later = ends and self.rng.random() < self.stall
                    ctx.set(self.dut.entry, place)
                    ctx.set(self.dut.index, index)
                    wanted = row(config, entries, place * slots + index)
                    closes = dict(window_end=1, pass_end=not left) if ends else {}
                    await self.tick(ctx, wanted, issue=1, **({} if later else closes))
                    if later:
                        await self.tick(ctx, **closes)


@VARIANTS
def test_rows(config, skip):
    """Each row two cycles after its slot, whenever it is read and whatever fills meanwhile."""
    dut, rng = shared(FilterSpad, config), random.Random(f"{config.name} {skip}")
    todo = list(passes(rng, config, 5))
    reader = Reader(dut, skip, rng, 0.2)

    async def source(ctx):
        for *_, entries in todo:
            await offer(ctx, dut, on_bus(rng, config, entries, 0.3), rng=rng, stall=0.3)

    async def main(ctx):
        ctx.set(dut.skip, skip)
        for shape in todo:
            await reader.read(ctx, config, *shape)
        assert not await reader.tick(ctx) and not await reader.tick(ctx)  # none is left
        assert not reader.due[0] and not reader.due[1]

    run(dut, main, source)


@VARIANTS
def test_rates(config, skip):
    """An entry a cycle into both halves, which hold the pass two cycles after the last; the next
    word is accepted in the cycle after a half is released; a row a cycle comes out."""
    dut, rng = shared(FilterSpad, config), random.Random(1)
    half, lanes, rows = config.filter_half, config.input_lanes, config.filter_half // config.simd
    entries = [[rng.getrandbits(16) for _ in range(half)] for _ in range(3)]
    times, filled, released = [], [], []

    async def source(ctx):
        words = [word for some in entries for word in on_bus(rng, config, some)]
        await offer(ctx, dut, words, rng=rng, times=times)

    async def main(ctx):
        slots = config.psum_spad // config.simd
        ctx.set(dut.skip, skip)
        ctx.set(dut.p, slots * config.simd)
        reader = Reader(dut, skip, rng, 0.0)
        for now in range(2 * half + 4):
            if await reader.tick(ctx, load=now == 2 * half + 3):
                filled.append(now)
        for n in range(2 * rows):
            at = n % rows
            ctx.set(dut.entry, at // slots)
            ctx.set(dut.index, at % slots)
            ends = at == rows - 1
            if ends:
                released.append(reader.cycles)
            wanted = row(config, entries[n // rows], at)
            await reader.tick(ctx, wanted, issue=1, window_end=ends, pass_end=ends, load=ends)
        await reader.tick(ctx)
        await reader.tick(ctx)
        assert reader.rows == 2 * rows

    run(dut, main, source)
    assert filled[0] == half + 1
    assert times[: 2 * half // lanes] == list(range(0, 2 * half, lanes))
    third = times[2 * half // lanes :]
    assert third == [released[0] + 1 + lanes * n for n in range(half // lanes)]
