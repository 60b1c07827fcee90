"""Words of entries: from weights or records to the decoder."""

import random

import pytest

from hdl.config import PRESETS
from hdl.isa import Target
from hdl.sparse.pe.entry_reader import EntryReader
from hdl.sparse.pe.word_queue import DEPTH, ENOUGH, WordQueue
from tests.hdl.sparse.flow import Flow, every_cycle, flow, latencies
from tests.hdl.streams import run, shared

CONFIG = PRESETS["tiny"]


def inside(lanes):
    return sum(1 << n for n in range(lanes["low"], lanes["high"] if lanes["until"] else 8))


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_entry_reader(stall):
    """Words of the weights, of records and marks, each two cycles after it was there."""
    dut, rng = shared(EntryReader, CONFIG), random.Random(2)
    out, wanted = Flow(dut.word), []
    weights = [rng.getrandbits(64) for _ in range(CONFIG.sparse_words)]

    async def main(ctx):
        for n, word in enumerate(weights):
            ctx.set(dut.fill, {"targets": 1 << Target.WEIGHTS, "address": n, "data": word})
            await ctx.tick()
        ctx.set(dut.fill, {"targets": 0})
        first = CONFIG.sparse_words
        for now in range(200):
            lanes = {
                "low": rng.randrange(4),
                "high": rng.randrange(4, 8),
                "until": rng.randrange(2),
                "first": rng.randrange(2),
                "value": rng.randrange(-9, 9),
            }
            kind = rng.choice(["place", "place", "record", "other's", "mark"])
            there, room = rng.random() >= stall, rng.random() >= stall
            address, data = rng.randrange(len(weights)), rng.getrandbits(64)
            ctx.set(dut.place.payload, {"address": address, "lanes": lanes})
            ctx.set(dut.place.valid, kind == "place" and there)
            ctx.set(dut.room, room)
            ctx.set(dut.record, kind in ("record", "other's"))
            ctx.set(dut.own, kind == "record")
            ctx.set(dut.data, data)
            ctx.set(dut.lanes, lanes)
            ctx.set(dut.mark, kind == "mark")
            assert ctx.get(dut.place.ready) == room
            if kind in ("record", "mark") or (kind == "place" and there and room):
                word = data if kind == "record" else weights[address]
                own = 0 if kind == "mark" else inside(lanes)
                wanted.append((first + now + 2, kind, word, own, lanes))
            await ctx.tick()
        for port in (dut.place.valid, dut.record, dut.mark):
            ctx.set(port, 0)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.busy)

    run(dut, main, background=[out])
    for (at, kind, word, own, lanes), time, got in zip(
        wanted, out.times, out.payloads, strict=True
    ):
        assert (got["mark"], got["inside"], time) == (kind == "mark", own, at)
        if kind != "mark":
            assert (got["data"], got["first"], got["value"]) == (
                word,
                lanes["first"],
                lanes["value"],
            )


def raw_words(count):
    rng, out = random.Random(count), []
    for n in range(count):
        entries = [rng.choice([0, 16, 33, 255, 240]) for _ in range(8)]
        out.append(
            {
                "data": int.from_bytes(entries, "little"),
                "inside": rng.getrandbits(8),
                "first": rng.randrange(2),
                "mark": rng.randrange(2),
                "value": n,
            }
        )
    return out


def classified(raw):
    used = sum((raw["data"] >> 8 * n & 15 != 0) << n for n in range(8))
    real = raw["inside"] & used
    kept = {name: raw[name] for name in ("data", "first", "mark", "value")}
    return kept | {
        "real": real,
        "padding": raw["inside"] & ~used,
        "many": real.bit_count() > 1,
    }


def test_word_queue():
    """A word a cycle, a cycle later; entries of index 0 are paddings."""
    dut, items = shared(WordQueue), raw_words(300)
    into, out = flow(dut, dut.input, items, [dut.output], [len(items)])
    assert out.payloads == [classified(raw) for raw in items]
    assert every_cycle(out) and set(latencies(into, out)) == {1}


@pytest.mark.parametrize("stall", [0.5, 0.9])
def test_word_queue_has_room_for_those_under_way(stall):
    """A source that looks at `room`, whose words take DEPTH - ENOUGH - 1 cycles to come."""
    dut, items = shared(WordQueue), raw_words(200)
    out, under_way = Flow(dut.output, True, stall), [None] * (DEPTH - ENOUGH - 1)

    async def main(ctx):
        left = list(items)
        while left or any(under_way):
            word = under_way.pop(0)
            ctx.set(dut.input.valid, word is not None)
            if word:
                ctx.set(dut.input.payload, word)
            under_way.append(left.pop(0) if left and ctx.get(dut.room) else None)
            await ctx.tick()
        ctx.set(dut.input.valid, 0)
        while len(out.payloads) < len(items):
            await ctx.tick()

    run(dut, main, background=[out])
    assert out.payloads == [classified(raw) for raw in items]
