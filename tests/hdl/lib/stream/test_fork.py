"""A Fork gives every word to every consumer once, each at its own pace."""

import random

import pytest

from hdl.lib.stream.fork import Fork
from tests.hdl.streams import holds, receive, run, send, shared

WORDS = 150


def ends(dut):
    return [getattr(dut, f"output_{n}") for n in range(dut.outputs)]


@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("stalls", [(0, 0.5), (0.5, 0), (0.3, 0.3)], ids=str)
def test_stalls(outputs, stalls):
    dut, rng = shared(Fork, 9, outputs), random.Random(outputs)
    items = [rng.randrange(512) for _ in range(WORDS)]
    out = [[] for _ in range(outputs)]

    def consumer(n):
        return lambda ctx: receive(
            ctx, ends(dut)[n], None, out[n], stall=stalls[1], rng=random.Random(n)
        )

    run(
        dut,
        lambda ctx: send(ctx, dut.input, items, stall=stalls[0]),
        background=[consumer(n) for n in range(outputs)] + [holds(end) for end in ends(dut)],
    )
    assert out == [items] * outputs


def test_throughput_and_latency():
    dut, out, times = shared(Fork, 9, 3), [[], [], []], [[], [], []]
    run(
        dut,
        lambda ctx: send(ctx, dut.input, range(WORDS)),
        *(
            (lambda n: lambda ctx: receive(ctx, ends(dut)[n], WORDS, out[n], times=times[n]))(n)
            for n in range(3)
        ),
    )
    assert out == [list(range(WORDS))] * 3
    assert times == [list(range(1, WORDS + 1))] * 3


def test_a_consumer_may_wait_for_another():
    """One is ready only after the other has taken: with a `valid` that waited for all `ready` this
    would stop."""
    dut, order = shared(Fork, 9, 2), []

    async def bench(ctx):
        first, second = ends(dut)
        ctx.set(dut.input.valid, 1)
        for n, end in enumerate((first, second)):
            ctx.set(end.ready, 1)
            if (await ctx.tick().sample(end.valid))[2]:
                order.append(n)
            ctx.set(end.ready, 0)
        assert order == [0, 1]
        ctx.set(first.ready, 1)
        assert ctx.get(first.valid) and not ctx.get(dut.input.ready)

    run(dut, bench)


def test_refused():
    with pytest.raises(ValueError, match="a fork to 0 consumers"):
        Fork(8, 0)
