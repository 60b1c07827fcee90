"""The parts of the register file, with random stalls, and without: latencies and throughput."""

import random

import pytest

from hdl.config import PRESETS
from hdl.control.registers.error_watch import ErrorWatch
from hdl.control.registers.interrupt import Interrupt
from hdl.control.registers.plain_registers import PlainRegisters
from hdl.control.registers.program_life import RESET, SETTLE, ProgramLife
from hdl.control.registers.read_channel import COUNTER_WAIT, ReadChannel
from hdl.control.registers.watchdog import Watchdog
from hdl.control.registers.words import REGISTERS
from hdl.control.registers.write_channel import WriteChannel
from hdl.isa import COUNTERS, Error, Register, Status
from tests.hdl.streams import holds, idle, receive, run, send, shared

CONFIG = PRESETS["tiny"]
NARROW = CONFIG.replace(address_bits=16)


# ---- channels ------------------------------------------------------------------------------
@pytest.mark.parametrize("stall", [0, 0.5])
def test_write_channel(stall):
    dut, rng = shared(WriteChannel), random.Random(1)
    addresses = [rng.choice([4 * rng.randrange(20), rng.randrange(1 << 12)]) for _ in range(40)]
    values = [dict(value=rng.getrandbits(32), strobe=rng.randrange(16)) for _ in addresses]
    wrote, times, answers, answered = [], [], [], []

    async def watch(ctx):
        now = 0
        async for _, _, write, *what in ctx.tick().sample(
            dut.write, dut.chosen, dut.value, dut.strobe
        ):
            if write:
                wrote.append(tuple(what))
                times.append(now)
            now += 1

    async def answer(ctx):
        await receive(ctx, dut.answer, 40, answers, stall=stall, times=answered)

    run(
        dut,
        lambda ctx: send(ctx, dut.address, addresses, stall=stall, rng=random.Random(2)),
        lambda ctx: send(ctx, dut.data, values, stall=stall, rng=random.Random(3)),
        answer,
        background=[watch, holds(dut.answer)],
    )
    assert answers == [0] * 40
    assert wrote == [
        (1 << (at >> 2) if at < 4 * REGISTERS else 0, item["value"], item["strobe"])
        for at, item in zip(addresses, values)
    ]
    if not stall:  # `answered` counts from one
        assert times == [2 + 4 * n for n in range(40)]
        assert answered == [time + 3 for time in times]


@pytest.mark.parametrize("stall", [0, 0.5])
def test_read_channel(stall):
    dut, rng = shared(ReadChannel), random.Random(4)
    registers = [rng.getrandbits(32) for _ in range(REGISTERS)]
    counters = [rng.getrandbits(64) for _ in COUNTERS]
    last = Register.COUNTERS + 8 * len(COUNTERS)
    addresses = [4 * n for n in range(REGISTERS)] + list(range(Register.COUNTERS, last, 4))
    addresses += [4 * REGISTERS, Register.COUNTERS - 4, last, last + 4, 0xFFC]
    rng.shuffle(addresses)
    answers, times = [], []

    def there(at):
        if at < 4 * REGISTERS:
            return registers[at // 4]
        value = counters[(at - Register.COUNTERS) // 8] if Register.COUNTERS <= at < last else 0
        return value >> 32 * (at // 4 % 2) & (1 << 32) - 1

    async def source(ctx):
        for port, value in zip(dut.registers, registers):
            ctx.set(port, value)
        late = [0] * (COUNTER_WAIT - 1)
        async for _, _, index in ctx.tick().sample(dut.counter):
            late.append(counters[index] if index < len(counters) else 0)
            ctx.set(dut.counter_value, late.pop(0))

    async def answer(ctx):
        await receive(ctx, dut.answer, len(addresses), answers, stall=stall, times=times)

    run(
        dut,
        lambda ctx: send(ctx, dut.address, addresses, stall=stall),
        answer,
        background=[source, holds(dut.answer)],
    )
    assert answers == [there(at) for at in addresses]
    if not stall:
        assert times == [6 * n + 6 for n in range(len(addresses))]


# ---- registers -----------------------------------------------------------------------------
@pytest.mark.parametrize("config", [CONFIG, NARROW], ids=["tiny", "narrow"])
def test_plain_registers(config):
    dut, rng = shared(PlainRegisters, config), random.Random(5)
    address = (1 << config.address_bits) - 1
    masks = dict.fromkeys(
        ("program", "read_base", "read_limit", "write_base", "write_limit"), address
    )
    masks |= dict(count=(1 << config.count_bits) - 1, watchdog=(1 << 32) - 1)
    masks["program"] &= ~63
    want = dict.fromkeys(masks, 0)

    async def bench(ctx):
        for _ in range(400):
            register, value = rng.choice(list(Register)[:-1]), rng.getrandbits(32)
            strobe, write, locked = rng.randrange(16), rng.random() < 0.8, rng.random() < 0.3
            ctx.set(dut.chosen, 1 << (register >> 2))
            ctx.set(dut.value, value)
            ctx.set(dut.strobe, strobe)
            ctx.set(dut.write, write)
            ctx.set(dut.locked, locked)
            await ctx.tick()
            name = register.name.lower()
            if name in want and write and not locked:
                lanes = sum(0xFF << 8 * n for n in range(4) if strobe >> n & 1)
                want[name] = (want[name] & ~lanes | value & lanes) & masks[name]
            assert {name: ctx.get(getattr(dut, name)) for name in want} == want

    run(dut, bench)


def test_interrupt():
    dut, rng = shared(Interrupt), random.Random(6)

    async def bench(ctx):
        enable = pending = 0
        for _ in range(300):
            write, ended, over = (rng.random() < 0.3 for _ in range(3))
            value = rng.randrange(4)
            for port, now in zip((dut.write, dut.ended, dut.over), (write, ended, over)):
                ctx.set(port, now)
            ctx.set(dut.value, value)
            await ctx.tick()
            enable = value & 1 if write else enable
            cleared = over or (write and value & 2 and not ended)
            pending = 0 if cleared else pending or ended
            assert (ctx.get(dut.enable), ctx.get(dut.pending)) == (enable, pending)
            assert ctx.get(dut.interrupt) == (enable and pending)

    run(dut, bench)


# ---- the watch -----------------------------------------------------------------------------
@pytest.mark.parametrize("limit", [0, 1, 7])
def test_watchdog(limit):
    dut, rng = shared(Watchdog), random.Random(7)

    async def bench(ctx):
        ctx.set(dut.limit, limit)
        ctx.set(dut.moved, 1)
        await ctx.tick()
        still = 0
        for _ in range(300):
            moved = rng.random() < 0.15
            ctx.set(dut.moved, moved)
            still = 0 if moved else still + 1
            await ctx.tick()
            assert ctx.get(dut.barked) == (limit != 0 and still > limit)

    run(dut, bench)


@pytest.mark.parametrize("sources", [1, 3, 9])
def test_error_watch(sources):
    """The lowest of the first cycle with an error, whatever comes after it, or the oldest."""
    dut, rng = shared(ErrorWatch, CONFIG, sources), random.Random(8)

    async def look(ctx, first):
        """Until `tell`, with more errors meanwhile; the cycles that took."""
        for cycles in range(sources + 10):
            if ctx.get(dut.tell):
                return cycles
            for n in range(sources) if first else ():
                ctx.set(dut.codes[n], rng.randrange(6))
                ctx.set(dut.indices[n], rng.randrange(1000))
            await ctx.tick()
        raise AssertionError("nothing was told")

    async def bench(ctx):
        ctx.set(dut.running, 1)
        ctx.set(dut.looking, 1)
        for round_ in range(30):
            codes = [rng.choice([0, 0, 3, 9]) for _ in range(sources)]
            codes[rng.randrange(sources)] = 5 if round_ % 2 else 0
            indices = [rng.randrange(1000) for _ in codes]
            busy = [rng.random() < 0.6 for _ in codes]
            busy[rng.randrange(sources)] = True
            failed = round_ % 2
            for n in range(sources):
                ctx.set(dut.codes[n], codes[n] if failed else 0)
                ctx.set(dut.indices[n], indices[n])
                ctx.set(dut.busy[n], busy[n])
            await ctx.tick()
            assert ctx.get(dut.found) == failed
            ctx.set(dut.barked, not failed)
            assert await look(ctx, failed) == sources + 2
            lowest = next((n for n, code in enumerate(codes) if code), 0)
            oldest = min(index for index, there in zip(indices, busy) if there)
            assert ctx.get(dut.error) == (codes[lowest] if failed else Error.WATCHDOG)
            assert ctx.get(dut.index) == (indices[lowest] if failed else oldest)
            for n in range(sources):
                ctx.set(dut.codes[n], 0)
            ctx.set(dut.barked, 0)
            ctx.set(dut.clear, 1)
            await idle(ctx, 2)
            ctx.set(dut.clear, 0)
            assert not ctx.get(dut.found) and not ctx.get(dut.tell)

    run(dut, bench)


def test_error_watch_counts_only_while_it_runs():
    dut = shared(ErrorWatch, CONFIG, 3)

    async def bench(ctx):
        ctx.set(dut.codes[1], 4)
        ctx.set(dut.looking, 1)
        await idle(ctx, 10)
        assert not ctx.get(dut.found)
        ctx.set(dut.running, 1)
        await ctx.tick()
        assert ctx.get(dut.found)

    run(dut, bench)


# ---- the life of a program -----------------------------------------------------------------
async def pulse(ctx, port):
    ctx.set(port, 1)
    await ctx.tick()
    ctx.set(port, 0)


async def begin(ctx, dut):
    await pulse(ctx, dut.go)
    assert ctx.get(dut.start) and not ctx.get(dut.running)
    await ctx.tick()
    assert ctx.get(dut.running) and not ctx.get(dut.start)


def test_life_ends():
    """DONE after SETTLE + 1 cycles of `finished`, and once more."""
    dut = shared(ProgramLife, CONFIG)

    async def bench(ctx):
        for _ in range(2):
            await begin(ctx, dut)
            ctx.set(dut.finished, 1)
            await idle(ctx, SETTLE - 1)
            ctx.set(dut.finished, 0)
            await ctx.tick()
            ctx.set(dut.finished, 1)
            await idle(ctx, SETTLE)
            assert ctx.get(dut.ended) and ctx.get(dut.status) == Status.RUNNING
            await ctx.tick()
            assert ctx.get(dut.status) == Status.DONE and not ctx.get(dut.ended)
            ctx.set(dut.finished, 0)

    run(dut, bench)


@pytest.mark.parametrize("quiet", [True, False])
def test_life_error_and_reset(quiet):
    """An error holds until a reset, which waits for the bus or the watchdog."""
    dut = shared(ProgramLife, CONFIG)

    async def bench(ctx):
        await begin(ctx, dut)
        ctx.set(dut.finished, 1)  # what failed is done too
        ctx.set(dut.found, 1)
        await idle(ctx, 2)
        assert ctx.get(dut.halt)
        await idle(ctx, SETTLE + 2)
        assert ctx.get(dut.status) == Status.RUNNING
        ctx.set(dut.code, Error.READ_WINDOW)
        ctx.set(dut.place, 77)
        await pulse(ctx, dut.tell)
        assert ctx.get(dut.status) == Status.ERROR and not ctx.get(dut.running)
        assert (ctx.get(dut.error), ctx.get(dut.error_index)) == (Error.READ_WINDOW, 77)
        await pulse(ctx, dut.go)
        assert not ctx.get(dut.start)

        await pulse(ctx, dut.reset)
        ctx.set(dut.quiet, quiet)
        for _ in range(SETTLE + 1):
            assert ctx.get(dut.draining) and not ctx.get(dut.core_reset)
            await ctx.tick()
        if not quiet:
            await idle(ctx, 20)
            assert ctx.get(dut.draining)
            ctx.set(dut.barked, 1)
            await ctx.tick()
            ctx.set(dut.barked, 0)
        ctx.set(dut.found, 0)
        for cycle in range(SETTLE + 1):
            assert ctx.get(dut.core_reset) == (cycle < RESET)
            assert ctx.get(dut.over) == (cycle == SETTLE)
            await ctx.tick()
        assert ctx.get(dut.status) == Status.IDLE and ctx.get(dut.error) == Error.NONE
        await ctx.tick()
        assert not ctx.get(dut.halt)
        await begin(ctx, dut)

    run(dut, bench)
