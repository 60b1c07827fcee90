"""Values through a pipeline that an `enable` moves."""

import random

from tests.hdl.streams import run


def passed(dut, items, out, latency, *, stall=0.0, late=None):
    """What each item, {member: value}, becomes, in the order of the items: read at `out` after
    `latency` enabled cycles, an item in every one of them. While the pipeline rests, at a chance of
    `stall`, its inputs are those of other items. late: of each item, what is set one enabled cycle
    before it comes out."""
    rng, got = random.Random(len(items)), []

    def show(ctx, at):
        for name, value in items[min(at, len(items) - 1)].items():
            ctx.set(getattr(dut, name), value)

    async def drive(ctx):
        for at in range(len(items) + latency):
            while rng.random() < stall:
                ctx.set(dut.enable, 0)
                show(ctx, rng.randrange(len(items)))
                await ctx.tick()
            if at >= latency:
                got.append(ctx.get(out))
            show(ctx, at)
            if late and latency <= at + 1 < len(items) + latency:
                for name, value in late[at + 1 - latency].items():
                    ctx.set(getattr(dut, name), value)
            ctx.set(dut.enable, 1)
            await ctx.tick()

    run(dut, drive)
    return got
