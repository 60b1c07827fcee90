"""A part of the sparse engine between a source and a sink, with random stalls on both or none."""

import random

from amaranth.lib import data

from tests.hdl.streams import holds, run, send


def plain(value):
    """A payload as a dict of numbers, lists and dicts."""
    if not isinstance(value, data.Const):
        return value
    layout = value.shape()
    if isinstance(layout, data.ArrayLayout):
        return [plain(value[n]) for n in range(layout.length)]
    return {name: plain(value[name]) for name, _ in layout}


class Flow:
    """What passed a stream: `payloads` and the cycle of each in `times`."""

    def __init__(self, port, waits=False, stall=0.0):
        self.port, self.waits, self.stall = port, waits, stall
        self.payloads, self.times = [], []

    async def __call__(self, ctx):
        port, rng, now = self.port, random.Random(3), 0
        while True:
            if self.waits:
                ctx.set(port.ready, rng.random() >= self.stall)
            _, _, valid, ready, payload = await ctx.tick().sample(
                port.valid, port.ready, port.payload
            )
            if valid and ready:
                self.payloads.append(plain(payload))
                self.times.append(now)
            now += 1


def flow(
    dut, source, items, sinks, counts, *, stall=0.0, waits=True, setup=None, background=(), more=8
):
    """Sends `items` to a stream and waits for `counts` payloads of each of `sinks`, and `more`
    cycles, in which no more may come. `waits`: the sinks are made to wait; setup(ctx): before it.
    Returns (Flow of the source, Flow of each sink)."""
    into, out = Flow(source), [Flow(sink, waits, stall) for sink in sinks]

    async def main(ctx):
        if setup:
            await setup(ctx)
        into.payloads.clear()
        into.times.clear()
        await send(ctx, source, items, stall=stall, rng=random.Random(4))
        while any(len(o.payloads) < count for o, count in zip(out, counts, strict=True)):
            await ctx.tick()
        await ctx.tick().repeat(more)
        assert [len(o.payloads) for o in out] == list(counts)

    checks = [holds(sink) for sink in sinks] if waits else []
    run(dut, main, background=[into, *out, *checks, *background], cycles=20_000)
    return into, *out


def latencies(into, out):
    """Cycles from each item to its payload."""
    return [after - before for before, after in zip(into.times, out.times, strict=True)]


def every_cycle(flow):
    return flow.times == list(range(flow.times[0], flow.times[0] + len(flow.times)))
