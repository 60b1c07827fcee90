"""Registers of a simulated accelerator."""

import random


class Registers:
    """An AXI4-Lite slave: a register reads as its address plus what was written; 0xFF0 is an
    error."""

    def __init__(self, dut, stall=0.0, seed=5):
        self.dut, self.stall, self.rng = dut, stall, random.Random(seed)
        self.values, self.writes = {}, []

    async def __call__(self, ctx):
        d, rng, address, value = self.dut, self.rng, None, None
        rvalid = bvalid = False
        while True:
            can = [rng.random() >= self.stall for _ in range(3)]
            arready, awready, wready = (
                can[0] and not rvalid,
                can[1] and address is None,
                can[2] and value is None,
            )
            ctx.set(d.m_lite_arready, arready)
            ctx.set(d.m_lite_awready, awready)
            ctx.set(d.m_lite_wready, wready)
            ctx.set(d.m_lite_rvalid, rvalid)
            ctx.set(d.m_lite_bvalid, bvalid)
            _, _, ar, ara, aw, awa, w, wd, strobe, r, b = await ctx.tick().sample(
                d.m_lite_arvalid,
                d.m_lite_araddr,
                d.m_lite_awvalid,
                d.m_lite_awaddr,
                d.m_lite_wvalid,
                d.m_lite_wdata,
                d.m_lite_wstrb,
                d.m_lite_rready,
                d.m_lite_bready,
            )
            rvalid, bvalid = rvalid and not r, bvalid and not b
            if ar and arready:
                rvalid = True
                ctx.set(d.m_lite_rdata, self.values.get(ara, ara))
                ctx.set(d.m_lite_rresp, 2 if ara == 0xFF0 else 0)
            if aw and awready:
                address = awa
            if w and wready:
                assert strobe == 0xF
                value = wd
            if address is not None and value is not None and not bvalid:
                ctx.set(d.m_lite_bresp, 2 if address == 0xFF0 else 0)
                self.writes.append((address, value))
                self.values[address] = value
                address = value = None
                bvalid = True
