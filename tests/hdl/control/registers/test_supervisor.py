"""Supervisor: ends, errors, standstill and resets, in any order."""

import random

import pytest

from hdl.config import PRESETS
from hdl.control.registers.program_life import RESET, SETTLE
from hdl.control.registers.supervisor import Supervisor
from hdl.isa import Error, Status
from tests.hdl.streams import idle, run, shared

CONFIG = PRESETS["tiny"]
SOURCES = pytest.mark.parametrize("sources", [1, 3, 8])
LIMIT = 20


async def pulse(ctx, port):
    ctx.set(port, 1)
    await ctx.tick()
    ctx.set(port, 0)


async def start(ctx, dut):
    await pulse(ctx, dut.go)
    assert ctx.get(dut.start)
    await ctx.tick()
    assert ctx.get(dut.status) == Status.RUNNING and ctx.get(dut.running)
    assert ctx.get(dut.error) == Error.NONE


async def reset(ctx, dut):
    """From any state to IDLE, with a bus that becomes quiet."""
    ctx.set(dut.quiet, 1)
    await pulse(ctx, dut.reset)
    resets = 0
    while ctx.get(dut.status) != Status.IDLE or ctx.get(dut.halt):
        resets += ctx.get(dut.core_reset)
        await ctx.tick()
    assert resets == RESET
    assert ctx.get(dut.error) == Error.NONE


def told(ctx, dut):
    return ctx.get(dut.status), ctx.get(dut.error), ctx.get(dut.error_index)


@SOURCES
def test_errors(sources):
    """`halt` two cycles after the error, ERROR sources + 4; the lowest source of the first cycle;
    again after a reset."""
    dut, rng = shared(Supervisor, CONFIG, sources), random.Random(sources)

    async def bench(ctx):
        ctx.set(dut.limit, 0)
        for _ in range(12):
            await start(ctx, dut)
            await idle(ctx, rng.randrange(6))
            codes = [rng.choice([0, 0, *(int(code) for code in Error)]) for _ in range(sources)]
            codes[rng.randrange(sources)] = int(Error.READ_WINDOW)
            indices = [rng.randrange(1000) for _ in codes]
            for cycle in range(1, sources + 5):
                for n in range(sources):  # what fails later is not told
                    late = rng.choice([0, int(Error.WRITE_WINDOW)])
                    ctx.set(dut.codes[n], codes[n] if cycle == 1 else late)
                    ctx.set(dut.indices[n], indices[n] if cycle == 1 else rng.randrange(1000))
                await ctx.tick()
                assert ctx.get(dut.halt) == (cycle >= 2)
                assert (ctx.get(dut.status) == Status.ERROR) == (cycle == sources + 4)
            lowest = next(n for n, code in enumerate(codes) if code)
            assert told(ctx, dut) == (Status.ERROR, codes[lowest], indices[lowest])
            for n in range(sources):
                ctx.set(dut.codes[n], 0)
            await pulse(ctx, dut.go)
            assert not ctx.get(dut.start), "an error holds until the reset"
            await reset(ctx, dut)

    run(dut, bench)


@SOURCES
def test_standstill(sources):
    """WATCHDOG with the oldest command, once nothing has moved for `limit` cycles."""
    dut, rng = shared(Supervisor, CONFIG, sources), random.Random(sources)

    async def bench(ctx):
        ctx.set(dut.limit, LIMIT)
        for _ in range(4):
            indices = [rng.randrange(1000) for _ in range(sources)]
            busy = [rng.random() < 0.5 for _ in indices]
            busy[rng.randrange(sources)] = True
            for n in range(sources):
                ctx.set(dut.indices[n], indices[n])
                ctx.set(dut.busy[n], busy[n])
            await idle(ctx, 2 * LIMIT)  # nothing moves, and nothing has to
            await start(ctx, dut)
            for _ in range(5):
                await idle(ctx, rng.randrange(LIMIT))
                await pulse(ctx, dut.progress)
            cycles = 0
            while ctx.get(dut.status) == Status.RUNNING:
                await ctx.tick()
                cycles += 1
            assert cycles == LIMIT + 1 + sources + 3
            oldest = min(index for index, there in zip(indices, busy, strict=True) if there)
            assert told(ctx, dut) == (Status.ERROR, Error.WATCHDOG, oldest)
            await reset(ctx, dut)

    run(dut, bench)


@SOURCES
def test_ends(sources):
    """DONE, unless an error comes while the end settles; a new start from DONE."""
    dut, rng = shared(Supervisor, CONFIG, sources), random.Random(sources)

    async def bench(ctx):
        ctx.set(dut.limit, LIMIT)
        for round_ in range(8):
            await start(ctx, dut)
            await idle(ctx, rng.randrange(5))
            ctx.set(dut.finished, 1)
            fails = round_ % 3 == 2
            if fails:
                await idle(ctx, rng.randrange(SETTLE))
                ctx.set(dut.codes[sources - 1], Error.READ_WINDOW)
            ends = 0
            for _ in range(sources + 3 * SETTLE):
                ends += ctx.get(dut.ended)
                await ctx.tick()
            ctx.set(dut.finished, 0)
            ctx.set(dut.codes[sources - 1], 0)
            assert ends == 1
            assert ctx.get(dut.status) == (Status.ERROR if fails else Status.DONE)
            await idle(ctx, 2 * LIMIT)
            assert ctx.get(dut.error) == (Error.READ_WINDOW if fails else Error.NONE)
            if fails:
                await reset(ctx, dut)

    run(dut, bench)


@pytest.mark.parametrize("failed", [False, True])
def test_reset_does_not_wait_for_ever(failed):
    """A bus that never gets quiet: the watchdog counts from the request on, whatever moves, and
    what it finds is no error."""
    dut = shared(Supervisor, CONFIG, 3)

    async def bench(ctx):
        ctx.set(dut.limit, LIMIT)
        ctx.set(dut.quiet, 0)
        await start(ctx, dut)
        if failed:
            await pulse(ctx, dut.codes[1])
            await idle(ctx, 30)
            assert ctx.get(dut.status) == Status.ERROR
        await pulse(ctx, dut.progress)
        await idle(ctx, LIMIT // 2)
        await pulse(ctx, dut.reset)
        ctx.set(dut.progress, 1)
        cycles = 0
        while not ctx.get(dut.core_reset):
            assert ctx.get(dut.status) == (Status.ERROR if failed else Status.RUNNING)
            await ctx.tick()
            cycles += 1
        assert LIMIT <= cycles <= LIMIT + 3
        while ctx.get(dut.status) != Status.IDLE:
            assert not ctx.get(dut.ended)
            await ctx.tick()
        ctx.set(dut.progress, 0)

    run(dut, bench)


def test_an_error_after_the_end_is_forgotten():
    """One that is seen only as DONE comes does not touch the next program."""
    dut = shared(Supervisor, CONFIG, 3)

    async def bench(ctx):
        await start(ctx, dut)
        ctx.set(dut.finished, 1)
        while not ctx.get(dut.ended):
            await ctx.tick()
        await pulse(ctx, dut.codes[1])
        ctx.set(dut.finished, 0)
        assert ctx.get(dut.status) == Status.DONE
        await idle(ctx, 4)
        await start(ctx, dut)
        await idle(ctx, 20)
        assert ctx.get(dut.status) == Status.RUNNING and not ctx.get(dut.halt)

    run(dut, bench)
