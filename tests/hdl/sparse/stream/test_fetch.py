"""The column fetcher against a table and records made up here."""

import random

import numpy as np
import pytest

from compiler.sparse.slicing import table_words
from hdl.config import PRESETS
from hdl.sparse.stream.bursts import BEATS
from hdl.sparse.stream.fetch import ColumnFetcher
from tests.hdl.streams import Buffer, ReadMemory, holds, idle, receive, run, send, shared

CONFIG = PRESETS["tiny"].replace(sparse_activations=64)
TABLE, DRAM = 37, 0x1000
MARK = None


def with_table(buffer, lengths, at):
    """The table of columns of `lengths` words in a buffer, at a word."""
    padded = np.pad(lengths, (0, -len(lengths) % 4))
    for n, word in enumerate(table_words(padded)):
        buffer.words[at + n] = int(word)


def records(raw, lengths, columns, bad):
    """What comes of the columns: (data, bad, index, words, value) or None for a MARK."""
    start = DRAM + 8 * (np.cumsum(lengths) - lengths)
    want = []
    for item in columns:
        if item is MARK:
            want.append(None)
            continue
        column, value = item
        for i in range(lengths[column]):
            at = int(start[column]) + 8 * i
            data = int.from_bytes(raw[at : at + 8], "little")
            want.append((data, at in bad, i, int(lengths[column]), value))
    return want


def fetch(dut, memory, buffer, rng, columns, registers, end, stall):
    """Sends the columns and runs until `end`, a bench that is given what has come so far.
    Returns RecordWords, their times and the looked_up pulses."""
    out, times, looked = [], [], []

    async def main(ctx):
        for name, value in registers.items():
            ctx.set(getattr(dut, name), value)
        await end(ctx, out)

    async def watch(ctx):
        async for _, _, pulse in ctx.tick().sample(dut.looked_up):
            if pulse:
                looked.append(1)

    items = [dict(mark=1) if c is MARK else dict(mark=0, column=c[0], value=c[1]) for c in columns]
    run(
        dut,
        main,
        background=[
            memory,
            buffer.reader(dut.glb),
            watch,
            holds(dut.glb.request, "table"),
            holds(dut.read.address, "address"),
            holds(dut.record, "record"),
            lambda ctx: send(ctx, dut.wanted, items, stall=stall, rng=rng),
            lambda ctx: receive(ctx, dut.record, None, out, stall=stall, rng=rng, times=times),
        ],
    )
    got = [None if r.mark else (r.data, bool(r.bad), r.index, r.words, r.value) for r in out]
    return got, times, len(looked)


def simulate(
    lengths,
    columns,
    *,
    stall=0.0,
    latency=4,
    seed=1,
    bad=(),
    base=0,
    limit=1 << 31,
    dram=DRAM,
    until=None,
):
    """Fetch columns (or MARK) of records of `lengths` words; returns (dut's memory, RecordWords,
    their times, looked_up pulses). until: a condition to wait for instead of the last word; then
    what came until it."""
    rng, lengths = random.Random(seed), np.array(lengths)
    dut, buffer = shared(ColumnFetcher, CONFIG), Buffer(rng, stall)
    raw = np.random.default_rng(seed).integers(0, 256, 1 << 17).astype(np.uint8).tobytes()
    memory = ReadMemory(dut.read, bytearray(raw), latency=latency, stall=stall, bad=bad)
    with_table(buffer, lengths, TABLE)
    want, marks = records(raw, lengths, columns, bad), columns.count(MARK)

    async def end(ctx, out):
        if until is not None:
            await ctx.tick().until(until(dut))
            await idle(ctx, 60)
            return
        while len(out) < len(want):
            await ctx.tick()
        await idle(ctx, 20)

    registers = dict(table=TABLE, dram=dram, base=base, limit=limit)
    got, times, looked = fetch(dut, memory, buffer, rng, columns, registers, end, stall)
    if until is None:
        assert got == want
        assert looked == marks
        assert memory.beats == len(want) - marks
    else:
        assert got == want[: len(got)]
    return memory, got, times, looked


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_random_columns(stall):
    """Any order, empty columns, records over pages and bursts, marks wherever."""
    rng = random.Random(5)
    lengths = [rng.choice([0, 0, 1, 2, 3, 9, 70, 200]) for _ in range(120)]
    columns = [(n, rng.randrange(-(2**15), 2**15)) for n in range(120)]
    rng.shuffle(columns)
    for at in (110, 70, 70, 0):
        columns.insert(at, MARK)
    simulate(lengths, [*columns, MARK], stall=stall)


def test_commands_follow_each_other():
    """Each with its own table and records, told as soon as the one before is looked up."""
    rng = random.Random(8)
    dut, buffer = shared(ColumnFetcher, CONFIG), Buffer(rng, 0.3)
    raw = np.random.default_rng(8).integers(0, 256, 1 << 17).astype(np.uint8).tobytes()
    memory = ReadMemory(dut.read, bytearray(raw), latency=20, stall=0.2)
    want, sent, out = [], [], []
    for n in range(6):
        lengths = np.array([rng.choice([0, 1, 3]) for _ in range(24)])
        with_table(buffer, lengths, TABLE + 8 * n)
        columns = [(column, 7 * n) for column in range(0, 24, 1 + n)] if n != 3 else []
        for item in [*records(raw[0x800 * n :], lengths, columns, ()), None]:
            want.append(item and item[0])
        sent.append([dict(mark=0, column=c, value=v) for c, v in columns] + [dict(mark=1)])

    async def main(ctx):
        ctx.set(dut.limit, 1 << 31)
        for n, items in enumerate(sent):
            ctx.set(dut.table, TABLE + 8 * n)
            ctx.set(dut.dram, DRAM + 0x800 * n)
            await ctx.tick().repeat(3)
            looked_up = ctx.tick().until(dut.looked_up)
            await send(ctx, dut.wanted, items)
            await looked_up
        while len(out) < len(want):
            await ctx.tick()

    run(
        dut,
        main,
        background=[
            memory,
            buffer.reader(dut.glb),
            lambda ctx: receive(ctx, dut.record, None, out, stall=0.3, rng=rng),
        ],
    )
    assert [None if r.mark else r.data for r in out] == want


def test_empty_columns_read_nothing():
    memory, got, _, _ = simulate([0] * 100, [*((n, 5) for n in range(100)), MARK])
    assert not memory.bursts and got == [None]


@pytest.mark.parametrize("words, rate", [(1, 0.48), (2, 0.98), (9, 0.98), (200, 0.98)])
def test_latency_is_hidden(words, rate):
    """A beat a cycle behind a latency of 40; of one-word records OUTSTANDING bind, or a burst
    every two cycles."""
    count = min(200, 8000 // words)
    _, got, times, _ = simulate([words] * count, [(n, 1) for n in range(count)], latency=40)
    assert len(got) / (times[-1] - times[0] + 1) > rate
    assert times[0] <= 40 + 32


def test_nothing_is_asked_for_without_room():
    """A reader that never takes: the fetcher asks for BEATS at most, and takes all of them."""
    rng = random.Random(1)
    dut, buffer = shared(ColumnFetcher, CONFIG), Buffer(rng, 0)
    memory = ReadMemory(dut.read, bytearray(1 << 16))
    with_table(buffer, np.full(64, 7), at=0)

    async def main(ctx):
        ctx.set(dut.limit, 1 << 16)
        await idle(ctx, 400)
        assert BEATS - 7 <= memory.beats == sum(n for _, n in memory.bursts) <= BEATS

    run(
        dut,
        main,
        background=[
            memory,
            buffer.reader(dut.glb),
            lambda ctx: send(ctx, dut.wanted, [dict(column=n, value=1) for n in range(64)]),
        ],
    )


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(
    "where",
    [dict(base=DRAM + 8), dict(limit=DRAM + 8 * 299), dict(limit=DRAM - 8), dict(dram=1 << 31)],
)
def test_window(where, stall):
    """The first record outside: all before it come, it is not read, nor anything after it."""
    columns = [(7, 1), MARK, (3, 2), (0, 3), (99, 4), (5, 5), MARK]
    at = dict(base=0, limit=1 << 31, dram=DRAM) | where
    memory, got, _, _ = simulate(
        [3] * 100, columns, stall=stall, until=lambda dut: dut.outside, **at
    )
    assert all(at["base"] <= a and a + 8 * n <= at["limit"] for a, n in memory.bursts)
    outside = {"base": 3, "limit": 4 if at["limit"] > DRAM else 0, "dram": 0}[next(iter(where))]
    assert len(got) == sum(1 if c is MARK else 3 for c in columns[:outside])
    assert memory.beats == sum(g is not None for g in got)


def test_bad_beats_are_marked():
    simulate([3, 2, 4], [(1, 1), (0, 1), (2, 1)], bad=[DRAM + 8, DRAM + 8 * 6])
