import random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hdl.control.issue import EarlyIssue, Issue
from hdl.control.semaphores import Semaphores
from tests.hdl.streams import holds, run, send, shared


def test_semaphores_count_every_giver():
    dut = Semaphores(3)
    rng = random.Random(6)

    async def bench(ctx):
        model = [0] * 16
        for _ in range(400):
            available = sum(bool(c) << i for i, c in enumerate(model))
            assert ctx.get(dut.available) == available
            gives = [
                rng.randrange(1 << 16) & rng.randrange(1 << 16) if max(model) < 200 else 0
                for _ in range(3)
            ]
            take = rng.randrange(1 << 16) & available
            for e in range(3):
                ctx.set(dut.give[e], gives[e])
                # semaphore i belongs to engine i % 3
                ctx.set(dut.take[e], sum(1 << i for i in range(16) if take >> i & 1 and i % 3 == e))
            await ctx.tick()
            for i in range(16):
                model[i] += sum(g >> i & 1 for g in gives) - (take >> i & 1)
        for e in range(3):
            ctx.set(dut.give[e], 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.available) == 0

    run(dut, bench)


class Pair(Component):
    """An Issue with its semaphores and a test giver."""

    def __init__(self, depth, kind=Issue, **options):
        self.issue = kind(8, depth, **options)
        super().__init__({"give": In(16), "available": Out(16)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.issue = self.issue
        m.submodules.semaphores = s = Semaphores(2)
        m.d.comb += [
            s.give[0].eq(self.issue.give),
            s.give[1].eq(self.give),
            s.take[0].eq(self.issue.take),
            self.issue.available.eq(s.available),
            self.available.eq(s.available),
        ]
        return m


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize(
    "depth, options",
    [
        (1, {}),
        (2, {}),
        (4, {}),
        (8, {}),
        (2, dict(in_flight=2)),
        (4, dict(in_flight=2)),
        (1, dict(in_flight=1)),
        (2, dict(kind=EarlyIssue)),
        (4, dict(kind=EarlyIssue)),
    ],
)
def test_issue_order_masks_and_index(depth, options, stall):
    dut = shared(Pair, depth, **options)
    issue, kind = dut.issue, options.get("kind")
    rng = random.Random(7)
    commands = [
        dict(
            wait=rng.choice([0, 0, 1, 3, 0x8001]),
            signal=1 << rng.randrange(4, 12),
            index=3 * i,
            body=i,
        )
        for i in range(40)
    ]
    given, started = [], []

    async def engine(ctx):
        flight, due = [], [0] * 2
        done_before = False
        while len(given) < len(commands) or flight or any(due) or done_before:
            ready = rng.random() >= stall and len(flight) < 5
            done = bool(flight) and rng.random() >= stall
            free = done
            if kind is EarlyIssue:  # each some cycles before it is done
                free = len(given) < len(started) and rng.random() >= stall
                done = bool(flight) and flight[0] < len(given) and done
            ctx.set(issue.command.ready, ready)
            ctx.set(issue.done, done)
            ctx.set(issue.freed, free)
            if flight:
                assert ctx.get(issue.busy) and (
                    done_before or ctx.get(issue.index) == 3 * flight[0]
                )
            done_before = done
            _, _, valid, body, give = await ctx.tick().sample(
                issue.command.valid, issue.command.payload, issue.give
            )
            if done:
                flight.pop(0)
            due.append(commands[len(given)]["signal"] if free else 0)
            if free:
                given.append(due[-1])
            assert give == due.pop(0)
            if valid and ready:
                started.append(body)
                flight.append(body)
        ctx.set(issue.done, 0)
        assert not ctx.get(issue.busy)
        # only the gifts remain: everything given from outside was taken
        assert ctx.get(dut.available) & 0x800F == 0

    async def busy(ctx):
        held = before = 0
        async for _, _, valid, ready, done, shown in ctx.tick().sample(
            issue.queue.valid, issue.queue.ready, issue.done, issue.busy
        ):
            assert shown == (held != 0)
            held += (valid & ready) - before
            before = done

    async def giver(ctx):
        for c in commands:
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(dut.give, c["wait"])
            await ctx.tick()
            ctx.set(dut.give, 0)

    run(
        dut,
        lambda ctx: send(ctx, issue.queue, commands, stall=stall),
        engine,
        giver,
        background=[holds(issue.command), busy],
    )
    assert started == list(range(len(commands)))


def test_issue_waits_for_all_and_halts():
    dut = shared(Pair, 4)
    issue = dut.issue

    async def bench(ctx):
        await send(ctx, issue.queue, [dict(wait=3, signal=0, index=9, body=1)])
        ctx.set(dut.give, 1)
        await ctx.tick()
        ctx.set(dut.give, 0)
        await ctx.tick()
        for _ in range(4):
            await ctx.tick()
            assert ctx.get(issue.waiting) and not ctx.get(issue.command.valid)
            assert ctx.get(issue.busy) and ctx.get(issue.index) == 9
            assert ctx.get(dut.available) == 1  # none taken until all are there
        ctx.set(issue.halt, 1)
        ctx.set(dut.give, 2)
        await ctx.tick()
        ctx.set(dut.give, 0)
        for _ in range(4):
            await ctx.tick()
            assert not ctx.get(issue.command.valid) and not ctx.get(issue.waiting)
        ctx.set(issue.halt, 0)
        await ctx.tick()
        assert ctx.get(issue.command.valid)
        await ctx.tick()
        assert ctx.get(dut.available) == 0

    run(dut, bench)


@pytest.mark.parametrize("depth, first, each", [(1, 4, 4), (2, 5, 3), (4, 5, 3), (16, 5, 3)])
def test_issue_throughput(depth, first, each):
    """A command every `each` cycles, the first after `first`; gifts two cycles after `done`."""
    dut = shared(Issue, 8, depth)
    times, dones, gifts = [], [], []

    async def engine(ctx):
        now = 0
        ctx.set(dut.command.ready, 1)
        while len(gifts) < 50:
            _, _, valid, give = await ctx.tick().sample(dut.command.valid, dut.give)
            times.extend([now] if valid else [])
            gifts.extend([now] if give else [])
            dones.extend([now + 2] if valid else [])
            ctx.set(dut.done, now + 1 in dones)
            now += 1

    items = [dict(wait=0, signal=1, index=i, body=i) for i in range(50)]
    run(dut, engine, lambda ctx: send(ctx, dut.queue, items))
    assert times[0] == first
    assert [after - before for before, after in zip(times, times[1:])] == [each] * 49
    assert gifts == [time + 2 for time in dones]
