"""The parts of the run-length coder and of the writer of its strips, each alone."""

import random

import pytest

from hdl.memory.store.rlc.bursts import CodedBursts
from hdl.memory.store.rlc.lengths import LengthWord
from hdl.memory.store.rlc.pairs import EntryPairs
from hdl.memory.store.rlc.queue import SlotQueue
from hdl.memory.store.rlc.words import PairWords
from hdl.timing import CODED_BURST, STRIPS_AHEAD
from tests.hdl.streams import holds, idle, receive, run, send, shared

STALLS = pytest.mark.parametrize("stall", [0.0, 0.4])


# ---- pairs ----------------------------------------------------------------------------------
def pairs_of(strip):
    """(run, level) of a strip; 32 zeros that a pair cannot hold are a run of 31 and a level 0."""
    pairs, zeros = [], 0
    for entry in strip:
        if entry == 0:
            zeros += 1
        else:
            pairs += [(31, 0)] * (zeros // 32) + [(zeros % 32, entry)]
            zeros = 0
    return pairs


def packed(pairs):
    return [level << 5 | run for run, level in pairs]


def unpacked(item):
    return [item.pairs[n] for n in range(item.count)]


def random_strip(rng, count):
    zeros = rng.choice([0, 0.3, 0.8, 0.98, 1])
    return [0 if rng.random() < zeros else rng.randrange(1, 1 << 16) for _ in range(count)]


@STALLS
@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
def test_entry_pairs(chunk, stall):
    dut, rng = shared(EntryPairs), random.Random(chunk)
    lengths = [*range(1, 12), 40, 40, 100, 100]
    strips = [random_strip(rng, chunk * length) for length in lengths]
    strips += [[0] * chunk * 40, [0] * chunk * 39 + [7] * chunk, [0] * chunk]
    items = []
    for strip in strips:
        for at in range(0, len(strip), chunk):
            rest = [rng.randrange(1, 1 << 16) for _ in range(4 - chunk)]  # not counted
            entries = strip[at : at + chunk] + rest
            items.append(dict(entries=entries, last=at + chunk == len(strip)))
    got, taken = [[]], []

    async def take(ctx):
        while len(got) <= len(strips):
            out = []
            await receive(ctx, dut.pairs, 1, out, stall=stall)
            got[-1] += unpacked(out[0])
            if out[0].last:
                got.append([])
        await idle(ctx, 5)
        assert ctx.get(dut.idle) and not ctx.get(dut.pairs.valid)

    async def watch(ctx):
        now = 0
        async for _, _, valid, ready in ctx.tick().sample(dut.entries.valid, dut.entries.ready):
            if valid and ready:
                taken.append(now)
            now += 1

    async def offer(ctx):
        ctx.set(dut.count, chunk)
        await send(ctx, dut.entries, items, stall=stall)

    run(dut, offer, take, background=[holds(dut.pairs), watch])
    assert got == [packed(pairs_of(strip)) for strip in strips] + [[]]


def test_entry_pairs_take_an_item_a_cycle():
    """And a cycle more for every four pairs that continue its run."""
    dut, taken = shared(EntryPairs), []
    # 32 * n zeros and a level, four entries an item
    runs = [0, 1, 4, 5, 9]
    strip = [entry for run in runs for entry in [0] * (32 * run) + [0, 0, 0, 5]]
    items = [
        dict(entries=strip[n : n + 4], last=n + 4 == len(strip)) for n in range(0, len(strip), 4)
    ]

    async def bench(ctx):
        ctx.set(dut.count, 4)
        ctx.set(dut.pairs.ready, 1)
        for item in items:
            ctx.set(dut.entries.payload, item)
            ctx.set(dut.entries.valid, 1)
            cycles = 1
            while not (await ctx.tick().sample(dut.entries.ready))[2]:
                cycles += 1
            taken.append(cycles)
            assert ctx.get(dut.pairs.valid)  # latency one cycle

    run(dut, bench)
    # an item waits while the one before it has pairs that continue
    waits = {}
    at = 0
    for run_of in runs:
        at += 8 * run_of + 1
        waits[at] = -(-run_of // 4)
    assert taken == [1 + waits.get(n, 0) for n in range(len(items))]


@STALLS
def test_pair_words(stall):
    dut, rng = shared(PairWords), random.Random(5)
    items, wanted = [], []
    for length in [0, 1, 2, 3, 4, 6, 7, *(rng.randrange(30) for _ in range(30))]:
        pairs = [rng.getrandbits(21) for _ in range(length)]
        at, done = 0, False
        while not done:
            count = min(rng.randint(0, 4), length - at)
            rest = [rng.getrandbits(21) for _ in range(4 - count)]
            done = at + count == length and rng.random() < 0.7
            items.append(dict(pairs=pairs[at : at + count] + rest, count=count, last=done))
            at += count
        words = [pairs[n : n + 3] for n in range(0, length, 3)] or [[]]
        for n, word in enumerate(words):
            last = n == len(words) - 1
            data = sum(pair << 21 * k for k, pair in enumerate(word)) | last << 63
            wanted.append((data, last, not word))
    got = []

    async def take(ctx):
        await receive(ctx, dut.words, len(wanted), got, stall=stall)
        await idle(ctx, 5)
        assert ctx.get(dut.idle) and not ctx.get(dut.words.valid)

    run(
        dut,
        lambda ctx: send(ctx, dut.pairs, items, stall=stall, rng=rng),
        take,
        background=[holds(dut.words)],
    )
    assert [(w.data, w.last, w.empty) for w in got] == wanted


@pytest.mark.parametrize("count", [3, 4])
def test_pair_words_are_a_word_a_cycle(count):
    """Three pairs a cycle are taken as they come; of four there are words all the time."""
    dut, rng, out, times = shared(PairWords), random.Random(6), [], []
    items = [
        dict(pairs=[rng.getrandbits(21) for _ in range(4)], count=count, last=n == 59)
        for n in range(60)
    ]
    words = -(-60 * count // 3)
    cycles = run(
        dut,
        lambda ctx: send(ctx, dut.pairs, items),
        lambda ctx: receive(ctx, dut.words, words, out, times=times),
    )
    assert times == [*range(times[0], times[0] + words)]
    assert cycles <= words + 4


@pytest.mark.parametrize("count", range(4))
def test_pair_words_of_short_strips(count):
    """Strips of three pairs or fewer: one a cycle."""
    dut, rng, out, times = shared(PairWords), random.Random(7), [], []
    pairs = [[rng.getrandbits(21) for _ in range(4)] for _ in range(30)]
    items = [dict(pairs=four, count=count, last=1) for four in pairs]
    run(
        dut,
        lambda ctx: send(ctx, dut.pairs, items),
        lambda ctx: receive(ctx, dut.words, 30, out, times=times),
    )
    assert [word.last for word in out] == [1] * 30
    assert [word.empty for word in out] == [count == 0] * 30
    assert times == [*range(times[0], times[0] + 30)]


# ---- strips in memory -----------------------------------------------------------------------
@STALLS
def test_coded_bursts(stall):
    dut, rng = shared(CodedBursts), random.Random(7)

    async def bench(ctx):
        for length in [0, 1, 8, 0, 9, 17, *(rng.randrange(40) for _ in range(20))]:
            address = rng.randrange(1 << 28) << 3
            begin = None
            for n in range(max(length, 1)):
                last, at = n >= length - 1, address + 8 * n
                begin = at if begin is None else begin
                closes = last or at % (8 * CODED_BURST) == 8 * CODED_BURST - 8
                count = (at - begin) // 8 + 1
                ctx.set(dut.address, address)
                ctx.set(dut.last, last)
                ctx.set(dut.empty, length == 0)
                while True:
                    taken = rng.random() >= stall
                    ctx.set(dut.take, taken)
                    assert ctx.get(dut.fresh) == (begin == at)
                    assert ctx.get(dut.closes) == closes
                    assert ctx.get(dut.length) == min(n + 1, length)
                    span = ctx.get(dut.range)
                    assert (span.begin, span.bytes) == (begin, 8 * count)
                    assert (span.request.address, span.request.words) == (begin, count)
                    await ctx.tick()
                    if taken:
                        break
                begin = None if closes else begin
            ctx.set(dut.take, 0)

    run(dut, bench)


@STALLS
def test_length_word(stall):
    dut, rng = shared(LengthWord), random.Random(8)

    async def bench(ctx):
        for _ in range(60):
            first = 8 * rng.randrange(1 << 20) + 2 * rng.randrange(4)
            count = rng.randint(1, 4 - first % 8 // 2)
            lengths = [rng.getrandbits(16) for _ in range(count)]
            assert not ctx.get(dut.some)
            for n, length in enumerate(lengths):
                table = first + 2 * n
                last = n == count - 1 and rng.random() < 0.3
                ctx.set(dut.slot, dict(table=table, address=rng.getrandbits(32), last=last))
                ctx.set(dut.length, length)
                assert ctx.get(dut.full) == (table % 8 == 6 or last)
                ctx.set(dut.add, 1)
                await ctx.tick()
                ctx.set(dut.add, 0)
                while rng.random() < stall:
                    await ctx.tick()
                span, word = ctx.get(dut.range), ctx.get(dut.word)
                strobe = sum(3 << (first + 2 * k) % 8 for k in range(n + 1))
                assert ctx.get(dut.some) and word.strobe == strobe
                got = [word.data >> 8 * ((first + 2 * k) % 8) & 0xFFFF for k in range(n + 1)]
                assert got == lengths[: n + 1]
                assert (span.begin, span.bytes) == (first, 2 * (n + 1))
                request = span.request
                assert (request.address, request.words, request.last) == (first & ~7, 1, last)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)

    run(dut, bench)


@pytest.mark.parametrize("gap, stall", [(0, 0), (0, 0.5), (0.5, 0.2)])
def test_slot_queue(gap, stall):
    dut, rng = shared(SlotQueue), random.Random(9)
    slots, table = [], 0
    for _ in range(80):
        table = table + 2 if rng.random() < 0.6 else 2 * rng.getrandbits(30)
        slots.append(dict(address=8 * rng.getrandbits(28), table=table, last=rng.getrandbits(1)))
    got, times = [], []
    run(
        dut,
        lambda ctx: send(ctx, dut.slots, slots, stall=gap),
        lambda ctx: receive(ctx, dut.known, len(slots), got, stall=stall, times=times),
        background=[holds(dut.known)],
    )
    assert [
        {name: known.slot[name] for name in ("address", "table", "last")} for known in got
    ] == slots
    beside = [known.beside for known in got]
    assert beside[1:] == [
        after["table"] == before["table"] + 2 for before, after in zip(slots, slots[1:])
    ]
    if not gap and not stall:
        assert times == [*range(2, 2 + len(slots))]


def test_slot_queue_holds_as_many_as_are_ahead():
    dut = shared(SlotQueue)

    async def bench(ctx):
        ctx.set(dut.slots.valid, 1)
        taken = 0
        for _ in range(3 * STRIPS_AHEAD):
            taken += (await ctx.tick().sample(dut.slots.ready))[2]
        assert taken == STRIPS_AHEAD

    run(dut, bench)
