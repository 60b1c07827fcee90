"""Ranges and words to the bus."""

import random

import pytest

from hdl.memory.store.bursts import BeatWriter, BurstWriter
from hdl.timing import WRITE_BURSTS
from tests.hdl.streams import WriteMemory, holds, idle, receive, run, send, shared


@pytest.mark.parametrize("address", [17, 32])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_ranges(stall, address):
    rng, dut = random.Random(4), shared(BurstWriter, address)
    memory, want = bytearray(1 << 16), bytearray(1 << 16)
    ranges, words, at = [], [], 0
    for n in range(40):
        at, size = at + 8 * rng.randrange(9), rng.choice((1, 1, 2, 9, 70))
        request = dict(address=at, words=size, last=n % 2)
        ranges.append(dict(begin=at, bytes=8 * size, request=request))
        for _ in range(size):
            data, strobe = rng.getrandbits(64), rng.choice((0xFF, 0xFF, rng.randrange(256)))
            words.append(dict(data=data, strobe=strobe))
            for i in range(8):
                if strobe >> i & 1:
                    want[at + i] = data >> 8 * i & 0xFF
            at += 8
    axi, answered = WriteMemory(dut.write, memory, latency=3, stall=stall), []

    async def finish(ctx):
        while len(answered) < len(ranges) // 2:
            if (await ctx.tick().sample(dut.answered))[2]:
                answered.append(1)
        await idle(ctx, 3)
        assert ctx.get(dut.idle) and not ctx.get(dut.outstanding) and not ctx.get(dut.outside)

    async def offer(ctx):
        ctx.set(dut.limit, 1 << 16)
        await send(ctx, dut.ranges, ranges, stall=stall)

    cycles = run(
        dut,
        offer,
        lambda ctx: send(ctx, dut.words, words, stall=stall),
        finish,
        background=[axi, holds(dut.write.address, "aw"), holds(dut.write.data, "w")],
    )
    assert memory == want and axi.beats == len(words)
    if not stall:  # a word a cycle, of ranges of one word too
        assert cycles <= len(words) + 20


def beats_of(bursts, words):
    """What goes out: the words in order, the last of every burst marked."""
    words = iter(words)
    return [dict(next(words), last=n == length) for length in bursts for n in range(length + 1)]


def plain(beat):
    return {name: beat[name] for name in ("data", "strobe", "last")}


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_beats(stall):
    """Bursts of every length, as many waiting as may; without stalls a beat a cycle, two cycles
    after its word."""
    rng, dut = random.Random(6), shared(BeatWriter)
    bursts = [rng.choice((0, 0, 1, 3, 9)) for _ in range(50)]
    words = [
        dict(data=rng.getrandbits(64), strobe=rng.getrandbits(8)) for _ in range(sum(bursts) + 50)
    ]
    want, got, times, at = beats_of(bursts, words), [], [], []

    async def ask(ctx):
        for n, length in enumerate(bursts):
            while sum(beat.last for beat in got) <= n - WRITE_BURSTS:
                await ctx.tick()
            ctx.set(dut.bursts.payload, length)
            ctx.set(dut.bursts.valid, 1)
            await ctx.tick()
            ctx.set(dut.bursts.valid, 0)

    async def bring(ctx):
        await idle(ctx, 10)
        at.append(11)
        await send(ctx, dut.words, words, stall=stall)

    async def take(ctx):
        await receive(ctx, dut.data, len(want), got, stall=stall, times=times)
        await idle(ctx, 5)
        assert not ctx.get(dut.data.valid)

    run(dut, ask, bring, take, background=[holds(dut.data)])
    assert [plain(beat) for beat in got] == want
    if not stall:
        assert times == list(range(at[0] + 2, at[0] + 2 + len(want)))


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_halted_beats(stall):
    """They wait for no words, and write nothing, but for two that may be in the slice."""
    rng, dut = random.Random(7), shared(BeatWriter)
    bursts, words, got = [3, 0, 9, 5], [dict(data=n, strobe=0xFF) for n in range(6)], []

    async def main(ctx):
        for length in bursts:
            ctx.set(dut.bursts.payload, length)
            ctx.set(dut.bursts.valid, 1)
            await ctx.tick()
        ctx.set(dut.bursts.valid, 0)
        await send(ctx, dut.words, words, stall=stall, rng=rng)
        await idle(ctx, 8)
        ctx.set(dut.halt, 1)
        await receive(ctx, dut.data, sum(bursts) + 4, got, stall=stall)
        await idle(ctx, 5)
        assert not ctx.get(dut.data.valid)

    run(dut, main, background=[holds(dut.data)])
    assert [beat.last for beat in got] == [n == b for b in bursts for n in range(b + 1)]
    assert [beat.strobe for beat in got] == [0xFF] * 2 + [0] * (sum(bursts) + 2)
