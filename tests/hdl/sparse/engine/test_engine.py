"""The sparse engine against compiler.runtime.sparse_memories, beside a model of the global
buffer."""

import random

import numpy as np
import pytest

from compiler.runtime.sparse_memories import SparseMemories, StreamError
from compiler.sparse.csc import encode
from golden.csc import pack
from hdl.config import PRESETS
from hdl.isa import (
    SPARSE_KINDS,
    Error,
    Opcode,
    SparseDumpBody,
    SparseOutputBody,
    SparseRunBody,
    Target,
    fields,
)
from hdl.sparse.engine.engine import SparseEngine
from tests.hdl.streams import Buffer, holds, run, shared

# The benches never use a word of the global buffer again.
CONFIG = PRESETS["tiny"].replace(
    glb_depth=1024, sparse_words=32, sparse_pointers=66, sparse_activations=20, sparse_rows=16
)
FILL, RUN, OUTPUT, DUMP = (
    Opcode.SPARSE_FILL,
    Opcode.SPARSE_RUN,
    Opcode.SPARSE_OUTPUT,
    Opcode.SPARSE_DUMP,
)
BODY = {RUN: SparseRunBody, OUTPUT: SparseOutputBody, DUMP: SparseDumpBody}
FILLED = dict(target=0, word=0, pe=0, pes=1, address=0, count=1, half=0)
COUNTERS = ("broadcast", "macs", "padding")


class Bench:
    """An engine and its buffer. `play` runs a command and returns (cycles from its acceptance to
    `done`, events by name: their sum, `active`: its cycles)."""

    def __init__(self, config, stall=0.0, seed=1):
        self.config, self.dut, self.stall, self.rng = (
            config,
            shared(SparseEngine, config),
            stall,
            random.Random(seed),
        )
        self.buffer = Buffer(self.rng, stall)
        self.model = SparseMemories(config)
        self.words = 0
        self.sums, self.dones = {}, 0

    def put(self, values):
        """Places an array in the buffer; returns its word."""
        words = np.frombuffer(
            np.ascontiguousarray(values).tobytes().ljust(-(-values.nbytes // 16) * 16, b"\0"), "<u8"
        )
        at = self.words
        assert at + len(words) <= self.config.glb_words
        for n, word in enumerate(words):
            self.buffer.words[at + n] = int(word)
        self.words += len(words)
        return at

    def image(self):
        """The buffer's int16 entries."""
        return np.array([self.buffer.word(n) for n in range(self.words)], "<u8").view("<i2")

    async def watch(self, ctx):
        dut, names = self.dut, (*COUNTERS, "starved", "blocked", "active")
        async for _, _, *now in ctx.tick().sample(
            *(getattr(dut, n) for n in names), dut.fill_done, dut.sparse_done
        ):
            for name, n in zip(names, now):
                self.sums[name] = self.sums.get(name, 0) + n
            self.dones += sum(now[-2:])

    async def play(self, ctx, opcode, **values):
        dut = self.dut
        if opcode is FILL:
            port, done, payload = dut.fill, dut.fill_done, FILLED | values
        else:
            raw = sum(values.get(name, 0) << offset for name, offset, _, _ in fields(BODY[opcode]))
            port, done, payload = (
                dut.sparse,
                dut.sparse_done,
                {"kind": SPARSE_KINDS.index(BODY[opcode]), "body": raw},
            )
        self.sums, dones = {}, self.dones
        ctx.set(port.payload, payload)
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)
        cycles = 1
        while not ctx.get(done):
            await ctx.tick()
            cycles += 1
        await ctx.tick().repeat(3)  # the counters are registered
        assert self.dones == dones + 1, "done once"
        return cycles, self.sums

    async def fill(self, ctx, **values):
        await self.play(ctx, FILL, **values)
        self.model.fill(FILLED | values, self.image())

    async def matrix(self, ctx, weights, codebook, bias, placement="balanced"):
        """Codebook, weights, pointers and bias into the PEs; returns the rows in a PE."""
        c, k = self.config, self.config.sparse_pes
        compressed = encode(weights, codebook, k, placement)
        most = max(1, max(-(-len(e) // 8) for e in compressed.entries))
        assert most <= c.sparse_words and compressed.columns < c.sparse_pointers
        words = np.zeros((k, most), "<u8")
        pointers = np.zeros((k, c.sparse_pointers), "<u4")
        for n in range(k):
            own = pack(compressed.entries[n])
            words[n, : len(own)] = own
            pointers[n] = compressed.pointers[n][-1]
            pointers[n, : compressed.columns + 1] = compressed.pointers[n]
        rows = int(compressed.local.max()) + 1
        start = np.zeros((rows, k), "<i4")
        start[compressed.local, compressed.pe] = bias
        await self.fill(ctx, target=Target.CODEBOOK, word=self.put(codebook), count=4)
        await self.fill(ctx, target=Target.WEIGHTS, word=self.put(words), pes=k, count=most)
        await self.fill(
            ctx,
            target=Target.POINTERS,
            word=self.put(pointers),
            pes=k,
            count=c.sparse_pointers // 2,
        )
        await self.fill(ctx, target=Target.ACCUMULATORS, word=self.put(start), count=rows)
        return rows, compressed

    async def vector(self, ctx, values, half=0, address=0):
        """Activations; returns the indices in a PE."""
        k = self.config.sparse_pes
        count = -(-len(values) // k)
        padded = np.zeros(count * k, "<i2")
        padded[: len(values)] = values
        await self.fill(
            ctx,
            target=Target.ACTIVATIONS,
            word=self.put(padded),
            count=count,
            half=half,
            address=address,
        )
        return count

    async def check_run(self, ctx, **values):
        """RUN; its counters are the model's. Returns cycles and events."""
        v = dict(half=0, address=0, base=0, queue=0) | values
        wanted = self.model.run(v)
        cycles, events = await self.play(ctx, RUN, **v)
        assert tuple(events[name] for name in COUNTERS) == wanted
        return cycles, events

    async def check_output(self, ctx, **values):
        v = dict(shift=0, relu=0, half=0, address=0) | values
        self.model.output(v)
        cycles, events = await self.play(ctx, OUTPUT, **v)
        turns = 4 // self.config.sparse_round_lanes * v["rows"]
        assert events["active"] == turns + 6 and cycles == turns + 10
        assert not any(events[name] for name in (*COUNTERS, "starved", "blocked"))

    async def check_dump(self, ctx, **values):
        """DUMP; the words written are the model's."""
        v = dict(half=0, address=0) | values
        wanted = np.ascontiguousarray(self.model.dump(v)).view("<u8")
        self.buffer.writes.clear()
        cycles, events = await self.play(ctx, DUMP, **v)
        assert [(at, mask, data & 2**64 - 1) for at, mask, data in self.buffer.writes] == [
            (v["word"] + n, 0x0F, int(w)) for n, w in enumerate(wanted)
        ]
        assert not any(events[name] for name in (*COUNTERS, "active"))
        if not self.stall:
            assert cycles == len(wanted) + 6
        return wanted.view("<i2")

    def run(self, main, cycles=60_000):
        dut, buffer = self.dut, self.buffer
        run(
            dut,
            main,
            cycles=cycles,
            background=[
                buffer.reader(dut.glb_fill),
                buffer.writer(dut.glb_dump),
                holds(dut.glb_dump, "dump"),
                holds(dut.glb_fill.request, "fill"),
                self.watch,
            ],
        )


def random_codebook(rng):
    values = rng.choice(np.arange(1, 32767), 13, replace=False) * rng.choice([-1, 1], 13)
    return np.concatenate([[0, -32768, 32767], values]).astype(np.int16)


def random_weights(rng, rows, columns, density, codebook):
    weights = codebook[rng.integers(1, 16, (rows, columns))]
    weights[rng.random((rows, columns)) >= density] = 0
    return weights


def random_vector(rng, size, density):
    values = rng.integers(-(2**15), 2**15, size).astype(np.int16)
    values[rng.random(size) >= density] = 0
    return values


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "pes, bits, stall, lanes", [(4, 24, 0.4, 1), (4, 32, 0.0, 4), (8, 32, 0.4, 4), (8, 24, 0.0, 1)]
)
def test_random_matrices(pes, bits, stall, lanes):
    """Fill, run, output and dump, again and again: in both halves, at any address."""
    config = CONFIG.replace(sparse_pes=pes, psum_bits=bits, sparse_round_lanes=lanes)
    bench, rng = Bench(config, stall, seed=pes), np.random.default_rng([pes, bits, int(10 * stall)])

    async def main(ctx):
        for density in (0.0, 0.1, 0.3, 1.0):
            room = 8 * config.sparse_words * pes
            rows = int(rng.integers(1, 16 * pes + 1)) if density < 1 else pes * 3
            columns = int(min(room / 2 / (rows * density + 1), 64, rng.integers(40, 65)))
            codebook = random_codebook(rng)
            weights = random_weights(rng, rows, columns, density, codebook)
            bias = rng.integers(-(2**31), 2**31, rows)
            locals_, compressed = await bench.matrix(ctx, weights, codebook, bias)
            image = random_vector(rng, columns, rng.random())
            half = int(rng.integers(2))
            address = int(rng.integers(config.sparse_activations - -(-columns // pes) + 1))
            count = await bench.vector(ctx, image, half, address)
            queue = int(rng.integers(config.sparse_queue + 1))
            await bench.check_run(ctx, half=half, address=address, count=count, queue=queue)
            sums = bias + weights.astype(np.int64) @ image
            spread = 1 << bits
            assert ((bench.model.sums[compressed.pe, compressed.local] - sums) % spread == 0).all()
            if density == 0.3:  # in two: the second with a base
                first = count // 2
                await bench.check_run(ctx, half=half, address=address, count=first, queue=queue)
                await bench.check_run(
                    ctx, half=half, address=address + first, count=count - first, base=first * pes
                )
            address = int(rng.integers(config.sparse_activations - locals_ + 1))
            await bench.check_output(
                ctx,
                rows=locals_,
                shift=int(rng.integers(0, 36)),
                relu=int(rng.integers(2)),
                half=1 - half,
                address=address,
            )
            await bench.check_dump(
                ctx, half=1 - half, address=address, count=locals_, word=int(rng.integers(5000))
            )
            # the sums are left at 0
            await bench.check_output(ctx, rows=config.sparse_rows, half=half)
            await bench.check_dump(ctx, half=half, count=config.sparse_rows, word=7000)
            await bench.check_dump(ctx, count=config.sparse_activations, word=8000)
            await bench.check_dump(ctx, half=1, count=config.sparse_activations, word=8000)
        assert not ctx.get(bench.dut.error)

    bench.run(main)


@pytest.mark.parametrize("pes", [4, 8])
def test_outputs_are_the_next_activations(pes):
    """A second layer reads what OUTPUT wrote, in the other half."""
    config = CONFIG.replace(sparse_pes=pes)
    bench, rng = Bench(config, 0.2), np.random.default_rng(pes)

    async def main(ctx):
        codebook = random_codebook(rng)
        rows, columns = 5 * pes, 40
        first = random_weights(rng, rows, columns, 0.15, codebook)
        locals_, _ = await bench.matrix(ctx, first, codebook, np.zeros(rows, np.int64), "modulo")
        image = random_vector(rng, columns, 0.7)
        await bench.check_run(ctx, count=await bench.vector(ctx, image))
        await bench.check_output(ctx, rows=locals_, shift=16, relu=1, half=1)
        second = random_weights(rng, 9, rows, 0.3, codebook)
        locals_2, _ = await bench.matrix(ctx, second, codebook, np.zeros(9, np.int64), "modulo")
        await bench.check_run(ctx, half=1, count=locals_)
        await bench.check_output(ctx, rows=locals_2, shift=18)
        got = await bench.check_dump(ctx, count=locals_2, word=9000)
        hidden = np.clip((first.astype(np.int64) @ image + 2**15) >> 16, 0, 32767)
        assert hidden.any()
        wanted = np.clip((second.astype(np.int64) @ hidden + 2**17) >> 18, -32768, 32767)
        assert (got[:9] == wanted).all()

    bench.run(main)


@pytest.mark.parametrize("pes, levels", [(4, 1), (8, 2)])
def test_cycles_of_a_run(pes, levels):
    """All-zero activations end after their scan. Otherwise the columns come one a cycle, and
    the last one's MACs end the run."""
    bench, rng = Bench(CONFIG.replace(sparse_pes=pes)), np.random.default_rng(1)
    columns = 48

    async def main(ctx):
        codebook = random_codebook(rng)
        weights = np.full((pes, columns), codebook[5])
        await bench.matrix(ctx, weights, codebook, np.zeros(pes, np.int64))
        count = await bench.vector(ctx, np.zeros(columns, np.int16))
        for _ in range(2):
            cycles, events = await bench.check_run(ctx, count=count)
            assert events["broadcast"] == events["macs"] == 0
            # two for the start, two for the RAM and its register, two for the end
            assert events["active"] == count + 6 and cycles == count + 10
            assert events["starved"] == pes * events["active"] and events["blocked"] == 0
        await bench.vector(ctx, np.ones(columns, np.int16))
        cycles, events = await bench.check_run(ctx, count=count)
        assert (events["broadcast"], events["macs"], events["blocked"]) == (
            columns,
            pes * columns,
            0,
        )
        # a read, `found`, a node for each level; then the columns; then a PE's latency of 18
        latency = 2 + 18 + 2
        assert events["active"] == 2 + levels + columns + latency + 1
        # Nothing is in a PE but from its first column to the decoding of its last.
        assert events["starved"] == pes * (events["active"] - (columns + 14))
        # One PE has nothing to do in these columns, one three entries in each: it stalls all.
        weights = np.zeros((4 * pes, 40), np.int16)
        weights[0 : 3 * pes : pes] = codebook[2]
        await bench.matrix(ctx, weights, codebook, np.zeros(4 * pes, np.int64), "modulo")
        count = await bench.vector(ctx, np.ones(40, np.int16))
        cycles, events = await bench.check_run(ctx, count=count)
        assert events["macs"] == 120 and events["active"] == 2 + levels + 120 + latency + 1
        assert events["blocked"] > 40

    bench.run(main)


def test_errors():
    """Rows, pointers and columns out of range: error and done; it stays."""
    config = CONFIG.replace(sparse_pes=4)

    def far_row(words, pointers):
        words[3, 0] = 0xF1F1F1F1F1F1F1F1

    def far_end(words, pointers):
        pointers[2, 5] = 8 * config.sparse_words + 1

    def falling(words, pointers):
        pointers[0, 5] = 3

    for change, values in (
        (far_row, {}),
        (far_end, {}),
        (falling, {}),
        (None, dict(base=64)),
        (None, dict(base=128)),
        (None, dict(base=60, count=2)),
        (None, dict(base=65532)),
    ):
        bench = Bench(config)

        async def main(ctx):
            words = np.full((4, 8), 0x0101010101010101, "<u8")
            pointers = np.minimum(4 * np.arange(66), 64).astype("<u4") + np.zeros((4, 1), "<u4")
            if change:
                change(words, pointers)
            await bench.fill(ctx, target=Target.WEIGHTS, word=bench.put(words), pes=4, count=8)
            await bench.fill(ctx, target=Target.POINTERS, word=bench.put(pointers), pes=4, count=33)
            count = await bench.vector(ctx, np.ones(40, np.int16))
            v = dict(half=0, address=0, base=0, queue=0, count=count) | values
            if v["base"] == 60:  # columns up to 64 have both pointers; 65 does not
                await bench.check_run(ctx, **(v | dict(count=1)))
                assert ctx.get(bench.dut.error) == 0
            with pytest.raises(StreamError):
                bench.model.run(v)
            await bench.play(ctx, RUN, **v)
            assert ctx.get(bench.dut.error) == Error.SPARSE_STREAM
            await bench.play(ctx, RUN, **(v | dict(base=0, count=1)))
            assert ctx.get(bench.dut.error) == Error.SPARSE_STREAM

        bench.run(main)
