"""The parts of STORE's arithmetic alone: none of them ever stops what comes."""

import random

import pytest

from hdl.isa import Pool
from hdl.memory.store.accumulator import WindowAccumulator
from hdl.memory.store.adder import OperandAdder
from hdl.memory.store.average import Averager, reciprocal
from tests.hdl.memory.store.reference import added, half_up, pooled, saturate
from tests.hdl.streams import idle, run, shared

ENTRIES = (-32768, 32767, 0, -1, 1)


def entries(rng, lanes):
    return [rng.choice((*ENTRIES, rng.randrange(-32768, 32768))) for _ in range(lanes)]


def mark(rng, first, last, read=1, count=1):
    ends = dict(first=rng.randrange(2), last=rng.randrange(2), lane=rng.randrange(8))
    return dict(read=read, first=first, last=last, count=count, ends=ends)


def passed(dut, source, sink, items, settings=None, *, stall=0.0, apart=0, seed=1):
    """What a component makes of the items: ([result], [cycles from the first item to each])."""
    rng = random.Random(seed)
    got, times = [], []

    async def drive(ctx):
        for name, value in (settings or {}).items():
            ctx.set(getattr(dut, name), value)
        await idle(ctx, 2)
        for item in items:
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(source.payload, item)
            ctx.set(source.valid, 1)
            await ctx.tick()
            ctx.set(source.valid, 0)
            await idle(ctx, apart)
        await idle(ctx, 24)

    async def collect(ctx):
        now = 0
        sample = ctx.tick().sample(source.valid, sink.valid, sink.payload)
        async for _, _, comes, valid, payload in sample:
            if valid:
                got.append(payload)
                times.append(now)
            now += bool(now or comes)

    run(dut, drive, background=[collect])
    return got, times


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(
    "add,relu,shifts", [(0, 1, (3, 2, 1)), (1, 0, (15, 0, 7)), (1, 1, (1, 4, 0))]
)
def test_adder(lanes, stall, add, relu, shifts):
    rng, dut = random.Random(3), shared(OperandAdder, lanes)
    items, want = [], []
    for _ in range(60):
        a, b = entries(rng, lanes), entries(rng, lanes)
        tap = dict(entries=b + [0] * (4 - lanes), mark=mark(rng, 1, 1))
        if add:
            items.append(tap | dict(entries=a + [0] * (4 - lanes), operand=1))
        items.append(tap | dict(operand=0))
        sums = [added(x, y, *shifts) for x, y in zip(a, b)] if add else b
        want.append(([max(0, v) for v in sums] if relu else sums, tap["mark"]["ends"]["lane"]))
    names = ("add", "relu", "shift_a", "shift_b", "shift_out")
    settings = dict(zip(names, (add, relu, *shifts)))
    got, times = passed(dut, dut.taps, dut.out, items, settings, stall=stall)
    assert len(got) == len(want)
    assert [(list(g.entries), g.mark.ends.lane) for g in got] == want
    if not stall:  # a tap a cycle
        assert times == [n * (1 + add) + add + dut.LATENCY for n in range(len(want))]


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("pool", [Pool.MAX, Pool.AVERAGE])
def test_accumulator(lanes, stall, pool):
    rng, dut, items, want, ends = random.Random(4), shared(WindowAccumulator, lanes), [], [], []
    average = pool == Pool.AVERAGE
    for size in [1, 1, 2, 9, 1, 4, 4] * 4:
        seen = []
        for n in range(size):
            tap = dict(entries=entries(rng, lanes), mark=mark(rng, n == 0, n == size - 1))
            tap["mark"]["read"] = rng.randrange(4) > 0
            items.append(tap)
            if tap["mark"]["read"]:
                seen.append(tap["entries"])
        ends.append(len(items) - 1)
        of_lanes = [[values[lane] for values in seen] for lane in range(lanes)]
        want.append([sum(of) if average else pooled(pool, of, size) for of in of_lanes])
    got, times = passed(dut, dut.taps, dut.out, items, dict(average=average), stall=stall)
    found = [[total if average else half(total) for total in g.sums] for g in got]
    assert len(found) == len(want)
    assert found == want
    if not stall:  # a cycle after each window's last tap
        assert times == [end + 1 for end in ends]


def half(total):
    """The low 16 bits of a sum, signed."""
    return ((total & 0xFFFF) ^ 0x8000) - 0x8000


@pytest.mark.parametrize("lanes,chunk", [(1, 1), (4, 1), (4, 3), (4, 4)])
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("fixed", [0, 1])
def test_averager(lanes, chunk, stall, fixed):
    rng, dut, items, want = random.Random(6), shared(Averager, lanes), [], []
    factor, shift = reciprocal(49)
    for _ in range(30):
        count = rng.randrange(0, 17)
        top = 32768 * (49 if fixed else max(1, count))
        sums = [rng.choice((-top, top - 1, 0, rng.randrange(-top, top))) for _ in range(lanes)]
        items.append(dict(sums=sums, mark=mark(rng, 1, 1, count=count)))
        by = (factor, shift) if fixed else reciprocal(count)
        want.append([saturate(half_up(total * by[0], by[1])) for total in sums[:chunk]])
    settings = dict(chunk=chunk, fixed=fixed, reciprocal=factor, shift=shift)
    got, times = passed(dut, dut.windows, dut.out, items, settings, stall=stall, apart=chunk - 1)
    assert len(got) == len(want)
    assert [[half(entry) for entry in list(g.entries)[:chunk]] for g in got] == want
    if not stall:  # a lane a cycle
        assert times == [n * chunk + dut.LATENCY + chunk - 1 for n in range(len(want))]
