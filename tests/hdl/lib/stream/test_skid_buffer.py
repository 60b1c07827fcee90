"""What a SkidBuffer alone has: `full`, and a `ready` that is a register."""

from hdl.lib.stream.skid_buffer import SkidBuffer
from tests.hdl.streams import run


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
