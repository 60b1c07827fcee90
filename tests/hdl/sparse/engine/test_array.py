"""SparseArray: each PE has its own fills, sums and activations, and hears what all hear."""

import random

import numpy as np
import pytest

from compiler.sparse.csc import encode
from golden.csc import pack
from golden.fixed import wrap
from hdl.config import PRESETS
from hdl.isa import Target
from hdl.sparse.engine.array import SparseArray
from tests.hdl.sparse.pe.test_pe import CODEBOOK, products, random_matrix
from tests.hdl.streams import idle, receive, run, shared

PES, ROWS, COLUMNS = 4, 16, 20
CONFIG = PRESETS["tiny"].replace(
    sparse_pes=PES, sparse_words=32, sparse_pointers=COLUMNS + 2, sparse_activations=16,
    sparse_rows=ROWS, sparse_queue=8,
)  # fmt: skip


async def fill(ctx, dut, n, target, values):
    """One word after the other into a memory of PE `n` alone."""
    for at, value in enumerate(values):
        value = int(value) & 2**64 - 1
        parts = dict(data=value, psum=value & 2**32 - 1, entry=value & 0xFFFF, code=value & 0xFFFF)
        ctx.set(dut.fills[n], parts | {"targets": 1 << target, "address": at})
        await ctx.tick()
    ctx.set(dut.fills[n], {"targets": 0})


async def shown(ctx, dut, row, mask):
    """The accumulators of a row of the PEs of `mask`."""
    ctx.set(dut.output.row, row)
    ctx.set(dut.output.show, mask)
    await ctx.tick()
    ctx.set(dut.output.show, 0)
    await ctx.tick()
    return [ctx.get(dut.output.accumulators[n]) for n in range(PES)]


def test_columns_go_to_all():
    """Each adds the products of its own weights; a shown row is cleared, in those shown."""
    dut, rng = shared(SparseArray, CONFIG), random.Random(3)
    matrices = [random_matrix(rng, ROWS, COLUMNS, density) for density in (0.1, 0.5, 0.3, 0)]
    columns = [(rng.randrange(COLUMNS), rng.randrange(-99, 99) or 7) for _ in range(10)]
    wanted = []

    async def bench(ctx):
        for n, matrix in enumerate(matrices):
            coded = encode(matrix, CODEBOOK, 1)
            entries, pointers = coded.entries[0].tolist(), coded.pointers[0].tolist()
            padded = np.full(len(pointers) + 2 & -2, pointers[-1], "<u4")
            padded[: len(pointers)] = pointers
            start = [rng.randrange(-999, 999) for _ in range(ROWS)]
            await fill(ctx, dut, n, Target.CODEBOOK, CODEBOOK)
            await fill(ctx, dut, n, Target.WEIGHTS, pack(np.array(entries, np.uint8)))
            await fill(ctx, dut, n, Target.POINTERS, padded.view("<u8"))
            await fill(ctx, dut, n, Target.ACCUMULATORS, start)
            sums = np.array(start, np.int64)
            for column, value in columns:
                for row, product in products(entries, pointers, column, value):
                    sums[row] += product
            wanted.append(wrap(sums, CONFIG.psum_bits).tolist())

        ctx.set(dut.search.limit, 8)
        for column, value in columns:
            while ctx.get(dut.ready) != (1 << PES) - 1 or rng.random() < 0.3:
                await ctx.tick()
            ctx.set(dut.column.p, dict(column=column, value=value))
            ctx.set(dut.column.valid, 1)
            await ctx.tick()
            ctx.set(dut.column.valid, 0)
        await idle(ctx, 30)
        while ctx.get(dut.busy):
            await ctx.tick()
        assert ctx.get(dut.error) == 0

        for row in range(0, ROWS, 4):
            mask = rng.randrange(1, 1 << PES)
            sums = [of_pe[row] for of_pe in wanted]
            here = [value if mask >> n & 1 else 0 for n, value in enumerate(sums)]
            left = [0 if mask >> n & 1 else value for n, value in enumerate(sums)]
            assert await shown(ctx, dut, row, mask) == here
            assert await shown(ctx, dut, row, (1 << PES) - 1) == left

    run(dut, bench)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_activations(stall):
    """What each is filled with or keeps is found, at every PES-th column, and looked up."""
    dut, rng = shared(SparseArray, CONFIG), random.Random(4)
    held = [[rng.choice([0, rng.randrange(1, 1 << 15)]) for _ in range(12)] for _ in range(PES)]
    found = [[] for _ in range(PES)]

    async def bench(ctx):
        for n in range(PES):
            await fill(ctx, dut, n, Target.ACTIVATIONS, held[n])
        for at in range(12):
            mask = rng.randrange(1 << PES)
            values = [rng.randrange(1 << 15) for _ in range(PES)]
            ctx.set(dut.output.address, at)
            ctx.set(dut.output.keep, mask)
            ctx.set(dut.output.entries, values)
            await ctx.tick()
            for n in range(PES):
                held[n][at] = values[n] if mask >> n & 1 else held[n][at]
        ctx.set(dut.output.keep, 0)

        # What is looked up comes with the next look.
        ctx.set(dut.dump.looking, 1)
        for at in range(13):
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(dut.dump.look, 1)
            ctx.set(dut.dump.address, at % 12)
            await ctx.tick()
            ctx.set(dut.dump.look, 0)
            if at:
                looked = [ctx.get(dut.dump.looked[n]) for n in range(PES)]
                assert looked == [of_pe[at - 1] for of_pe in held]
        ctx.set(dut.dump.looking, 0)

        ctx.set(dut.search.search, dict(address=2, count=9, base=5))
        ctx.set(dut.search.start, 1)
        await ctx.tick()
        ctx.set(dut.search.start, 0)
        assert ctx.get(dut.search.scanning) == (1 << PES) - 1
        while ctx.get(dut.search.scanning):
            await ctx.tick()
        await idle(ctx, 3)

    def taking(n):
        return lambda ctx: receive(
            ctx, dut.found[n], None, found[n], stall=stall, rng=random.Random(n)
        )

    run(dut, bench, background=[taking(n) for n in range(PES)])
    for n in range(PES):
        assert [(item.column, item.value) for item in found[n]] == [
            (5 + n + PES * at, held[n][2 + at]) for at in range(9) if held[n][2 + at]
        ]
