"""Parts on the way from columns to records."""

import random

import numpy as np
import pytest

from compiler.sparse.slicing import table_words
from hdl.config import PRESETS, record_head
from hdl.isa import Error
from hdl.sparse.stream.bursts import BEATS, BurstReader
from hdl.sparse.stream.counts import RecordCounts
from hdl.sparse.stream.cutter import RecordCutter
from hdl.sparse.stream.errors import SparseErrors
from hdl.sparse.stream.locator import STAGES, RecordLocator
from hdl.sparse.stream.permit import RecordPermit
from hdl.sparse.stream.table import TableReader
from hdl.sparse.stream.tracker import StreamTracker
from tests.hdl.sparse.flow import every_cycle, flow, latencies
from tests.hdl.streams import Buffer, ReadMemory, holds, run, send, shared

CONFIG = PRESETS["tiny"].replace(sparse_activations=64)


def registers(dut, **values):
    async def setup(ctx):
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)

    return setup


# ---- the table --------------------------------------------------------------------------
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_table(stall):
    """Each column's word, one a cycle; a mark among them when the one before has left."""
    dut, rng = shared(TableReader, CONFIG), random.Random(1)
    buffer = Buffer(rng, stall)
    for n in range(64):
        buffer.words[20 + n] = rng.getrandbits(64)
    items = [
        {
            "mark": n % 15 == 9 or stall > 0 and n % 15 == 10,
            "column": rng.randrange(250),
            "value": n,
        }
        for n in range(120)
    ]
    looked_up = []

    async def leave(ctx):
        while True:
            while not (await ctx.tick().sample(dut.looked_up))[2]:
                pass
            looked_up.append(len(looked_up))
            await ctx.tick().repeat(5)
            assert ctx.get(dut.under_way) and not ctx.get(dut.looked_up)
            ctx.set(dut.left, 1)
            await ctx.tick()
            ctx.set(dut.left, 0)

    async def space(ctx):
        while True:
            ctx.set(dut.space, rng.random() >= stall)
            await ctx.tick()

    into, out = flow(
        dut,
        dut.wanted,
        items,
        [dut.entry],
        [len(items)],
        stall=stall,
        waits=False,
        setup=registers(dut, table=20),
        background=[buffer.reader(dut.glb), holds(dut.glb.request), space, leave],
    )
    for item, got in zip(items, out.payloads, strict=True):
        look_up = got["look_up"]
        assert (look_up["mark"], look_up["value"]) == (item["mark"], item["value"])
        if not item["mark"]:
            word = buffer.words[20 + item["column"] // 4]
            assert look_up["lane"] == item["column"] % 4
            assert got["word"]["offset"] == word & 2**20 - 1
            assert got["word"]["lengths"] == [word >> 20 + 11 * n & 2047 for n in range(4)]
    assert len(looked_up) == sum(item["mark"] for item in items)
    if not stall:  # the first few until `space` is known
        assert every_cycle(out) and into.times[-1] - into.times[0] == len(items) - 1


def test_locator():
    """A place for each column with a record, its length, a mark; an entry a cycle. The records of
    the second half are elsewhere, which is known while the first one's are held."""
    dut, rng = shared(RecordLocator, CONFIG), random.Random(2)
    lengths = [rng.choice([0, 1, 2, 9, 2047]) for _ in range(64)]
    starts = (np.cumsum(lengths) - lengths).tolist()
    words = [int(word) for word in table_words(np.array(lengths))]
    items, places, wanted = [], [], []
    for n in range(150):
        column, mark = rng.randrange(64), n == 75
        word = words[column // 4]
        entry = {
            "offset": word & 2**20 - 1,
            "lengths": [word >> 20 + 11 * lane & 2047 for lane in range(4)],
        }
        look_up = {"mark": mark, "lane": column % 4, "value": n}
        items.append({"look_up": look_up, "word": entry})
        if mark:
            wanted.append((n, {"mark": 1, "words": 0, "value": n}))
        elif lengths[column]:
            begin = (512 if n < 75 else 8192) + starts[column]
            place = {"begin": begin, "words": lengths[column]}
            places.append((n, place))
            wanted.append((n, {"mark": 0, "words": lengths[column], "value": n}))

    async def follow(ctx):
        await ctx.tick().repeat(60)
        ctx.set(dut.hold, 1)
        await ctx.tick()
        ctx.set(dut.dram, 8 * 8192)
        await ctx.tick().until(dut.left)
        ctx.set(dut.hold, 0)

    into, place, length = flow(
        dut,
        dut.entry,
        items,
        [dut.place, dut.length],
        [len(places), len(wanted)],
        waits=False,
        setup=registers(dut, dram=4096),
        background=[follow],
    )
    for out, expected in ((place, places), (length, wanted)):
        assert out.payloads == [item for _, item in expected]
        assert out.times == [into.times[n] + STAGES + 1 for n, _ in expected]
    assert every_cycle(into)


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("outside", [None, 25])
def test_permit(outside, stall):
    """All before the first that is not in the window, in order, one a cycle; nothing after it."""
    dut, rng = shared(RecordPermit, CONFIG, 64), random.Random(3)
    places = [{"begin": rng.randrange(16, 4000), "words": rng.randint(1, 9)} for _ in range(50)]
    if outside is not None:
        places[outside] = {"begin": 15, "words": 4}
    count = len(places) if outside is None else outside

    into, out = flow(
        dut,
        dut.place,
        places,
        [dut.allowed],
        [count],
        stall=stall,
        setup=registers(dut, base=128, limit=8 * 4010),
        more=30,
    )
    assert out.payloads == places[:count]
    if not stall:
        assert every_cycle(into) and every_cycle(out)
        assert out.times[0] - into.times[0] <= 10


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_bursts(stall):
    """Every word of the places, in order, with what the bus said."""
    dut, rng = shared(BurstReader, CONFIG), random.Random(4)
    raw = bytes(rng.getrandbits(8) for _ in range(1 << 14))
    places = [
        {"begin": rng.randrange(1900), "words": rng.choice([1, 2, 30, 90])} for _ in range(30)
    ]
    bad = {8 * places[3]["begin"]}
    memory = ReadMemory(dut.read, bytearray(raw), latency=20, stall=stall, bad=bad)
    wanted = [
        {"data": int.from_bytes(raw[at : at + 8], "little"), "bad": at in bad}
        for place in places
        for at in range(8 * place["begin"], 8 * (place["begin"] + place["words"]), 8)
    ]
    _, out = flow(
        dut,
        dut.place,
        places,
        [dut.beat],
        [len(wanted)],
        stall=stall,
        background=[memory, holds(dut.read.address)],
    )
    assert out.payloads == wanted
    if not stall:
        assert len(wanted) / (out.times[-1] - out.times[0] + 1) > 0.9


def test_bursts_wait_for_room():
    dut = shared(BurstReader, CONFIG)
    memory = ReadMemory(dut.read, bytearray(1 << 14))

    async def main(ctx):
        await ctx.tick().repeat(300)
        assert BEATS - 30 <= memory.beats <= BEATS and not ctx.get(dut.idle)
        ctx.set(dut.beat.ready, 1)
        await ctx.tick().until(dut.idle)
        assert memory.beats == 20 * 30

    items = [{"begin": 0, "words": 30}] * 20
    run(dut, main, background=[memory, lambda ctx: send(ctx, dut.place, items)])


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_cutter(stall):
    """Words of records and marks; one a cycle, also of records of one word."""
    dut, rng = shared(RecordCutter, 64, 24), random.Random(5)
    lengths = [
        {"mark": 0, "words": rng.choice([1, 1, 2, 5]), "value": n}
        if n % 7
        else {"mark": 1, "words": 0, "value": n}
        for n in range(40)
    ]
    beats = [{"data": n, "bad": n % 9 == 0} for n in range(sum(x["words"] for x in lengths))]
    wanted, left = [], iter(beats)
    for length in lengths:
        if length["mark"]:
            wanted.append(length)
        for index in range(length["words"]):
            wanted.append(length | next(left) | {"index": index})
    _, out = flow(
        dut,
        dut.length,
        lengths,
        [dut.record],
        [len(wanted)],
        stall=stall,
        background=[lambda ctx: send(ctx, dut.beat, beats)],
    )
    for got, expected in zip(out.payloads, wanted, strict=True):
        assert {name: got[name] for name in expected} == expected
    assert stall or every_cycle(out)


def test_cutter_refuses_a_reserve():
    with pytest.raises(ValueError, match="64"):
        RecordCutter(64, 64)


# ---- records ----------------------------------------------------------------------------
@pytest.mark.parametrize("pes, rows", [(4, 16), (4, 255), (16, 138), (64, 64), (32, 5)])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_counts(pes, rows, stall):
    """Where the bytes of each PE end, three cycles after its count; a word a cycle."""
    rng = random.Random(pes)
    config = CONFIG.replace(
        sparse_pes=pes, sparse_rows=rows, sparse_pointers=128, sparse_activations=256
    )
    dut, bits = shared(RecordCounts, config), config.sparse_length_bits
    each, final, head = record_head(pes, bits)
    items, wanted = [], []
    for _ in range(12):
        counts, end = [rng.getrandbits(bits) for _ in range(pes)], head
        for index in range(final + 3):
            own = counts[index * each : (index + 1) * each]
            word = sum(count << n * bits for n, count in enumerate(own))
            items.append({"mark": 0, "data": word, "index": index, "words": final + 3, "value": 1})
            ends = [end]
            for count in own:
                ends.append(ends[-1] + count)
            wanted.append(ends if own else None)
            end = ends[-1]
        items.append({"mark": 1})
        wanted.append(None)
    got = []

    async def watch(ctx):
        sample = dut.counted.valid, dut.counted.ready, dut.marks, dut.ends
        async for _, _, valid, ready, mark, ends in ctx.tick().sample(*sample):
            if valid and ready:
                got.append((mark, [ends[n] for n in range(dut.each + 1)]))

    into, out = flow(
        dut,
        dut.record,
        items,
        [dut.counted],
        [len(items)],
        stall=stall,
        background=[watch],
    )
    for item, (mark, ends), expected in zip(items, got, wanted, strict=True):
        assert mark == item["mark"]
        if expected:
            assert ends[: len(expected)] == expected
    if not stall:
        assert every_cycle(out) and set(latencies(into, out)) == {RecordCounts.STAGES}


# ---- ends and errors --------------------------------------------------------------------
def test_tracker():
    """A mark is out until no PE has words of it; `passed` a cycle later, once."""
    dut = shared(StreamTracker, CONFIG)

    async def main(ctx):
        for wait in (0, 1, 5):
            for begun in range(1, 4):
                ctx.set(dut.begun, 1)
                await ctx.tick()
                assert begun and ctx.get(dut.any)
            ctx.set(dut.begun, 0)
            for left in (2, 1, 0):
                ctx.set(dut.mark, 1)
                ctx.set(dut.pending, 0b0101)
                await ctx.tick()
                ctx.set(dut.mark, 0)
                for _ in range(wait):
                    assert ctx.get(dut.marked) and not ctx.get(dut.passed)
                    await ctx.tick()
                ctx.set(dut.pending, 0)
                await ctx.tick()
                assert ctx.get(dut.passed)
                await ctx.tick()
                assert not ctx.get(dut.passed) and not ctx.get(dut.marked)
                assert ctx.get(dut.any) == (left > 0)

    run(dut, main)


ERRORS = {  # what is set, and the error that comes of it
    "a PE's": (dict(met=2), Error.SPARSE_STREAM),
    "of the command marked": (dict(met=2, pending=2, marked=1), Error.SPARSE_STREAM),
    "of the one after": (dict(met=2, pending=4, marked=1), Error.NONE),
    "a record's": (dict(records=Error.READ_RESPONSE), Error.READ_RESPONSE),
    "a record's of the one after": (dict(records=Error.READ_RESPONSE, marked=1), Error.NONE),
    "outside": (dict(outside=1, drained=1), Error.READ_WINDOW),
    "outside, with others before": (dict(outside=1), Error.NONE),
    "a PE's first": (dict(met=1, outside=1, drained=1), Error.SPARSE_STREAM),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    """A cycle later, and it stays."""
    values, error = ERRORS[name]
    dut = shared(SparseErrors, CONFIG)

    async def main(ctx):
        await registers(dut, **values)(ctx)
        await ctx.tick()
        assert ctx.get(dut.error) == error
        await registers(dut, **dict.fromkeys(values, 0))(ctx)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.error) == error

    run(dut, main)
