"""The multiplier and the block RAM: cycles, and what an ECP5 or UP5K gets instead."""

import random
import subprocess

import pytest
from amaranth.back import rtlil, verilog
from amaranth.hdl import Fragment

from hdl.lib.arithmetic.multiplier import Multiplier
from hdl.lib.arithmetic.operand_scaler import OperandScaler
from hdl.lib.arithmetic.wide_multiplier import WideMultiplier
from hdl.lib.block_ram import BlockRam, WideBlockRam
from sim.build import harness
from tests.hdl.emit.yosys_cells import ice40_cell
from tests.hdl.streams import run


def ram(depth, bits):
    return {16: BlockRam, 32: WideBlockRam}[bits](depth)


CORNERS = (-(1 << 15), -1, 0, 1, (1 << 15) - 1)


class Ecp5:
    family = "ecp5"


class Up5k:
    family, device = "ice40", "iCE40UP5K"


def test_multiplier():
    """The operands and the array hold while they are not enabled; a product not wanted is zero."""
    dut, rng = Multiplier(), random.Random(1)

    async def bench(ctx):
        operands, inner, product = (0, 0), 0, 0
        for now in range(300):
            a, w = (
                rng.choice(CORNERS) if rng.random() < 0.5 else rng.randrange(-1 << 15, 1 << 15)
                for _ in range(2)
            )
            enables = [rng.random() < 0.7 for _ in range(4)]
            ctx.set(dut.a, a)
            ctx.set(dut.w, w)
            for port, value in zip(
                (dut.load, dut.advance, dut.clear, dut.emit), enables, strict=True
            ):
                ctx.set(port, value)
            assert ctx.get(dut.product) == product, now
            await ctx.tick()
            product = product if not enables[3] else 0 if enables[2] else inner
            inner = operands[0] * operands[1] if enables[1] else inner
            operands = (a, w) if enables[0] else operands

    run(dut, bench)


STIMULI = """#include "Vtop.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
int main() {
    Vtop top;
    srand(1);
    for (int now = 0; now < 100000; now++) {
        int corner = rand() % 4;
        top.a = corner == 0 ? 0x8000 : corner == 1 ? 0x7fff : rand();
        top.w = rand() % 4 == 0 ? 0x8000 : rand();
        top.load = rand() % 10 < 7, top.advance = rand() % 10 < 7, top.clear = rand() % 10 < 3;
        top.emit = rand() % 10 < 7;
        static int32_t a, w, inner, product;
        top.clk = 0, top.eval();
        // The registers of the block are not known before they are loaded.
        if (now > 50 && (int32_t)top.product != product) return printf("cycle %d\\n", now), 1;
        if (top.emit) product = top.clear ? 0 : inner;
        if (top.advance) inner = a * w;
        if (top.load) a = (int16_t)top.a, w = (int16_t)top.w;
        top.clk = 1, top.eval();
    }
}
"""


def test_multiplier_of_an_up5k(tmp_path):
    """An SB_MAC16 as it is set, in Yosys's model of the cell, is the twin in every cycle."""
    (tmp_path / "main.cpp").write_text(STIMULI)
    dut = Multiplier()
    text = verilog.convert(dut, name="dut", platform=Up5k(), strip_internal_attrs=True)
    assert text.count("SB_MAC16 #(") == 1 and "always" in text
    built = harness(ice40_cell("SB_MAC16") + text, "dut", [tmp_path / "main.cpp"])
    done = subprocess.run([built / "simulator"], capture_output=True, text=True)
    assert not done.returncode, done.stdout


@pytest.mark.parametrize(
    "depth, bits", [(2, 16), (96, 16), (1024, 16), (2048, 16), (64, 32), (512, 32)]
)
def test_block_ram(depth, bits):
    """Two cycles from an address to its word; `en` holds the first of them."""
    dut, rng = ram(depth, bits), random.Random(depth)

    async def bench(ctx):
        words, latch, out = [0] * depth, 0, 0
        for now in range(400):
            read, enabled = (
                rng.randrange(min(depth, 8)) * (depth // min(depth, 8)),
                rng.random() < 0.8,
            )
            write = rng.randrange(min(depth, 8)) * (depth // min(depth, 8))
            value, writes = rng.randrange(1 << bits), rng.random() < 0.5 and write != read
            for port, v in (
                (dut.read.addr, read),
                (dut.read.en, enabled),
                (dut.write.addr, write),
                (dut.write.data, value),
                (dut.write.en, writes),
            ):
                ctx.set(port, v)
            assert ctx.get(dut.read.data) == out, now
            await ctx.tick()
            out, latch = latch, words[read] if enabled else latch
            if writes:
                words[write] = value

    run(dut, bench)


@pytest.mark.parametrize(
    "make, cell, count",
    [
        (Multiplier, "MULT18X18D", 1),
        (OperandScaler, "MULT18X18D", 2),
        (WideMultiplier, "MULT18X18D", 4),
        (lambda: BlockRam(512), "DP16KD", 1),
        (lambda: WideBlockRam(512), "DP16KD", 1),
        (lambda: BlockRam(2048), "DP16KD", 2),
        (lambda: BlockRam(4096), "DP16KD", 4),
    ],
)
def test_cells(make, cell, count):
    text, _ = rtlil.convert_fragment(
        Fragment.get(make(), Ecp5()).prepare(ports=(), hierarchy=("top",))
    )
    assert text.count(f"cell \\{cell} ") == count


def test_refused():
    with pytest.raises(ValueError, match="32768 words"):
        BlockRam(32768)
    with pytest.raises(ValueError, match="1024 words: must be 2..512"):
        WideBlockRam(1024)
