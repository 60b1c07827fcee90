"""Parts of the engine's control."""

import random

import pytest

from hdl.config import PRESETS
from hdl.isa import SPARSE_KINDS, SparseDumpBody, SparseOutputBody, SparseRunBody, SparseStreamBody
from hdl.sparse.engine.broadcast import Broadcast
from hdl.sparse.engine.commands import SparseCommands
from hdl.sparse.engine.counters import SparseCounters
from hdl.sparse.engine.dump import DumpSequencer
from hdl.sparse.engine.rows import OutputSequencer
from hdl.sparse.engine.search import SearchWords
from hdl.sparse.engine.tree import DetectionTree
from tests.hdl.sparse.flow import Flow, every_cycle, flow
from tests.hdl.streams import holds, run, send, shared

CONFIG = PRESETS["tiny"].replace(sparse_pointers=66)


@pytest.mark.parametrize("pes, levels", [(4, 1), (8, 2), (32, 3)])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_tree(pes, levels, stall):
    """All that the PEs find, those of each in order; one a cycle, a cycle for each level."""
    dut, rng = shared(DetectionTree, CONFIG.replace(sparse_pes=pes)), random.Random(pes)
    found = [[{"column": pe, "value": n} for n in range(rng.randrange(12))] for pe in range(pes)]
    out = Flow(dut.root, True, stall)

    async def main(ctx):
        while len(out.payloads) < sum(map(len, found)):
            await ctx.tick()
        await ctx.tick()
        assert not ctx.get(dut.waits)

    def sender(n):
        return lambda ctx: send(ctx, dut.found[n], found[n], stall=stall, rng=random.Random(n))

    run(dut, main, background=[out, holds(dut.root), *(sender(n) for n in range(pes))])
    for pe in range(pes):
        assert [p for p in out.payloads if p["column"] == pe] == found[pe]
    if not stall:
        assert every_cycle(out) and out.times[0] == levels


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_broadcast(stall):
    """To all PEs when all are ready, or to the fetcher, then a mark."""
    dut, rng = shared(Broadcast, CONFIG), random.Random(1)
    items = [{"column": n, "value": -n} for n in range(40)]
    moved = []

    async def ready(ctx):
        async for _, _, now in ctx.tick().sample(dut.moved):
            moved.append(now)
            ctx.set(dut.ready, sum((rng.random() >= stall / 3) << n for n in range(4)))

    _, out = flow(
        dut,
        dut.root,
        items,
        [dut.column],
        [40],
        stall=stall,
        waits=False,
        background=[ready],
    )
    assert out.payloads == items and sum(moved) == 40

    async def streaming(ctx):
        ctx.set(dut.streaming, 1)

    _, out = flow(dut, dut.root, items, [dut.wanted], [40], stall=stall, setup=streaming)
    assert out.payloads == [item | {"mark": 0} for item in items]

    async def ending(ctx):
        ctx.set(dut.ending, 1)
        await ctx.tick()
        assert ctx.get(dut.wanted.valid) and ctx.get(dut.wanted.p.mark)
        assert not ctx.get(dut.column.valid)

    run(dut, ending)


def test_search():
    """A cycle later; a base beyond all columns stays beyond, a STREAM's is 0."""
    dut, highest = shared(SearchWords, CONFIG), (1 << CONFIG.sparse_column_bits) - 1

    async def main(ctx):
        for streaming in range(2):
            for half, base, queue in ((0, 0, 0), (1, 5, 3), (0, highest + 1, 4), (1, 65535, 1)):
                body = {"half": half, "address": 3, "count": 9, "base": base, "queue": queue}
                ctx.set(dut.body, body)
                ctx.set(dut.streaming, streaming)
                ctx.set(dut.start, half)
                await ctx.tick()
                search = ctx.get(dut.pes.search)
                assert ctx.get(dut.pes.start) == half
                assert ctx.get(dut.pes.limit) == (queue or CONFIG.sparse_queue)
                assert search.address == 3 + half * CONFIG.sparse_activations
                assert search.base == (0 if streaming else min(base, highest))
                assert search.count == 9

    run(dut, main)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("rows", [1, 2, 9, 16])
def test_output(lanes, rows):
    """Each row once by each PE, kept LATENCY cycles later; turns * rows + 6 cycles in all."""
    dut, turns = shared(OutputSequencer, CONFIG.replace(sparse_round_lanes=lanes)), 4 // lanes
    shown, kept, place = [], [], min(2, CONFIG.sparse_activations - rows)

    async def main(ctx):
        for half in range(2):
            shown.clear()
            kept.clear()
            ctx.set(dut.command.body, {"rows": rows, "half": half, "address": place})
            await ctx.tick()
            ctx.set(dut.command.start, 1)
            await ctx.tick()
            ctx.set(dut.command.start, 0)
            cycles = 0
            while not ctx.get(dut.command.ends):
                _, _, row, show, keep, at = await ctx.tick().sample(
                    dut.row, dut.turns, dut.kept_turns, dut.address
                )
                shown.append((row, show))
                kept.append((at, keep))
                cycles += 1
            assert cycles + 1 == turns * rows + 6
            every = [
                (row, sum(1 << n for n in range(4) if n % turns == turn))
                for row in range(rows)
                for turn in range(turns)
            ]
            assert shown[: len(every)] == every
            assert not any(show for _, show in shown[len(every) :])
            first = place + half * CONFIG.sparse_activations
            assert [k for k in kept if k[1]] == [(first + row, turn) for row, turn in every]
            assert kept[dut.LATENCY][1] and not any(k for _, k in kept[: dut.LATENCY])

    run(dut, main)


@pytest.mark.parametrize("pes", [4, 16])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_dump(pes, stall):
    """A word of four PEs a cycle; what they look up comes two looks later."""
    dut = shared(DumpSequencer, CONFIG.replace(sparse_pes=pes))
    out, groups = Flow(dut.glb, True, stall), pes // 4

    async def memories(ctx):
        """Entries that tell their address and PE."""
        read = shown = 0
        sample = dut.pes.looking, dut.pes.look, dut.pes.address
        async for _, _, looking, look, address in ctx.tick().sample(*sample):
            if looking and look:
                read, shown = address, read
                ctx.set(dut.pes.looked, [256 * shown + n for n in range(pes)])

    async def main(ctx):
        for count in (1, 2, 7):
            out.payloads.clear()
            out.times.clear()
            ctx.set(dut.command.body, {"half": 1, "address": 3, "count": count, "word": 50})
            await ctx.tick().repeat(2)
            ctx.set(dut.command.start, 1)
            await ctx.tick()
            ctx.set(dut.command.start, 0)
            await ctx.tick().until(dut.command.ends)
            await ctx.tick().repeat(4)
            first = 3 + CONFIG.sparse_activations
            assert [(p["word"], p["mask"], p["data"] & 2**64 - 1) for p in out.payloads] == [
                (
                    50 + groups * index + group,
                    15,
                    sum(256 * (first + index) + 4 * group + n << 16 * n for n in range(4)),
                )
                for index in range(count)
                for group in range(groups)
            ]
            assert stall or every_cycle(out)

    run(dut, main, background=[memories, out, holds(dut.glb)])


def test_counters():
    dut, rng = shared(SparseCounters, CONFIG), random.Random(1)

    async def main(ctx):
        for _ in range(60):
            events, paddings = ([rng.randrange(8) for _ in range(4)] for _ in range(2))
            full, running, waiting, spreading = (rng.randrange(n) for n in (16, 2, 2, 2))
            ctx.set(dut.events, events)
            ctx.set(dut.paddings, paddings)
            for name, value in zip(
                ("full", "running", "waiting", "spreading"), (full, running, waiting, spreading)
            ):
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            macs, starved, columns = (sum(e >> n & 1 for e in events) for n in range(3))
            blocked = full.bit_count() if spreading else columns if waiting else 0
            got = [ctx.get(getattr(dut, name)) for name in dut.NAMES]
            assert got == [macs, running * starved, blocked, sum(paddings)]

    run(dut, main)


RUN, OUTPUT, DUMP, STREAM = (
    SPARSE_KINDS.index(body)
    for body in (SparseRunBody, SparseOutputBody, SparseDumpBody, SparseStreamBody)
)


def test_commands():
    """Each goes to what carries it out, when all before it is done, and is done once."""
    dut, seen = shared(SparseCommands, CONFIG), []

    async def watch(ctx):
        starts = dut.search.start, dut.output.start, dut.dump.start, dut.stream.begun, dut.done
        now = 0
        async for _, _, *pulses in ctx.tick().sample(*starts):
            names = ("search", "output", "dump", "begun", "done")
            seen.extend((name, now) for name, pulse in zip(names, pulses) if pulse)
            now += 1

    async def give(ctx, kind):
        ctx.set(dut.command.payload, {"kind": kind})
        ctx.set(dut.command.valid, 1)
        while not (await ctx.tick().sample(dut.command.ready))[2]:
            pass
        ctx.set(dut.command.valid, 0)
        seen.clear()

    def names():
        return [name for name, _ in seen]

    async def main(ctx):
        await ctx.tick().repeat(3)

        # RUN waits for what is busy, and is done when nothing is.
        ctx.set(dut.busy, 1)
        await give(ctx, RUN)
        await ctx.tick().repeat(6)
        assert not seen
        ctx.set(dut.busy, 0)
        await ctx.tick().repeat(3)
        ctx.set(dut.found, 1)
        await ctx.tick().repeat(9)
        assert names() == ["search"] and ctx.get(dut.running) and ctx.get(dut.active)
        ctx.set(dut.found, 0)
        await ctx.tick().repeat(4)
        assert names() == ["search", "done"] and not ctx.get(dut.active)

        # OUTPUT and DUMP are done when they end.
        for kind, name, port in ((OUTPUT, "output", dut.output), (DUMP, "dump", dut.dump)):
            await give(ctx, kind)
            await ctx.tick().repeat(8)
            assert names() == [name] and ctx.get(dut.active) == (kind == OUTPUT)
            ctx.set(port.ends, 1)
            await ctx.tick()
            ctx.set(port.ends, 0)
            await ctx.tick().repeat(2)
            assert names() == [name, "done"]

        # STREAMs begin when the one before has been looked up, and tell of no end.
        for _ in range(2):
            ctx.set(dut.stream.any, 1)
            await give(ctx, STREAM)
            await ctx.tick().repeat(6)
            assert sorted(names()) == ["begun", "search"]
            assert ctx.get(dut.streaming) and ctx.get(dut.ending)
            ctx.set(dut.ended, 1)
            await ctx.tick()
            ctx.set(dut.ended, 0)
            await ctx.tick().repeat(5)
            assert not ctx.get(dut.ending) and not ctx.get(dut.command.ready)
            ctx.set(dut.stream.looked_up, 1)
            await ctx.tick()
            ctx.set(dut.stream.looked_up, 0)
        assert ctx.get(dut.command.ready)

        # Others wait for them.
        await give(ctx, OUTPUT)
        await ctx.tick().repeat(6)
        assert not seen
        ctx.set(dut.stream.any, 0)
        await ctx.tick().repeat(3)
        assert names() == ["output"]

    run(dut, main, background=[watch])
