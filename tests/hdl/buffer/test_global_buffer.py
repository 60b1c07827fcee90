"""Global buffer against an array, all clients at once."""

import random

import numpy as np
import pytest
from amaranth.hdl import Const

from hdl.buffer.clients import PROMPT, readers, writers
from hdl.buffer.global_buffer import GlobalBuffer
from hdl.buffer.read_port import RESPONSE_DEPTH
from hdl.config import PRESETS
from hdl.isa import WORD_ADDR
from tests.hdl.streams import idle, run, shared

CONFIGS = {
    "a power of two": PRESETS["tiny"].replace(glb_depth=64),
    "three pairs": PRESETS["tiny"].replace(glb_pairs=3, glb_depth=64),
    "one pair": PRESETS["tiny"].replace(glb_pairs=1, glb_depth=64),
}
# Without a sparse engine.
READERS, WRITERS = readers(PRESETS["eyeriss"]), writers(PRESETS["eyeriss"])


def reader(dut, name):
    return getattr(dut, f"read_{name}")


def writer(dut, name):
    return getattr(dut, f"write_{name}")


async def read(ctx, port, words, out, *, stall=0.0, rng=None, times=None, accepted=None):
    """Sends requests and takes their responses, each with stalls of its own; of a prompt client
    the requests alone."""
    rng, prompt = rng or random.Random(1), isinstance(port.response.ready, Const)
    asked = now = 0
    offering = False
    while len(out) < len(words):
        offering = asked < len(words) and (offering or rng.random() >= stall)
        ready = prompt or rng.random() >= stall
        ctx.set(port.request.valid, offering)
        ctx.set(port.request.payload, words[asked] if offering else 0)
        if not prompt:
            ctx.set(port.response.ready, ready)
        _, _, taken, valid, data = await ctx.tick().sample(
            port.request.ready, port.response.valid, port.response.payload
        )
        if offering and taken:
            asked, offering = asked + 1, False
            if accepted is not None:
                accepted.append(now)
        if ready and valid:
            assert len(out) < asked, "a response too many"
            out.append(data)
            if times is not None:
                times.append(now)
        now += 1
    ctx.set(port.request.valid, 0)
    if not prompt:
        ctx.set(port.response.ready, 0)


async def write(ctx, port, items, *, stall=0.0, rng=None, accepted=None):
    rng = rng or random.Random(1)
    now = 0
    for item in items:
        while rng.random() < stall:
            ctx.set(port.valid, 0)
            await ctx.tick()
            now += 1
        ctx.set(port.payload, item)
        ctx.set(port.valid, 1)
        while True:
            _, _, ready = await ctx.tick().sample(port.ready)
            now += 1
            if ready:
                break
        if accepted is not None:
            accepted.append(now - 1)
    ctx.set(port.valid, 0)


def store(memory, item):
    """The definition of a write, on an array of 16-bit lanes."""
    for lane in range(8):
        if item["mask"] >> lane & 1:
            memory[4 * item["word"] + lane] = item["data"] >> 16 * lane & 0xFFFF


def load(memory, word):
    return sum(int(memory[4 * word + n]) << 16 * n for n in range(8))


class Traffic:
    """Blocks of words that are written, by one writer each, and blocks that are read change places
    from phase to phase; blocks lie across the ends of pairs."""

    BLOCK = 12

    def __init__(self, config, stall):
        self.dut, self.stall, words = shared(GlobalBuffer, config), stall, config.glb_words
        self.words, self.rng = words, random.Random(config.name)
        self.memory = np.zeros(4 * words, np.uint16)
        self.blocks = [range(n, min(n + self.BLOCK, words)) for n in range(0, words, self.BLOCK)]
        pair = 2 * config.glb_depth
        assert config.glb_pairs == 1 or any(b[0] < pair < b[-1] for b in self.blocks)
        self.reads = self.writes = 0  # accesses the buffer counts
        self.jobs, self.left, self.started = [], 0, 0

    def item(self, word):
        """A write of both words, of one, or of some lanes; never of none."""
        return dict(
            word=word,
            data=self.rng.getrandbits(128),
            mask=self.rng.choice([0xFF, 0x0F, 0xF0, self.rng.randrange(1, 256)]),
        )

    def addresses(self, mine, phase, count):
        """In blocks of a phase; of four blocks, 0 and 1 are the writers' and 2, 3 the readers'."""
        choice = self.rng.choice
        blocks = [b for k, b in enumerate(self.blocks) if (k + phase) % 4 in mine and len(b) > 1]
        picked = [choice(blocks) for _ in range(count)]
        return [choice([b[0], b[-2], choice(b[:-1])]) for b in picked]

    def apply(self, items):
        for item in items:
            store(self.memory, item)

    async def fill(self, ctx):
        """Every lane of every word is written before it is read."""
        words = range(0, self.words, 2)
        fill = [dict(word=w, data=self.rng.getrandbits(128), mask=0xFF) for w in words]
        await write(ctx, writer(self.dut, "load"), fill)
        self.apply(fill)
        await idle(ctx, 3)

    async def phase(self, ctx, n):
        """All clients at once; checks what they read and the counters."""
        before, self.reads, self.writes = self.memory.copy(), 0, 0
        await idle(ctx, 3)
        todo = {
            w: [self.item(a) for a in self.addresses([k], n, 50)] for k, w in enumerate(WRITERS)
        }
        asks = {r: self.addresses([2, 3], n, 60) for r in READERS}
        got = {r: [] for r in READERS}
        await self.run_clients(ctx, n, todo, asks, got)
        for w in WRITERS:
            self.apply(todo[w])
        for r in READERS:
            assert got[r] == [load(before, a) for a in asks[r]], r
        await idle(ctx, 3)
        assert not any(ctx.get(reader(self.dut, r).response.valid) for r in READERS)
        # counters: both banks of a read; the banks of a write that it has lanes of
        assert self.reads == 2 * sum(map(len, asks.values()))
        masks = [i["mask"] for w in WRITERS for i in todo[w]]
        assert self.writes == sum(bool(mask & 15) + bool(mask >> 4) for mask in masks)

    async def run_clients(self, ctx, n, todo, asks, got):
        def rng(name):
            return random.Random(f"{n}{name}")

        def writing(w):
            port = writer(self.dut, w)
            return lambda ctx: write(ctx, port, todo[w], stall=self.stall, rng=rng(w))

        def reading(r):
            port = reader(self.dut, r)
            return lambda ctx: read(ctx, port, asks[r], got[r], stall=self.stall, rng=rng(r))

        self.jobs = [*map(writing, WRITERS), *map(reading, READERS)]
        self.left = len(self.jobs)
        self.started += 1
        while self.left:
            await ctx.tick()

    def worker(self, k):
        """Does job k of every phase."""

        async def bench(ctx):
            seen = 0
            while True:
                if self.started > seen:
                    seen += 1
                    await self.jobs[k](ctx)
                    self.left -= 1
                await ctx.tick()

        return bench

    async def count(self, ctx):
        async for _, _, reads, writes in ctx.tick().sample(self.dut.reads, self.dut.writes):
            self.reads += reads
            self.writes += writes


@pytest.mark.sampled(2, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("config", CONFIGS)
def test_random(config, stall):
    traffic = Traffic(CONFIGS[config], stall)

    async def main(ctx):
        await traffic.fill(ctx)
        for n in range(4):
            await traffic.phase(ctx, n)
        got, words = [], range(traffic.words - 1)
        await read(ctx, reader(traffic.dut, "store"), words, got)
        assert got == [load(traffic.memory, a) for a in words]

    workers = [traffic.worker(k) for k in range(len(WRITERS + READERS))]
    run(traffic.dut, main, background=[*workers, traffic.count])


LATENCY, PROMPT_LATENCY = 7, 5  # as GlobalBuffer's docstring has it


@pytest.mark.parametrize("config", CONFIGS)
def test_one_access_a_cycle_on_pairs_of_its_own(config):
    """Readers and writers meet only among themselves: readers on a pair each, writers too."""
    config = CONFIGS[config]
    dut, n = shared(GlobalBuffer, config), 40
    pairs, pair = config.glb_pairs, 2 * config.glb_depth
    readers, writers = READERS[:pairs], WRITERS[:pairs]
    asked = {c: [] for c in readers + writers}
    times, out = {c: [] for c in readers}, {c: [] for c in readers}

    async def conflict(ctx):
        async for _, _, c in ctx.tick().sample(dut.conflict):
            assert not c

    benches = [
        lambda ctx, k=k, c=c: read(
            ctx,
            reader(dut, c),
            [k * pair + a for a in range(n)],
            out[c],
            times=times[c],
            accepted=asked[c],
        )
        for k, c in enumerate(readers)
    ]
    benches += [
        lambda ctx, k=k, c=c: write(
            ctx,
            writer(dut, c),
            [dict(word=k * pair + 60 + a, data=a, mask=0xFF) for a in range(n)],
            accepted=asked[c],
        )
        for k, c in enumerate(writers)
    ]
    run(dut, *benches, background=[conflict])
    for c in asked:
        assert asked[c] == list(range(n)), c
    for c in readers:
        latency = PROMPT_LATENCY if c in PROMPT else LATENCY
        assert times[c] == list(range(latency, latency + n)), c


def test_half_a_word_pair_leaves_the_other_bank_free():
    """Writers that touch different halves of one pair do not wait."""
    dut, asked = shared(GlobalBuffer, CONFIGS["a power of two"]), {c: [] for c in WRITERS}
    run(
        dut,
        lambda ctx: write(
            ctx,
            dut.write_ofmap,
            [dict(word=2 * a, data=a, mask=0x0F) for a in range(20)],
            accepted=asked["ofmap"],
        ),
        lambda ctx: write(
            ctx,
            dut.write_load,
            [dict(word=2 * a + 1, data=a, mask=0x0F) for a in range(20)],
            accepted=asked["load"],
        ),
    )
    assert asked["ofmap"] == asked["load"] == list(range(20))


def test_conflicts_go_by_priority():
    """On one pair the first never waits, and the others follow in order when it stops."""
    dut, n = shared(GlobalBuffer, CONFIGS["a power of two"]), 20
    asked, out = {c: [] for c in READERS + WRITERS}, {c: [] for c in READERS}
    conflicts = []

    async def conflict(ctx):
        async for _, _, c in ctx.tick().sample(dut.conflict):
            conflicts.append(c)

    benches = [
        lambda ctx, c=c: read(ctx, reader(dut, c), [5] * n, out[c], accepted=asked[c])
        for c in READERS
    ]
    benches += [
        lambda ctx, c=c: write(
            ctx, writer(dut, c), [dict(word=90, data=1, mask=0xFF)] * n, accepted=asked[c]
        )
        for c in WRITERS
    ]
    run(dut, *benches, background=[conflict])
    for k, c in enumerate(READERS):  # two requests of each are in its register slice at once
        assert asked[c] == [0, 1, *range(k * n + 2, (k + 1) * n)], c
    for k, c in enumerate(WRITERS):
        assert asked[c] == list(range(k * n, (k + 1) * n)), c
    until = (len(READERS) - 1) * n + 1  # the last is alone
    assert conflicts[:until] == [1] * until and not any(conflicts[until:])


@pytest.mark.parametrize("stuck", [c for c in READERS if c not in PROMPT])
def test_a_full_client_blocks_nobody(stuck):
    """One client never takes its responses; all others read the same banks to their end."""
    dut, out, n = shared(GlobalBuffer, CONFIGS["a power of two"]), {c: [] for c in READERS}, 20
    accepted = []

    async def full(ctx):
        port = reader(dut, stuck)
        ctx.set(port.request.valid, 1)
        while True:
            _, _, taken = await ctx.tick().sample(port.request.ready)
            accepted.append(taken)

    cycles = run(
        dut,
        *(
            lambda ctx, c=c: read(ctx, reader(dut, c), [0] * n, out[c])
            for c in READERS
            if c != stuck
        ),
        lambda ctx: idle(ctx, 5 * n),
        background=[full],
    )
    assert sum(accepted) == RESPONSE_DEPTH + 3  # and those in the registers before and after
    assert cycles <= 5 * n + 4 and all(len(out[c]) == n for c in READERS if c != stuck)


def test_a_read_sees_what_was_written_a_cycle_before():
    """One accepted in the same cycle may see anything."""
    dut, got = shared(GlobalBuffer, CONFIGS["a power of two"]), []

    async def main(ctx):
        port, out = dut.write_load, []
        await write(ctx, port, [dict(word=6, data=1, mask=0xFF)])
        await idle(ctx, 4)
        ctx.set(port.payload, dict(word=6, data=2, mask=0xFF))
        ctx.set(port.valid, 1)
        ctx.set(dut.read_psum.request.payload, 6)
        ctx.set(dut.read_psum.request.valid, 1)
        ctx.set(dut.read_psum.response.ready, 1)
        await ctx.tick()
        ctx.set(port.valid, 0)
        await ctx.tick()
        ctx.set(dut.read_psum.request.valid, 0)
        for _ in range(8):
            _, _, valid, data = await ctx.tick().sample(
                dut.read_psum.response.valid, dut.read_psum.response.payload
            )
            if valid:
                out.append(data)
        got.extend(out)

    run(dut, main)
    assert len(got) == 2 and got[1] == 2


@pytest.mark.parametrize("config", CONFIGS)
def test_the_word_after_the_last_address_is_the_first(config):
    """An unaligned read that begins before word 0 still finds it in its upper half."""
    dut, got = shared(GlobalBuffer, CONFIGS[config]), []

    async def main(ctx):
        await write(ctx, dut.write_load, [dict(word=0, data=0x1234, mask=0x0F)])
        await read(ctx, dut.read_ifmap, [2**WORD_ADDR - 1], got)

    run(dut, main)
    assert got[0] >> 64 == 0x1234
