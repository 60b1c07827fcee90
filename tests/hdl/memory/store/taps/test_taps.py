"""The walk of taps and their reads, each alone."""

import random

import pytest

from hdl.isa import Pool
from hdl.memory.store.taps.divisor import TapMarker
from hdl.memory.store.taps.reader import TapReader
from hdl.memory.store.taps.reads import TapReads
from hdl.timing import DIVISORS, TAPS
from tests.hdl.streams import Buffer, holds, idle, receive, run, send, shared

SIZE = 1 << 13  # words of the global buffer


def between(low, high, first, after):
    return max(0, min(high, after) - max(low, first))


def test_marker():
    """Whether a tap is read, and how many entries of its window count, after LATENCY cycles."""
    rng, dut = random.Random(4), shared(TapMarker)
    width, right = 23, 19
    taps, want, got, times = [], [], [], []
    for _ in range(200):
        left, kernel = rng.randrange(-9, 30), rng.randrange(1, 9)
        low, tall, place = (
            max(left, rng.randrange(0, 9)),
            rng.randrange(0, 6),
            rng.randrange(kernel),
        )
        some = rng.randrange(2)
        column = dict(left=left, right=left + kernel, low=low, tall=tall, lane=rng.randrange(8))
        taps.append(dict(column=column, place=place, some=some))
        count = tall * between(low, left + kernel, low, right)
        read = left + place >= 0 and left < width and some
        want.append((bool(read), count if count <= DIVISORS else 0))

    async def drive(ctx):
        ctx.set(dut.width, width)
        ctx.set(dut.shape, dict(count_right=right))
        for tap in taps:
            ctx.set(dut.taps.p, tap)
            ctx.set(dut.taps.valid, 1)
            await ctx.tick()
        ctx.set(dut.taps.valid, 0)
        await idle(ctx, dut.LATENCY)
        assert ctx.get(dut.idle)

    async def collect(ctx):
        now = 0
        sample = ctx.tick().sample(dut.taps.valid, dut.marks.valid, dut.marks.p)
        async for _, _, comes, valid, mark in sample:
            if valid:
                got.append((bool(mark.read), mark.count))
                times.append(now)
            now += bool(now or comes)

    run(dut, drive, background=[collect])
    assert got == want
    assert times == list(range(dut.LATENCY, dut.LATENCY + len(taps)))


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_reads(lanes, stall):
    """Each tap with its entries; the first operand of a place that is not read is dropped."""
    rng = random.Random(5)
    dut = shared(TapReads, 15, lanes, depth=TAPS[lanes], ahead=4)
    glb, pending, want = Buffer(random.Random(6), stall, SIZE), [], []
    for n in range(200):
        at, read, operand = rng.randrange(1 << 15), rng.randrange(4) > 0, rng.randrange(2)
        mark = dict(read=read, count=n % 16)
        pending.append((dict(mark=mark, at=at & 3, operand=operand), at))
        if read or not operand:
            entries = [glb.entry(at + lane) for lane in range(lanes)] if read else None
            want.append((operand, n % 16, entries))
    got, times = [], []

    async def drive(ctx):
        """One when there was room a cycle ago."""
        for item, at in pending:
            while not (await ctx.tick().sample(dut.room))[2] or rng.random() < stall:
                ctx.set(dut.pending.valid, 0)
            ctx.set(dut.pending.p, item)
            ctx.set(dut.address, at)
            ctx.set(dut.pending.valid, 1)
        await ctx.tick()
        ctx.set(dut.pending.valid, 0)

    async def take(ctx):
        await receive(ctx, dut.taps, len(want), got, stall=stall, times=times)
        await idle(ctx, 4)
        assert ctx.get(dut.idle)

    run(dut, drive, take, background=[glb.reader(dut), holds(dut.taps), holds(dut.request)])
    assert [(tap.operand, tap.mark.count) for tap in got] == [item[:2] for item in want]
    for tap, (_, _, entries) in zip(got, want, strict=True):
        if entries is not None:
            assert [entry & 0xFFFF for entry in list(tap.entries)[:lanes]] == entries
    if not stall:  # a tap a cycle, but for those that are dropped
        assert times[-1] - times[0] <= len(pending)


def taps_of(strip, store, shape):
    """[(addresses or None, last of its window)] of a strip, one for each tap of one operand."""
    pooled = store["pool"] != Pool.NONE
    kernel, width = (shape["kernel_x"], shape["width"]) if pooled else (1, 1 << 16)
    stride, first = (shape["stride_x"], shape["x_first"]) if pooled else (1, 0)
    for x in range(store["columns"]):
        left = x * stride + first
        for channel in range(0, store["out_block"], store["chunk"]):
            block, place = divmod(strip["place_a"] + channel, store["block"])
            places = range(kernel if left + kernel <= width else max(1, width - left))
            for row in range(max(1, strip["rows"])):
                for k in places:
                    at = strip["first_a"] - strip["place_a"] + place
                    at += block * store["block_stride"]
                    ring = strip["ring_row"] + row
                    at -= (ring >= store["ring"]) * store["ring"] * store["row_stride"]
                    at += row * store["row_stride"] + (x * stride + k) * store["column_stride"]
                    read = strip["rows"] and 0 <= left + k < width
                    last = row == max(1, strip["rows"]) - 1 and k == places[-1]
                    yield (at if read else None), last


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("pool", [Pool.NONE, Pool.MAX])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_reader(lanes, pool, stall):
    rng, dut, place = random.Random(7), shared(TapReader, 15, lanes), 15
    glb, chunk = Buffer(random.Random(6), stall, SIZE), min(lanes, 2)
    store = dict(pool=pool, ring=6, row_stride=300, column_stride=8, block=4 * chunk, columns=7)
    store |= dict(block_stride=1000, out_block=4 * chunk, chunk=chunk)
    shape = dict(kernel_x=3, stride_x=2, x_first=-1, width=12, height=99)
    strips, want = [], []
    for n in range(8):
        # After a strip that reads nothing the latency of the buffer shows again.
        rows = rng.randrange(0 if stall else 1, 4) if pool else 1
        ring_row = rng.randrange(6)
        strip = dict(first_a=9000 + 8 * n, ring_row=ring_row, wraps=ring_row == 5, rows=rows)
        strip |= dict(single=rows <= 1, count=rows, last=n == 7)
        strips.append(strip)
        want += taps_of(strip | dict(place_a=0), store, shape)
    step = (2 if pool else 1) * store["column_stride"]
    got, times = [], []

    async def offer(ctx):
        ctx.set(dut.store, store)
        ctx.set(dut.shape, shape)
        ctx.set(dut.offsets, dict(step_a=step, ring_back=-5 * 300 % (1 << 20)))
        await idle(ctx, 4)
        await send(ctx, dut.strips, strips, stall=stall)

    async def take(ctx):
        await receive(ctx, dut.taps, len(want), got, stall=stall, times=times)
        await idle(ctx, 8)
        assert ctx.get(dut.idle) and not ctx.get(dut.taps.valid)

    run(dut, offer, take, background=[glb.reader(dut), holds(dut.taps), holds(dut.request)])
    assert [bool(tap.mark.last) for tap in got] == [last for _, last in want]
    assert [bool(tap.mark.read) for tap in got] == [at is not None for at, _ in want]
    for tap, (at, _) in zip(got, want, strict=True):
        if at is not None:
            found = [entry & 0xFFFF for entry in list(tap.entries)[:chunk]]
            assert found == [glb.entry(at % (1 << place) + lane) for lane in range(chunk)]
    if not stall:  # from the first read on a tap a cycle, strips without a gap
        first = next(n for n, (at, _) in enumerate(want) if at is not None)
        assert times[first:] == list(range(times[first], times[first] + len(want) - first))
