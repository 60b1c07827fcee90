"""The registered multiplier and block RAM: the twins' cycles, and what an ECP5 gets instead."""

import random

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment
from tests.hdl.streams import run

from hdl.block_ram import BlockRam
from hdl.multiplier import Multiplier

CORNERS = (-(1 << 15), -1, 0, 1, (1 << 15) - 1)


class Ecp5:
    family = "ecp5"


def test_multiplier():
    """The operands and the array hold while they are not enabled; a product not wanted is zero."""
    dut, rng = Multiplier(), random.Random(1)

    async def bench(ctx):
        operands, inner, product = (0, 0), 0, 0
        for now in range(300):
            a, w = (rng.choice(CORNERS) if rng.random() < 0.5 else rng.randrange(-1 << 15, 1 << 15) for _ in range(2))
            enables = [rng.random() < 0.7 for _ in range(3)]
            ctx.set(dut.a, a)
            ctx.set(dut.w, w)
            for port, value in zip((dut.load, dut.advance, dut.clear), enables, strict=True):
                ctx.set(port, value)
            assert ctx.get(dut.product) == product, now
            await ctx.tick()
            product = 0 if enables[2] else inner
            inner = operands[0] * operands[1] if enables[1] else inner
            operands = (a, w) if enables[0] else operands
    run(dut, bench)


@pytest.mark.parametrize("depth", [2, 96, 1024, 2048])
def test_block_ram(depth):
    """Two cycles from an address to its word; `en` holds the first of them."""
    dut, rng = BlockRam(depth), random.Random(depth)

    async def bench(ctx):
        words, latch, out = [0] * depth, 0, 0
        for now in range(400):
            read, enabled = rng.randrange(min(depth, 8)) * (depth // min(depth, 8)), rng.random() < 0.8
            write = rng.randrange(min(depth, 8)) * (depth // min(depth, 8))
            value, writes = rng.randrange(1 << 16), rng.random() < 0.5 and write != read
            for port, v in ((dut.read.addr, read), (dut.read.en, enabled), (dut.write.addr, write),
                            (dut.write.data, value), (dut.write.en, writes)):
                ctx.set(port, v)
            assert ctx.get(dut.read.data) == out, now
            await ctx.tick()
            out, latch = latch, words[read] if enabled else latch
            if writes:
                words[write] = value
    run(dut, bench)


@pytest.mark.parametrize("make, cell, count", [(Multiplier, "MULT18X18D", 1), (lambda: BlockRam(512), "DP16KD", 1),
                                               (lambda: BlockRam(2048), "DP16KD", 2)])
def test_cells(make, cell, count):
    text, _ = rtlil.convert_fragment(Fragment.get(make(), Ecp5()).prepare(ports=(), hierarchy=("top",)))
    assert text.count(f"cell \\{cell} ") == count


def test_refused():
    with pytest.raises(ValueError, match="4096 words"):
        BlockRam(4096)
