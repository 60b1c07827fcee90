"""Ranges and words to the bus."""

import random

import pytest

from hdl.memory.store.bursts import BurstWriter
from tests.hdl.streams import WriteMemory, holds, idle, run, send, shared


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
