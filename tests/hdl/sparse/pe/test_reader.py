"""Columns, and records of columns, to words of entries: the whole of a sparse PE before its
decoder."""

import random

import pytest

from hdl.config import PRESETS
from hdl.isa import Target
from hdl.sparse.pe.reader import WordReader
from tests.hdl.sparse.flow import Flow, every_cycle, flow
from tests.hdl.streams import run, shared

CONFIG = PRESETS["tiny"]
LIMIT = CONFIG.sparse_queue


def random_columns(rng, most):
    """Bytes of entries and pointers of all columns, of which some are empty."""
    sizes = [rng.choice((0, 1, 2, most)) for _ in range(CONFIG.sparse_pointers - 1)]
    pointers = [0]
    for size in sizes:
        pointers.append(min(pointers[-1] + size, 8 * CONFIG.sparse_words))
    return [rng.choice((0, 0x10, 0xF0, rng.randrange(256))) for _ in range(pointers[-1])], pointers


async def fill(ctx, dut, entries, pointers):
    raw = bytes(entries) + bytes(-len(entries) % 8)
    words = [int.from_bytes(raw[n : n + 8], "little") for n in range(0, len(raw), 8)]
    pairs = [low | high << 32 for low, high in zip(pointers[::2], pointers[1::2], strict=True)]
    for target, values in ((Target.WEIGHTS, words), (Target.POINTERS, pairs)):
        for n, value in enumerate(values):
            ctx.set(dut.fill, {"targets": 1 << target, "address": n, "data": value})
            await ctx.tick()
    ctx.set(dut.fill, {"targets": 0})
    ctx.set(dut.limit, LIMIT)


def lanes_of(at, entries, value, first):
    """What a word tells of the entries that it holds from lane `at` on."""
    real = sum(1 << at + n for n, entry in enumerate(entries) if entry & 15)
    there = ((1 << len(entries)) - 1) << at
    return {
        "entries": {at + n: entry for n, entry in enumerate(entries)},
        "real": real,
        "padding": there & ~real,
        "many": real.bit_count() > 1,
        "first": first,
        "mark": 0,
        "value": value,
    }


def words_of(entries, pointers, column, value):
    at, end, first = pointers[column], pointers[column + 1], 1
    while at < end:
        until = min(end, at // 8 * 8 + 8)
        yield lanes_of(at % 8, entries[at:until], value, first)
        at, first = until, 0


def told(word):
    lanes = word["real"] | word["padding"]
    entries = {n: word["data"] >> 8 * n & 0xFF for n in range(8) if lanes >> n & 1}
    return {"entries": entries} | {name: word[name] for name in word if name != "data"}


def play(columns, entries, pointers, stall=0.0):
    dut = shared(WordReader, CONFIG)
    wanted = [w for c, v in columns for w in words_of(entries, pointers, c, v)]

    async def empty(ctx):
        await fill(ctx, dut, entries, pointers)
        assert ctx.get(dut.empty)

    items = [{"column": c, "value": v} for c, v in columns]
    into, out = flow(
        dut, dut.column, items, [dut.word], [len(wanted)], stall=stall, setup=empty, more=16
    )
    assert [told(word) for word in out.payloads] == wanted
    return into, out


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("most", [3, 20])
def test_columns(stall, most):
    """Every word of every column in order, and no more."""
    rng = random.Random(most)
    entries, pointers = random_columns(rng, most)
    columns = [
        (rng.randrange(CONFIG.sparse_pointers - 1), rng.randint(-9, 9) or 1) for _ in range(60)
    ]
    play(columns, entries, pointers, stall)


@pytest.mark.parametrize("size", [8, 16])
def test_rate(size):
    """A word a cycle, the first ten cycles after its column; a column a cycle if it has one."""
    count = 40
    pointers = [min(size * n, 512) for n in range(CONFIG.sparse_pointers)]
    entries = [1 + n % 255 for n in range(pointers[-1])]
    columns = [(n % (512 // size), n + 1) for n in range(count)]
    into, out = play(columns, entries, pointers)
    assert out.times[0] - into.times[0] == 10
    assert every_cycle(out)
    assert size > 8 or every_cycle(into)


def test_records():
    """A PE's bytes of a record's words, and a mark, two cycles and one of the queue later."""
    dut, rng, wanted, at = shared(WordReader, CONFIG), random.Random(3), [], []
    out = Flow(dut.word, True)

    async def main(ctx):
        now = 0
        for _ in range(30):
            begin = rng.randrange(30)
            end, words = begin + rng.choice((0, 1, 9)), [rng.getrandbits(64) for _ in range(5)]
            raw, value, first = (
                b"".join(w.to_bytes(8, "little") for w in words),
                rng.randint(-9, 9),
                1,
            )
            ctx.set(dut.span, {"begin": begin, "end": end})
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            now += 1
            for n, word in enumerate(words):
                ctx.set(dut.record.payload, {"data": word, "index": n, "value": value})
                ctx.set(dut.record.valid, 1)
                low, high = max(begin, 8 * n), min(end, 8 * n + 8)
                if low < high:
                    wanted.append(lanes_of(low % 8, raw[low:high], value, first))
                    at.append(now + 3)
                    first = 0
                await ctx.tick()
                now += 1
            ctx.set(dut.record.valid, 0)
            ctx.set(dut.mark, 1)
            wanted.append({"mark": 1})
            at.append(now + 3)
            await ctx.tick()
            ctx.set(dut.mark, 0)
            now += 1
        await ctx.tick().repeat(6)
        assert ctx.get(dut.empty)

    run(dut, main, background=[out])
    got = [{"mark": 1} if word["mark"] else told(word) for word in out.payloads]
    assert got == wanted
    assert out.times == at
