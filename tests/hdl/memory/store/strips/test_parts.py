"""The parts of the walk of strips, each alone, driven as StripSequence does, against the loops of
StoreBody's docstring."""

import itertools
import random

import pytest

from hdl.isa import Pool
from hdl.memory.store.strips.coded import LengthTable
from hdl.memory.store.strips.limits import StripLimiter
from hdl.memory.store.strips.loops import StripLoops
from hdl.memory.store.strips.operands.channels import ChannelPointer
from hdl.memory.store.strips.operands.image import ImageBase
from hdl.memory.store.strips.operands.products import StripProducts
from hdl.memory.store.strips.operands.ring import RingPointer
from hdl.memory.store.strips.operands.rows import RowPointer
from hdl.memory.store.strips.output import StripOutput
from hdl.memory.store.strips.plain import NoTable
from hdl.memory.store.strips.row_address import RowAddress
from hdl.memory.store.strips.seek import RowSeek
from hdl.memory.store.strips.sequence import StripSequence
from hdl.memory.store.strips.target import StripTarget
from hdl.memory.store.strips.window import WindowRows
from hdl.memory.words import StripTurn
from tests.hdl.memory.store.strips.test_walker import rows_between
from tests.hdl.streams import holds, idle, receive, run, run_combinational, shared

ADDRESS, PLACE = 25, 15
STALLS = pytest.mark.parametrize("stall", [0.0, 0.4])
FLAGS = [*StripTurn.as_shape().members]


def turns(counts, *, down=lambda image, row: 0, along=1):
    """The cycles of a command's walk, (flags that are set, (image, row, block)): "offer" is no
    flag, a strip comes with the next cycle. down: rows that the pointers go from the row before;
    along: cycles in which they go along the channels."""
    images, rows, blocks = counts
    first = (0, 0, 0)
    yield ["waiting"], first
    yield from [(["multiply"], first)] * 5
    for image, row in itertools.product(range(images), range(rows)):
        here = (image, row, 0)
        if row == 0:
            yield ["new_image"], here
        yield ["new_row"], here
        yield ["bounds"], here
        for _ in range(down(image, row)):
            yield ["seek"], here
            yield ["seek", "step"], here
        yield from [(["seek"], here)] * 2
        for block in range(blocks):
            ends = ["ends_row"] if block == blocks - 1 else []
            ends += ["ends_image"] if ends and row == rows - 1 else []
            ends += ["ends_all"] if len(ends) == 2 and image == images - 1 else []
            yield ["offer"], (image, row, block)
            yield ["emit", *ends], (image, row, block)
            yield from [(["along"], (image, row, block + 1))] * (along * (not ends))


async def follow(ctx, now, walk, look, *, stall=0.0, rng=None):
    """Sets `now` cycle for cycle, and calls `look` in each; where the walk may wait it does."""
    for flags, at in walk:
        waits = flags[0] in ("waiting", "multiply", "offer") or flags == ["seek"]
        while True:
            again = waits and rng is not None and rng.random() < stall
            ctx.set(now, {n: n in flags or (n == "waits" and "emit" not in flags) for n in FLAGS})
            if not again:
                look(flags, at)
            await ctx.tick()
            if not again:
                break


def check_strips(dut, given, counts, want, stall, rng, look=lambda ctx, flags, at: None, **how):
    """With the inputs `given`, `want(*place)` holds at every strip of two commands."""
    strips = []

    async def bench(ctx):
        def at_cycle(flags, at):
            look(ctx, flags, at)
            if "emit" in flags:
                strips.append(at)
                got = {name: ctx.get(getattr(dut, name)) for name in want(*at)}
                assert got == want(*at), at

        for name, value in given.items():
            ctx.set(getattr(dut, name), value)
        await idle(ctx, 3)
        for _ in range(2):  # the second begins as the first one ends
            await follow(ctx, dut.now, turns(counts, **how), at_cycle, stall=stall, rng=rng)

    run(dut, bench)
    assert strips == 2 * [*itertools.product(*map(range, counts))]


# ---- addresses in memory --------------------------------------------------------------------
@STALLS
def test_row_address(stall):
    dut, rng = shared(RowAddress, ADDRESS), random.Random(1)
    for _ in range(4):
        given = {name: rng.getrandbits(ADDRESS) for name in ("begin", "by_image", "by_row")}

        def want(image, row, block, given=given):
            at = given["begin"] + image * given["by_image"] + row * given["by_row"]
            return {"at": at % 2**ADDRESS}

        check_strips(dut, given, (3, 4, 2), want, stall, rng)


@STALLS
def test_target(stall):
    dut, rng = shared(StripTarget, ADDRESS), random.Random(2)
    store = dict(dram=2 * rng.getrandbits(23), out_image_stride=rng.getrandbits(25))
    store |= dict(out_row_stride=rng.getrandbits(24), out_block_stride=rng.getrandbits(24))

    def want(image, row, block):
        at = store["dram"] + image * store["out_image_stride"] + row * store["out_row_stride"]
        return {"at": (at + block * store["out_block_stride"]) % 2**ADDRESS}

    check_strips(dut, {"store": store}, (2, 3, 4), want, stall, rng)


@STALLS
def test_length_table(stall):
    dut, rng = shared(LengthTable, ADDRESS), random.Random(3)
    store = dict(table=2 * rng.getrandbits(23), out_image_stride=rng.getrandbits(25))
    store["table_row"] = rng.getrandbits(16)

    def want(image, row, block):
        at = store["table"] + image * store["out_image_stride"] + row * store["table_row"]
        return {"table": (at + 2 * block) % 2**ADDRESS}

    def look(ctx, flags, at):
        ctx.set(dut.block, at[2])

    check_strips(dut, {"store": store}, (2, 3, 4), want, stall, rng, look)


@pytest.mark.parametrize("coded", [True, False])
def test_excess(coded):
    """2**17 entries are too many of a coded strip, 2**20 of another."""
    dut = shared(LengthTable, ADDRESS) if coded else NoTable()

    async def bench(ctx):
        for rlc, bits, less in itertools.product((0, 1), (*range(10, 27),), (0, 1)):
            entries = (1 << bits) - less
            ctx.set(dut.store, {"rlc": rlc})
            ctx.set(dut.entries, entries)
            await ctx.delay(1e-7)
            assert ctx.get(dut.excess) == (entries >= 1 << (17 if rlc and coded else 20))

    run_combinational(dut, bench)


# ---- loops ----------------------------------------------------------------------------------
@STALLS
@pytest.mark.parametrize("counts", [(1, 1, 1), (3, 2, 4), (1, 3, 1), (2, 1, 2)])
def test_loops(counts, stall):
    dut, rng = shared(StripLoops), random.Random(4)
    store = dict(zip(("images", "rows", "blocks"), counts, strict=True))

    def look(ctx, flags, at):
        if flags == ["offer"]:
            ends = [index == count - 1 for index, count in zip(at, counts, strict=True)]
            last = ctx.get(dut.last)
            assert [last.image, last.row, last.block] == ends, at

    def want(image, row, block):
        return {"block": block}

    check_strips(dut, {"store": store}, counts, want, stall, rng, look)


def test_seek():
    dut, rng = shared(RowSeek), random.Random(5)

    async def bench(ctx):
        row = None
        for _ in range(600):
            new, step = row is None or rng.random() < 0.05, rng.random() < 0.5
            goal = (row or 0) + rng.choice([0, 0, 1, 2, 1 << 16])
            ctx.set(dut.now, {"new_image": new, "step": step and not new})
            ctx.set(dut.goal, goal)
            await ctx.tick()
            assert row is None or ctx.get(dut.found) == (row == goal)
            row = 0 if new else row + step

    run(dut, bench)


SEQUENCE_CASES = [((1, 1, 1), 0, 1), ((2, 3, 4), 2, 1), ((3, 2, 3), 1, 3), ((1, 4, 1), 5, 1)]


@STALLS
@pytest.mark.parametrize("counts, down, along", SEQUENCE_CASES)
def test_sequence(counts, down, along, stall):
    """Cycle for cycle what `turns` does; where there is no room, later."""
    dut, rng = shared(StripSequence), random.Random(6)
    expected = [flags for flags, _ in turns(counts, down=lambda *_: down, along=along)]
    expected = [set(flags) - {"offer"} for flags in expected]
    places = [*itertools.product(*map(range, counts))]

    async def command(ctx):
        seen, at, products, left, went = [], 0, 0, 0, 0
        assert ctx.get(dut.idle)
        while not seen or not ctx.get(dut.idle):
            now = ctx.get(dut.now)
            products = products + 1 if now.multiply else 0
            left = down if now.bounds else left
            went = went + 1 if now.along else 0
            at += now.emit
            ends = [n == count - 1 for n, count in zip(places[at % len(places)], counts)]
            for name, value in dict(
                start=now.waiting,
                multiplied=products == 5,
                found=left == 0,
                again=went < along,
                room=rng.random() >= stall,
                last=dict(zip(("image", "row", "block"), ends, strict=True)),
            ).items():
                ctx.set(getattr(dut, name), value)
            now = ctx.get(dut.now)
            assert now.waits == (not now.emit)
            seen.append({name for name in FLAGS if now[name]} - {"waits"})
            left -= now.step
            await ctx.tick()
        assert at == len(places)
        return seen

    async def bench(ctx):
        for _ in range(2):
            seen = await command(ctx)
            if stall:
                assert [f for f in seen if f] == [f for f in expected if f]
            else:
                assert seen == expected

    run(dut, bench)


def test_sequence_stops_at_excess():
    dut = shared(StripSequence)

    async def bench(ctx):
        for name in ("start", "multiplied", "excess", "found", "room"):
            ctx.set(getattr(dut, name), 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for _ in range(3):
            await ctx.tick()
        for _ in range(20):
            assert ctx.get(dut.too_long) and not ctx.get(dut.now.emit)
            await ctx.tick()

    run(dut, bench)


# ---- rows -----------------------------------------------------------------------------------
def test_limits():
    dut, rng = shared(StripLimiter), random.Random(7)

    async def bench(ctx):
        for _ in range(60):
            pool, ring = rng.choice([*Pool]), rng.choice([1, 2, 3, rng.randint(1, 65535)])
            shape = dict(
                height=rng.getrandbits(16), kernel_y=rng.getrandbits(8),
                stride_y=rng.getrandbits(8), stride_x=rng.getrandbits(8),
                y_first=rng.randint(-99, 99), x_first=rng.randint(-99, 99),
            )  # fmt: skip
            ctx.set(dut.store, dict(pool=pool, ring=ring))
            ctx.set(dut.shape, shape)
            await idle(ctx, 2)
            limits = ctx.get(dut.limits)
            names = ("height", "kernel", "stride_y", "stride_x", "y_first", "x_first")
            got = [limits[name] for name in names]
            assert got == ([1 << 16, 1, 1, 1, 0, 0] if pool == Pool.NONE else [*shape.values()])
            assert limits.ring_last == ring - 1
            assert limits.ring_one == (ring == 1)
            assert ring == 1 or limits.ring_before == ring - 2

    run(dut, bench)


@STALLS
def test_window(stall):
    dut, rng = shared(WindowRows), random.Random(8)
    for _ in range(6):
        limits = dict(
            height=rng.randint(1, 12), kernel=rng.randint(1, 5), stride_y=rng.randint(1, 4),
            y_first=rng.randint(-6, 3),
        )  # fmt: skip
        count_top, count_bottom = rng.randint(-4, 4), rng.randint(2, 12)

        def top(row, limits=limits):
            return limits["y_first"] + row * limits["stride_y"]

        def want(image, row, block, limits=limits, bounds=(count_top, count_bottom), top=top):
            kernel = limits["kernel"]
            return {
                "first": max(top(row), 0),
                "rows": rows_between(top(row), kernel, 0, limits["height"]),
                "count": rows_between(top(row), kernel, *bounds),
            }

        def look(ctx, flags, at, top=top):
            if "seek" in flags:
                assert ctx.get(dut.first) == max(top(at[1]), 0)

        given = dict(limits=limits, count_top=count_top, count_bottom=count_bottom)
        check_strips(dut, given, (2, 5, 2), want, stall, rng, look)


def steps_down(rng, images, rows):
    """By (image, row), steps to it, and rows gone down the image with it."""
    steps = {at: rng.randrange(4) for at in itertools.product(range(images), range(rows))}
    gone = {(image, row): sum(steps[image, n] for n in range(row + 1)) for image, row in steps}
    return steps, gone


@STALLS
@pytest.mark.parametrize("ring", [1, 2, 3, 9, 50])
def test_ring_pointer(ring, stall):
    dut, rng = shared(RingPointer, PLACE), random.Random(ring)
    steps, gone = steps_down(rng, 2, 5)
    row_first, stride = rng.randrange(ring), rng.getrandbits(PLACE)
    given = dict(
        limits=dict(ring_last=ring - 1, ring_before=(ring - 2) % 2**16, ring_one=ring == 1),
        row_first=row_first,
        offset=row_first * stride % 2**PLACE,
        stride=stride,
        image=rng.getrandbits(PLACE),
    )

    def want(image, row, block):
        place = (row_first + gone[image, row]) % ring
        address = (given["image"] + place * stride) % 2**PLACE
        return {"row": place, "wraps": place == ring - 1, "address": address}

    check_strips(dut, given, (2, 5, 2), want, stall, rng, down=lambda *at: steps[at])


@STALLS
def test_row_pointer(stall):
    dut, rng = shared(RowPointer, PLACE), random.Random(9)
    steps, gone = steps_down(rng, 2, 5)
    given = {name: rng.getrandbits(PLACE) for name in ("stride", "image")}

    def want(image, row, block):
        return {"address": (given["image"] + gone[image, row] * given["stride"]) % 2**PLACE}

    check_strips(dut, given, (2, 5, 2), want, stall, rng, down=lambda *at: steps[at])


@STALLS
def test_image_base(stall):
    dut, rng = shared(ImageBase, PLACE), random.Random(10)
    given = {name: rng.getrandbits(PLACE) for name in ("base", "stride", "product")}
    multiplies = []

    def look(ctx, flags, at):
        multiplies.append(flags == ["multiply"])
        ctx.set(dut.first, multiplies[-3:] == [False, True, True])  # once a command
        ctx.set(dut.product, given["product"] if flags == ["multiply"] else rng.getrandbits(PLACE))

    def want(image, row, block):
        at = given["base"] + given["product"] + image * given["stride"]
        return {"address": at % 2**PLACE}

    check_strips(dut, given, (3, 2, 2), want, 0.0, rng, look)


# ---- channels -------------------------------------------------------------------------------
@STALLS
@pytest.mark.parametrize("used", [1, 0])
def test_channels(used, stall):
    """As many cycles along as blocks of the tile are gone over, one at least."""
    dut, rng = shared(ChannelPointer, PLACE), random.Random(11)

    async def bench(ctx):
        for _ in range(12):
            chunk = rng.randint(1, 4)
            block, out_block = (chunk * rng.randint(1, 8) for _ in range(2))
            row, stride = (rng.getrandbits(PLACE) for _ in range(2))
            for name, value in dict(
                row=row, block=block, block_stride=stride, out_block=out_block, chunk=chunk,
                used=used,
            ).items():  # fmt: skip
                ctx.set(getattr(dut, name), value)
            ctx.set(dut.now, {"waits": 1})
            await idle(ctx, 3)
            ctx.set(dut.now, {"waits": 1, "seek": 1})
            await idle(ctx, 2)
            for n in range(6):
                ctx.set(dut.now, {"waits": 1})
                await ctx.tick()  # the strip is offered
                while rng.random() < stall:
                    await ctx.tick()
                gone, place = divmod(n * out_block, block)
                if used:
                    address = row + gone * stride + place
                    assert ctx.get(dut.address) == address % 2**PLACE
                    assert ctx.get(dut.place) == place
                    assert ctx.get(dut.ends) == (place + chunk == block)
                ctx.set(dut.now, {"emit": 1})
                await ctx.tick()
                ctx.set(dut.now, {"waits": 1, "along": 1})
                cycles = 1
                while ctx.get(dut.again):
                    await ctx.tick()
                    cycles += 1
                await ctx.tick()
                blocks = (n + 1) * out_block // block - gone
                assert cycles == (max(1, blocks) if used else 1)

    run(dut, bench)


# ---- products -------------------------------------------------------------------------------
@pytest.mark.parametrize("place", [15, 20])
def test_products(place):
    dut, rng = shared(StripProducts, place), random.Random(12)

    async def bench(ctx):
        for _ in range(20):
            ring = rng.choice([1, 2, rng.randint(1, 60000)])
            stride_x, x_first = rng.getrandbits(8), rng.randrange(-1 << 15, 1 << 15)
            store = dict(
                column_stride=rng.getrandbits(20), row_stride=rng.getrandbits(20),
                row_first=rng.randrange(ring), out_block=rng.getrandbits(11),
                columns=rng.getrandbits(16),
            )  # fmt: skip
            shape = dict(column_stride=rng.getrandbits(20))
            limits = dict(
                ring_before=(ring - 2) % 2**16, ring_one=ring == 1, stride_x=stride_x,
                x_first=x_first,
            )  # fmt: skip
            strides = [store["column_stride"], shape["column_stride"]]

            ctx.set(dut.restart, 1)
            await idle(ctx, rng.randint(1, 3))
            ctx.set(dut.store, store)
            ctx.set(dut.shape, shape)
            ctx.set(dut.limits, limits)
            ctx.set(dut.restart, 0)
            for cycle in range(1, 14):
                assert ctx.get(dut.first) == {3: 1, 4: 2}.get(cycle, 0)
                assert ctx.get(dut.done) == (cycle == 6)
                if cycle in (3, 4):
                    assert ctx.get(dut.product) == x_first * strides[cycle - 3] % 2**place
                if cycle > 6:
                    offset = store["row_first"] * store["row_stride"]
                    assert ctx.get(dut.ring_offset) == offset % 2**place
                    assert ctx.get(dut.entries) == store["out_block"] * store["columns"]
                if cycle >= 10:
                    offsets = ctx.get(dut.offsets)
                    products = [stride_x * stride for stride in strides]
                    products.append((1 - ring) * store["row_stride"])
                    got = [offsets.step_a, offsets.step_b, offsets.ring_back]
                    assert [value % 2**place for value in got] == [
                        product % 2**place for product in products
                    ]
                await ctx.tick()

    run(dut, bench)


# ---- strips ---------------------------------------------------------------------------------
@STALLS
@pytest.mark.parametrize("narrow", [0, 1])
def test_output(narrow, stall):
    """A strip goes to both, and the next comes only when both have it."""
    dut, rng = shared(StripOutput), random.Random(13)
    entries, each = rng.randint(1, 5000), 2 - narrow  # bytes of one
    given = [
        dict(
            first_a=rng.getrandbits(20), rows=rng.getrandbits(8), at=each * rng.getrandbits(30),
            table=rng.getrandbits(32), last=rng.getrandbits(1),
        )
        for _ in range(60)
    ]  # fmt: skip
    strips, writes = [], []

    async def put(ctx):
        ctx.set(dut.entries, entries)
        ctx.set(dut.narrow, narrow)
        for strip in given:
            while not ctx.get(dut.room) or rng.random() < stall:
                await ctx.tick()
            ctx.set(dut.strip, {name: strip[name] for name in ("first_a", "rows")})
            ctx.set(dut.at, strip["at"])
            ctx.set(dut.table, strip["table"])
            ctx.set(dut.now, {"emit": 1, "ends_all": strip["last"]})
            await ctx.tick()
            ctx.set(dut.now, {})
            assert ctx.get(dut.strips.valid) and ctx.get(dut.writes.valid)
            ctx.set(dut.at, rng.getrandbits(32))

    async def take(ctx, port, out, seed):
        await receive(ctx, port, len(given), out, stall=stall, rng=random.Random(seed))
        await idle(ctx, 5)
        assert not ctx.get(port.valid)

    run(
        dut,
        put,
        lambda ctx: take(ctx, dut.strips, strips, 1),
        lambda ctx: take(ctx, dut.writes, writes, 2),
        background=[holds(dut.strips), holds(dut.writes)],
    )
    assert [(s.first_a, s.rows, s.lane, s.last) for s in strips] == [
        (g["first_a"], g["rows"], g["at"] & 7, g["last"]) for g in given
    ]
    assert [
        (w.table, w.range.begin, w.range.bytes, w.range.request.address, w.range.request.last)
        for w in writes
    ] == [(g["table"], g["at"], each * entries, g["at"] & ~7, g["last"]) for g in given]
    for strip, write in zip(given, writes, strict=True):
        words = ((strip["at"] + each * entries + 7) >> 3) - (strip["at"] >> 3)
        assert write.range.request.words == words
