"""The queue of columns in a sparse PE."""

import random

import pytest

from hdl.config import PRESETS
from hdl.sparse.pe.column_queue import LATE, ColumnQueue
from tests.hdl.sparse.flow import every_cycle, flow, latencies
from tests.hdl.streams import run, shared

CONFIG = PRESETS["tiny"]


def columns(count):
    rng = random.Random(count)
    return [{"column": rng.randrange(64), "value": rng.randrange(-99, 99)} for _ in range(count)]


def limited(dut, limit):
    async def setup(ctx):
        ctx.set(dut.limit, limit)
        await ctx.tick()

    return setup


@pytest.mark.parametrize("depth", [4, 8, 16])
@pytest.mark.parametrize("stall", [0.0, 0.5, 0.8])
def test_in_order(depth, stall):
    dut, items = shared(ColumnQueue, CONFIG.replace(sparse_queue=depth)), columns(80)
    for limit in range(1, depth + 1):
        _, out = flow(
            dut, dut.input, items, [dut.output], [80], stall=stall, setup=limited(dut, limit)
        )
        assert out.payloads == items


@pytest.mark.parametrize("limit, pace", [(1, 3), (2, 1.5), (3, 1), (8, 1)])
def test_pace(limit, pace):
    """One a cycle from a limit of 3 on, every third at least below; latency one cycle."""
    dut = shared(ColumnQueue, CONFIG.replace(sparse_queue=8))
    into, out = flow(dut, dut.input, columns(60), [dut.output], [60], setup=limited(dut, limit))
    assert out.times[-1] - out.times[0] <= pace * 59 + 2
    assert set(latencies(into, out)) == {1}
    assert limit < 3 or every_cycle(out)


@pytest.mark.parametrize("depth", [1, 8, 16])
def test_limit(depth):
    """At most LATE come beyond it, and none is lost."""
    dut = shared(ColumnQueue, CONFIG.replace(sparse_queue=depth))

    async def main(ctx):
        for limit in range(1, depth + 1):
            ctx.set(dut.limit, limit)
            ctx.set(dut.input.valid, 1)
            taken = 0
            for _ in range(40):
                taken += (await ctx.tick().sample(dut.input.ready))[2]
            assert limit <= taken <= limit + LATE
            ctx.set(dut.input.valid, 0)
            ctx.set(dut.output.ready, 1)
            for _ in range(taken):
                assert (await ctx.tick().sample(dut.output.valid))[2]
            assert not (await ctx.tick().sample(dut.output.valid))[2]
            ctx.set(dut.output.ready, 0)

    run(dut, main)
