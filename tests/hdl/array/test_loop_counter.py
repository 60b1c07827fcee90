"""A PE's loop counter and lane multiplexer: the twins, and what the carry cells and LUTs of an
ECP5 do instead."""

import random

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment

from hdl.array.pe.mac.loop_counter import COUNT_OR_LOAD, LoopCounter
from hdl.lib.arithmetic.lane_mux import CHOOSE, LaneMux
from tests.hdl.streams import run, run_combinational


class Ecp5:
    family = "ecp5"


def cells(component):
    text, _ = rtlil.convert_fragment(
        Fragment.get(component, Ecp5()).prepare(ports=(), hierarchy=("top",))
    )
    return {name: text.count(f"cell \\{name} ") for name in ("CCU2C", "PFUMX", "LUT4")}


@pytest.mark.parametrize("bits", [4, 5, 16])
def test_loop_counter(bits):
    """Loops of every length, with turns as short as a PE's: `last` is there two cycles after a
    turn began."""
    dut, rng = LoopCounter(bits), random.Random(bits)

    async def bench(ctx):
        for limit in (
            1,
            2,
            3,
            (1 << bits) - 1 if bits < 16 else 40,
            *(rng.randint(1, 12) for _ in range(10)),
        ):
            ctx.set(dut.limit, limit)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            for turn in range(limit):
                await ctx.tick().repeat(rng.randint(1, 3))
                assert ctx.get(dut.last) == (turn == limit - 1), (limit, turn)
                ctx.set(dut.step, 1)
                await ctx.tick()
                ctx.set(dut.step, 0)

    run(dut, bench, cycles=5000)


@pytest.mark.parametrize("bits", [5, 16])
def test_loop_counter_in_carry_cells(bits):
    """The LUT's contents in a chain of CCU2C: the next count, its end, and the first count of a
    loop from zero."""
    assert cells(LoopCounter(bits))["CCU2C"] == bits // 2 + 1
    rng, modulus = random.Random(bits), 1 << bits

    def chain(count, limit, load):
        carry, total = 1, 0
        for at in range(bits + 1):
            a, b = (count >> at & 1, limit >> at & 1) if at < bits else (0, 1)
            propagate = COUNT_OR_LOAD >> (a | b << 1 | load << 3) & 1
            total |= (propagate ^ carry) << at
            carry = carry if propagate else COUNT_OR_LOAD >> (a | b << 1) & 1
        return total

    for count in (0, 1, modulus - 2, modulus - 1, *(rng.randrange(modulus) for _ in range(100))):
        limit = rng.randrange(1, modulus)
        assert chain(count, limit, 0) == count + 1  # its highest bit: the count was -1
        assert chain(0, limit, 1) & modulus - 1 == -limit & modulus - 1


def test_lane_mux():
    dut, rng = LaneMux(), random.Random(1)

    async def bench(ctx):
        for n in range(100):
            word = rng.getrandbits(64)
            ctx.set(dut.word, word)
            ctx.set(dut.lane, n % 4)
            await ctx.delay(1e-9)
            assert ctx.get(dut.entry) == word >> 16 * (n % 4) & 0xFFFF

    run_combinational(dut, bench)


def test_lane_mux_in_wide_multiplexers():
    assert cells(LaneMux()) == {"CCU2C": 0, "PFUMX": 16, "LUT4": 32}
    for n in range(16):
        a, b, c = (n >> at & 1 for at in range(3))
        assert CHOOSE >> n & 1 == (b if c else a)
