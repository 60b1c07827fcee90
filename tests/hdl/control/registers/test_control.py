import random

import pytest

from hdl.config import PRESETS
from hdl.control.counters import Counters, event_width
from hdl.control.registers.control import Control
from hdl.control.registers.program_life import SETTLE
from hdl.isa import COUNTERS, ID_VALUE, VERSION_VALUE, Error, Register, Status
from tests.hdl.lite import read, write
from tests.hdl.streams import idle, run

CONFIG = PRESETS["tiny"]


def control():
    return Control(CONFIG, 3)


def test_registers():
    dut = control()
    plain = {
        Register.COUNT: "count",
        Register.READ_BASE: "read_base",
        Register.READ_LIMIT: "read_limit",
        Register.WRITE_BASE: "write_base",
        Register.WRITE_LIMIT: "write_limit",
    }

    async def bench(ctx):
        assert await read(ctx, dut, Register.ID) == ID_VALUE
        assert await read(ctx, dut, Register.VERSION) == VERSION_VALUE
        assert await read(ctx, dut, Register.PES) == 6
        assert await read(ctx, dut, Register.GLB_WORDS) == 1024
        assert await read(ctx, dut, 0xFFC) == 0
        for i, (register, name) in enumerate(plain.items()):
            await write(ctx, dut, register, 0x12345678 + i, order=i % 3)
            assert await read(ctx, dut, register) == 0x12345678 + i == ctx.get(getattr(dut, name))
        await write(ctx, dut, Register.COUNT, 0xAABBCCDD, strobe=0b0101)
        assert await read(ctx, dut, Register.COUNT) == 0x12BB56DD
        await write(ctx, dut, Register.PROGRAM, 0x12345678)
        assert await read(ctx, dut, Register.PROGRAM) == 0x12345640
        await write(ctx, dut, Register.ID, 0)
        assert await read(ctx, dut, Register.ID) == ID_VALUE

    run(dut, bench)


def test_done_and_interrupt():
    dut = control()
    starts = []

    async def count(ctx):
        async for _, _, s in ctx.tick().sample(dut.start):
            if s:
                starts.append(1)

    async def bench(ctx):
        await write(ctx, dut, Register.INTERRUPT, 1)
        await write(ctx, dut, Register.CONTROL, 1)
        assert await read(ctx, dut, Register.STATUS) == Status.RUNNING
        await write(ctx, dut, Register.CONTROL, 1)  # ignored
        await write(ctx, dut, Register.COUNT, 5)  # ignored
        assert await read(ctx, dut, Register.COUNT) == 0
        assert starts == [1] and ctx.get(dut.running) and not ctx.get(dut.interrupt)
        ctx.set(dut.finished, 1)
        await ctx.tick().until(dut.interrupt)
        assert not ctx.get(dut.running)
        assert await read(ctx, dut, Register.STATUS) == Status.DONE
        assert await read(ctx, dut, Register.INTERRUPT) == 3
        await write(ctx, dut, Register.INTERRUPT, 3)
        assert not ctx.get(dut.interrupt) and await read(ctx, dut, Register.INTERRUPT) == 1
        ctx.set(dut.finished, 0)
        await write(ctx, dut, Register.CONTROL, 1)
        assert starts == [1, 1] and await read(ctx, dut, Register.STATUS) == Status.RUNNING

    run(dut, bench, background=[count])


def test_first_error_wins():
    dut = control()

    async def bench(ctx):
        await write(ctx, dut, Register.CONTROL, 1)
        ctx.set(dut.indices[1], 77)
        ctx.set(dut.indices[2], 66)
        ctx.set(dut.codes[2], Error.WRITE_RESPONSE)
        ctx.set(dut.codes[1], Error.READ_WINDOW)
        ctx.set(dut.finished, 1)  # the failing command counts as done: the error wins
        await ctx.tick()
        ctx.set(dut.indices[1], 78)
        ctx.set(dut.codes[0], Error.ILLEGAL_COMMAND)
        await idle(ctx, 20)
        assert ctx.get(dut.halt) and not ctx.get(dut.running)
        assert await read(ctx, dut, Register.STATUS) == Status.ERROR | Error.READ_WINDOW << 8
        assert await read(ctx, dut, Register.ERROR_INDEX) == 77
        await write(ctx, dut, Register.CONTROL, 1)  # ignored until reset
        assert ctx.get(dut.halt)
        await write(ctx, dut, Register.CONTROL, 2)
        await idle(ctx, 50)
        assert ctx.get(dut.halt) and not ctx.get(dut.core_reset)
        ctx.set(dut.quiet, 1)
        await ctx.tick().until(dut.core_reset)
        for i in range(3):
            ctx.set(dut.codes[i], Error.NONE)
        assert ctx.get(dut.halt)
        await idle(ctx, SETTLE + 2)
        assert not ctx.get(dut.halt) and await read(ctx, dut, Register.STATUS) == Status.IDLE
        ctx.set(dut.finished, 0)
        await write(ctx, dut, Register.CONTROL, 1)
        assert await read(ctx, dut, Register.STATUS) == Status.RUNNING

    run(dut, bench)


def test_watchdog_and_forced_reset():
    dut = control()

    async def bench(ctx):
        await write(ctx, dut, Register.WATCHDOG, 30)
        for i, index in enumerate((12, 9, 5)):  # the last one has nothing to do
            ctx.set(dut.indices[i], index)
            ctx.set(dut.busy[i], i != 2)
        await write(ctx, dut, Register.CONTROL, 1)
        for _ in range(5):
            await idle(ctx, 20)
            ctx.set(dut.progress, 1)
            await ctx.tick()
            ctx.set(dut.progress, 0)
        assert ctx.get(dut.running)
        await idle(ctx, 40)
        assert await read(ctx, dut, Register.STATUS) == Status.ERROR | Error.WATCHDOG << 8
        assert await read(ctx, dut, Register.ERROR_INDEX) == 9
        await write(ctx, dut, Register.CONTROL, 2)  # the bus never gets quiet
        await idle(ctx, 40)
        assert await read(ctx, dut, Register.STATUS) == Status.IDLE
        await write(ctx, dut, Register.WATCHDOG, 0)
        await write(ctx, dut, Register.CONTROL, 1)
        await idle(ctx, 200)
        assert ctx.get(dut.running)

    run(dut, bench)


@pytest.mark.parametrize("low", [32, 8])
@pytest.mark.parametrize("counters", [True, False])
def test_counters(counters, low, monkeypatch):
    monkeypatch.setattr("hdl.control.counters.LOW", low)  # so that the carry is seen
    config = CONFIG.replace(counters=counters)
    dut = Counters(config)
    rng = random.Random(16)
    totals = dict.fromkeys(COUNTERS, 0)

    async def bench(ctx):
        ctx.set(dut.enable, 1)
        for _ in range(300):
            step = {n: rng.randrange(1 << event_width(config, n)) for n in COUNTERS}
            ctx.set(dut.events, step)
            for n in COUNTERS:
                totals[n] += step[n]
            await ctx.tick()
        ctx.set(dut.enable, 0)
        await idle(ctx, 4)
        for i, n in enumerate(COUNTERS):
            ctx.set(dut.index, i)
            await idle(ctx, 2)
            assert ctx.get(dut.value) == (totals[n] if counters or n == "cycles" else 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for i in range(len(COUNTERS)):
            ctx.set(dut.index, i)
            await idle(ctx, 2)
            assert ctx.get(dut.value) == 0

    run(dut, bench)
