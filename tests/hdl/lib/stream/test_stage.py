"""Stage: order, stalls, throughput, and what comes from registers alone."""

import random

import pytest

from hdl.lib.stream.stage import Stage
from tests.hdl.streams import holds, receive, run, send


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_stage(stall):
    rng, dut, out = random.Random(5), Stage(8), []
    items = [rng.randrange(256) for _ in range(100)]
    cycles = run(
        dut,
        lambda ctx: send(ctx, dut.input, items, stall=stall),
        lambda ctx: receive(ctx, dut.output, len(items), out, stall=stall),
        background=[holds(dut.output)],
    )
    assert out == items
    if not stall:
        assert cycles <= len(items) + 3


def test_where_ready_comes_from():
    dut = Stage(8)

    async def bench(ctx):
        await send(ctx, dut.input, [1])
        for ready in (0, 1, 0):
            ctx.set(dut.output.ready, ready)
            assert ctx.get(dut.input.ready) == ready

    run(dut, bench)
