"""SPARSE_OUTPUT with PEs that a test plays."""

import random
from collections import deque

import pytest

from golden.fixed import requantise
from hdl.config import PRESETS
from hdl.sparse.engine.output import SparseOutput
from tests.hdl.streams import run, shared

CONFIG = PRESETS["tiny"]


@pytest.mark.parametrize("pes, lanes", [(8, 1), (4, 4)])
def test_output(pes, lanes):
    """Every sum of the rows becomes an activation and is cleared, once; in 4 / lanes cycles a row
    and 6 more."""
    config = CONFIG.replace(sparse_pes=pes, sparse_round_lanes=lanes)
    dut, rng, kept = shared(SparseOutput, config), random.Random(pes), []
    sums = [
        [rng.getrandbits(31) - (1 << 30) for _ in range(CONFIG.sparse_rows)] for _ in range(pes)
    ]
    shown = {}

    async def play(ctx):
        late = deque([[0] * pes] * 2)
        while True:
            ctx.set(dut.pes.accumulators, late.popleft())
            row, show, address, keep, entries = (
                await ctx.tick().sample(
                    dut.pes.row, dut.pes.show, dut.pes.address, dut.pes.keep, dut.pes.entries
                )
            )[2:]
            late.append([sums[n][row] if show >> n & 1 else 0 for n in range(pes)])
            for n in range(pes):
                if show >> n & 1:
                    shown[n, row] = shown.get((n, row), 0) + 1
                if keep >> n & 1:
                    kept.append(((n, address), entries[n]))

    async def main(ctx):
        for rows, half, shift, relu in (
            (1, 0, 15, 0),
            (6, 1, 16, 1),
            (CONFIG.sparse_rows, 0, 20, 0),
        ):
            body = dict(rows=rows, half=half, address=0, shift=shift, relu=relu)
            ctx.set(dut.command.body, body)
            await ctx.tick()
            kept.clear()
            shown.clear()
            ctx.set(dut.command.start, 1)
            await ctx.tick()
            ctx.set(dut.command.start, 0)
            cycles = 1
            while not ctx.get(dut.command.ends):
                await ctx.tick()
                cycles += 1
            assert cycles == 4 // lanes * rows + 6
            await ctx.tick()
            first = half * CONFIG.sparse_activations
            wanted = {
                (n, first + row): int(requantise(sums[n][row], shift, bool(relu)))
                for n in range(pes)
                for row in range(rows)
            }
            assert len(kept) == len(wanted) and dict(kept) == wanted
            assert shown == {(n, row): 1 for n in range(pes) for row in range(rows)}

    run(dut, main, background=[play])
