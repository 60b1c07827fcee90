"""A CreditFifo gives back what it gets, in order, at full rate, up to the words it holds."""

import random

import pytest

from hdl.lib.stream.credit_fifo import CreditFifo
from tests.hdl.streams import run


@pytest.mark.parametrize("stalls", [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4)])
@pytest.mark.parametrize("depth", [4, 16])
def test_kept_queue(depth, stalls):
    dut, out, rng = CreditFifo(12, depth), [], random.Random(4)
    items = [rng.randrange(1 << 12) for _ in range(300)]

    async def bench(ctx):
        sent, cycles = 0, 0
        while len(out) < len(items):
            write = sent < len(items) and sent - len(out) < depth - 1 and rng.random() >= stalls[0]
            read = ctx.get(dut.r_rdy) and rng.random() >= stalls[1]
            ctx.set(dut.w_en, write)
            ctx.set(dut.w_data, items[sent] if write else 0)
            ctx.set(dut.r_en, read)
            assert ctx.get(dut.level) + ctx.get(dut.r_rdy) == sent - len(out)
            if read:
                out.append(ctx.get(dut.r_data))
            sent += write
            await ctx.tick()
            cycles += 1
        ctx.set(dut.r_en, 0)
        assert not ctx.get(dut.r_rdy) and not ctx.get(dut.level)
        if stalls == (0, 0) and depth > 4:
            assert cycles <= len(items) + 2

    run(dut, bench)
    assert out == items


@pytest.mark.parametrize("depth", [0, 1, 12])
def test_depth(depth):
    with pytest.raises(ValueError, match=str(depth)):
        CreditFifo(8, depth)
