"""The wide product in Python, and in the cells of devices by their models."""

import random
import subprocess

import pytest
from amaranth.back import verilog
from amaranth.hdl import signed

from fpga.netlist import cells
from hdl.lib.arithmetic.multiplier import Multiplier
from hdl.lib.arithmetic.wide_multiplier import WideMultiplier
from sim.build import harness
from tests.hdl.emit.yosys_cells import ice40_cell
from tests.hdl.lib.arithmetic.pipeline import passed
from tests.hdl.lib.test_technology import Ecp5, Up5k
from tests.hdl.streams import shared

CORNERS = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 1 << 30, (1 << 31) - 1)


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_product(stall):
    rng, dut, top = random.Random(1), shared(WideMultiplier), 1 << 31
    pairs = [(a, w) for a in (-top, 1 - top, -1, top - 1) for w in CORNERS]
    pairs += [(s * c, w) for s in (1, -1) for c in CORNERS if c < top for w in CORNERS]
    pairs += [(rng.randrange(-top, top), rng.randrange(1 << 31)) for _ in range(300)]
    got = passed(dut, [dict(a=a, w=w) for a, w in pairs], dut.product, 5, stall=stall)
    assert got == [a * w for a, w in pairs]


STIMULI = """#include "Vtop.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
int main() {
    Vtop top;
    srand(1);
    int64_t products[6] = {0};
    for (int now = 0; now < 100000; now++) {
        uint32_t corners[] = {0, 1, 0x7fff, 0x8000, 0xffff, 0x10000, ~0u >> 1, 1u << 31, ~0u};
        uint32_t a = rand() % 3 ? rand() * 3 : corners[rand() % 9];
        uint32_t w = (rand() % 3 ? rand() : corners[rand() % 9]) & 0x7fffffff;
        top.a = a, top.w = w, top.enable = now < 50 || rand() % 10 < 7;
        top.clk = 0, top.eval();
        // The registers of a block are not known before they are loaded.
        if (now > 50 && top.product != (products[5] & ~0ull >> 1))
            return printf("cycle %d\\n", now), 1;
        if (top.enable) {
            for (int n = 5; n > 1; n--) products[n] = products[n - 1];
            products[1] = (int64_t)(int32_t)a * w;
        }
        top.clk = 1, top.eval();
    }
}
"""


@pytest.mark.parametrize("platform, cell", [(Ecp5, "MULT18X18D"), (Up5k, "SB_MAC16")])
def test_of_a_device(platform, cell, tmp_path):
    """Four blocks, as they are set, make the product in every cycle."""
    source = tmp_path / "main.cpp"
    source.write_text(STIMULI)
    text = verilog.convert(
        WideMultiplier(), name="dut", platform=platform(), strip_internal_attrs=True
    )
    models = cells() if platform is Ecp5 else ice40_cell(cell)
    assert text.count(f" {cell} #(") == 4
    built = harness(models + text, "dut", [source])
    done = subprocess.run([built / "simulator"], capture_output=True, text=True)
    assert not done.returncode, done.stdout


def test_refused():
    with pytest.raises(ValueError, match="an operand of 17 bits: must be 16 at most"):
        Multiplier(w=signed(17))
