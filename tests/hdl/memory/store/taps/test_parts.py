"""The parts of the walk of taps, each alone, driven as TapWalk does, and TapWalk: against loops."""

import itertools
import random
from types import SimpleNamespace

import pytest

from hdl.isa import Pool
from hdl.memory.store.taps.address import TapAddress
from hdl.memory.store.taps.columns import ChunkWalk, ColumnWalk, RowWalk
from hdl.memory.store.taps.flags import TapFlagger
from hdl.memory.store.taps.limits import TapLimiter
from hdl.memory.store.taps.walk import TapWalk
from tests.hdl.streams import idle, run, send, shared

PLACE = 15
STALLS = pytest.mark.parametrize("stall", [0.0, 0.4])
CASES = pytest.mark.parametrize("case", range(6))


# ---- a command and its loops ----------------------------------------------------------------
def random_command(rng, *, pool=None, add=0):
    """(store, shape, strips)."""
    chunk, ring = rng.randint(1, 4), rng.randint(1, 6)

    def operand():
        return dict(
            block=chunk * rng.randint(1, 3), block_stride=rng.getrandbits(PLACE),
            row_stride=rng.getrandbits(PLACE), column_stride=rng.getrandbits(PLACE),
        )  # fmt: skip

    store = operand() | dict(
        pool=rng.choice([*Pool]) if pool is None else pool, add=add, ring=ring, chunk=chunk,
        columns=rng.randint(1, 5), out_block=chunk * rng.randint(1, 4),
    )  # fmt: skip
    shape = operand() | dict(
        kernel_x=rng.randint(1, 4), stride_x=rng.randint(1, 3), x_first=rng.randint(-3, 2),
        width=rng.randint(3, 9), count_left=rng.randint(-3, 3),
    )  # fmt: skip
    strips = []
    for _ in range(4):
        rows, ring_row = rng.randint(0, 4) if store["pool"] else 1, rng.randrange(ring)
        places = [chunk * rng.randrange(body["block"] // chunk) for body in (store, shape)]
        ends = [place + chunk == b["block"] for place, b in zip(places, (store, shape))]
        strips.append(
            dict(
                first_a=rng.getrandbits(PLACE), first_b=rng.getrandbits(PLACE), place_a=places[0],
                place_b=places[1], ends_a=ends[0], ends_b=ends[1], ring_row=ring_row,
                wraps=ring_row == ring - 1, rows=rows, single=rows <= 1, count=rng.randrange(5),
                lane=rng.randrange(8),
            )
        )  # fmt: skip
    strips[-1]["last"] = 1
    return store, shape, strips


def limits_of(store, shape):
    """What TapLimits says."""
    pooled, chunk, ring = store["pool"] != Pool.NONE, store["chunk"], store["ring"]
    kernel, width = (shape["kernel_x"], shape["width"]) if pooled else (1, 1 << 16)
    return dict(
        kernel=kernel,
        kernel_before=(kernel - 2) % 2**8,
        kernel_one=kernel == 1,
        width=width,
        width_before=width - 2,
        stride=shape["stride_x"] if pooled else 1,
        first=shape["x_first"] if pooled else 0,
        columns_left=store["columns"] - 1,
        columns_one=store["columns"] == 1,
        chunk=chunk,
        block_left=store["out_block"] - chunk,
        block_one=store["out_block"] == chunk,
        ring_before=(ring - 2) % 2**16,
        ring_one=ring == 1,
        operands=[
            dict(
                place_before=(body["block"] - 2 * chunk) % 2**11,
                place_one=body["block"] == chunk,
                jump=(body["block_stride"] - body["block"] + chunk) % 2**20,
            )
            for body in (store, shape)
        ],
    )


def offsets_of(store, shape):
    stride = limits_of(store, shape)["stride"]
    back = (1 - store["ring"]) * store["row_stride"]
    steps = [stride * body["column_stride"] for body in (store, shape)]
    return dict(step_a=steps[0] % 2**20, step_b=steps[1] % 2**20, ring_back=back % 2**20)


def places_at(limits, x):
    """Places in a row of window x, to the tile's right edge; one at least."""
    left = limits["first"] + x * limits["stride"]
    return max(1, min(limits["kernel"], limits["width"] - left))


def taps_of(store, shape, strips):
    """Every tap of one operand, with its indices, last-iteration flags and addresses."""
    limits, taps = limits_of(store, shape), []
    columns, chunks = store["columns"], store["out_block"] // store["chunk"]
    loops = itertools.product(range(len(strips)), range(columns), range(chunks))
    for n, x, chunk in loops:
        strip, places = strips[n], places_at(limits, x)
        rows = max(1, strip["rows"])
        for row, place in itertools.product(range(rows), range(places)):
            tap = SimpleNamespace(n=n, x=x, chunk=chunk, row=row, place=place, strip=strip)
            tap.last_x, tap.last_y = place == places - 1, row == rows - 1
            tap.last_chunk, tap.last_column = chunk == chunks - 1, x == columns - 1
            tap.window = tap.last_x and tap.last_y
            tap.turn = tap.window and tap.last_chunk
            tap.left, tap.address = limits["first"] + x * limits["stride"], []
            for body, letter, ring in ((store, "a", store["ring"]), (shape, "b", 1 << 30)):
                first = strip[f"place_{letter}"]
                block, channel = divmod(first + chunk * store["chunk"], body["block"])
                at = strip[f"first_{letter}"] + block * body["block_stride"] + channel - first
                wrapped = (strip["ring_row"] + row) // ring * ring
                at += (row - wrapped) * body["row_stride"]
                at += (x * limits["stride"] + place) * body["column_stride"]
                tap.address.append(at % 2**PLACE)
            taps.append(tap)
    return taps


def now_of(tap, turn, follows):
    """A cycle of the walk, at a tap or before the first."""
    names = ("last_x", "last_y", "last_chunk", "last_column", "window", "turn")
    x, y, chunk, column, window, all_chunks = (
        [bool(getattr(tap, name)) for name in names] if tap else [True] * 6
    )
    flags = dict(x=x, y=y, chunk=chunk, column=column, window=window, turn=all_chunks)
    ends = turn and all_chunks
    return dict(
        flags=flags | {"strip": all_chunks and column}, turn=turn, follows=follows,
        window=turn and window, column=ends, begins=ends and (not column or follows),
    )  # fmt: skip


async def follow(ctx, dut, taps, look, *, stall=0.0, rng=None):
    """Turn by turn through the taps: `look(tap, following tap or None)` in the cycle of each, with
    the strip of the next window set. Of a ColumnWalk a strip waits while it is `stale`."""
    for at, tap in enumerate([None, *taps]):
        following = taps[at] if at < len(taps) else None
        if hasattr(dut, "strip") and following:
            ctx.set(dut.strip, following.strip)
        while rng is not None and rng.random() < stall:
            ctx.set(dut.now, now_of(tap, False, False))
            await ctx.tick()
        ends = tap is None or (tap.turn and tap.last_column)
        stale = hasattr(dut, "stale") and ctx.get(dut.stale)
        ctx.set(dut.now, now_of(tap, True, bool(ends and following and not stale)))
        if tap:
            look(tap, following)
        await ctx.tick()
        if ends and following and stale:
            ctx.set(dut.now, now_of(None, True, True))
            await ctx.tick()


def check_parts(part, case, stall, given, look):
    """`look(ctx, dut, command, tap, following)` at each tap of a random command."""
    dut, rng = part, random.Random(case)
    # every other case in windows, else entry by entry
    store, shape, strips = random_command(rng, pool=Pool.MAX if case % 3 else None)
    taps = taps_of(store, shape, strips)
    limits = limits_of(store, shape)
    seen = []

    async def bench(ctx):
        for name, value in given(store, shape, limits).items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.now, {})
        await idle(ctx, 3)

        def at_tap(tap, following):
            seen.append(tap)
            look(ctx, store, limits, tap, following)

        await follow(ctx, dut, taps, at_tap, stall=stall, rng=rng)

    run(dut, bench)
    assert len(seen) == len(taps)


# ---- parts ----------------------------------------------------------------------------------
def test_limiter():
    dut, rng = shared(TapLimiter), random.Random(1)

    async def bench(ctx):
        for _ in range(60):
            store, shape, _ = random_command(rng)
            ctx.set(dut.store, store)
            ctx.set(dut.shape, shape)
            ctx.set(dut.chunk, store["chunk"])
            await idle(ctx, 2)
            limits, want = ctx.get(dut.limits), limits_of(store, shape)
            operands = want.pop("operands")
            assert {name: limits[name] for name in want} == want
            for n, operand in enumerate(operands):
                assert {name: limits.operands[n][name] for name in operand} == operand

    run(dut, bench)


@STALLS
@CASES
def test_rows(case, stall):
    dut = shared(RowWalk)

    def look(ctx, store, limits, tap, following):
        rows, ring = tap.strip["rows"], store["ring"]
        assert ctx.get(dut.some) == (rows > 0)
        if rows:
            assert ctx.get(dut.two) == (rows - tap.row <= 2)
            assert ctx.get(dut.wraps) == ((tap.strip["ring_row"] + tap.row) % ring == ring - 1)

    check_parts(dut, case, stall, lambda store, shape, limits: {"limits": limits}, look)


@STALLS
@CASES
def test_chunks(case, stall):
    dut = shared(ChunkWalk)

    def look(ctx, store, limits, tap, following):
        chunks, size = store["out_block"] // store["chunk"], store["chunk"]
        if not tap.last_chunk:
            assert ctx.get(dut.final) == (tap.chunk == chunks - 2)
        for n, letter in enumerate("ab"):
            block = limits["operands"][n]
            whole = (block["place_before"] + 2 * size) % 2**11
            place = (tap.strip[f"place_{letter}"] + tap.chunk * size) % whole
            assert ctx.get(dut.ends) >> n & 1 == (place + size == whole)

    check_parts(dut, case, stall, lambda store, shape, limits: {"limits": limits}, look)


@STALLS
@CASES
def test_columns(case, stall):
    dut = shared(ColumnWalk)
    counts = {}

    def given(store, shape, limits):
        counts["left"] = shape["count_left"]
        return {"limits": limits, "count_left": shape["count_left"]}

    def look(ctx, store, limits, tap, following):
        column, places = ctx.get(dut.column), places_at(limits, tap.x)
        assert ctx.get(dut.walking)
        assert [column.left, column.right] == [tap.left, tap.left + limits["kernel"]]
        assert column.low == max(tap.left, counts["left"])
        assert [column.lane, column.tall] == [tap.strip["lane"], tap.strip["count"]]
        assert ctx.get(dut.row_one) == (places == 1)
        if places > 1:
            assert ctx.get(dut.row_before) == places - 2
        if tap.turn and following:
            assert ctx.get(dut.final) == following.last_column
            if not tap.last_column or not ctx.get(dut.stale):
                assert ctx.get(dut.rest_one) == (places_at(limits, following.x) == 1)

    check_parts(dut, case, stall, given, look)


@STALLS
@CASES
def test_flags(case, stall):
    """Each tap's, when what is known of the next one is told."""
    dut, rng = shared(TapFlagger), random.Random(case)
    store, shape, strips = random_command(rng, pool=Pool.MAX if case % 3 else None)
    taps, limits = taps_of(store, shape, strips), limits_of(store, shape)
    chunks = store["out_block"] // store["chunk"]

    async def bench(ctx):
        for at, tap in enumerate([None, *taps]):
            following = taps[at] if at < len(taps) else None
            flags = ctx.get(dut.flags)
            if tap:
                got = [flags.x, flags.y, flags.chunk, flags.column]
                assert got == [tap.last_x, tap.last_y, tap.last_chunk, tap.last_column]
                assert ctx.get(dut.place) == tap.place
                assert ctx.get(dut.fresh) == (tap.place == 0 and tap.row == 0)
            assert flags.window == (flags.x & flags.y)
            assert flags.turn == (flags.window & flags.chunk)
            assert flags.strip == (flags.turn & flags.column)
            turn = False
            while not turn:
                turn = rng.random() >= stall
                ends = tap is None or (tap.turn and tap.last_column)
                ctx.set(dut.now, dict(turn=turn, follows=bool(turn and ends and following)))
                places = places_at(limits, tap.x) if tap else 9
                rows = max(1, tap.strip["rows"]) if tap else 9
                for name, value in dict(
                    row_before=(places - 2) % 256,
                    row_one=places == 1,
                    rows_two=tap is not None and rows - tap.row <= 2,
                    rest_one=bool(following) and places_at(limits, following.x) == 1,
                    single=bool(following) and following.strip["rows"] <= 1,
                    block_one=chunks == 1,
                    # of a column's first chunk it says nothing
                    final_chunk=following.last_chunk
                    if following and tap and not tap.last_chunk
                    else rng.getrandbits(1),
                    final_column=bool(following) and following.last_column,
                ).items():
                    ctx.set(getattr(dut, name), value)
                await ctx.tick()
        flags = ctx.get(dut.flags)
        assert flags.strip and not ctx.get(dut.fresh), "they hold while no strip follows"

    run(dut, bench)


@STALLS
@CASES
@pytest.mark.parametrize("operand", [0, 1])
def test_address(operand, case, stall):
    """Two cycles after the turn before it."""
    dut, rng = shared(TapAddress, PLACE), random.Random(case)
    store, shape, strips = random_command(rng, pool=Pool.MAX if case % 3 else None)
    body, letter = (store, shape)[operand], "ab"[operand]
    taps, limits, got = taps_of(store, shape, strips), limits_of(store, shape), []
    offsets = offsets_of(store, shape)

    async def bench(ctx):
        for name, value in dict(
            by_tap=body["column_stride"],
            by_chunk=store["chunk"],
            by_block=limits["operands"][operand]["jump"] % 2**PLACE,
            by_window=offsets[f"step_{letter}"] % 2**PLACE,
        ).items():
            ctx.set(getattr(dut, name), value)
        due, now, following = {}, 0, taps[0]
        for at, tap in enumerate([None, *taps, None, None]):
            following = taps[at] if at < len(taps) else None
            if following:
                ctx.set(dut.first, following.strip[f"first_{letter}"])
            if tap:
                row = tap.strip["ring_row"] + tap.row
                wraps = operand == 0 and row % store["ring"] == store["ring"] - 1
                by_row = offsets["ring_back"] if wraps else body["row_stride"]
                channel = tap.strip[f"place_{letter}"] + (tap.chunk + 1) * store["chunk"]
                ctx.set(dut.by_row, by_row % 2**PLACE)
                ctx.set(dut.ends, channel % body["block"] == 0)
            waits = True
            while waits:
                waits = rng.random() < stall
                turn = not waits and following is not None
                ctx.set(dut.now, now_of(tap, turn, turn))
                if turn:
                    due[now + 2] = following.address[operand]
                await ctx.tick()
                now += 1
                if now in due:
                    got.append((ctx.get(dut.address), due.pop(now)))

    run(dut, bench)
    assert len(got) == len(taps)
    assert [address for address, _ in got] == [want for _, want in got]


# ---- the whole walk -------------------------------------------------------------------------
@STALLS
@pytest.mark.parametrize("add", [0, 1])
@CASES
def test_walk(case, add, stall):
    """Each tap and its address; without stalls a tap a cycle in windows of two or more."""
    dut, rng = shared(TapWalk, PLACE), random.Random(case)
    store, shape, strips = random_command(rng, pool=Pool.MAX if case % 3 else None, add=add)
    taps, limits = taps_of(store, shape, strips), limits_of(store, shape)
    chunks, got, times, taken = store["out_block"] // store["chunk"], [], [], []
    wanted = []
    for tap in taps:
        for operand in range(1 + add):
            wanted.append(
                (
                    add and not operand,
                    tap.left,
                    tap.left + limits["kernel"],
                    max(tap.left, shape["count_left"]),
                    tap.strip["count"],
                    tap.place,
                    tap.strip["rows"] > 0,
                    tap.place == tap.row == 0,
                    tap.window,
                    tap.x == 0 and tap.chunk == 0,
                    tap.last_column and tap.chunk == chunks - 1,
                    tap.address[operand],
                )
            )

    async def watch(ctx):
        now, waiting = 0, None
        sample = ctx.tick().sample(
            dut.taps.valid, dut.taps.p, dut.second, dut.address, dut.strips.valid, dut.strips.ready
        )
        async for _, _, valid, tap, second, address, comes, ready in sample:
            if waiting is not None:  # the address of the tap before
                got[-1] += (address[waiting],)
            waiting = second if valid else None
            if comes and ready:
                taken.append(now)
            if valid:
                column = tap.column
                times.append(now)
                got.append(
                    (
                        tap.operand, column.left, column.right, column.low, column.tall, tap.place,
                        tap.some, tap.first, tap.last, tap.strip_first, tap.strip_last,
                    )
                )  # fmt: skip
            now += 1

    async def room(ctx):
        while True:
            ctx.set(dut.room, rng.random() >= stall)
            await ctx.tick()

    async def offer(ctx):
        ctx.set(dut.store, store)
        ctx.set(dut.shape, shape)
        ctx.set(dut.limits, limits)
        ctx.set(dut.offsets, offsets_of(store, shape))
        await idle(ctx, 4)
        assert ctx.get(dut.idle)
        await send(ctx, dut.strips, strips, stall=stall)
        while not ctx.get(dut.idle):
            await ctx.tick()
        await idle(ctx, 6)

    run(dut, offer, background=[watch, room])
    assert len(got) == len(wanted)
    for one, want in zip(got, wanted, strict=True):
        assert one[:-1] == want[:-1]
        if one[6]:  # there is a row to read
            assert one[-1] == want[-1]
    if not stall:
        assert times[0] - taken[0] <= 3 + add
        if store["columns"] * chunks > 1:
            late, expected = times[0], []
            for tap in taps:
                expected += range(late, late + 1 + add)
                # a last column of one tap, of a longer kernel, costs the next strip a cycle
                single = tap.last_column and tap.turn and tap.place == tap.row == tap.chunk == 0
                late += 1 + add + bool(single and limits["kernel"] > 1 and not add)
            assert times == expected
