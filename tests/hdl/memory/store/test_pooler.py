import random
from typing import NamedTuple

import pytest

from hdl.isa import Pool
from hdl.memory.store.packer import Packer
from hdl.memory.store.pooler import Pooler
from tests.hdl.memory.store.reference import (
    OPERANDS,
    Fields,
    added,
    operand_scales,
    result,
    scaling,
)
from tests.hdl.streams import holds, idle, receive, run, send, shared


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


class Setting(NamedTuple):
    """What STORE and SHAPE have the pooler do."""

    pool: Pool
    add: int
    chunk: int
    store: Fields
    shape: Fields

    def inputs(self):
        s = self.shape
        operands = [dict(multiplier=s[m], shift=s[shift]) for m, shift in OPERANDS]
        names = ("multiplier", "shift", "rounding", "lo", "hi")
        return dict(
            add=self.add,
            pool=self.pool,
            relu=self.store["relu"],
            scaled=self.store["scaled"],
            fixed=s["fixed"],
            scale_a=operands[0],
            scale_b=operands[1],
            scale={name: s[name] for name in names},
        )

    def values(self, a, b):
        """Of a tap with entries a, to which b are added."""
        return [added(self.shape, x, y) for x, y in zip(a, b)] if self.add else a

    def result(self, seen, count):
        """Of a window of these values, a list for each tap."""
        return [
            result(self.store, self.shape, [values[lane] for values in seen], count)
            for lane in range(self.chunk)
        ]


def random_entries(rng):
    corner = [-32768, 32767, 0, -1, 1]
    return [rng.choice(corner + [rng.randrange(-32768, 32768)]) for _ in range(4)]


def random_window(rng, setting, size):
    """Taps of a window of `size`, some of them padding, and (entries, first and last of a strip,
    lane) that come of them."""
    taps, seen = [], []
    first, last, lane = ends = rng.randrange(2), rng.randrange(2), rng.randrange(4)
    count = rng.choice([size, rng.randrange(0, 32)])
    for i in range(size):
        a, b = random_entries(rng), random_entries(rng)
        read = setting.pool == Pool.NONE or rng.random() < 0.7
        mark = dict(
            read=read,
            first=i == 0,
            last=i == size - 1,
            count=count,
            ends=dict(first=first, last=last, lane=lane),
        )
        tap = dict(entries=b if setting.add else a, mark=mark)
        if setting.add and read:
            taps.append(tap | dict(entries=a, operand=1))
        taps.append(tap)
        if read:
            seen.append(setting.values(a, b))
    return taps, (setting.result(seen, count), *ends)


def pool_all(dut, setting, taps, count, stall):
    """(cycles, the `count` results) of the taps."""
    got = []

    async def start(ctx):
        for name, v in setting.inputs().items():
            ctx.set(getattr(dut, name), v)
        await idle(ctx, 3)
        await send(ctx, dut.taps, taps, stall=stall)

    cycles = run(
        dut,
        start,
        lambda ctx: receive(ctx, dut.out, count, got, stall=stall),
        background=[holds(dut.out)],
    )
    return cycles, [
        ([(e ^ 0x8000) - 0x8000 for e in list(g.entries)[: setting.chunk]], g.first, g.last, g.lane)
        for g in got
    ]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("pool, add", [*((pool, 0) for pool in Pool), (Pool.NONE, 1)])
@pytest.mark.parametrize("lanes", [4, 1])
def test_pooler(pool, add, stall, lanes):
    rng, dut = random.Random(11), shared(Pooler, lanes)
    for chunk, relu, scaled, fixed in [(4, 0, 0, 0), (3, 1, 0, 1), (1, 0, 1, 1), (4, 0, 1, 0)]:
        store = Fields(pool=pool, add=add, relu=relu, scaled=scaled)
        shape = Fields(fixed=fixed, **operand_scales(rng), **scaling(rng))
        setting = Setting(pool, add, min(chunk, lanes), store, shape)
        taps, want = [], []
        for size in [1] * 12 + [1, 2, 4, 9, 16, 5, 4, 4, 4]:
            of_window, of_lanes = random_window(rng, setting, 1 if pool == Pool.NONE else size)
            taps += of_window
            want.append(of_lanes)
        cycles, got = pool_all(dut, setting, taps, len(want), stall)
        assert len(got) == len(want)
        assert got == want
        if not stall:  # a tap a cycle, of windows of one too
            assert cycles <= len(taps) + 28
