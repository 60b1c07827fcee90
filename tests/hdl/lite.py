"""An AXI4-Lite master for tests."""

from tests.hdl.streams import idle


async def write(ctx, dut, address, value, strobe=15, order=0):
    """`order`: 0 both channels at once, 1 address first, 2 data first."""

    async def channel(ready, valid, **values):
        for n, v in values.items():
            ctx.set(getattr(dut, "s_axi_" + n), v)
        ctx.set(valid, 1)
        await ctx.tick().until(ready)
        ctx.set(valid, 0)

    aw = lambda: channel(dut.s_axi_awready, dut.s_axi_awvalid, awaddr=address)  # noqa: E731
    w = lambda: channel(dut.s_axi_wready, dut.s_axi_wvalid, wdata=value, wstrb=strobe)  # noqa: E731
    if order == 0:
        ctx.set(dut.s_axi_awaddr, address)
        ctx.set(dut.s_axi_awvalid, 1)
        await w()
        ctx.set(dut.s_axi_awvalid, 0)
    else:
        for step in (aw, w) if order == 1 else (w, aw):
            await step()
            await idle(ctx, 3)
    ctx.set(dut.s_axi_bready, 1)
    if not ctx.get(dut.s_axi_bvalid):
        await ctx.tick().until(dut.s_axi_bvalid)
    else:
        await ctx.tick()
    ctx.set(dut.s_axi_bready, 0)


async def read(ctx, dut, address):
    ctx.set(dut.s_axi_araddr, address)
    ctx.set(dut.s_axi_arvalid, 1)
    await ctx.tick().until(dut.s_axi_arready)
    ctx.set(dut.s_axi_arvalid, 0)
    ctx.set(dut.s_axi_rready, 1)
    (value,) = await ctx.tick().sample(dut.s_axi_rdata).until(dut.s_axi_rvalid)
    ctx.set(dut.s_axi_rready, 0)
    return value
