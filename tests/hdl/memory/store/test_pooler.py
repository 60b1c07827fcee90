import random

import pytest

from hdl.isa import Pool
from hdl.memory.store.packer import Packer
from hdl.memory.store.pooler import Pooler, reciprocal
from tests.hdl.streams import holds, receive, run, send, shared


def test_reciprocal_fits():
    for n in range(1, 65026):
        r, s = reciprocal(n)
        assert r < 1 << 16 and s < 64
        assert abs(r * n - 2**s) * 2 <= n


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_packer(count, stall):
    rng = random.Random(count)
    items, want = [], []
    for size in [1, 2, 3, 4, 5, 8] + [rng.randrange(1, 12) for _ in range(30)]:
        lane = rng.randrange(4)
        flat = [None] * lane
        for i in range(size):
            entries = [rng.randrange(1 << 16) for _ in range(4)]
            items.append(dict(entries=entries, first=i == 0, last=i == size - 1, lane=lane))
            flat += entries[:count]
        flat += [None] * (-len(flat) % 4)
        want += [tuple(flat[i : i + 4]) for i in range(0, len(flat), 4)]
    dut, got = shared(Packer), []

    async def start(ctx):
        ctx.set(dut.count, count)
        await send(ctx, dut.entries, items, stall=stall)

    cycles = run(
        dut,
        start,
        lambda ctx: receive(ctx, dut.words, len(want), got, stall=stall),
        background=[holds(dut.words)],
    )
    got = [
        tuple((w.data >> 16 * i) & 0xFFFF if w.strobe >> 2 * i & 3 == 3 else None for i in range(4))
        for w in got
    ]
    assert len(got) == len(want)
    assert got == want
    if not stall and count == 1:
        assert cycles <= len(items) + 4


def half_up(value, shift):
    return (value + (1 << shift >> 1)) >> shift


def clip(v):
    return max(-32768, min(32767, v))


@pytest.mark.sampled(2, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("pool", list(Pool))
@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize("lanes,registered", [(4, False), (4, True), (1, False), (1, True)])
def test_pooler(pool, add, stall, lanes, registered):
    rng = random.Random(11)
    for chunk, relu, shifts, fixed in [
        (4, 0, (0, 0, 0), 0),
        (3, 1, (15, 15, 31), 0),
        (1, 0, (3, 0, 5), 1),
        (4, 1, (0, 7, 7), 1),
    ]:
        taps, want = [], []
        chunk = min(chunk, lanes)
        factor, shift = reciprocal(49)
        for size in [1] * 12 + [1, 2, 4, 9, 16, 5, 4, 4, 4]:
            size = 1 if pool == Pool.NONE else size
            seen = []
            ends = rng.randrange(2), rng.randrange(2), rng.randrange(4)
            count = rng.choice([size, rng.randrange(0, 32)])
            for i in range(size):
                corner = [-32768, 32767, 0, -1, 1]
                a, b = (
                    [rng.choice(corner + [rng.randrange(-32768, 32768)]) for _ in range(4)]
                    for _ in range(2)
                )
                read = pool == Pool.NONE or rng.random() < 0.7
                tap = dict(
                    entries=b if add else a,
                    read=read,
                    first=i == 0,
                    last=i == size - 1,
                    count=count,
                    strip_first=ends[0],
                    strip_last=ends[1],
                    lane=ends[2],
                )
                taps += [tap | dict(entries=a, operand=1)] * (add and read) + [tap]
                if read:
                    values = (
                        [
                            half_up((x << shifts[0]) + (y << shifts[1]), shifts[2])
                            for x, y in zip(a, b)
                        ]
                        if add
                        else a
                    )
                    seen.append([max(0, clip(v)) if relu else clip(v) for v in values])
            out = []
            for lane in range(chunk):
                column = [s[lane] for s in seen]
                if pool == Pool.AVERAGE:
                    r, s = (
                        (factor, shift) if fixed else reciprocal(count) if count <= 16 else (0, 15)
                    )
                    out.append(clip(half_up(sum(column) * r, s)))
                else:
                    out.append(max(column, default=-32768))
            want.append((out, *ends))
        dut, got = shared(Pooler, lanes, registered), []

        async def start(ctx):
            for name, v in dict(
                add=add,
                relu=relu,
                shift_a=shifts[0],
                shift_b=shifts[1],
                shift_out=shifts[2],
                pool=pool,
                chunk=chunk,
                fixed=fixed,
                reciprocal=factor,
                shift=shift,
            ).items():
                ctx.set(getattr(dut, name), v)
            await ctx.tick()
            await ctx.tick()
            await send(ctx, dut.taps, taps, stall=stall)

        cycles = run(
            dut,
            start,
            lambda ctx: receive(ctx, dut.out, len(want), got, stall=stall),
            background=[holds(dut.out)],
        )
        got = [
            ([(e ^ 0x8000) - 0x8000 for e in list(g.entries)[:chunk]], g.first, g.last, g.lane)
            for g in got
        ]
        assert len(got) == len(want)
        assert got == want
        if not stall:
            limit = len(taps) if pool != Pool.AVERAGE else len(taps) + len(want) * (chunk - 1)
            assert cycles <= limit + 20
