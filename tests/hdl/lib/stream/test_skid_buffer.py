"""A SkidBuffer passes everything in order, at full rate, without a combinational way back."""

import random

import pytest

from hdl.lib.stream.skid_buffer import SkidBuffer
from tests.hdl.streams import holds, receive, run, send


@pytest.mark.parametrize("stalls", [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4)])
def test_skid(stalls):
    dut, out, items = SkidBuffer(16), [], [random.Random(1).randrange(1 << 16) for _ in range(300)]
    taken = run(
        dut,
        lambda ctx: send(ctx, dut.input, items, stall=stalls[0], rng=random.Random(2)),
        lambda ctx: receive(ctx, dut.output, 300, out, stall=stalls[1], rng=random.Random(3)),
        background=[holds(dut.output)],
    )
    assert out == items
    if stalls == (0, 0):
        assert taken <= 302


def test_ready_is_a_register():
    """What the output does in a cycle shows at the input's `ready` in the next."""
    dut = SkidBuffer(8)

    async def bench(ctx):
        ctx.set(dut.input.valid, 1)
        await ctx.tick()
        assert not ctx.get(dut.input.ready) and ctx.get(dut.full)
        ctx.set(dut.output.ready, 1)
        assert not ctx.get(dut.input.ready)
        await ctx.tick()
        assert ctx.get(dut.input.ready)

    run(dut, bench)
