import random

import pytest

from hdl.lib.axi import BurstSplitter, Window
from tests.hdl.streams import holds, receive, run, send, shared


def split(address, words, last):
    out = []
    while words:
        beats = min(words, 64, (4096 - address % 4096) // 8)
        words -= beats
        out.append((address, beats, int(last and not words)))
        address += 8 * beats
    return out


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_splitter(stall):
    rng = random.Random(5)
    requests = [
        (0, 1, 1),
        (0xFF8, 1, 0),
        (0xFF8, 2, 1),
        (0xE00, 64, 1),
        (0xE08, 64, 1),
        (0xDF8, 66, 0),
        (0x1000, 0, 1),
        (0xFFFFFFF8, 1, 1),
        (0x200, 513, 1),
    ]
    requests += [
        (rng.randrange(1 << 20) * 8, rng.randrange(200), rng.randrange(2)) for _ in range(60)
    ]
    want = [b for r in requests for b in split(*r)]
    dut, got = shared(BurstSplitter), []
    cycles = run(
        dut,
        lambda ctx: send(
            ctx,
            dut.request,
            [dict(address=a, words=w, last=e) for a, w, e in requests],
            stall=stall,
            rng=rng,
        ),
        lambda ctx: receive(ctx, dut.burst, len(want), got, stall=stall),
        background=[holds(dut.burst)],
    )
    got = [(b.address, b.length + 1, b.last) for b in got]
    assert len(got) == len(want)
    assert got == want
    if not stall:
        assert cycles <= len(want) + 4 + sum(w == 0 for _, w, _ in requests)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_window(stall):
    dut, got, times = shared(Window), [], []
    inside = [(0x1000, 8), (0x1FF8, 8), (0x1000, 0x1000), (0x1002, 2), (0x1FFE, 2)]

    def item(i, begin, size):
        return dict(
            begin=begin, bytes=size, request=dict(address=begin & ~7, words=i + 1, last=i & 1)
        )

    async def bench(ctx):
        ctx.set(dut.base, 0x1000)
        ctx.set(dut.limit, 0x2000)
        await send(ctx, dut.check, [item(i, *r) for i, r in enumerate(inside)], stall=stall)
        for _ in range(12):
            await ctx.tick()
        if not stall:
            assert times == list(range(3, 3 + len(inside)))  # one a cycle
        assert len(got) == len(inside) and not ctx.get(dut.outside)

    run(
        dut,
        bench,
        background=[
            lambda ctx: receive(ctx, dut.request, None, got, stall=stall, times=times),
            holds(dut.request),
        ],
    )
    assert [(r.address, r.words, r.last) for r in got] == [
        (b & ~7, i + 1, i & 1) for i, (b, _) in enumerate(inside)
    ]


@pytest.mark.parametrize(
    "bad",
    [(0xFF8, 8), (0xFF8, 16), (0x1FF8, 16), (0x2000, 8), (0xFFFFFFF8, 16), (0x1FFE, 4), (0xFFE, 4)],
)
def test_window_outside(bad):
    dut, got = shared(Window), []

    async def bench(ctx):
        ctx.set(dut.base, 0x1000)
        ctx.set(dut.limit, 0x2000)
        items = [
            dict(begin=b, bytes=n, request=dict(address=b & ~7, words=1, last=1))
            for b, n in [(0x1000, 8), bad, (0x1000, 8)]
        ]
        await send(ctx, dut.check, items[:2])
        ctx.set(dut.check.valid, 1)
        # takes one more, which never leaves
        assert not ctx.get(dut.outside) and not ctx.get(dut.idle)
        await ctx.tick()
        for _ in range(5):
            await ctx.tick()
            assert ctx.get(dut.outside) and not ctx.get(dut.check.ready)
        assert ctx.get(dut.idle)
        assert len(got) == 1

    run(dut, bench, background=[lambda ctx: receive(ctx, dut.request, None, got)])
