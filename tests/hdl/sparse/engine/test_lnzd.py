"""A node of the detection tree: what comes in goes out once, the first child first."""

import random

import pytest
from amaranth.hdl import signed
from amaranth.lib import data

from hdl.sparse.engine.lnzd import FAN_IN, LnzdNode
from tests.hdl.streams import holds, receive, run, send, shared

LAYOUT = data.StructLayout({"column": 10, "value": signed(16)})


def play(counts, stall, ready_stall, seed):
    """Sends `counts` items of each child; returns (per cycle the children that were taken, the
    columns that came out, the cycles they did in)."""
    dut, taken, out, times = shared(LnzdNode, LAYOUT), [], [], []
    children = [getattr(dut, f"child_{n}") for n in range(FAN_IN)]
    items = [
        [{"column": n << 8 | i, "value": (n << 8 | i) - 500} for i in range(count)]
        for n, count in enumerate(counts)
    ]

    async def watch(ctx):
        samples = [s for child in children for s in (child.valid, child.ready)]
        async for _, _, *now in ctx.tick().sample(*samples, dut.output.valid, dut.output.ready):
            valid, ready = now[:-2:2], now[1:-2:2]
            moved = [n for n in range(FAN_IN) if valid[n] and ready[n]]
            taken.append(moved)
            if any(valid) and (not now[-2] or now[-1]):  # room: the first that waits
                assert moved == [valid.index(1)]
            else:
                assert not moved

    run(
        dut,
        *(
            lambda ctx, n=n: send(
                ctx, children[n], items[n], stall=stall, rng=random.Random(seed + n)
            )
            for n in range(FAN_IN)
        ),
        lambda ctx: receive(
            ctx,
            dut.output,
            sum(counts),
            out,
            stall=ready_stall,
            rng=random.Random(seed),
            times=times,
        ),
        background=[holds(dut.output), watch],
    )
    got = [item.column for item in out]
    assert all(item.value == item.column - 500 for item in out)
    for n in range(FAN_IN):  # nothing lost, doubled or overtaken
        assert [c for c in got if c >> 8 == n] == [item["column"] for item in items[n]]
    assert sum(map(len, taken)) == len(got)
    return taken, got, times


@pytest.mark.parametrize("stall, ready_stall", [(0.5, 0.0), (0.5, 0.3), (0.9, 0.5), (0.0, 0.7)])
def test_nothing_lost_or_doubled(stall, ready_stall):
    for seed in range(5):
        play(
            [random.Random(seed + n).randrange(60) for n in range(FAN_IN)],
            stall,
            ready_stall,
            10 * seed,
        )


def test_one_a_cycle_lower_numbers_first():
    _, got, times = play([40, 30, 20, 10], 0.0, 0.0, 1)
    assert got == [n << 8 | i for n, count in enumerate((40, 30, 20, 10)) for i in range(count)]
    assert times == list(range(times[0], times[0] + 100))


def test_latency_of_a_cycle():
    taken, _, times = play([0, 0, 0, 5], 0.0, 0.0, 1)
    first = next(n for n, moved in enumerate(taken) if moved)
    assert times[0] - 1 == first + 1  # `times` counts from 1
