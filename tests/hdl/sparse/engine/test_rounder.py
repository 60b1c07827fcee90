"""Sums of four PEs to activations, one RoundShift for each or one for all."""

import random

import pytest

from golden.fixed import requantise
from hdl.sparse.engine.rounder import RowRounder
from tests.hdl.streams import run, shared


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("lanes", [1, 4])
def test_a_row_every_cycle(lanes, bits):
    """Each cycle's sums LATENCY cycles later; of one lane a PE's that has its turn, the rest 0."""
    dut, rng = shared(RowRounder, bits, lanes), random.Random(f"{lanes} {bits}")
    inputs, got = [], []
    for n in range(120):
        value = [rng.getrandbits(rng.randint(1, bits)) - (1 << bits - 1) for _ in range(4)]
        inputs.append([v if lanes == 4 or lane == n % 4 else 0 for lane, v in enumerate(value)])

    async def main(ctx):
        for shift, relu in ((0, 0), (9, 1), (31, 0), (40, 1)):
            ctx.set(dut.shift, shift)
            ctx.set(dut.relu, relu)
            got.clear()
            for psums in [*inputs, *[[0] * 4] * dut.LATENCY]:
                ctx.set(dut.psums, psums)
                got.append(list((await ctx.tick().sample(dut.entries))[2]))
            wanted = [[int(requantise(v, shift, bool(relu))) for v in psums] for psums in inputs]
            for n, (entries, row) in enumerate(zip(got[dut.LATENCY :], wanted, strict=True)):
                assert entries == (row if lanes == 4 else [row[n % 4]] * 4)

    run(dut, main)


def test_other_lanes_are_refused():
    with pytest.raises(ValueError, match="2 lanes"):
        RowRounder(32, 2)
