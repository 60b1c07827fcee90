"""The record spreader against the records that compiler.sparse.csc makes."""

import random

import numpy as np
import pytest

from compiler.sparse.csc import encode, records
from hdl.config import PRESETS
from hdl.isa import Error
from hdl.sparse.stream.spread import RecordSpreader
from tests.hdl.streams import holds, receive, run, send, shared

CONFIG = PRESETS["eie64"]


def config_of(pes, rows):
    return CONFIG.replace(sparse_pes=pes, sparse_rows=rows)


def columns_of(rng, config, columns, density, rows=None):
    """Records of a random matrix: (entries of each PE, words) of each column that has any."""
    codebook = np.arange(16).astype(np.int16)
    rows = rows or config.sparse_pes * min(config.sparse_rows, 2**config.sparse_length_bits - 1)
    weights = rng.integers(1, 16, (rows, columns)).astype(np.int16)
    weights[rng.random(weights.shape) >= density] = 0
    c = encode(weights, codebook, config.sparse_pes)
    words, data = records(c, config.sparse_length_bits)
    out, at = [], 0
    for n, size in enumerate(words):
        if size:
            entries = [e[p[n] : p[n + 1]].tolist() for e, p in zip(c.entries, c.pointers)]
            out.append((entries, data[at : at + size].tolist()))
            at += size
    assert at == len(data)
    return out


def words_of(record, value=1, **changes):
    return [
        dict(mark=0, data=w, bad=0, index=i, words=len(record), value=value) | changes
        for i, w in enumerate(record)
    ]


class Watch:
    """The entries that each PE would take, a list a column, from spans and words."""

    def __init__(self, dut, config):
        self.dut, self.k = dut, config.sparse_pes
        self.columns, self.words, self.marks, self.times = [], 0, [], []

    async def __call__(self, ctx):
        dut, spans, now = self.dut, [(0, 0)] * self.k, 0
        sample = (
            dut.output.valid,
            dut.output.ready,
            dut.output.payload,
            dut.load,
            dut.mark,
            *dut.spans,
        )
        async for _, _, valid, ready, word, load, mark, *new in ctx.tick().sample(*sample):
            now += 1
            if valid and ready:
                first = 8 * word.index
                raw = word.data.to_bytes(8, "little")
                took = [
                    [raw[i - first] for i in range(max(b, first), min(e, first + 8))]
                    for b, e in spans
                ]
                if word.index == 0:
                    self.columns.append((word.value, [[] for _ in range(self.k)]))
                for own, more in zip(self.columns[-1][1], took):
                    own += more
                self.words += 1
                self.times.append(now)
            if mark:
                self.marks.append(self.words)
            spans = [
                (s.begin, s.end) if load >> n & 1 else old
                for n, (s, old) in enumerate(zip(new, spans))
            ]


# One PE's counts in a word, several words of counts, counts that end within a byte, a single row.
SIZES = [(4, 16), (4, 255), (8, 4), (16, 16), (16, 138), (64, 64), (64, 20), (32, 5)]


@pytest.mark.parametrize("pes, rows", SIZES)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_every_pe_takes_its_entries(pes, rows, stall):
    config, rng = config_of(pes, rows), np.random.default_rng([pes, rows])
    dut = shared(RecordSpreader, config)
    watch = Watch(dut, config)
    want, items, marks = [], [], []
    for density, columns in ((0.02, 12), (0.3, 4), (0.9, 2)):
        for entries, record in columns_of(rng, config, columns, density):
            value = int(rng.integers(-(2**15), 2**15))
            want.append((value, entries))
            items += words_of(record, value)
        marks.append(len(items) - len(marks))
        items.append(dict(mark=1))
    total = len(items) - len(marks)

    async def main(ctx):
        while watch.words < total or len(watch.marks) < len(marks):
            await ctx.tick()
        assert ctx.get(dut.error) == Error.NONE

    run(
        dut,
        main,
        background=[
            watch,
            holds(dut.output),
            lambda ctx: send(ctx, dut.record, items, stall=stall, rng=random.Random(1)),
            lambda ctx: receive(ctx, dut.output, None, [], stall=stall),
        ],
    )
    assert watch.columns == want and watch.marks == marks
    if not stall:
        assert watch.times[-1] - watch.times[0] < total + 2 * len(marks)


def test_hold():
    config = config_of(4, 16)
    dut = shared(RecordSpreader, config)
    entries, record = columns_of(np.random.default_rng(1), config, 1, 0.5)[0]

    async def main(ctx):
        ctx.set(dut.hold, 1)
        await ctx.tick().repeat(30)
        assert not watch.marks and watch.words == len(record)
        ctx.set(dut.hold, 0)
        await ctx.tick().repeat(len(record) + 5)
        assert watch.marks == [len(record)] and watch.words == 2 * len(record)

    watch = Watch(dut, config)
    items = [*words_of(record), dict(mark=1), *words_of(record)]
    run(
        dut,
        main,
        background=[
            watch,
            lambda ctx: send(ctx, dut.record, items),
            lambda ctx: receive(ctx, dut.output, None, []),
        ],
    )


def damage(config, rng):
    """name -> (words, error)."""
    entries, record = next(x for x in columns_of(rng, config, 20, 0.5) if len(x[1]) > 3)
    yield "short", words_of(record[:-1]), Error.SPARSE_STREAM
    yield "long", words_of([*record, 0]), Error.SPARSE_STREAM
    yield "counts cut off", words_of(record[:1], words=1), Error.SPARSE_STREAM
    higher = record[0] ^ 1 << config.sparse_length_bits - 1 ^ 8
    yield "a higher count", words_of([higher, *record[1:]]), Error.SPARSE_STREAM
    yield "all ones", words_of([2**64 - 1] * len(record)), Error.SPARSE_STREAM
    yield "all zeros", words_of([0] * len(record)), Error.SPARSE_STREAM
    bad = words_of(record)
    bad[-1]["bad"] = 1
    yield "a bad word", bad, Error.READ_RESPONSE


@pytest.mark.parametrize("pes, rows", [(4, 255), (64, 64)])
def test_errors(pes, rows):
    """The error stays, and what follows is dropped at once, marks too."""
    config, rng = config_of(pes, rows), np.random.default_rng(3)
    _, good = columns_of(rng, config, 1, 0.5)[0]
    for name, words, error in damage(config, rng):
        dut = shared(RecordSpreader, config)
        watch, done = Watch(dut, config), []

        async def feed(ctx):
            await send(ctx, dut.record, [*words_of(good), *words, dict(mark=1), *words_of(good)])
            done.append(1)

        async def main(ctx):
            await ctx.tick().until(dut.error != Error.NONE)
            left = watch.words
            while not done:
                await ctx.tick()
            assert ctx.get(dut.error) == error, name
            assert len(good) <= watch.words <= left + 1 and not watch.marks, name

        run(dut, main, background=[watch, feed, lambda ctx: receive(ctx, dut.output, None, [])])
