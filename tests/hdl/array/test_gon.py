"""Output buses: a fixed order of turns."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.gon import OutputBus
from tests.hdl.streams import holds, idle, receive, run, send, shared

WORD = data.StructLayout({"data": 16, "last": 1})


class TwoLevels(wiring.Component):
    """Rows of OutputBuses into one, connected as in hdl/array/chain.py."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        super().__init__(
            {f"source_{n}": In(stream.Signature(WORD)) for n in range(rows * columns)}
            | {
                "members": In(rows * columns),
                "restart": In(1),
                "output": Out(stream.Signature(WORD)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = top = OutputBus(WORD, self.rows)
        m.d.comb += top.restart.eq(self.restart)
        for r in range(self.rows):
            m.submodules[f"row_{r}"] = row = OutputBus(WORD, self.columns)
            for n in range(self.columns):
                wiring.connect(
                    m,
                    wiring.flipped(getattr(self, f"source_{r * self.columns + n}")),
                    getattr(row, f"source_{n}"),
                )
            mine = self.members[r * self.columns : (r + 1) * self.columns]
            m.d.comb += [
                row.members.eq(mine),
                row.restart.eq(self.restart),
                top.members[r].eq(mine.any()),
            ]
            wiring.connect(m, row.output, getattr(top, f"source_{r}"))
        wiring.connect(m, top.output, wiring.flipped(self.output))
        return m


def turns(members, rounds, rng):
    """Words of each source and the order they must come out in. `last` of the output ends the
    turn of the last member of all."""
    sources = {n: [] for n in members}
    wanted, serial = [], 0
    for _ in range(rounds):
        for n in members:
            for k in reversed(range(rng.choice([1, 1, 2, 4]))):
                sources[n].append(dict(data=serial, last=k == 0))
                wanted.append((serial, int(k == 0 and n == members[-1])))
                serial += 1
    return sources, wanted


async def restart(ctx, dut, members):
    ctx.set(dut.members, sum(1 << n for n in members))
    ctx.set(dut.restart, 1)
    await ctx.tick()
    ctx.set(dut.restart, 0)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 3), (3, 2)])
def test_order(shape, stall):
    rows, columns = shape
    rng = random.Random(rows)
    sets = [
        list(range(rows * columns)),
        [rows * columns - 1],
        [0],
        sorted(rng.sample(range(rows * columns), (rows * columns + 1) // 2)),
    ]
    dut = shared(OutputBus, WORD, columns) if rows == 1 else TwoLevels(rows, columns)
    progress = []

    async def main(ctx):
        for members in sets:
            await restart(ctx, dut, members)
            await idle(ctx, rows * columns)  # the first turn is found
            sources, wanted = turns(members, 5, rng)
            got, times = [], []
            progress.append(sources)
            await receive(ctx, dut.output, len(wanted), got, stall=stall, rng=rng, times=times)
            assert [(w.data, w.last) for w in got] == wanted
            if not stall:
                assert times[-1] - times[0] == len(wanted) - 1, "one word a cycle"
            ctx.set(dut.output.ready, 1)
            for _ in range(6):
                await ctx.tick()
                assert not ctx.get(dut.output.valid)
            ctx.set(dut.output.ready, 0)

    def source(n):
        async def bench(ctx):
            at = 0
            while True:
                if at < len(progress):
                    await send(
                        ctx,
                        getattr(dut, f"source_{n}"),
                        progress[at].get(n, []),
                        stall=stall,
                        rng=rng,
                    )
                    at += 1
                await ctx.tick()

        return bench

    run(dut, main, background=[source(n) for n in range(rows * columns)] + [holds(dut.output)])


def test_others_are_never_taken_and_order_is_kept_when_the_first_is_late():
    dut, got = shared(OutputBus, WORD, 3), []

    async def late(ctx):
        await restart(ctx, dut, [0, 2])
        await idle(ctx, 10)
        assert not ctx.get(dut.output.valid)
        assert not ctx.get(dut.source_1.ready) and not ctx.get(dut.source_2.ready)
        await send(ctx, dut.source_0, [dict(data=1, last=0), dict(data=2, last=1)])

    async def others(ctx):
        ctx.set(dut.source_1.valid, 1)
        await send(ctx, dut.source_2, [dict(data=3, last=1)])
        for _ in range(8):
            await ctx.tick()
            assert not ctx.get(dut.source_1.ready)

    run(dut, late, others, lambda ctx: receive(ctx, dut.output, 3, got))
    assert [(w.data, w.last) for w in got] == [(1, 0), (2, 0), (3, 1)]


def test_restart_returns_to_the_first():
    dut, got = shared(OutputBus, WORD, 3), []

    async def main(ctx):
        ctx.set(dut.output.ready, 1)
        await restart(ctx, dut, [0, 1, 2])
        for n in (0, 1):  # two of three turns, then again from 0
            await send(ctx, getattr(dut, f"source_{n}"), [dict(data=n, last=1)])
        await idle(ctx, 3)
        await restart(ctx, dut, [0, 1, 2])
        ctx.set(dut.source_2.valid, 1)
        await send(ctx, dut.source_0, [dict(data=7, last=1)])
        assert not ctx.get(dut.source_2.ready)
        await idle(ctx, 3)

    async def take(ctx):
        async for _, _, valid, word in ctx.tick().sample(dut.output.valid, dut.output.payload):
            if valid:
                got.append((word.data, word.last))

    run(dut, main, background=[take])
    assert got == [(0, 0), (1, 0), (7, 0)]


def test_latency_is_one_cycle():
    dut = shared(OutputBus, WORD, 2)

    async def main(ctx):
        await restart(ctx, dut, [0])
        await idle(ctx, 3)  # until the first turn
        ctx.set(dut.source_0.valid, 1)
        ctx.set(dut.source_0.payload, dict(data=5, last=1))
        assert ctx.get(dut.source_0.ready) and not ctx.get(dut.output.valid)
        await ctx.tick()
        assert ctx.get(dut.output.valid) and ctx.get(dut.output.payload.data) == 5
        assert ctx.get(dut.output.payload.last)

    run(dut, main)


def test_a_first_source_that_takes_no_part_is_passed_over():
    """Right after a restart too, when its turn has not been skipped yet."""
    dut, got = shared(OutputBus, WORD, 3), []

    async def main(ctx):
        ctx.set(dut.source_0.valid, 1)
        ctx.set(dut.source_0.payload, dict(data=99, last=1))
        ctx.set(dut.members, 0b110)
        for _ in range(2):
            await restart(ctx, dut, [1, 2])
            for n in (1, 2):
                assert not ctx.get(dut.source_0.ready)
                await send(ctx, getattr(dut, f"source_{n}"), [dict(data=n, last=1)])
            await idle(ctx, 3)

    run(dut, main, lambda ctx: receive(ctx, dut.output, 4, got))
    assert [(w.data, w.last) for w in got] == [(1, 0), (2, 1)] * 2
