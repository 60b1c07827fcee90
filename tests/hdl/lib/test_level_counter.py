"""A LevelCounter counts, and its flags are registers."""

import random

import pytest

from hdl.lib.level_counter import LevelCounter
from tests.hdl.streams import run


@pytest.mark.parametrize("most", [1, 2, 7, 8])
def test_counts(most):
    dut, rng, seen = LevelCounter(most), random.Random(most), set()

    async def bench(ctx):
        level = 0
        for cycle in range(400):
            wish = rng.random() < (0.7 if cycle // 50 % 2 else 0.3)
            both = rng.random() < 0.2
            up, down = both or (wish and level < most), both or (not wish and level > 0)
            ctx.set(dut.up, up)
            ctx.set(dut.down, down)
            # before the edge: what is asked shows nowhere
            assert ctx.get(dut.level) == level
            assert ctx.get(dut.some) == (level > 0) and ctx.get(dut.room) == (level < most)
            seen.add(level)
            level += up - down
            await ctx.tick()

    run(dut, bench)
    assert seen == set(range(most + 1))


def test_refused():
    with pytest.raises(ValueError, match="a counter to 0"):
        LevelCounter(0)
