"""One sparse PE driven directly: sums against a dense product, cycles against the entries."""

import random

import numpy as np
import pytest

from compiler.sparse.csc import encode
from golden.csc import PADDING, pack
from golden.fixed import wrap
from hdl.config import PRESETS
from hdl.isa import Target
from hdl.sparse.pe.column_queue import LATE
from hdl.sparse.pe.pe import SparsePe
from hdl.sparse.words import EVENTS
from tests.hdl.streams import idle, run, send, shared

PES, ROWS, COLUMNS, DEPTH = 4, 64, 126, 8
CONFIG = PRESETS["tiny"].replace(
    sparse_pes=PES,
    sparse_words=64,
    sparse_pointers=COLUMNS + 2,
    sparse_activations=64,
    sparse_rows=ROWS,
    sparse_queue=DEPTH,
)
ENTRIES = 8 * CONFIG.sparse_words
# Cycles from a column to the write of its first sum, and from its MAC.
LATENCY, FROM_MAC = 18, 3
CODEBOOK = np.array(
    [0, 1, -1, 2, 32767, -32768, 1000, -7, 12345, -12345, 3, 77, -300, 4096, 15, -2], np.int16
)


def entry(zeros, index):
    return zeros << 4 | index


def products(entries, pointers, column, value):
    """(row, product) of each real entry of a column."""
    row, out = -1, []
    for e in entries[pointers[column] : pointers[column + 1]]:
        row += (e >> 4) + 1
        if e & 15:
            out.append((row, int(CODEBOOK[e & 15]) * value))
    return out


def parts(entries, pointers, column):
    """Real entries in each word of a column."""
    begin, end = pointers[column], pointers[column + 1]
    cuts = sorted({begin, end, *range(begin // 8 * 8 + 8, end, 8)})
    return [sum(e & 15 != 0 for e in entries[a:b]) for a, b in zip(cuts, cuts[1:])]


class Bench:
    """A SparsePe with its tests' steps; `trace` holds a cycle's events, by name, and padding."""

    def __init__(self, config=None):
        self.config = config = config or CONFIG
        self.dut, self.trace = shared(SparsePe, config), []

    async def write(self, ctx, target, address, values):
        fill = self.dut.fill
        for n, value in enumerate(values):
            value = int(value) & 2**64 - 1
            ctx.set(
                fill,
                {
                    "targets": 1 << target,
                    "address": address + n,
                    "data": value,
                    "psum": value & 2**32 - 1,
                    "entry": value & 0xFFFF,
                    "code": value & 0xFFFF,
                },
            )
            await ctx.tick()
        ctx.set(fill, {"targets": 0})

    async def load(self, ctx, entries, pointers, sums):
        """Fills the memories; pointers of columns that are not given are the end."""
        await self.write(ctx, Target.CODEBOOK, 0, CODEBOOK)
        await self.write(ctx, Target.WEIGHTS, 0, pack(np.array(entries, np.uint8)))
        padded = np.full(len(pointers) + 2 & -2, pointers[-1], "<u4")
        padded[: len(pointers)] = pointers
        await self.write(ctx, Target.POINTERS, 0, padded.view("<u8"))
        await self.write(ctx, Target.ACCUMULATORS, 0, sums)

    async def sum(self, ctx, row):
        """An accumulator, while the PE is not busy."""
        ctx.set(self.dut.row, row)
        ctx.set(self.dut.show, 1)
        await ctx.tick()
        ctx.set(self.dut.show, 0)
        ctx.set(self.dut.row, 0)
        await ctx.tick()
        return ctx.get(self.dut.accumulator)

    async def sums(self, ctx):
        return [await self.sum(ctx, row) for row in range(self.config.sparse_rows)]

    async def record(self, ctx):
        dut = self.dut
        async for _, _, events, padding, valid, ready in ctx.tick().sample(
            dut.events, dut.padding, dut.column.valid, dut.column.ready
        ):
            names = {name for n, name in enumerate(EVENTS) if events >> n & 1}
            assert ("full" in names) == (not ready)
            self.trace.append((names, padding, bool(valid and ready)))

    async def run(self, ctx, columns, *, limit=DEPTH, stall=0.0, rng=None):
        """Sends (column, value) and waits until they are through; returns the trace."""
        dut, first = self.dut, len(self.trace)
        ctx.set(dut.limit, limit)
        await send(
            ctx, dut.column, [{"column": c, "value": v} for c, v in columns], stall=stall, rng=rng
        )
        while ctx.get(dut.busy):
            await ctx.tick()
        assert "starved" in {name for n, name in enumerate(EVENTS) if ctx.get(dut.events) >> n & 1}
        return self.trace[first:]


def macs(trace):
    """Cycles with a MAC."""
    return [n for n, (names, _, _) in enumerate(trace) if "mac" in names]


def play(cases, config=None):
    """cases: (entries, pointers, columns with values, keywords of Bench.run), one after the other
    in one PE. Checks sums and counts; returns the traces."""
    bench, traces, rng = Bench(config), [], random.Random(1)
    bits = bench.config.psum_bits

    async def main(ctx):
        for entries, pointers, columns, kw in cases:
            start = [
                rng.choice(
                    [
                        0,
                        rng.getrandbits(bits) - (1 << bits - 1),
                        (1 << bits - 1) - 1,
                        -1 << bits - 1,
                    ]
                )
                for _ in range(ROWS)
            ]
            await bench.load(ctx, entries, pointers, start)
            trace = await bench.run(ctx, columns, **kw)
            wanted = np.array(start, np.int64)
            done = [p for c, v in columns for p in products(entries, pointers, c, v)]
            for row, product in done:
                wanted[row] += product
            assert await bench.sums(ctx) == wrap(wanted, bits).tolist()
            assert not ctx.get(bench.dut.error)
            met = sum(pointers[c + 1] - pointers[c] for c, _ in columns)
            assert len(macs(trace)) == len(done)
            assert sum(padding for _, padding, _ in trace) == met - len(done)
            traces.append(trace)

    run(bench.dut, main, background=[bench.record], cycles=100_000)
    return traces


def encoded(matrix, columns, **kw):
    c = encode(matrix, CODEBOOK, 1)
    return c.entries[0].tolist(), c.pointers[0].tolist(), columns, kw


def by_hand(columns, order=None, rng=None, **kw):
    """A case from lists of entries, one a column; all columns in order unless given."""
    rng = rng or random.Random(2)
    pointers = [0]
    for column in columns:
        pointers.append(pointers[-1] + len(column))
    order = range(len(columns)) if order is None else order
    return [e for column in columns for e in column], pointers, [(c, value(rng)) for c in order], kw


def value(rng):
    return rng.choice([-32768, 32767, 1, -1, rng.randint(-32768, 32767)]) or 5


def random_matrix(rng, rows, columns, density):
    matrix = CODEBOOK[np.array([[rng.randint(1, 15) for _ in range(columns)] for _ in range(rows)])]
    matrix[[[rng.random() >= density for _ in range(columns)] for _ in range(rows)]] = 0
    return matrix


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_random_matrices(bits, stall):
    """Wrapping sums, columns in any order and again, every limit of the queue."""
    rng, cases = random.Random(f"{bits} {stall}"), []
    for limit in range(1, DEPTH + 1):
        density = rng.choice([0.0, 0.02, 0.05, 0.1, 0.3, 1.0])
        rows = rng.randint(1, ROWS)
        columns = min(COLUMNS, max(1, int(ENTRIES / (rows * density + rows / 16 + 1))))
        matrix = random_matrix(rng, rows, columns, density)
        order = [rng.randrange(columns) for _ in range(60)]
        case = encoded(matrix, [(c, value(rng)) for c in order], limit=limit, stall=stall, rng=rng)
        dense = np.zeros(rows, np.int64)  # the encoding means the matrix
        for c, v in case[2]:
            dense += matrix[:, c].astype(np.int64) * v
        direct = np.zeros(rows, np.int64)
        for c, v in case[2]:
            for row, product in products(case[0], case[1], c, v):
                direct[row] += product
        assert (dense == direct).all()
        cases.append(case)
    play(cases, CONFIG.replace(psum_bits=bits))


@pytest.mark.parametrize("bits", [24, 32])
def test_same_row_at_every_distance(bits):
    """A row again 1, 2, 3 and more MACs later: the sum under way is the one added to."""
    cases = []
    for distance in range(1, 6):
        rows = [n % distance for n in range(60)]
        cases.append(by_hand([[entry(r, 4)] for r in rows]))  # each in its own column
        cases.append(by_hand([[entry(0, 5)] * distance for _ in range(20)]))
        rng = random.Random(distance)
        cases.append(
            by_hand([[entry(rng.randrange(distance), rng.randint(1, 15))] for _ in range(100)])
        )
        # at times in between
        cases.append(by_hand([[entry(0, 8)] * distance] * 10, stall=0.6, rng=rng))
    for trace in play(cases, CONFIG.replace(psum_bits=bits))[0:-1:4]:
        # so the distance was met
        assert np.diff(macs(trace)).max() == 1


@pytest.mark.parametrize("zeros", [14, 15, 16, 17, 30, 31, 32, 33, 47, 48, 62])
def test_runs_of_zeros(zeros):
    """Before the first entry and between two, from every lane of a word."""
    matrix = np.zeros((ROWS, 32), np.int16)
    for c in range(32):
        matrix[zeros if c % 3 == 0 else 0, c] = 5
        second = zeros + 1 + (zeros + 1 if c % 3 == 0 else 0)
        if c % 3 != 2 and second < ROWS:
            matrix[second, c] = -9
    matrix[:, 5::7] = 0
    matrix = np.where(matrix == 5, CODEBOOK[6], np.where(matrix == -9, CODEBOOK[9], 0)).astype(
        np.int16
    )
    columns = [(c, 100 * c - 1000 or 1) for c in range(32)]
    for lead in range(2):
        odd = encoded(
            np.concatenate([matrix[:, :lead], matrix], axis=1), [(c + lead, v) for c, v in columns]
        )
        play([odd, encoded(matrix, columns, limit=1), encoded(matrix, columns, stall=0.5)])


PAD = PADDING
BY_HAND = {  # at most three paddings before an entry: 64 rows
    "padding fills the lanes before the entry": [
        [entry(0, 1)] * 5,
        [PAD, PAD, PAD, entry(15, 3)],
        [entry(2, 7)] * 3,
    ],
    "padding ends a word": [
        [entry(0, 1)] * 6,
        [PAD, PAD, entry(3, 9)],
        [entry(0, 2)] * 5,
        [entry(1, 4), PAD, PAD, entry(0, 5), entry(15, 6)],
    ],
    "padding before and behind": [
        [entry(0, 1)] * 4,
        [PAD, entry(2, 3), PAD, PAD, entry(1, 4)],
        [entry(0, 1)],
    ],
    "a column's first part is only padding": [
        [entry(0, 1)] * 7,
        [PAD, entry(1, 2)],
        [entry(0, 3)] * 4,
        [PAD, PAD, PAD, entry(0, 5)],
    ],
    "one lane after the other": [[entry(0, 1)] * n for n in range(1, 9)],
    "columns over three words": [
        [entry(0, 1)] * 3,
        [entry(2, 2)] * 20,
        [entry(1, 4)] * 18,
        [entry(0, 5)] * 16,
    ],
    "columns of a whole word": [[entry(1, 2)] * 8] * 4 + [[entry(0, 3)] * 16] * 2,
}


@pytest.mark.parametrize("kw", [dict(), dict(limit=1), dict(stall=0.6)], ids=str)
def test_streams_by_hand(kw):
    rng = random.Random(4)
    cases = [by_hand(columns, rng=rng, **kw) for columns in BY_HAND.values()]
    cases += [
        by_hand(
            columns, order=[len(columns) - 1 - n for n in range(len(columns))] * 2, rng=rng, **kw
        )
        for columns in BY_HAND.values()
    ]
    play(cases)


def test_words_of_only_padding():
    """Rows of 256: sixteen paddings in a column, so that whole words hold nothing else."""
    config = CONFIG.replace(sparse_rows=256, sparse_activations=256)
    for lead in (1, 3, 8):
        bench = Bench(config)
        streams = [
            [entry(0, 1)] * lead,
            [PAD] * 15 + [entry(15, 6)],
            [],
            [PAD] * 8 + [entry(0, 3)] * 2,
            [entry(0, 4)] + [PAD] * 14 + [entry(14, 5)],
        ]
        entries, pointers, columns, _ = by_hand(streams)

        async def main(ctx):
            await bench.load(ctx, entries, pointers, [0] * 256)
            trace = await bench.run(ctx, columns)
            wanted = np.zeros(256, np.int64)
            for c, v in columns:
                for row, product in products(entries, pointers, c, v):
                    wanted[row] += product
            assert await bench.sums(ctx) == wrap(wanted, 32).tolist() and not ctx.get(
                bench.dut.error
            )
            assert wanted[255] and wanted[128] and np.flatnonzero(wanted)[-1] == 255
            # Only the parts without a real entry cost a cycle each.
            at, empty = (
                macs(trace),
                sum(n == 0 for c, _ in columns for n in parts(entries, pointers, c)),
            )
            assert empty and at[-1] - at[0] + 1 == len(at) + empty
            assert sum(padding for _, padding, _ in trace) == 15 + 8 + 14

        run(bench.dut, main, background=[bench.record])


def test_empty_columns():
    """Leading, adjacent and trailing ones; a matrix of nothing else."""
    full, none = [entry(0, 1)] * 3, []
    cases = [
        by_hand(columns, limit=limit, rng=random.Random(3))
        for limit in (1, DEPTH)
        for columns in (
            [none] * 30,
            [none] * 9 + [full],
            [full] + [none] * 9,
            [none, full] * 9,
            [none, none, full, none, none, none] * 5,
            [full] * 4 + [none] * 20 + [full] * 4,
            [none, full, full, none],
        )
    ]
    play(cases)


def span(trace):
    at = macs(trace)
    return at[-1] - at[0] + 1


STREAMS = {
    "two entries": [[entry(0, 1), entry(3, 2)]] * 120,
    "one entry": [[entry(n % 16, 1 + n % 15)] for n in range(126)],
    "many entries": [[entry(1, 1 + n % 15)] * 17 for n in range(30)],
    "two to five entries": [[entry(n % 3, 1 + n % 15)] * (2 + n * 7 % 4) for n in range(120)],
    "padding in the midst": [[entry(0, 1), PAD, entry(4, 2)]] * 120,
    "every second column empty": [[entry(0, 1), entry(1, 2)], []] * 63,
    "two empty columns after each of three": [[entry(0, 1), entry(1, 2), entry(1, 3)], [], []] * 42,
}


@pytest.mark.parametrize("name", STREAMS)
def test_mac_every_cycle(name):
    """Columns offered every cycle: neither columns, words, padding in a word nor empty columns
    take a cycle, from the latency of the first column's MAC on."""
    columns = STREAMS[name]
    case = by_hand(columns)
    entries, pointers = case[:2]
    (trace,) = play([case])
    empty = sum(n == 0 for c in range(len(columns)) for n in parts(entries, pointers, c))
    assert span(trace) == len(macs(trace)) + empty
    first = next(n for n, (_, _, taken) in enumerate(trace) if taken)
    assert macs(trace)[0] == first + LATENCY - FROM_MAC
    if name in ("two entries", "one entry", "many entries", "two to five entries"):
        assert empty == 0 and len(macs(trace)) == len(entries)


def test_latency():
    """The sum is written that many cycles after its column was taken, and busy until then."""
    bench, seen = Bench(), []

    async def main(ctx):
        await bench.load(ctx, [entry(0, 1)], [0, 1], [7])
        ctx.set(bench.dut.limit, 1)
        ctx.set(bench.dut.show, 1)
        await ctx.tick()
        ctx.set(bench.dut.column.payload, {"column": 0, "value": 5})
        ctx.set(bench.dut.column.valid, 1)
        assert ctx.get(bench.dut.column.ready)
        await ctx.tick()
        ctx.set(bench.dut.column.valid, 0)
        for _ in range(30):
            seen.append((ctx.get(bench.dut.accumulator), ctx.get(bench.dut.busy)))
            await ctx.tick()

    run(bench.dut, main)
    assert [busy for _, busy in seen] == [1] * LATENCY + [0] * (30 - LATENCY)
    # read two cycles before; while a MAC reads the RAM there is no telling
    assert {total for total, _ in seen[: LATENCY - 2]} == {7}
    assert {total for total, _ in seen[LATENCY + 2 :]} == {12}


@pytest.mark.parametrize("limit", [1, 2, 3, DEPTH])
def test_limit_of_the_queue(limit):
    """Up to LATE columns come behind the limit; from 3 on one comes each cycle, below every
    third at least."""
    (trace,) = play([by_hand([[entry(0, 1)] * 60] * 8 + [[entry(1, 2)]] * 32, limit=limit)])
    taken = sum(t for _, _, t in trace[: macs(trace)[115]])
    # Two columns are in words, another is being read, one waits for that, four are in the stages of
    # the pointers.
    assert taken <= 8 + limit + LATE and (limit < 3 or taken >= 8 + limit)
    pairs, singles = play(
        [by_hand([[entry(0, 1)] * 2] * 40, limit=limit), by_hand([[entry(0, 1)]] * 40, limit=limit)]
    )
    assert span(pairs) <= (80 if limit > 2 else 120) and span(singles) <= (40 if limit > 2 else 120)


def test_long_rows_of_empty_columns_cost_a_cycle_each():
    """The pointer stage passes a column a cycle: what two MACs do not hide."""
    (trace,) = play([by_hand(([[entry(0, 1), entry(0, 2)]] + [[]] * 20) * 6)])
    assert span(trace) == 5 * 21 + 2


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["zeros", "all", "one in four", "last"])
def test_scan(kind, stall):
    """The non-zero activations with their columns, in order; one activation a cycle."""
    rng, bench = random.Random(f"{kind} {stall}"), Bench()
    dut = bench.dut
    number, base, size = 3, 16, 2 * CONFIG.sparse_activations
    values = [0] * size if kind == "zeros" else [value(rng) for _ in range(size)]
    if kind == "one in four":
        values = [v if rng.random() < 0.25 else 0 for v in values]
    if kind == "last":
        values = [0] * (size - 1) + [1]

    async def main(ctx):
        ctx.set(dut.number, number)
        await bench.write(ctx, Target.ACTIVATIONS, 0, [v & 0xFFFF for v in values])
        for address, count in (
            (0, 1),
            (0, 25),
            (CONFIG.sparse_activations, 25),
            (size - 25, 25),
            (size - 1, 1),
        ):
            wanted = [
                (base + n * PES + number, values[address + n])
                for n in range(count)
                if values[address + n]
            ]
            ctx.set(dut.search.address, address)
            ctx.set(dut.search.count, count)
            ctx.set(dut.search.base, base)
            ctx.set(dut.scan, 1)
            await ctx.tick()
            ctx.set(dut.scan, 0)
            got, cycles, before = [], 0, None
            while ctx.get(dut.scanning):
                ctx.set(dut.found.ready, rng.random() >= stall)
                _, _, valid, ready, payload = await ctx.tick().sample(
                    dut.found.valid, dut.found.ready, dut.found.payload
                )
                found = payload.column, payload.value
                assert before is None or valid and found == before
                before = found if valid and not ready else None
                if valid and ready:
                    got.append(found)
                cycles += 1
            assert got == wanted
            # a cycle for each, two to read the last, one more if that is shown
            if not stall:
                assert cycles == count + 2 + (values[address + count - 1] != 0)

    run(dut, main)


def test_scan_passes_zeros_while_it_waits():
    """Behind an activation that nobody takes the zeros pass, so the next is there at once."""
    bench = Bench()
    dut = bench.dut

    async def main(ctx):
        await bench.write(ctx, Target.ACTIVATIONS, 0, [5] + [0] * 9 + [6, 0, 7])
        ctx.set(dut.search.count, 13)
        ctx.set(dut.scan, 1)
        await ctx.tick()
        ctx.set(dut.scan, 0)
        await idle(ctx, 20)
        got = []
        ctx.set(dut.found.ready, 1)
        for _ in range(4):
            _, _, valid, payload = await ctx.tick().sample(dut.found.valid, dut.found.payload)
            got.append((valid, payload.column, payload.value) if valid else None)
        assert got[:2] == [(1, 0, 5), (1, 10 * PES, 6)]
        assert got[2] is None and got[3] == (1, 12 * PES, 7)  # the zero between them, now read
        assert not ctx.get(dut.scanning)

    run(dut, main)


def test_scan_of_columns_beyond_the_pointers():
    """They stay beyond: no column that exists again, whatever the base."""
    bench = Bench()
    dut = bench.dut

    async def main(ctx):
        ctx.set(dut.number, 1)
        await bench.write(ctx, Target.ACTIVATIONS, 0, [7] * 64)
        ctx.set(dut.found.ready, 1)
        for base in (COLUMNS - 8, 128, 255, 256, 512, 65535 - 1):
            columns = []
            ctx.set(dut.search.base, min(base, (1 << CONFIG.sparse_column_bits) - 1))
            ctx.set(dut.search.count, 64)
            ctx.set(dut.scan, 1)
            await ctx.tick()
            ctx.set(dut.scan, 0)
            while ctx.get(dut.scanning):
                _, _, valid, payload = await ctx.tick().sample(dut.found.valid, dut.found.payload)
                if valid:
                    columns.append(payload.column)
            right = [base + n * PES + 1 for n in range(64)]
            assert len(columns) == 64
            for got, wanted in zip(columns, right):
                assert got == wanted if wanted <= COLUMNS else got > COLUMNS

    run(dut, main)


def test_activations_kept_and_looked_up():
    """Both halves, a write each cycle; a look-up holds its word until the next."""
    bench, rng = Bench(), random.Random(6)
    dut, size = bench.dut, 2 * CONFIG.sparse_activations

    async def main(ctx):
        model = [rng.getrandbits(16) for _ in range(size)]
        await bench.write(ctx, Target.ACTIVATIONS, 0, model)
        for _ in range(100):
            at, new = rng.randrange(size), rng.getrandbits(16)
            ctx.set(dut.keep, rng.random() < 0.7)
            ctx.set(dut.keep_address, at)
            ctx.set(dut.kept, new)
            if ctx.get(dut.keep):
                model[at] = new
            await ctx.tick()
        ctx.set(dut.keep, 0)
        # What is looked up comes with the next look.
        ctx.set(dut.looking, 1)
        ctx.set(dut.look, 1)
        await ctx.tick()
        for at in range(size):
            ctx.set(dut.look, 1)
            ctx.set(dut.look_address, at)
            await ctx.tick()
            ctx.set(dut.look, 0)
            ctx.set(dut.look_address, 0)
            for _ in range(at % 3):
                await ctx.tick()
            if at:
                assert ctx.get(dut.looked) == model[at - 1]

    run(dut, main)


@pytest.mark.parametrize("bits", [24, 32])
def test_accumulators_read_and_cleared(bits):
    bench, rng = Bench(CONFIG.replace(psum_bits=bits)), random.Random(bits)
    dut = bench.dut

    async def main(ctx):
        model = [rng.getrandbits(32) - 2**31 for _ in range(ROWS)]
        await bench.write(ctx, Target.ACCUMULATORS, 0, [v & 2**32 - 1 for v in model])
        model = wrap(np.array(model), bits).tolist()
        assert await bench.sums(ctx) == model
        for row in (0, 5, 6, ROWS - 1, 5):
            ctx.set(dut.row, row)
            ctx.set(dut.clear, 1)
            ctx.set(dut.show, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            ctx.set(dut.show, 0)
            await ctx.tick()
            assert ctx.get(dut.accumulator) == model[row]
            await ctx.tick()
            assert ctx.get(dut.accumulator) == 0  # none was shown
            model[row] = 0
            assert await bench.sums(ctx) == model

    run(dut, main)


GOOD = [[entry(0, 1), entry(2, 3)]] * 4
TAIL = [(c, 9) for c in range(4)] * 3
ERRORS = {
    # (changed pointers, entries of column 4, columns after the good ones)
    "a falling pointer": ({5: 7}, GOOD[0], [(4, 3)]),
    "an end beyond the weights": ({5: ENTRIES + 1}, GOOD[0], [(4, 3)]),
    "a far end": ({5: 2 * ENTRIES - 1}, GOOD[0], [(4, 3)]),
    "a begin and an end beyond": ({4: ENTRIES + 3, 5: ENTRIES + 9}, GOOD[0], [(4, 3)]),
    "an empty column beyond": ({4: ENTRIES + 3, 5: ENTRIES + 3}, GOOD[0], [(4, 3)]),
    "the last pointer's column": ({}, GOOD[0], [(COLUMNS + 1, 3)]),
    "a column beyond the pointers": ({}, GOOD[0], [(COLUMNS + 2, 3)]),
    "a row beyond": ({}, [entry(15, 1)] * 3 + [entry(14, 1), entry(1, 5)], [(4, 3)]),
    "the first row beyond": ({}, [entry(15, 1)] * 4 + [entry(0, 5)], [(4, 3)]),
    "a row beyond, behind padding": ({}, [PAD, PAD, PAD, PAD, entry(0, 1), entry(0, 2)], [(4, 3)]),
    "padding beyond": ({}, [entry(15, 1), PAD, PAD, PAD, PAD], [(4, 3)]),
    "rows far beyond": ({}, [PAD] * 60 + [entry(0, 1)], [(4, 3)]),
}


@pytest.mark.parametrize("before", [0, 2, 12])
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, before):
    """The error stays; the sums hold only MACs from before it, and the PE runs empty."""
    changed, bad, columns = ERRORS[name]
    bench = Bench()
    dut = bench.dut
    entries, pointers, _, _ = by_hand([*GOOD, bad, *GOOD])
    good = [(n % 4, n + 1) for n in range(before)]
    faulty = [changed.get(n, p) for n, p in enumerate(pointers)]
    errors = []

    async def watch(ctx):
        async for _, _, error, events in ctx.tick().sample(dut.error, dut.events):
            errors.append((error, events & 1))

    async def main(ctx):
        await bench.load(ctx, entries, faulty, [0] * ROWS)
        assert not ctx.get(dut.error)
        await bench.run(ctx, [*good, *columns, *TAIL])
        assert ctx.get(dut.error)
        done = [p for c, v in good for p in products(entries, pointers, c, v)]
        if columns[0][0] == 4 and not changed:  # the entries before the row beyond
            done += [p for p in products(entries, pointers, 4, 3) if p[0] < ROWS]
        count = len([1 for _, mac in errors if mac])
        assert count <= len(done)
        wanted = np.zeros(ROWS, np.int64)
        for row, product in done[:count]:
            wanted[row] += product
        assert await bench.sums(ctx) == wanted.tolist()
        await bench.write(
            ctx,
            Target.POINTERS,
            0,
            np.array(pointers[:-1] + pointers[-2:][: len(pointers) % 2 + 1], "<u4")[:10].view(
                "<u8"
            ),
        )
        await bench.run(ctx, TAIL)
        assert await bench.sums(ctx) == wanted.tolist() and ctx.get(dut.error)
        await idle(ctx, 3)

    run(dut, main, background=[bench.record, watch])
    first = [e for e, _ in errors].index(1)
    assert all(e for e, _ in errors[first:])
    # A MAC issued as the error is met is on its way; none is issued after.
    assert not any(mac for _, mac in errors[first + 1 :])
