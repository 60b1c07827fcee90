"""SPARSE_STREAM on the sparse engine against compiler.runtime.sparse_memories, beside models of
both memories."""

import numpy as np
import pytest

from compiler.runtime.sparse_memories import StreamError
from compiler.sparse.csc import encode, records
from compiler.sparse.slicing import table_words
from hdl.config import record_head
from hdl.isa import SPARSE_KINDS, Error, SparseStreamBody, Target, fields
from tests.hdl.sparse.engine.test_engine import (
    CONFIG,
    COUNTERS,
    Bench,
    random_codebook,
    random_vector,
    random_weights,
)
from tests.hdl.streams import ReadMemory, holds, idle, run

SIZE = 1 << 16


class StreamBench(Bench):
    """The engine with a memory of records. `stream` queues a STREAM, `drain` waits for all of
    them."""

    def __init__(self, config, stall=0.0, seed=1, latency=4, bad=()):
        super().__init__(config, stall, seed)
        self.memory = ReadMemory(
            self.dut.column_read, bytearray(SIZE), latency=latency, stall=stall, bad=bad
        )
        self.at, self.asked, self.wanted, self.order = 8, 0, np.zeros(3, np.int64), []

    def matrix_in_memory(self, weights, codebook, placement="balanced"):
        """(rows in a PE, Compressed, the table's word, the records' address)."""
        c = encode(weights, codebook, self.config.sparse_pes, placement)
        words, data = records(c, self.config.sparse_length_bits)
        k = self.config.sparse_pes
        table = self.put(table_words(np.pad(words, (0, -len(words) % k))))
        at, self.at = self.at, self.at + 8 * len(data)
        assert self.at <= SIZE
        self.memory.memory[at : self.at] = data.tobytes()
        return int(c.local.max()) + 1, c, table, at

    async def stream(self, ctx, **v):
        dut = self.dut
        raw = sum(v.get(name, 0) << offset for name, offset, _, _ in fields(SparseStreamBody))
        ctx.set(dut.sparse.payload, {"kind": SPARSE_KINDS.index(SparseStreamBody), "body": raw})
        ctx.set(dut.sparse.valid, 1)
        while not (await ctx.tick().sample(dut.sparse.ready))[2]:
            pass
        ctx.set(dut.sparse.valid, 0)
        self.asked += 1

    def expect(self, **v):
        def read(address, size):
            return bytes(self.memory.memory[address : address + size])

        *counts, size = self.model.stream(dict(half=0, address=0) | v, self.image(), read)
        self.wanted += counts
        return size

    async def drain(self, ctx):
        while self.dones < self.asked:
            await ctx.tick()
        await idle(ctx, 4)

    async def begin(self, ctx):
        self.sums, self.dones, self.asked, self.wanted = {}, 0, 0, np.zeros(3, np.int64)

    async def check_sums(self, ctx, rows=None):
        """All accumulators, through OUTPUT and DUMP; they are left at 0."""
        rows = rows or self.config.sparse_rows
        await self.check_output(ctx, rows=rows, shift=0, half=1)
        return await self.check_dump(ctx, half=1, count=rows, word=9000)

    def run(self, main, cycles=60_000, *background):
        dut, buffer = self.dut, self.buffer

        async def window(ctx):
            ctx.set(dut.read_limit, SIZE)
            await main(ctx)

        run(
            dut,
            window,
            cycles=cycles,
            background=[
                buffer.reader(dut.glb_fill),
                buffer.reader(dut.glb_table),
                buffer.writer(dut.glb_dump),
                self.memory,
                holds(dut.glb_table.request, "table"),
                holds(dut.column_read.address, "address"),
                self.watch,
                *background,
            ],
        )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("pes, bits, stall", [(4, 32, 0.4), (8, 24, 0.0)])
def test_random_streams(pes, bits, stall):
    """Streams behind one another in both halves, before and behind other commands."""
    config = CONFIG.replace(sparse_pes=pes, psum_bits=bits)
    bench, rng = (
        StreamBench(config, stall, seed=pes),
        np.random.default_rng([pes, bits, int(10 * stall)]),
    )

    async def main(ctx):
        for density in (0.0, 0.3, 1.0):
            codebook = random_codebook(rng)
            rows = int(rng.integers(1, 15 * pes + 1)) if density < 1 else 15 * pes
            columns = int(rng.integers(2 * pes, 7 * pes))
            weights = random_weights(rng, rows, columns, density, codebook)
            locals_, _, table, at = bench.matrix_in_memory(weights, codebook)
            await bench.fill(ctx, target=Target.CODEBOOK, word=bench.put(codebook), count=4)
            bias = rng.integers(-(2**31), 2**31, (locals_, pes)).astype("<i4")
            await bench.fill(ctx, target=Target.ACCUMULATORS, word=bench.put(bias), count=locals_)
            counts = [
                await bench.vector(ctx, random_vector(rng, columns, d), half, 3)
                for half, d in enumerate((rng.random(), rng.choice([0.0, 0.2, 1.0])))
            ]
            await bench.begin(ctx)
            for half in (0, 1, 1, 0, 1):
                v = dict(half=half, address=3, count=counts[half], word=table, dram=at)
                await bench.stream(ctx, **v)
                bench.expect(**v)
            first = counts[0] // 2  # the rest of the columns, with its own part of the table
            await bench.stream(ctx, address=3, count=first, word=table, dram=at)
            bench.expect(address=3, count=first, word=table, dram=at)
            await bench.drain(ctx)
            assert [bench.sums[name] for name in COUNTERS] == bench.wanted.tolist()
            assert bench.dones == bench.asked and not ctx.get(bench.dut.error)
            got = await bench.check_sums(ctx)
            assert density == 0 or got.any()
            await bench.check_sums(ctx)

    bench.run(main)


def test_output_waits_for_streams():
    """Commands behind a STREAM see all of its sums, whatever the memory takes."""
    bench, rng = StreamBench(CONFIG, latency=80), np.random.default_rng(2)
    codebook = random_codebook(rng)
    _, _, table, at = bench.matrix_in_memory(random_weights(rng, 60, 40, 0.4, codebook), codebook)

    async def main(ctx):
        await bench.fill(ctx, target=Target.CODEBOOK, word=bench.put(codebook), count=4)
        await bench.fill(
            ctx, target=Target.ACCUMULATORS, word=bench.put(np.zeros(64, "<i4")), count=16
        )
        count = await bench.vector(ctx, random_vector(rng, 40, 0.5))
        await bench.begin(ctx)
        await bench.stream(ctx, count=count, word=table, dram=at)
        bench.expect(count=count, word=table, dram=at)
        body = 15 | 1 << 23  # OUTPUT: rows = 15, half = 1
        ctx.set(bench.dut.sparse.payload, {"kind": 1, "body": body})
        ctx.set(bench.dut.sparse.valid, 1)
        await ctx.tick().until(bench.dut.sparse.ready)
        ctx.set(bench.dut.sparse.valid, 0)
        bench.asked += 1
        await bench.drain(ctx)
        bench.model.output(dict(rows=15, shift=0, relu=0, half=1, address=0))
        assert (await bench.check_dump(ctx, half=1, count=15, word=9000)).any()

    bench.run(main)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("pes", [4, 8])
def test_a_word_of_records_a_cycle(pes):
    """Behind one latency of the memory, over several commands, the records come a word a cycle."""
    config = CONFIG.replace(sparse_pes=pes)
    bench, rng = StreamBench(config, latency=40), np.random.default_rng(1)

    async def main(ctx):
        codebook, columns = random_codebook(rng), 20 * pes
        # Two or three entries of every PE in a column: few enough not to bind.
        weights = random_weights(rng, 2 * pes, columns, 1.0, codebook)
        _, _, table, at = bench.matrix_in_memory(weights, codebook, "modulo")
        count = await bench.vector(ctx, np.ones(columns, np.int16))
        await bench.fill(ctx, target=Target.CODEBOOK, word=bench.put(codebook), count=4)
        await bench.begin(ctx)
        for _ in range(3):
            await bench.stream(ctx, count=count, word=table, dram=at)
            bench.expect(count=count, word=table, dram=at)
        await bench.drain(ctx)
        beats = bench.memory.beats
        assert beats == 3 * columns * -(-(pes * 4 // 8 + 2 * pes) // 8)
        # The MACs take two cycles a column.
        assert bench.sums["active"] < max(beats, 3 * 2 * columns) + 40 + 30 + 3 * 25
        assert bench.sums["macs"] == 3 * 2 * pes * columns

    bench.run(main)


def test_record_that_ends_with_a_word():
    """A PE whose bytes end a record and a word takes none of the next record's counts, though its
    own count is in the second word of those."""
    config = CONFIG.replace(sparse_pes=16, sparse_rows=20)
    bench, rng = StreamBench(config), np.random.default_rng(1)
    assert record_head(config.sparse_pes, config.sparse_length_bits) == (12, 1, 11)

    async def main(ctx):
        codebook = random_codebook(rng)
        weights = np.zeros((16, 8), np.int16)
        weights[[0, 1, 2, 3, 15]] = random_weights(rng, 5, 8, 1.0, codebook)
        rows, _, table, at = bench.matrix_in_memory(weights, codebook, "modulo")
        v = dict(count=await bench.vector(ctx, random_vector(rng, 8, 1.0)), word=table, dram=at)
        await bench.fill(ctx, target=Target.CODEBOOK, word=bench.put(codebook), count=4)
        await bench.begin(ctx)
        await bench.stream(ctx, **v)
        assert bench.expect(**v) == 8 * 16
        await bench.drain(ctx)
        assert [bench.sums[name] for name in COUNTERS] == bench.wanted.tolist()
        assert (await bench.check_sums(ctx, rows)).any() and not ctx.get(bench.dut.error)

    bench.run(main)


def test_empty_columns_read_nothing():
    bench, rng = StreamBench(CONFIG), np.random.default_rng(4)

    async def main(ctx):
        codebook = random_codebook(rng)
        weights = random_weights(rng, 40, 48, 0.5, codebook)
        weights[:, np.arange(48) % 5 != 0] = 0
        _, _, table, at = bench.matrix_in_memory(weights, codebook)
        x = random_vector(rng, 48, 1.0)
        x[::5] = 0
        v = dict(count=await bench.vector(ctx, x), word=table, dram=at)
        await bench.begin(ctx)
        await bench.stream(ctx, **v)
        assert bench.expect(**v) == 0
        await bench.drain(ctx)
        assert not bench.memory.bursts and bench.sums["broadcast"] == np.count_nonzero(x)

    bench.run(main)


def outside(bench, table, at):
    """The seventh column's record lies beyond the window."""
    at_word = bench.buffer.words[table + 1]
    bench.buffer.words[table + 1] = at_word & ~0xFFFFF | (SIZE // 8 - 1)


def far(bench, table, at):
    bench.buffer.words[table + 2] = 2**64 - 1


def count(bench, table, at):
    bench.memory.memory[at] ^= 8


def counts(bench, table, at):
    bench.memory.memory[at : at + 2] = b"\xff\xff"


def row(bench, table, at):
    bench.memory.memory[at + 2] = 0xF1
    bench.memory.memory[at + 3] = 0xF1


def bus(bench, table, at):
    bench.memory.bad.add(at + 8)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("stall", [0.3])
@pytest.mark.parametrize(
    "fault, error",
    [
        (outside, Error.READ_WINDOW),
        (far, Error.READ_WINDOW),
        (count, Error.SPARSE_STREAM),
        (counts, Error.SPARSE_STREAM),
        (bus, Error.READ_RESPONSE),
        (row, Error.SPARSE_STREAM),
    ],
)
def test_errors(fault, error, stall):
    """The error belongs to its command: those before are done, none behind is."""
    for good in (0, 1, 3):
        bench, rng = StreamBench(CONFIG, stall), np.random.default_rng(good)
        codes, commands = [], []

        async def watch(ctx):
            async for _, _, code in ctx.tick().sample(bench.dut.error):
                codes.append((code, bench.dones))

        async def feed(ctx):  # the last may never be taken
            while not commands:
                await ctx.tick()
            for v in commands:
                await bench.stream(ctx, **v)

        async def main(ctx):
            codebook = random_codebook(rng)
            sound = bench.matrix_in_memory(random_weights(rng, 60, 40, 0.5, codebook), codebook)[2:]
            weights = random_weights(rng, 60, 40, 0.5, codebook)
            weights[:, 0] = np.where(np.arange(60) < 20, codebook[3], 0)
            table, at = bench.matrix_in_memory(weights, codebook, "modulo")[2:]
            n = await bench.vector(ctx, np.ones(40, np.int16))
            fault(bench, table, at)
            bench.dones = 0
            commands.extend(
                dict(count=n, word=w, dram=a) for w, a in [sound] * good + [(table, at), sound]
            )
            while not codes[-1][0]:
                await ctx.tick()
            await idle(ctx, 100)
            if error is Error.SPARSE_STREAM:
                with pytest.raises(StreamError):
                    bench.expect(count=n, word=table, dram=at)

        bench.run(main, 20_000, watch, feed)
        first = next(c for c in codes if c[0])
        assert first == (error, good) and codes[-1] == (error, good), fault.__name__
        assert bench.dones == good
        assert all(a + 8 * n <= SIZE for a, n in bench.memory.bursts)
