"""Columns to the bounds of their entries."""

import random

import pytest

from hdl.config import PRESETS
from hdl.isa import Target
from hdl.sparse.pe.pointers import STAGES, PointerLookup
from tests.hdl.sparse.flow import every_cycle, flow, latencies
from tests.hdl.streams import shared

CONFIG = PRESETS["tiny"].replace(sparse_pointers=32)
ENTRIES = 8 * CONFIG.sparse_words


def filled(dut, pointers):
    async def setup(ctx):
        for n in range(0, len(pointers), 2):
            word = pointers[n] | pointers[n + 1] << 32
            fill = {"targets": 1 << Target.POINTERS, "address": n // 2, "data": word}
            ctx.set(dut.fill, fill)
            await ctx.tick()
        ctx.set(dut.fill, {"targets": 0})

    return setup


def play(pointers, columns, stall):
    """Bounds that come, times, and how often `bad` was met."""
    dut, bad = shared(PointerLookup, CONFIG), []

    async def watch(ctx):
        async for _, _, now in ctx.tick().sample(dut.bad):
            bad.append(now)

    items = [{"column": c, "value": n - 30} for n, c in enumerate(columns)]
    wanted = []
    for item in items:
        begin, end = (pointers[n] if n < 32 else None for n in (item["column"], item["column"] + 1))
        if end is not None and begin < end <= ENTRIES:
            wanted.append({"begin": begin, "end": end, "value": item["value"]})
    into, out = flow(
        dut,
        dut.column,
        items,
        [dut.bounds],
        [len(wanted)],
        stall=stall,
        setup=filled(dut, pointers),
        background=[watch],
    )
    assert out.payloads == wanted
    return into, out, sum(bad)


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.7])
def test_bounds(stall):
    """Any order, empty columns; a pair that falls, ends beyond or is not stored is dropped."""
    rng = random.Random(7)
    pointers = sorted(rng.randrange(ENTRIES + 1) for _ in range(32))
    pointers[10], pointers[11], pointers[20] = pointers[11], pointers[10], ENTRIES + 1
    columns = [rng.randrange(34) for _ in range(100)]

    def wrong(column):
        if column > 30:
            return True
        begin, end = pointers[column : column + 2]
        return begin > end or end > ENTRIES

    *_, bad = play(pointers, columns, stall)
    assert bad == sum(wrong(column) for column in columns)


def test_a_column_a_cycle():
    into, out, _ = play([4 * n for n in range(32)], [n % 31 for n in range(60)], 0.0)
    assert every_cycle(into) and set(latencies(into, out)) == {STAGES + 1}
