"""Stage and ShiftFifo: order, stalls, throughput, and what comes from registers alone."""

import random

import pytest

from hdl.lib.stream.shift_fifo import ShiftFifo
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


@pytest.mark.parametrize("depth", [1, 2, 4, 7])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_shift_queue(stall, depth):
    dut, rng = ShiftFifo(5, depth), random.Random(depth)

    async def bench(ctx):
        held, moved = [], 0
        for _ in range(400):
            assert ctx.get(dut.w_rdy) == (len(held) < depth) and ctx.get(dut.r_rdy) == (
                len(held) > 0
            )
            if held:
                assert ctx.get(dut.r_data) == held[0]
            word, push, pop = rng.randrange(32), rng.random() >= stall, rng.random() >= stall
            ctx.set(dut.w_data, word)
            ctx.set(dut.w_en, push)
            ctx.set(dut.r_en, pop)
            room = len(held) < depth
            if pop and held:
                held.pop(0)
                moved += 1
            if push and room:
                held.append(word)
            await ctx.tick()
        if not stall:
            assert moved >= (199 if depth == 1 else 399)

    run(dut, bench)


def test_refusal():
    with pytest.raises(ValueError, match="a queue of 0 words"):
        ShiftFifo(1, 0)
