"""The parts of LOAD alone, each over its variants: with stalls, and as fast as it says."""

import random

import pytest

from hdl.isa import Error
from hdl.memory.load.bursts import BurstReader
from hdl.memory.load.coded_path import CodedPath
from hdl.memory.load.coded_strips import CodedStrips
from hdl.memory.load.narrow import ByteEntries
from hdl.memory.load.plain import NoCodedPath, PlainStrips
from hdl.memory.load.reader import StripReader
from hdl.memory.load.writer import WordWriter
from hdl.timing import READ_BURSTS
from tests.hdl.memory.load.reference import loaded, narrow, written
from tests.hdl.memory.test_rlc import coded, dense, sample
from tests.hdl.streams import ReadMemory, holds, idle, receive, run, run_combinational, send, shared

MEMORY = bytearray(random.Random(8).randbytes(1 << 14))
BEATS, PAGE = 64, 4096


def bursts_of(address, words):
    """[(address, beats)] of a strip, none over a page's end."""
    while words:
        beats = min(words, BEATS, (PAGE - address % PAGE) // 8)
        yield address, beats
        address, words = address + 8 * beats, words - beats


@pytest.mark.parametrize("address", [17, 32])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_strip_reader(address, stall):
    rng, dut = random.Random(2), shared(StripReader, address)
    strips = [
        dict(
            address=8 * rng.randrange(1 << 10),
            words=rng.choice((1, 2, 65)),
            last=rng.randrange(2),
            rlc=rng.randrange(2),
        )
        for _ in range(40)
    ]
    want = []
    for strip in strips:
        parts = list(bursts_of(strip["address"], strip["words"]))
        for n, (at, beats) in enumerate(parts):
            last = strip["last"] and n == len(parts) - 1
            want.append((at, beats - 1, last, strip["rlc"]))
    got, times = [], []

    async def offer(ctx):
        ctx.set(dut.limit, 1 << 16)
        await send(ctx, dut.strips, strips, stall=stall)

    async def take(ctx):
        await receive(ctx, dut.bursts, len(want), got, stall=stall, times=times)
        await idle(ctx, 4)
        assert ctx.get(dut.idle) and not ctx.get(dut.outside) and not ctx.get(dut.bursts.valid)

    run(dut, offer, take, background=[holds(dut.bursts)])
    assert [(b.address, b.length, b.last, b.tag) for b in got] == want
    if not stall:  # a burst a cycle
        assert times == list(range(times[0], times[0] + len(want)))


@pytest.mark.parametrize("begin,end", [(0x1008, 0x3000), (0x1000, 0x2FF8)])
def test_strip_reader_refuses(begin, end):
    """The strip outside the window, and all that follow."""
    dut, got = shared(StripReader), []
    strips = [dict(address=at, words=0x1000 // 8) for at in (0x1800, 0x1000, 0x2000)]
    strips = strips[:1] + [strips[1 if begin > 0x1000 else 2]]

    async def offer(ctx):
        ctx.set(dut.base, begin)
        ctx.set(dut.limit, end)
        await send(ctx, dut.strips, strips)
        await idle(ctx, 30)
        assert ctx.get(dut.outside) and ctx.get(dut.idle)

    run(dut, offer, background=[lambda ctx: receive(ctx, dut.bursts, None, got)])
    assert [(b.address, b.length + 1) for b in got] == list(bursts_of(0x1800, 0x1000 // 8))


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_burst_reader(stall):
    """Beats go where their bursts' kind says, a beat a cycle."""
    rng, dut = random.Random(3), shared(BurstReader)
    bad = {8 * rng.randrange(1 << 10) for _ in range(60)}

    def words(bursts):
        for burst in bursts:
            for n in range(burst["length"] + 1):
                at = burst["address"] + 8 * n
                yield int.from_bytes(MEMORY[at : at + 8], "little"), at in bad

    strips = [
        dict(address=8 * rng.randrange(1 << 9), length=rng.randrange(9), tag=n % 3 == 1, last=n % 2)
        for n in range(40)
    ]
    tables = [dict(address=64 * n, words=4) for n in range(10)]
    plain = list(words(b for b in strips if not b["tag"]))
    of_coded = list(words(b for b in strips if b["tag"]))
    of_table = list(words(dict(address=t["address"], length=3) for t in tables))
    got, got_coded, got_table, flaws = [], [], [], []

    async def lengths(ctx):
        sample = ctx.tick().sample(dut.lengths.valid, dut.lengths.p, dut.bad)
        async for _, _, valid, word, flawed in sample:
            flaws.append(flawed)
            if valid:
                got_table.append((word.data, word.bad))

    async def finish(ctx):
        await receive(ctx, dut.words, len(plain), got, stall=stall)
        while len(got_coded) < len(of_coded) or len(got_table) < len(of_table):
            await ctx.tick()
        await idle(ctx, 3)
        assert ctx.get(dut.idle)

    memory = ReadMemory(dut.read, MEMORY, latency=3, stall=stall, bad=bad)
    run(
        dut,
        lambda ctx: send(ctx, dut.strips, strips, stall=stall),
        lambda ctx: send(ctx, dut.table, tables, stall=stall),
        finish,
        lambda ctx: receive(ctx, dut.coded, len(of_coded), got_coded, stall=stall),
        background=[memory, lengths, holds(dut.read.address, "ar")],
    )
    assert [word.data for word in got] == [word for word, _ in plain]
    assert sum(word.last for word in got) == sum(b["last"] and not b["tag"] for b in strips)
    assert sum(flaws) == sum(flawed for _, flawed in plain)
    assert [(word.data, word.bad) for word in got_coded] == of_coded
    assert got_table == of_table
    if not stall:
        assert memory.times == list(range(memory.times[0], memory.times[0] + memory.beats))


def test_burst_reader_stops():
    """Nothing more is asked for, and what is under way is dropped."""
    dut, got = shared(BurstReader), []

    async def offer(ctx):
        await send(ctx, dut.strips, [dict(address=64 * n, length=7) for n in range(READ_BURSTS)])
        ctx.set(dut.stop, 1)
        taken = len(got)
        ctx.set(dut.strips.valid, 1)
        while not ctx.get(dut.idle):
            await ctx.tick()
        await idle(ctx, 20)
        assert ctx.get(dut.idle) and len(got) <= taken + 1

    run(
        dut,
        offer,
        background=[
            ReadMemory(dut.read, MEMORY, latency=3),
            lambda ctx: receive(ctx, dut.words, None, got),
        ],
    )


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_word_writer(stall):
    """A word a cycle, each command's from the one or the other, two words for eight bytes; a
    command is noted first."""
    rng, dut = random.Random(5), shared(WordWriter)
    targets, words, want, noted = [], ([], []), [], []
    for number in range(24):
        kind, at = rng.randrange(3), rng.randrange(1 << 17)
        form = narrow(rng.randrange(-256, 256), rng.randrange(2)) if kind == 2 else {}
        target = dict(word=at & ~1 if form else at, rlc=kind == 1, kind=form)
        targets.append(target)
        size, at = rng.randrange(1, 9), target["word"]
        for k in range(size):
            word = dict(data=rng.getrandbits(64), last=k == size - 1)
            words[target["rlc"]].append((number, word))
            becomes = loaded(form, word["data"].to_bytes(8, "little"))
            want.append([(at + n, data) for n, data in enumerate(becomes)])
            at += len(becomes)

    async def note(ctx):
        for target in targets:
            await send(ctx, dut.targets, [target], stall=stall)
            noted.append(target)

    def bring(port, items):
        async def bench(ctx):
            for number, word in items:
                while len(noted) <= number:
                    await idle(ctx, 3)
                await send(ctx, port, [word], stall=stall)

        return bench

    got, times, dones = [], [], []

    async def done(ctx):
        async for _, _, pulse in ctx.tick().sample(dut.done):
            dones.append(pulse)

    async def take(ctx):
        await receive(ctx, dut.write, len(want), got, stall=stall, times=times)
        await idle(ctx, 3)
        assert ctx.get(dut.idle) and sum(dones) == len(targets)

    run(
        dut,
        note,
        bring(dut.words, words[0]),
        bring(dut.coded, words[1]),
        take,
        background=[done, holds(dut.write)],
    )
    assert [written(w) for w in got] == want
    if not stall:  # of commands of one word too
        assert times[-1] - times[0] == len(want) - 1


@pytest.mark.parametrize("unsigned", [0, 1])
def test_byte_entries(unsigned):
    """Every byte, less every zero point."""
    dut, words = shared(ByteEntries), [bytes(range(n, n + 8)) for n in range(0, 256, 8)]

    async def bench(ctx):
        for zero in (*range(-256, 256, 37), -1, 0, 255):
            kind = narrow(zero, unsigned)
            ctx.set(dut.kind, kind)
            for word in words:
                ctx.set(dut.word, int.from_bytes(word, "little"))
                entries = ctx.get(dut.entries.as_value())
                low, high = loaded(kind, word)
                assert entries == low | high << 64

    run_combinational(dut, bench)


@pytest.mark.parametrize("finder", [PlainStrips, CodedStrips])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_strip_finders(finder, stall):
    """Strips that are not coded pass, a strip a cycle."""
    rng, dut = random.Random(6), shared(finder)
    strips = [
        dict(address=8 * rng.randrange(1 << 20), length=rng.randrange(1, 999), last=n % 5 == 4)
        for n in range(50)
    ]
    got, times = [], []

    async def take(ctx):
        await receive(ctx, dut.found, len(strips), got, stall=stall, times=times)
        await idle(ctx, 3)
        assert not ctx.get(dut.found.valid) and ctx.get(dut.error) == Error.NONE

    run(
        dut,
        lambda ctx: send(ctx, dut.strips, strips, stall=stall),
        take,
        background=[holds(dut.found)],
    )
    assert [(s.address, s.words, s.last, s.rlc) for s in got] == [
        (s["address"], s["length"], s["last"], 0) for s in strips
    ]
    if not stall:
        assert times == list(range(times[0], times[0] + len(strips)))


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_coded_strips(stall):
    """Of a coded command each strip gets its length from the table, and the decoder hears of it."""
    rng, dut = random.Random(7), shared(CodedStrips)
    rows, columns, begin = 5, 13, 0x102
    lengths = [[rng.randrange(9) for _ in range(columns)] for _ in range(rows)]
    table = bytearray(1 << 10)
    for row in range(rows):
        for k in range(columns):
            at = begin + 64 * row + 2 * k
            table[at : at + 2] = lengths[row][k].to_bytes(2, "little")
    command = dict(table=begin, table_b=64, count_a=1, count_b=rows, count_c=columns, rlc=1)
    strips = [
        dict(
            address=64 * (row * columns + k),
            rlc=1,
            slot=8,
            lane=begin // 2 + k & 3,
            row_last=k == columns - 1,
            last=(row, k) == (rows - 1, columns - 1),
        )
        for row in range(rows)
        for k in range(columns)
    ]
    want = [n for row in lengths for n in row]
    got, told = [], []

    async def answer(ctx):
        ctx.set(dut.limit, 1 << 10)
        waiting, chance = [], random.Random(9)
        while True:
            ready = chance.random() >= stall
            ctx.set(dut.request.ready, ready)
            there = bool(waiting) and chance.random() >= stall
            ctx.set(dut.table.valid, there)
            if there:
                at = waiting.pop(0)
                ctx.set(dut.table.p.data, int.from_bytes(table[at : at + 8], "little"))
            port = dut.request
            _, _, valid, at, words = await ctx.tick().sample(
                port.valid, port.p.address, port.p.words
            )
            if valid and ready:
                waiting += [at + 8 * n for n in range(words)]

    run(
        dut,
        lambda ctx: send(ctx, dut.command, [command], stall=stall),
        lambda ctx: send(ctx, dut.strips, strips, stall=stall),
        lambda ctx: receive(ctx, dut.found, len(want), got, stall=stall),
        lambda ctx: receive(ctx, dut.coded, len(want), told, stall=stall),
        background=[answer, holds(dut.found), holds(dut.coded), holds(dut.request)],
    )
    assert [(s.address, s.words) for s in got] == [
        (s["address"], n) for s, n in zip(strips, want, strict=True)
    ]
    assert [(length.words, length.last) for length in told] == [
        (n, s["last"]) for s, n in zip(strips, want, strict=True)
    ]


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_coded_path(stall):
    """Each command's strips as they were, a command's words one after the other."""
    dut = shared(CodedPath)
    size, strips = 6, sample(4, 60)
    strips = [strip[:24] for strip in strips if len(strip) >= 24]
    targets = [dict(word=0, length=size, rlc=1), dict(word=5, length=99, rlc=0)]
    lengths = [dict(words=len(coded(s)), last=n == len(strips) - 1) for n, s in enumerate(strips)]
    words = [dict(data=w, bad=0) for s in strips for w in coded(s)]
    want = [w for s in strips for w in dense(s)]
    got = []

    async def take(ctx):
        await receive(ctx, dut.out, len(want), got, stall=stall)
        await idle(ctx, 5)
        assert ctx.get(dut.idle) and ctx.get(dut.error) == Error.NONE

    async def note(ctx):
        await send(ctx, dut.targets, targets)
        await send(ctx, dut.lengths, lengths, stall=stall)

    run(
        dut,
        note,
        lambda ctx: send(ctx, dut.words, words, stall=stall),
        take,
        background=[holds(dut.out)],
    )
    assert [w.data for w in got] == want
    assert [w.last for w in got] == [0] * (len(want) - 1) + [1]


def test_no_coded_path():
    """It takes what comes, and says nothing."""
    dut = shared(NoCodedPath)

    async def bench(ctx):
        assert ctx.get(dut.idle) and ctx.get(dut.lengths.ready) and ctx.get(dut.words.ready)
        assert not ctx.get(dut.out.valid) and ctx.get(dut.error) == Error.NONE

    run_combinational(dut, bench)
