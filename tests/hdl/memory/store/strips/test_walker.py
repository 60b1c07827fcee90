"""The walk of strips against the loops of StoreBody's docstring."""

import itertools
import random

import pytest

from hdl.isa import Pool
from hdl.memory.store.strips.walker import StripWalker
from tests.hdl.streams import holds, idle, receive, run, shared

BUILDS = {"all": {}, "small": dict(place=15, address=25, lanes=1, rlc=False)}


def random_command(rng, lanes, rlc):
    """(store, shape) whose strips are not too long."""
    chunk = rng.randrange(1, lanes + 1)
    ring = rng.randrange(1, 9)
    coded = rng.randrange(2) * rlc
    narrow = rng.randrange(2) & ~coded
    each = 2 - narrow  # what addresses and strides are multiples of

    def operand():
        names = ("base", "image_stride", "row_stride", "column_stride", "block_stride")
        return {name: rng.randrange(1 << 15) for name in names} | dict(
            block=chunk * rng.randrange(1, 5)
        )

    store = operand() | dict(
        ring=ring,
        row_first=rng.randrange(ring),
        dram=each * rng.randrange(1 << 22),
        table=2 * rng.randrange(1 << 22),
        table_row=2 * rng.randrange(1 << 10),
        out_image_stride=each * rng.randrange(1 << 20),
        out_row_stride=each * rng.randrange(1 << 20),
        out_block_stride=each * rng.randrange(1 << 20),
        images=rng.randrange(1, 4),
        rows=rng.randrange(1, 6),
        blocks=rng.randrange(1, 5),
        columns=rng.randrange(1, 99),
        out_block=chunk * rng.randrange(1, 6),
        chunk=chunk,
        pool=rng.choice(list(Pool)),
        add=rng.randrange(2),
        rlc=coded,
        narrow=narrow,
    )
    shape = operand() | dict(
        kernel_y=rng.randrange(1, 6),
        stride_y=rng.randrange(1, 4),
        stride_x=rng.randrange(1, 4),
        y_first=rng.randrange(-4, 3),
        x_first=rng.randrange(-4, 3),
        height=rng.randrange(1, 20),
        count_top=rng.randrange(-4, 4),
        count_bottom=rng.randrange(2, 20),
    )
    return store, shape


def rows_between(top, kernel, low, high):
    return max(0, min(top + kernel, high) - max(top, low))


def operand(body, n, row, image, x_first, channel, chunk):
    """The fields of a strip that are of operand `n`, modulo an address."""
    block, place = divmod(channel, body["block"])
    at = body["base"] + image * body["image_stride"] + x_first * body["column_stride"]
    at += row * body["row_stride"] + block * body["block_stride"] + place
    return {
        f"first_{n}": at,
        f"place_{n}": place,
        f"ends_{n}": place + chunk == body["block"],
    }


def expected(store, shape, place, address, rlc):
    """[(strip, write)] of a command, in order."""
    out = []
    pooled = store["pool"] != Pool.NONE
    loops = [store[name] for name in ("images", "rows", "blocks")]
    for image, row, block in itertools.product(*map(range, loops)):
        top = row * shape["stride_y"] + shape["y_first"] if pooled else row
        kernel, height = (shape["kernel_y"], shape["height"]) if pooled else (1, 1 << 16)
        x_first, first = shape["x_first"] if pooled else 0, max(top, 0)
        rows = rows_between(top, kernel, 0, height)
        ring_row = (store["row_first"] + first) % store["ring"]
        channel, chunk = block * store["out_block"], store["chunk"]
        dram = store["dram"] + image * store["out_image_stride"] + row * store["out_row_stride"]
        dram = (dram + block * store["out_block_stride"]) % (1 << address)
        table = store["table"] + image * store["out_image_stride"] + row * store["table_row"]
        size, lane = store["out_block"] * store["columns"], dram & 7
        size *= 2 - store["narrow"]
        last = [image, row, block] == [count - 1 for count in loops]
        strip = operand(store, "a", ring_row, image, x_first, channel, chunk)
        if store["add"]:
            strip |= operand(shape, "b", first, image, x_first, channel, chunk)
        for name in strip.keys() & {"first_a", "first_b"}:
            strip[name] %= 1 << place
        strip |= dict(
            ring_row=ring_row,
            wraps=ring_row == store["ring"] - 1,
            rows=rows,
            single=rows <= 1,
            count=rows_between(top, kernel, shape["count_top"], shape["count_bottom"]),
            lane=lane,
            last=last,
        )
        write = dict(
            table=(table + 2 * block) % (1 << address) if rlc else 0,
            begin=dram,
            bytes=size,
            address=dram & ~7,
            words=(size + lane + 7) // 8,
            last=last,
        )
        out.append((strip, write))
    return out


def walk(dut, store, shape, count, stall=0.0):
    """(strips, writes, cycles in which strips came) of a command."""
    strips, writes, times = [], [], []

    async def start(ctx):
        ctx.set(dut.store, store)
        ctx.set(dut.shape, shape)
        await idle(ctx, 3)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)

    async def finish(ctx):
        await receive(ctx, dut.strips, count, strips, stall=stall, times=times)
        while len(writes) < count:
            await ctx.tick()
        await idle(ctx, 6)
        assert ctx.get(dut.idle) and not ctx.get(dut.strips.valid)

    run(
        dut,
        start,
        finish,
        lambda ctx: receive(ctx, dut.writes, count, writes, stall=stall),
        background=[holds(dut.strips, "strips"), holds(dut.writes, "writes")],
    )
    return strips, writes, times


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_strips(build, stall):
    dut, rng = shared(StripWalker, **BUILDS[build]), random.Random(5)
    for _ in range(8):
        store, shape = random_command(rng, dut.lanes, dut.rlc)
        want = expected(store, shape, dut.place, dut.address, dut.rlc)
        strips, writes, _ = walk(dut, store, shape, len(want), stall)
        assert len(strips) == len(writes) == len(want)
        for strip, write, (of_strip, of_write) in zip(strips, writes, want):
            assert {name: strip[name] for name in of_strip} == of_strip
            span = write.range
            assert of_write == dict(
                table=write.table,
                begin=span.begin,
                bytes=span.bytes,
                address=span.request.address,
                words=span.request.words,
                last=span.request.last,
            )


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("blocks_gone_over", [0, 1, 3])
def test_cycles(build, blocks_gone_over):
    """Three cycles a strip, one more for each block of the tile beyond one."""
    dut = shared(StripWalker, **BUILDS[build])
    store = dict(block=4, ring=9, images=1, rows=1, blocks=9, columns=3, chunk=1)
    store["out_block"] = 4 * (blocks_gone_over + 1) if blocks_gone_over else 1
    strips, _, times = walk(dut, store, {}, 9)
    gone_over = [(s + 1) * store["out_block"] // 4 - s * store["out_block"] // 4 for s in range(8)]
    between = [after - before for before, after in zip(times, times[1:])]
    assert between == [3 + max(0, number - 1) for number in gone_over]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("rlc", [0, 1])
@pytest.mark.parametrize("columns", [(1 << 9) - 1, 1 << 9, (1 << 12) - 1, 1 << 12])
def test_too_long(build, columns, rlc):
    """2**17 entries are too many of a coded strip, 2**20 of another."""
    dut = shared(StripWalker, **BUILDS[build])
    long = 256 * columns >= 1 << (17 if rlc and dut.rlc else 20)
    store = dict(block=256, ring=1, images=1, rows=1, blocks=1, columns=columns, chunk=1)
    store |= dict(out_block=256, rlc=rlc)

    async def start(ctx):
        ctx.set(dut.store, store)
        await idle(ctx, 3)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await idle(ctx, 30)
        assert ctx.get(dut.too_long) == long
        assert ctx.get(dut.strips.valid) == ctx.get(dut.writes.valid) == (not long)

    run(dut, start)
