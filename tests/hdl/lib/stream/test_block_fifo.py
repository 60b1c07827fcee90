"""BlockFifo against a list."""

import random

import pytest

from hdl.lib.stream.block_fifo import BlockFifo
from tests.hdl.streams import run


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("depth", [2, 8])
def test_order_level_and_room(depth, stall):
    dut, rng = BlockFifo(9, depth), random.Random(f"{depth}{stall}")

    async def bench(ctx):
        held, sent, full = [], 0, 0
        for cycle in range(600):
            # long stretches in which only one side moves, so that it is full and empty
            push = rng.random() >= stall and cycle // 40 % 3 != 1
            pull = rng.random() >= stall and cycle // 40 % 3 != 0
            ctx.set(dut.w_en, push)
            ctx.set(dut.w_data, sent % 512)
            ctx.set(dut.r_en, pull)
            assert ctx.get(dut.level) == len(held)
            _, _, room, some, word = await ctx.tick().sample(dut.w_rdy, dut.r_rdy, dut.r_data)
            assert not some or word == held[0]
            full += not room
            if pull and some:
                held.pop(0)
            if push and room:
                held.append(sent % 512)
                sent += 1
            assert len(held) <= depth + 1
        assert sent > 50 and full > 20

    run(dut, bench)


def test_throughput_and_latency():
    dut = BlockFifo(16, 8)

    async def bench(ctx):
        ctx.set(dut.w_en, 1)
        ctx.set(dut.r_en, 1)
        for cycle in range(50):
            ctx.set(dut.w_data, cycle)
            _, _, room, some, word = await ctx.tick().sample(dut.w_rdy, dut.r_rdy, dut.r_data)
            assert room and some == (cycle >= 2)
            assert not some or word == cycle - 2

    run(dut, bench)


@pytest.mark.parametrize("depth", [0, 1, 6])
def test_refused(depth):
    with pytest.raises(ValueError, match=f"a queue of {depth} words"):
        BlockFifo(8, depth)
