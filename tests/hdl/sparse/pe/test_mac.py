"""Products and their sums."""

import random

import numpy as np
import pytest

from golden.fixed import wrap
from hdl.config import PRESETS
from hdl.isa import Target
from hdl.sparse.pe.mac import SparseMac
from tests.hdl.streams import run, shared

CONFIG = PRESETS["tiny"]


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("stall", [0.0, 0.4, 0.8])
def test_sums(bits, stall):
    """One a cycle, on the same row after one, two, three and more; written three cycles later.
    Rows are read two cycles later and cleared, one a cycle."""
    dut, rng = shared(SparseMac, CONFIG.replace(psum_bits=bits)), random.Random(f"{bits} {stall}")
    rows = CONFIG.sparse_rows

    async def fill(ctx, target, name, values):
        for n, value in enumerate(values):
            ctx.set(dut.fill, {"targets": 1 << target, "address": n, name: value})
            await ctx.tick()
        ctx.set(dut.fill, {"targets": 0})

    async def main(ctx):
        codes = [rng.randrange(-(2**15), 2**15) for _ in range(16)]
        await fill(ctx, Target.CODEBOOK, "code", [code & 0xFFFF for code in codes])
        for spread in (1, 2, 3, 4, rows):
            sums = np.array([rng.getrandbits(bits) for _ in range(rows)], np.int64)
            await fill(ctx, Target.ACCUMULATORS, "psum", sums.tolist())
            for _ in range(80):
                row, index = rng.randrange(spread), rng.randrange(16)
                value = rng.choice([-32768, 32767, rng.randint(-99, 99)])
                valid = rng.random() >= stall
                ctx.set(dut.mac.payload, {"row": row, "index": index, "value": value})
                ctx.set(dut.mac.valid, valid)
                sums[row] += codes[index] * value * valid
                await ctx.tick()
            ctx.set(dut.mac.valid, 0)
            await ctx.tick().repeat(2)
            assert stall or ctx.get(dut.busy)
            await ctx.tick()
            assert not ctx.get(dut.busy)
            for _ in range(2):  # the second time they are 0
                got = []
                for n in range(rows + 2):
                    ctx.set(dut.row, n % rows)
                    ctx.set(dut.show, n < rows)
                    ctx.set(dut.clear, n < rows)
                    got.append((await ctx.tick().sample(dut.accumulator))[2])
                assert got[2:] == wrap(sums, bits).tolist()
                sums[:] = 0
                assert (await ctx.tick().sample(dut.accumulator))[2] == 0  # none was shown

    run(dut, main)
