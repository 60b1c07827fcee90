"""Nest against nested Python loops."""

import itertools
import random

import pytest

from hdl.sequencers.nest import Nest
from tests.hdl.streams import run

# name: (levels, {value: (width, strided levels)})
SHAPES = {
    "one level": ((4,), {"a": (8, (0,)), "b": (8, ())}),
    "two levels": ((4, 3), {"a": (8, (0, 1)), "b": (6, (0,)), "c": (8, (1,))}),
    "three levels": (
        (3, 4, 3),
        {
            "a": (10, (0, 1, 2)),
            "b": (8, (0, 2)),
            "c": (8, (1,)),
            "d": (8, (0,)),
            "e": (8, (2,)),
            "f": (8, (1, 2)),
        },
    ),
    "four levels": (
        (3, 3, 2, 2),
        {
            "a": (20, (0, 1, 2, 3)),
            "b": (8, (1, 3)),
            "c": (8, (0, 2)),
            "d": (8, (2,)),
            "e": (8, (0, 1, 3)),
            "f": (8, (0, 3)),
        },
    ),
}


def steps(counts, values, starts, strides):
    """(indices, values) of every step, innermost level first."""
    for outer_first in itertools.product(*(range(n) for n in reversed(counts))):
        index = outer_first[::-1]
        yield (
            index,
            tuple(
                (starts[name] + sum(index[level] * strides[name, level] for level in strided))
                % 2**width
                for name, (width, strided) in values.items()
            ),
        )


def draw(rng, counts, values):
    """(counts, starts, strides, steps) of a nest; half of the strides are negative, as their two's
    complement."""
    starts = {n: rng.randrange(2**w) for n, (w, _) in values.items()}
    strides = {
        (n, level): rng.randrange(-9, 10) % 2**w for n, (w, s) in values.items() for level in s
    }
    return counts, starts, strides, list(steps(counts, values, starts, strides))


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
def test_nest(shape, stall):
    levels, values = SHAPES[shape]
    rng = random.Random(len(shape))
    corners = [
        [1] * len(levels),
        [2] * len(levels),
        [1] * (len(levels) - 1) + [3],
        [3] + [1] * (len(levels) - 1),
    ]
    drawn = [[rng.randrange(1, min(6, 2**w)) for w in levels] for _ in range(8)]
    runs = [draw(rng, counts, values) for counts in corners + drawn]
    dut = Nest(levels, values)
    outputs = (
        [dut.active, dut.first, dut.last]
        + [getattr(dut, f"last_{level}") for level in range(len(levels))]
        + [getattr(dut, n) for n in values]
    )

    def apply(ctx, counts, starts, strides, _):
        for level, n in enumerate(counts):
            ctx.set(getattr(dut, f"count_{level}"), n)
        for n, v in starts.items():
            ctx.set(getattr(dut, f"{n}_start"), v)
        for (n, level), v in strides.items():
            ctx.set(getattr(dut, f"{n}_stride_{level}"), v)

    async def drive(ctx):
        ctx.set(dut.step, 1)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.active)
        together = False  # the load came with the last step
        for number, this in enumerate(runs):
            if not together:
                apply(ctx, *this)
                ctx.set(dut.step, 0)
                ctx.set(dut.load, 1)
                await ctx.tick()
                ctx.set(dut.load, 0)
            wanted = this[3]
            at = restarts = 0
            while at < len(wanted):
                step = rng.random() >= stall
                active, first, last, *rest = (ctx.get(s) for s in outputs)
                assert (active, first, last) == (1, at == 0, at == len(wanted) - 1)
                index, value = wanted[at]
                assert (
                    tuple(rest)
                    == tuple(int(i == n - 1) for i, n in zip(index, this[0], strict=True)) + value
                )
                ctx.set(dut.step, step)
                following = bool(step and last and number % 2 == 0 and number + 1 < len(runs))
                again = bool(stall) and not restarts and not last and at == len(wanted) // 2
                # The counts hold in the cycle of the last step: a new nest of the same counts.
                if following:
                    runs[number + 1] = (this[0], *runs[number + 1][1:3], [])
                    runs[number + 1] = (
                        *runs[number + 1][:3],
                        list(steps(this[0], values, *runs[number + 1][1:3])),
                    )
                    apply(ctx, *runs[number + 1])
                ctx.set(dut.load, following or again)
                await ctx.tick()
                ctx.set(dut.load, 0)
                at += step
                if again:  # in the middle, with and without a step
                    at, restarts = 0, 1
            together = following
            if not together:
                ctx.set(dut.step, 1)
                for _ in range(3):
                    assert not ctx.get(dut.active)
                    await ctx.tick()

    cycles = run(dut, drive)
    if not stall:  # a load is a cycle of its own unless it comes with the last step
        assert cycles <= sum(len(r[3]) for r in runs) + 4 * len(runs) + 4
