"""The parts of STORE's arithmetic alone: none of them ever stops what comes."""

import random

import pytest

from golden.fixed import reciprocal as of_golden
from golden.integer.add import operand
from hdl.isa import Pool, Rounding
from hdl.memory.store.accumulator import WindowAccumulator
from hdl.memory.store.add_operands import AddOperands
from hdl.memory.store.result import ResultScaler, reciprocal
from hdl.timing import DIVISORS
from tests.hdl.memory.store.reference import OPERANDS, Fields, operand_scales, result, scaling
from tests.hdl.streams import idle, run, shared

ENTRIES = (-32768, 32767, 0, -1, 1)


def entries(rng, lanes):
    return [rng.choice((*ENTRIES, rng.randrange(-32768, 32768))) for _ in range(lanes)]


def mark(rng, first, last, read=1, count=1):
    ends = dict(first=rng.randrange(2), last=rng.randrange(2), lane=rng.randrange(8))
    return dict(read=read, first=first, last=last, count=count, ends=ends)


def passed(dut, source, sink, items, settings=None, *, stall=0.0, seed=1):
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
@pytest.mark.parametrize("seed", range(3))
def test_operands(lanes, stall, seed):
    """The first operand's tap begins a window, the second's ends it."""
    rng, dut = random.Random(seed), shared(AddOperands, lanes)
    scales, items, want = operand_scales(rng), [], []
    for n in range(160):
        tap = dict(entries=entries(rng, 4), mark=mark(rng, 1, 1), operand=1 - n % 2)
        multiplier, shift = (scales[name] for name in OPERANDS[n % 2])
        of_lanes = operand(tap["entries"][:lanes], multiplier, shift).tolist()
        want.append((of_lanes, 1 - n % 2, n % 2, tap["mark"]["ends"]["lane"]))
        items.append(tap)
    settings = {
        f"scale_{name}": dict(multiplier=scales[m], shift=scales[s])
        for name, (m, s) in zip("ab", OPERANDS)
    }
    got, times = passed(dut, dut.taps, dut.out, items, settings, stall=stall)
    assert len(got) == len(want)
    assert [(list(g.values), g.mark.first, g.mark.last, g.mark.ends.lane) for g in got] == want
    if not stall:  # a tap a cycle
        assert times == [n + dut.LATENCY for n in range(len(want))]


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("adds", [0, 1])
def test_accumulator(lanes, stall, adds):
    rng, dut, items, want, ends = random.Random(4), shared(WindowAccumulator, lanes), [], [], []
    for size in [1, 1, 2, 9, 1, 4, 4] * 4:
        seen = []
        for n in range(size):
            values = entries(rng, lanes)
            if adds:  # an operand's bits, of which two fit
                values = [v << 15 if size < 3 else v for v in values]
            tap = dict(values=values, mark=mark(rng, n == 0, n == size - 1))
            tap["mark"]["read"] = rng.randrange(4) > 0
            items.append(tap)
            if tap["mark"]["read"]:
                seen.append(values)
        ends.append(len(items) - 1)
        of_lanes = [[values[lane] for values in seen] for lane in range(lanes)]
        want.append([sum(of) if adds else max(of, default=-32768) for of in of_lanes])
    got, times = passed(dut, dut.taps, dut.out, items, dict(adds=adds), stall=stall)
    found = [list(g.sums) for g in got]
    assert len(found) == len(want)
    assert found == want
    if not stall:  # a cycle after each window's last tap
        assert times == [end + dut.LATENCY for end in ends]


def half(entry):
    """16 bits, signed."""
    return (entry ^ 0x8000) - 0x8000


# pool, add, fixed, scaled, relu
KINDS = [
    (Pool.NONE, 0, 0, 0, 0),
    (Pool.MAX, 0, 1, 0, 1),
    (Pool.NONE, 0, 0, 1, 1),
    (Pool.MAX, 0, 0, 1, 0),
    (Pool.NONE, 1, 0, 0, 1),
    (Pool.NONE, 1, 0, 1, 0),
    (Pool.AVERAGE, 0, 0, 0, 0),
    (Pool.AVERAGE, 0, 0, 1, 0),
    (Pool.AVERAGE, 0, 1, 0, 1),
    (Pool.AVERAGE, 0, 1, 1, 0),
]


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_result(lanes, stall, kind):
    rng, dut, items, want = random.Random(6), shared(ResultScaler, lanes), [], []
    pool, add, fixed, scaled, relu = kind
    for rounding in Rounding:
        scale = scaling(rng, rounding)
        command = Fields(pool=pool, add=add, scaled=scaled, relu=relu)
        shape = Fields(fixed=fixed, **scale)
        items, want = [], []
        for _ in range(40):
            count = rng.randrange(DIVISORS + 1)
            top = 1 << 31 if add else 32768 * (count or 1) if pool == Pool.AVERAGE else 32768
            near = [rng.randrange(-9, 9) * (count or 1) + (count + 1) // 2 for _ in range(lanes)]
            sums = [rng.choice((-top, top - 1, 0, rng.randrange(-top, top), n)) for n in near]
            items.append(dict(sums=sums, mark=mark(rng, 1, 1, count=count)))
            ends = items[-1]["mark"]["ends"]
            of_lanes = [result(command, shape, [total], count) for total in sums]
            want.append((of_lanes, ends["first"], ends["last"], ends["lane"]))
        settings = command | dict(fixed=fixed, scale=scale)
        got, times = passed(dut, dut.windows, dut.out, items, settings, stall=stall)
        assert len(got) == len(want)
        found = [(list(map(half, g.entries)), g.ends.first, g.ends.last, g.ends.lane) for g in got]
        assert found == want
        if not stall:  # a window a cycle
            assert times == [n + dut.LATENCY for n in range(len(want))]


def test_reciprocals():
    assert [reciprocal(n) for n in range(1, 300)] == [of_golden(n) for n in range(1, 300)]
