"""The length tables of LOAD: where their rows lie, and their words ahead of the strips."""

import random
from collections import deque

import pytest

from hdl.memory.load.lengths import LengthReader
from hdl.memory.load.rows import TableRows
from hdl.timing import LENGTH_BURST, LENGTH_WORDS
from tests.hdl.streams import holds, idle, receive, run, send, shared

STALLS = pytest.mark.parametrize("stall", [0.0, 0.4])
WIDTHS = pytest.mark.parametrize("address", [17, 32])


def random_command(rng):
    return dict(
        table=2 * rng.randrange(1 << 14),
        stride_a=2 * rng.randrange(1 << 10),
        table_b=2 * rng.randrange(1 << 9),
        count_a=rng.randint(1, 3),
        count_b=rng.randint(1, 4),
        count_c=rng.choice((1, 2, 3, 4, 5, 7, 60)),
        rlc=1,
    )


def command_of(count_c, **fields):
    return dict(table=0x100, stride_a=0, table_b=64, count_a=1, count_b=1, rlc=1) | dict(
        count_c=count_c, **fields
    )


def rows_of(command):
    """(address, words) of every (a, b): the whole words that hold its lengths."""
    for a in range(command["count_a"]):
        for b in range(command["count_b"]):
            begin = command["table"] + a * command["stride_a"] + b * command["table_b"]
            end = begin + 2 * command["count_c"]
            yield begin // 8 * 8, -(-end // 8) - begin // 8


def bursts_of(row):
    """(address, words), none over the end of an aligned one."""
    at, words = row
    while words:
        some = min(words, LENGTH_BURST - at // 8 % LENGTH_BURST)
        yield at, some
        at, words = at + 8 * some, words - some


def fill(at):
    """The word at an address: none like another."""
    return dict(data=at * 0x9E3779B97F4A7C15 % (1 << 64), bad=at // 8 % 3 == 0)


@WIDTHS
@STALLS
def test_table_rows(address, stall):
    rng, dut = random.Random(3), shared(TableRows, address)
    commands = [random_command(rng) for _ in range(16)]
    want, got, times = [list(rows_of(command)) for command in commands], [], []
    count = sum(map(len, want))

    async def take(ctx):
        await receive(ctx, dut.rows, count, got, stall=stall, times=times)
        await idle(ctx, 3)
        assert not ctx.get(dut.rows.valid)

    run(
        dut,
        lambda ctx: send(ctx, dut.command, commands, stall=stall),
        take,
        background=[holds(dut.rows)],
    )
    assert [(row.at, row.words) for row in got] == [row for rows in want for row in rows]
    if not stall:  # a row a cycle, each command's first a cycle after it is taken
        now, expected = 2, []
        for rows in want:
            expected += range(now, now + len(rows))
            now += len(rows) + 1
        assert times == expected


def read(dut, commands, *, stall=0.0, latency=3, limit=1 << 17, taker=None):
    """Runs the reader on a table; returns its requests, their cycles and the words that came out.
    Checks that no more words are under way or wait than there is room for."""
    bursts = [b for command in commands for row in rows_of(command) for b in bursts_of(row)]
    count = sum(words for _, words in bursts)
    asked, times, words, rng = [], [], [], random.Random(4)

    async def memory(ctx):
        queue, now = deque(), 0
        while True:
            ready = rng.random() >= stall
            ctx.set(dut.request.ready, ready)
            comes = bool(queue) and queue[0][0] <= now and rng.random() >= stall
            ctx.set(dut.beats.valid, comes)
            if comes:
                ctx.set(dut.beats.payload, fill(queue.popleft()[1]))
            valid, payload, taken = (
                await ctx.tick().sample(dut.request.valid, dut.request.p, dut.beats.ready)
            )[2:]
            assert taken
            now += 1
            if valid and ready:
                asked.append((payload.address, payload.words))
                times.append(now)
                queue += [(now + latency, payload.address + 8 * n) for n in range(payload.words)]
                assert sum(some for _, some in asked) - len(words) <= LENGTH_WORDS

    async def offer(ctx):
        ctx.set(dut.limit, limit)
        await send(ctx, dut.command, commands, stall=stall)

    async def take(ctx):
        await receive(ctx, dut.words, count, words, stall=stall)
        await idle(ctx, 10)
        assert not ctx.get(dut.words.valid) and not ctx.get(dut.request.valid)

    run(
        dut,
        taker or take,
        background=[offer, memory, holds(dut.request), holds(dut.words)],
    )
    return bursts, asked, times, words


@WIDTHS
@STALLS
def test_words(address, stall):
    """Those of every row in order, by aligned bursts."""
    rng = random.Random(5)
    commands = [random_command(rng) for _ in range(6)]
    bursts, asked, _, words = read(shared(LengthReader, address), commands, stall=stall)
    assert asked == bursts
    wanted = [fill(at + 8 * n) for at, some in bursts for n in range(some)]
    assert [dict(data=word.data, bad=word.bad) for word in words] == wanted


def test_rate():
    """A burst a cycle and one more for each row; the first four cycles after its command."""
    command = command_of(32, count_b=2)
    _, asked, times, _ = read(shared(LengthReader), [command])
    assert [some for _, some in asked] == [4, 4, 4, 4]
    assert times == [5, 6, 8, 9]

    command = command_of(3, count_b=50)
    times = read(shared(LengthReader), [command])[2]
    assert times == list(range(5, 5 + 2 * 50, 2))


def test_runs_ahead():
    """As far as there is room, into the next command."""
    dut = shared(LengthReader)
    commands = [command_of(16, table=64 * n) for n in range(6)]

    async def taker(ctx):
        await idle(ctx, 60)

    asked = read(dut, commands, taker=taker)[1]
    assert sum(some for _, some in asked) == LENGTH_WORDS
    asked = read(dut, [command_of(60, table=8)], taker=taker)[1]  # 3, then fours
    assert sum(some for _, some in asked) == 3 + 4 + 4 + 4


@STALLS
def test_outside(stall):
    """What lies outside is not asked for, and told once the words before it are taken."""
    dut, seen = shared(LengthReader), []
    command = command_of(20, count_b=9)

    async def take(ctx):
        words = []
        while len(words) < 5 * 3:
            await receive(ctx, dut.words, len(words) + 1, words, stall=stall)
            seen.append(ctx.get(dut.outside))
        await idle(ctx, 10)
        assert ctx.get(dut.outside)

    asked = read(dut, [command], stall=stall, limit=0x100 + 3 * 64, taker=take)[1]
    assert asked == [b for row in list(rows_of(command))[:3] for b in bursts_of(row)]
    assert not any(seen[:-1])
