import random

import pytest

from hdl.memory.arbiter import ReadArbiter
from tests.hdl.streams import holds, idle, receive, run, send, shared


def burst(i):
    return dict(address=8 * i, length=i % 3, last=i & 1)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_routes_by_id(stall):
    dut = shared(ReadArbiter)
    rng = random.Random(19)
    counts = (40, 60)
    out, got = [], ([], [])

    async def data(ctx):
        """Answers every address by its beats, in order."""
        done = 0
        while done < sum(counts):
            if done == len(out):
                await ctx.tick()
                continue
            b = out[done]
            await send(
                ctx,
                dut.data,
                [
                    dict(
                        beat=dict(data=b.burst.address << 8 | i, resp=i, last=i == b.burst.length),
                        id=b.id,
                    )
                    for i in range(b.burst.length + 1)
                ],
                stall=stall,
                rng=rng,
            )
            done += 1
        await idle(ctx, 3)
        assert not ctx.get(dut.outstanding)

    clients = (dut.fetch, dut.load)
    want = [[8 * i << 8 | k for i in range(n) for k in range(i % 3 + 1)] for n in counts]
    run(
        dut,
        data,
        *(
            lambda ctx, c=c, n=n: send(ctx, c.address, [burst(i) for i in range(n)], stall=stall)
            for c, n in zip(clients, counts)
        ),
        lambda ctx: receive(ctx, dut.address, sum(counts), out, stall=stall),
        *(
            lambda ctx, c=c, g=g, w=w: receive(ctx, c.data, len(w), g, stall=stall)
            for c, g, w in zip(clients, got, want)
        ),
        background=[holds(dut.address)],
    )
    for ident in (0, 1):
        assert [b.burst.address for b in out if b.id == ident] == [
            8 * i for i in range(counts[ident])
        ]
        assert [g.data for g in got[ident]] == want[ident]
    if not stall:
        assert [b.id for b in out[:40]] == [0] * 40  # the fetcher first


def test_halt():
    dut = shared(ReadArbiter)

    async def bench(ctx):
        ctx.set(dut.halt, 1)
        ctx.set(dut.load.address.valid, 1)
        await idle(ctx, 3)
        assert not ctx.get(dut.address.valid) and not ctx.get(dut.outstanding)
        ctx.set(dut.halt, 0)
        await ctx.tick()
        ctx.set(dut.halt, 1)
        await idle(ctx, 3)
        assert ctx.get(dut.address.valid) and ctx.get(dut.outstanding)  # holds until taken
        ctx.set(dut.address.ready, 1)
        await idle(ctx, 3)
        assert not ctx.get(dut.address.valid) and ctx.get(dut.outstanding)

    run(dut, bench)
