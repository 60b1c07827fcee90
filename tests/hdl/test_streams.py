"""What the other tests stand on: a design that is simulated several times starts from reset each
time."""

import pytest
from amaranth.hdl import Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, Out

from tests.hdl.streams import idle, run, shared


class Ticks(Component):
    """Counts cycles, and in a memory those of all runs if one left anything behind."""

    count: Out(8)
    kept: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=2, init=[])
        read, write = memory.read_port(domain="comb"), memory.write_port()
        m.d.comb += [self.kept.eq(read.data), write.data.eq(read.data + 1), write.en.eq(1)]
        m.d.sync += self.count.eq(self.count + 1)
        return m


def test_every_run_starts_from_reset():
    dut, seen = shared(Ticks), []
    assert shared(Ticks) is dut

    def bench(cycles):
        async def main(ctx):
            await idle(ctx, cycles)
            seen.append((ctx.get(dut.count), ctx.get(dut.kept)))

        return main

    async def fails(ctx):
        await idle(ctx, 3)
        raise RuntimeError("in a bench")

    assert run(dut, bench(5)) == 5
    # more benches than before
    assert run(dut, bench(2), bench(9), background=[bench(4), bench(50)]) == 9
    with pytest.raises(RuntimeError, match="in a bench"):
        run(dut, bench(7), fails)
    with pytest.raises(AssertionError, match="no end within 6 cycles"):
        run(dut, bench(7), cycles=6)
    assert run(dut, bench(4)) == 4  # and fewer
    assert seen == [(n, n) for n in (5, 2, 4, 9, 4)]
