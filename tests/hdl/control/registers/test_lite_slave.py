"""LiteSlave: reads and writes at once, each channel with stalls of its own, and without."""

import random
from types import SimpleNamespace

import pytest

from hdl.control.registers.lite_slave import LiteSlave
from hdl.control.registers.read_channel import COUNTER_WAIT
from hdl.control.registers.words import REGISTERS
from hdl.isa import COUNTERS, Register
from tests.hdl.streams import holds, idle, receive, run, send, shared

COUNT = 40


def channel(dut, name, payload):
    def port(which):
        return getattr(dut, f"s_axi_{name}{which}")

    return SimpleNamespace(
        valid=port("valid"), ready=port("ready"), payload=getattr(dut, f"s_axi_{payload}")
    )


@pytest.mark.parametrize("stall", [0, 0.5])
def test_reads_and_writes(stall):
    dut, rng = shared(LiteSlave), random.Random(1)
    registers = [rng.getrandbits(32) for _ in range(REGISTERS)]
    counters = [rng.getrandbits(64) for _ in COUNTERS]
    writes = [
        (rng.choice([4 * rng.randrange(20), rng.randrange(1 << 12)]), rng.getrandbits(32))
        for _ in range(COUNT)
    ]
    first = int(Register.COUNTERS)
    reads = [
        rng.choice([4 * rng.randrange(REGISTERS), first + 4 * rng.randrange(2 * len(COUNTERS))])
        for _ in range(COUNT)
    ]
    wanted = [
        registers[at // 4]
        if at < first
        else counters[(at - first) // 8] >> 32 * ((at - first) // 4 % 2) & (1 << 32) - 1
        for at in reads
    ]
    wrote, answers, answered, got, times = [], [], [], [], []

    async def around(ctx):
        for port, value in zip(dut.registers, registers, strict=True):
            ctx.set(port, value)
        late = [0] * (COUNTER_WAIT - 1)
        sample = ctx.tick().sample(dut.write, dut.chosen, dut.value, dut.strobe, dut.counter)
        async for _, _, write, *what, index in sample:
            late.append(counters[index] if index < len(counters) else 0)
            ctx.set(dut.counter_value, late.pop(0))
            if write:
                wrote.append(tuple(what))

    async def write_data(ctx):
        ctx.set(dut.s_axi_wstrb, 0b1011)
        port = channel(dut, "w", "wdata")
        await send(ctx, port, [value for _, value in writes], stall=stall, rng=random.Random(2))

    async def write_addresses(ctx):
        port = channel(dut, "aw", "awaddr")
        await send(ctx, port, [at for at, _ in writes], stall=stall, rng=random.Random(3))

    b, r = channel(dut, "b", "bresp"), channel(dut, "r", "rdata")

    async def take(ctx, port, out, times):
        await receive(ctx, port, COUNT, out, stall=stall, times=times)
        await idle(ctx, 8)
        assert not ctx.get(port.valid)

    run(
        dut,
        write_addresses,
        write_data,
        lambda ctx: send(ctx, channel(dut, "ar", "araddr"), reads, stall=stall),
        lambda ctx: take(ctx, b, answers, answered),
        lambda ctx: take(ctx, r, got, times),
        background=[around, holds(b, "B"), holds(r, "R")],
    )
    assert answers == [0] * COUNT
    assert wrote == [
        (1 << (at >> 2) if at < 4 * REGISTERS else 0, value, 0b1011) for at, value in writes
    ]
    assert got == wanted
    if not stall:  # neither waits for the other
        assert answered == [5 + 4 * n for n in range(COUNT)]
        assert times == [6 + 6 * n for n in range(COUNT)]
