"""Coded strips and their lengths, on their way to the bus."""

import random

import pytest

from hdl.memory.store.slots import SlotWriter
from hdl.timing import CODED_BURST
from tests.hdl.streams import holds, idle, receive, run, send, shared


def strips_of(rng, sizes, apart=0.4):
    """(slot, words) of each: slots anywhere, lengths mostly beside those before."""
    table = 0
    for n, size in enumerate(sizes):
        table = 2 * rng.randrange(1 << 12) if n == 0 or rng.random() < apart else table + 2
        slot = dict(address=1 << 16 | n << 10 | 8 * rng.randrange(64), table=table, last=n % 7 == 6)
        yield slot, [rng.getrandbits(64) for _ in range(size)]


def items_of(words):
    """What the encoder makes of a strip."""
    if not words:
        return [dict(data=1 << 63, last=1, empty=1)]
    return [dict(data=word, last=n == len(words) - 1) for n, word in enumerate(words)]


def written(words, ranges):
    """Memory, byte by byte, from the words of ranges; none is left over, or written twice."""
    memory, words = {}, iter(words)
    for one in ranges:
        request = one.request
        for n in range(request.words):
            word = next(words)
            for byte in range(8):
                if word.strobe >> byte & 1:
                    at = request.address + 8 * n + byte
                    assert one.begin <= at < one.begin + one.bytes and at not in memory
                    memory[at] = word.data >> 8 * byte & 0xFF
        assert one.begin // 8 * 8 == request.address
    assert next(words, None) is None
    return memory


def write(strips, *, stall=0.0):
    """Runs the writer; returns the cycles in which words of strips were taken and in which words
    went out, and the ranges."""
    dut = shared(SlotWriter)
    items = [item for _, words in strips for item in items_of(words)]
    out, ranges, taken, times = [], [], [], []

    async def watch(ctx):
        now = 0
        ready, valid = dut.words.ready, dut.words.valid
        async for _, _, moves in ctx.tick().sample(ready & valid):
            now += 1
            if moves:
                taken.append(now)

    async def check(ctx):
        await receive(ctx, dut.check, None, ranges, stall=stall, rng=random.Random(9))

    async def finish(ctx):
        while sum(one.request.last for one in ranges) < sum(slot["last"] for slot, _ in strips):
            await ctx.tick()
        await idle(ctx, 6)
        assert ctx.get(dut.idle) and not ctx.get(dut.out.valid)

    run(
        dut,
        lambda ctx: send(ctx, dut.slots, [slot for slot, _ in strips], stall=stall),
        lambda ctx: send(ctx, dut.words, items, stall=stall),
        finish,
        background=[
            check,
            watch,
            lambda ctx: receive(ctx, dut.out, None, out, stall=stall, times=times),
            holds(dut.check),
            holds(dut.out),
        ],
    )
    wanted = {}
    for slot, words in strips:
        raw = b"".join(word.to_bytes(8, "little") for word in words)
        wanted |= {slot["address"] + n: byte for n, byte in enumerate(raw)}
        size = len(words).to_bytes(2, "little")
        wanted |= {slot["table"] + n: byte for n, byte in enumerate(size)}
    assert written(out, ranges) == wanted
    return taken, times, ranges


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_strips(stall):
    """Every word in its slot, every length in the table, by bursts that end with an aligned block
    or with their strip; lengths side by side go out together."""
    rng = random.Random(7)
    sizes = [0, 1, 8, 0, 0, 3, 17, *(rng.choice((0, 1, 2, 5, 9)) for _ in range(20))]
    strips, table = [], set()
    for slot, words in strips_of(rng, sizes):
        if slot["table"] not in table:
            table.add(slot["table"])
            strips.append((slot, words))
    strips[-1][0]["last"] = 1
    ranges = write(strips, stall=stall)[2]

    bursts = [one.request for one in ranges if one.begin >> 16]
    for burst in bursts:
        assert burst.address // 8 % CODED_BURST + burst.words <= CODED_BURST
    assert len(bursts) == sum(
        len({(slot["address"] // 8 + n) // CODED_BURST for n in range(len(words))})
        for slot, words in strips
    )
    groups = 0
    for (before, _), (slot, _) in zip([({"table": -8, "last": 1}, 0), *strips], strips):
        beside = slot["table"] == before["table"] + 2 and slot["table"] % 8
        groups += not beside or before["last"]
    assert len(ranges) - len(bursts) == groups


@pytest.mark.parametrize("apart, lost", [(0, 1), (1, 2)])
def test_rate(apart, lost):
    """A word a cycle, and for every word of lengths one more, or two if the next strip's is not
    beside them."""
    rng = random.Random(8)
    count, size = 12, 5
    strips = []
    for n in range(count):
        table = 8 * n if apart else 2 * n
        slot = dict(address=1 << 16 | n << 8, table=table, last=n == count - 1)
        strips.append((slot, [rng.getrandbits(64) for _ in range(size)]))
    taken, times, _ = write(strips)
    gaps = [after - before - 1 for before, after in zip(taken, taken[1:])]
    group = 1 if apart else 4
    assert gaps == [lost if (n + 1) % (group * size) == 0 else 0 for n in range(count * size - 1)]
