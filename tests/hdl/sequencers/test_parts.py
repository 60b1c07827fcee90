"""The parts of the sequencers, each alone, against the loops of hdl/isa.py."""

import itertools
import random

import pytest
from amaranth.hdl import Const, Elaboratable, Module, Signal

from hdl.array.words import PassHeader
from hdl.config import PRESETS
from hdl.sequencers.ifmap_walk import IfmapWalk
from hdl.sequencers.ifmap_words import IfmapWords
from hdl.sequencers.nest_value import NestValue
from hdl.sequencers.notes import UNDER_WAY, Notes
from hdl.sequencers.ofmap.gather import OfmapGather
from hdl.sequencers.ofmap.intake import PsumIntake, WordIntake
from hdl.sequencers.ofmap.place import OfmapPlace
from hdl.sequencers.ofmap.rows import OfmapRows
from hdl.sequencers.ofmap.walk import OfmapWalk
from hdl.sequencers.words import ifmap_step
from tests.hdl.sequencers.test_sequencers import (
    ENTRIES,
    IFMAP_CORNERS,
    OFMAP_CORNERS,
    ifmap_command,
    low,
    ofmap_command,
)
from tests.hdl.streams import holds, idle, receive, run, send, shared

CONFIG = PRESETS["tiny"]
NARROW = CONFIG.replace(psum_lanes=1, psum_fifo=0)
BITS = CONFIG.psum_bits


class Clocked(Elaboratable):
    """A part without registers beside one, so that there is a clock."""

    def __init__(self, part):
        self.part = part

    def elaborate(self, platform):
        m = Module()
        m.submodules.part = self.part
        m.d.sync += Signal().eq(1)
        return m


# ---- Notes ----------------------------------------------------------------------------------
@pytest.mark.parametrize("gap, stall", [(0, 0), (0, 0.5), (0.5, 0), (0.3, 0.3)])
def test_notes(gap, stall):
    """In order, none lost; without gaps and stalls one a cycle, two cycles late."""
    dut, rng = shared(Notes, 16), random.Random(1)
    notes, got, times, pushed = [rng.getrandbits(16) for _ in range(200)], [], [], []

    async def push(ctx):
        now = 0
        for note in notes:
            while not ctx.get(dut.room) or rng.random() < gap:
                await ctx.tick()
                now += 1
            ctx.set(dut.note, note)
            ctx.set(dut.push, 1)
            await ctx.tick()
            now += 1
            pushed.append(now)
            ctx.set(dut.push, 0)

    async def take(ctx):
        await receive(ctx, dut.noted, len(notes), got, stall=stall, times=times)
        await idle(ctx, 5)
        assert not ctx.get(dut.noted.valid)

    run(dut, push, take, background=[holds(dut.noted)])
    assert got == notes
    if not stall and not gap:
        assert pushed == [*range(pushed[0], pushed[0] + len(notes))]
        assert [taken - put for taken, put in zip(times, pushed, strict=True)] == [2] * len(notes)


def test_notes_have_room():
    """UNDER_WAY of them, or the one that the register costs fewer; again when one has left."""
    dut = shared(Notes, 16)

    async def bench(ctx):
        count = 0
        for n in range(3 * UNDER_WAY):
            room = ctx.get(dut.room)
            ctx.set(dut.note, n)
            ctx.set(dut.push, room)
            count += room
            await ctx.tick()
        assert UNDER_WAY - 1 <= count <= UNDER_WAY + 1
        ctx.set(dut.push, 0)
        ctx.set(dut.noted.ready, 1)
        await idle(ctx, UNDER_WAY + 6)
        assert ctx.get(dut.room) and not ctx.get(dut.noted.valid)

    run(dut, bench)


# ---- NestValue ------------------------------------------------------------------------------
@pytest.mark.parametrize("strided", [(), (0,), (2,), (0, 2), (1, 2), (0, 2, 3), (0, 1, 2, 3)])
def test_nest_value(strided):
    depth, width = 4, 10
    dut, rng = shared(NestValue, width, strided, depth), random.Random(len(strided))

    async def bench(ctx):
        for _ in range(12):
            counts = [rng.randint(1, 3) for _ in range(depth)]
            start = rng.getrandbits(width)
            strides = {level: rng.getrandbits(width) for level in strided}
            ctx.set(dut.start, start)
            for level, stride in strides.items():
                ctx.set(getattr(dut, f"stride_{level}"), stride)
            ctx.set(dut.load, 1)
            ctx.set(dut.step, rng.getrandbits(1))
            await ctx.tick()
            ctx.set(dut.load, 0)
            for outer_first in itertools.product(*(range(n) for n in reversed(counts))):
                index = outer_first[::-1]
                ended = [at == count - 1 for at, count in zip(index, counts, strict=True)]
                turns = [all(ended[:level]) for level in range(depth)]
                moves = [turns[level] and not ended[level] for level in range(depth)]
                ctx.set(dut.turns, sum(on << n for n, on in enumerate(turns)))
                ctx.set(dut.moves, sum(on << n for n, on in enumerate(moves)))
                wanted = start + sum(index[level] * stride for level, stride in strides.items())
                for wait in (True, False):
                    assert ctx.get(dut.value) == wanted % 2**width
                    ctx.set(dut.step, not wait)
                    if not wait or rng.random() < 0.3:
                        await ctx.tick()
            ctx.set(dut.step, 0)

    run(dut, bench)


# ---- IFMAP ----------------------------------------------------------------------------------
def ifmap_items(b):
    """What isa.IfmapBody says: (read, last, word, mask, lane, count, tag); of what is not read no
    word, lane or mask."""
    items = []
    for image, band, outer, inner, word, row, group in itertools.product(
        *(range(b[name]) for name in ("images", "bands", "outer", "inner")),
        range(-(-b["length"] // 4)),
        range(b["rows"]),
        range(b["groups"]),
    ):
        x = b["start"] + outer * b["outer_stride"] + inner * b["inner_stride"] + 4 * word
        x = (x + 2**19) % 2**20 - 2**19
        strip = b["base"] + image * b["image_stride"] + band * b["band_stride"]
        strip += row * b["row_stride"] + group * b["group_stride"]
        mask = sum(1 << n for n in range(4) if 0 <= x + n < b["strip"])
        here = 0 <= b["row_first"] + band * b["band_rows"] + row < b["rows_valid"]
        read = bool(here and mask)
        at = (strip + x) % ENTRIES
        where = (at >> 2, mask, at & 3) if read else (None, None, None)
        count = min(4, b["length"] - 4 * word)
        items.append([read, 0, *where, count, row * b["groups"] + group])
    items[-1][1] = 1
    return items


def seen_item(item):
    step = item.step
    where = (item.word % (ENTRIES // 4), step.mask, step.lane) if item.read else (None, None, None)
    return [item.read, item.last, *where, step.count, step.tag]


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_ifmap_walk(stall):
    dut, rng = shared(IfmapWalk, CONFIG), random.Random(11)
    commands = [ifmap_command(rng, **change) for change in IFMAP_CORNERS]
    commands += [ifmap_command(rng) for _ in range(6)]
    wanted = [ifmap_items(b) for b in commands]
    got, headers, times = [], [], []

    async def take(ctx):
        count = sum(map(len, wanted))
        await receive(ctx, dut.items, count, got, stall=stall, times=times)
        await idle(ctx, 10)
        assert not ctx.get(dut.items.valid), "an item too many"

    run(
        dut,
        lambda ctx: send(ctx, dut.command, commands, stall=stall / 2),
        take,
        background=[
            lambda ctx: receive(ctx, dut.header, None, headers, stall=stall),
            holds(dut.items),
            holds(dut.header),
        ],
    )
    assert [seen_item(item) for item in got] == [item for items in wanted for item in items]
    names = ("p", "window", "step", "positions", "laps", "channels")
    assert [[header[n] for n in (*names, "inner")] for header in headers] == [
        [*(b[n] for n in names), (b["window"] - b["channels"] - 1) % 64]
        for b in commands
        if b["header"]
    ]
    if not stall:
        now, expected = times[0], []
        for items in wanted:
            expected += range(now, now + len(items))
            now += len(items) + 2
        assert times == expected


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_ifmap_words(stall):
    dut, rng = shared(IfmapWords, CONFIG), random.Random(12)
    notes, words, wanted, ends = [], [], [], []
    for n in range(150):
        note = dict(header=rng.random() < 0.1, read=0, last=rng.random() < 0.2)
        header = {name: rng.randrange(1, 9) for name in ("p", "window", "step", "positions")}
        step = dict(
            mask=rng.getrandbits(4), lane=rng.randrange(4), count=rng.randint(1, 4),
            tag=rng.randrange(4),
        )  # fmt: skip
        if note["header"]:
            note |= dict(last=0, rest=Const.cast(PassHeader.const(header)).value)
            wanted.append(("header", note["rest"]))
        else:
            note |= dict(rest=Const.cast(ifmap_step(CONFIG).const(step)).value)
            note["read"] = int(rng.random() < 0.7)
            lanes = [0] * 4
            if note["read"]:
                words.append(rng.getrandbits(128))
                lanes = [
                    words[-1] >> 16 * (step["lane"] + lane) & 0xFFFF
                    if step["mask"] >> lane & 1
                    else 0
                    for lane in range(4)
                ]
            wanted.append((step["tag"], step["count"], lanes))
        notes.append(note)
        ends += [n] * note["last"]
    got, times, done = [], [], []

    async def watch(ctx):
        sample = ctx.tick().sample(dut.done, dut.noted.valid, dut.noted.ready)
        taken = 0
        async for _, _, pulse, valid, ready in sample:
            if pulse:
                assert valid and ready
                done.append(taken)
            taken += valid and ready

    async def take(ctx):
        await receive(ctx, dut.output, len(wanted), got, stall=stall, times=times)
        await idle(ctx, 5)
        assert not ctx.get(dut.output.valid)

    run(
        dut,
        lambda ctx: send(ctx, dut.noted, notes, stall=stall),
        lambda ctx: send(ctx, dut.response, words, stall=stall, rng=rng),
        take,
        background=[holds(dut.output), watch],
    )
    assert [
        ("header", low(w.data, 1, PassHeader.as_shape().size))
        if w.header
        else (w.tag, w.count, [w.data >> 16 * lane & 0xFFFF for lane in range(4)])
        for w in got
    ] == wanted
    assert done == ends
    assert stall or times == [*range(times[0], times[0] + len(wanted))]


# ---- OFMAP ----------------------------------------------------------------------------------
def ofmap_places(b):
    """What isa.OfmapBody says: (to_ring, write, last, address, count, row of the table, shift,
    relu, scaled); no address in the ring."""
    places = []
    for image, position, row, group, word in itertools.product(
        *(range(b[name]) for name in ("images", "positions", "rows", "sets")),
        range(-(-b["p"] // 4)),
    ):
        address = b["base"] + image * b["image_stride"] + position * b["position_stride"]
        address += (b["row_first"] + row) % b["ring"] * b["row_stride"] + group * b["p"] + 4 * word
        written = not b["to_ring"] and row < b["rows_valid"]
        count = min(4, b["p"] - 4 * word)
        place = [b["to_ring"], written, 0, address % ENTRIES if written else None, count]
        table_row = group * -(-b["p"] // 4) + word
        places.append([*place, table_row, b["shift"], b["relu"], b["scaled"]])
    places[-1][2] = 1
    return places


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_ofmap_walk(stall):
    dut, rng = shared(OfmapWalk, CONFIG), random.Random(13)
    # rows that end before, with and after their ring's end
    wrapping = [dict(to_ring=0, rows=4, ring=5, row_first=n, rows_valid=4) for n in range(5)]
    commands = [ofmap_command(rng, **change) for change in [*OFMAP_CORNERS, *wrapping]]
    commands += [ofmap_command(rng) for _ in range(6)]
    wanted = [ofmap_places(b) for b in commands]
    got, times = [], []

    async def take(ctx):
        count = sum(map(len, wanted))
        await receive(ctx, dut.places, count, got, stall=stall, times=times)
        await idle(ctx, 5)
        assert not ctx.get(dut.places.valid)

    run(
        dut,
        lambda ctx: send(ctx, dut.command, commands, stall=stall / 2),
        take,
        background=[holds(dut.places)],
    )
    assert [
        [p.to_ring, here, p.last, p.address % ENTRIES if here else None, p.count]
        + [p.row, p.shift, p.relu, p.scaled]
        for p in got
        for here in [bool(p.write and not p.to_ring)]
    ] == [place for places in wanted for place in places]
    if not stall:
        now, expected = times[0], []
        for places in wanted:
            expected += range(now, now + len(places))
            now += len(places) + 2
        assert times == expected


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("narrow", [False, True])
def test_intakes(narrow, stall):
    dut = shared(PsumIntake, NARROW) if narrow else shared(WordIntake, CONFIG)
    rng = random.Random(14)
    places, items, wanted = [], [], []
    for _ in range(60):
        filters = rng.randint(1, 9)
        for first in range(0, filters, 4):
            count = min(4, filters - first)
            places.append(dict(address=rng.randrange(99), count=count, last=rng.getrandbits(1)))
            place = (places[-1]["address"], count, places[-1]["last"])
            psums = [rng.getrandbits(BITS) for _ in range(4)]
            if not narrow:
                data = sum(psum << BITS * n for n, psum in enumerate(psums))
                items.append(dict(data=data, last=0))
                wanted.append((*place, data, 0, 1))
            for lane in range(count if narrow else 0):
                # a fourth psum ends its word whether it is the position's last or not
                end = first + lane == filters - 1
                items.append(dict(data=psums[lane], end=end, last=rng.getrandbits(1)))
                wanted.append((*place, psums[lane], lane, lane == count - 1))
    got, times = [], []

    async def take(ctx):
        await receive(ctx, dut.output, len(wanted), got, stall=stall, times=times)
        await idle(ctx, 5)
        assert not ctx.get(dut.output.valid)

    run(
        dut if narrow else shared(Clocked, dut),
        lambda ctx: send(ctx, dut.places, places, stall=stall),
        lambda ctx: send(ctx, dut.input, items, stall=stall, rng=random.Random(15)),
        take,
        background=[holds(dut.output)],
    )
    assert [
        (o.place.address, o.place.count, o.place.last, o.psums, o.lane, o.whole) for o in got
    ] == wanted
    assert stall or times == [*range(times[0], times[0] + len(wanted))]


def written(place, psums, entries, ring_word):
    """(word, mask, data under the mask, drop, last) of a whole word."""
    if place["to_ring"]:
        return ring_word, 0xFF, sum((p & 2**32 - 1) << 32 * n for n, p in enumerate(psums))
    lane = place["address"] % 4
    count = place["count"]
    data = sum((e & 0xFFFF) << 16 * (lane + n) for n, e in enumerate(entries[:count]))
    return place["address"] >> 2, (1 << count) - 1 << lane, data


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("narrow", [False, True])
def test_ofmap_writers(narrow, stall):
    """Words with their place, with cycles in which nothing comes or nothing moves."""
    dut = shared(OfmapGather, NARROW) if narrow else shared(OfmapPlace, CONFIG)
    rng, cases = random.Random(16), []
    for _ in range(80):
        place = dict(
            to_ring=rng.getrandbits(1), write=rng.random() < 0.7, last=rng.getrandbits(1),
            address=rng.randrange(ENTRIES), count=rng.randint(1, 4),
        )  # fmt: skip
        psums = [rng.randrange(-1 << BITS - 1, 1 << BITS - 1) for _ in range(4)]
        cases.append((place, psums, [rng.randrange(-1 << 15, 1 << 15) for _ in range(4)]))

    def check(ctx, case, ring_word):
        place, psums, entries = case
        assert ctx.get(dut.whole)
        assert ctx.get(dut.to_ring) == place["to_ring"]
        assert ctx.get(dut.last) == place["last"]
        assert ctx.get(dut.drop) == (not place["to_ring"] and not place["write"])
        word, mask, data = written(place, psums, entries, ring_word)
        write = ctx.get(dut.write)
        assert (write.word, write.mask) == (word, mask)
        if place["to_ring"] and narrow:  # what is beyond the last psum is older
            data = low(data, place["count"], 32)
            assert low(write.data, place["count"], 32) == data
        else:
            lanes = sum(0xFFFF << 16 * n for n in range(8) if mask >> n & 1)
            assert write.data & lanes == data

    async def bench(ctx):
        for case in cases:
            place, psums, entries = case
            parts = [
                dict(place=place, psums=psum & 2**BITS - 1, lane=n, whole=n == place["count"] - 1)
                for n, psum in enumerate(psums[: place["count"]])
            ]
            if not narrow:
                data = sum((psum & 2**BITS - 1) << BITS * n for n, psum in enumerate(psums))
                parts = [dict(place=place, psums=data, lane=0, whole=1)]
            for n, part in enumerate(parts):
                ctx.set(dut.psums, part)
                ctx.set(dut.entries, [entries[n]] if narrow else entries)
                moved = False
                while not moved:
                    valid, advance = rng.random() >= stall, rng.random() >= stall
                    ring_word = rng.randrange(100)
                    ctx.set(dut.ring_word, ring_word)
                    ctx.set(dut.valid, valid)
                    ctx.set(dut.advance, advance)
                    if not narrow and valid:
                        check(ctx, case, ring_word)
                    assert narrow or ctx.get(dut.whole) == valid
                    await ctx.tick()
                    moved = valid and advance
                    if narrow and advance:
                        assert ctx.get(dut.whole) == (valid and part["whole"])
            ctx.set(dut.valid, 0)
            if narrow:
                check(ctx, case, ring_word)

    cycles = run(dut if narrow else shared(Clocked, dut), bench)
    count = sum(place["count"] for place, *_ in cases) if narrow else len(cases)
    assert stall or cycles <= count + 2


# ---- OfmapRows ------------------------------------------------------------------------------
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_ofmap_rows(stall):
    """The places of the rows in their ring, from the first again in every position; one a cycle."""
    dut, rng = shared(OfmapRows, CONFIG), random.Random(2)

    async def main(ctx):
        for ring in (1, 2, 3, 5, 1, 4):
            first, stride = rng.randrange(ring), rng.randrange(1, 99)
            rows, positions = rng.randint(1, ring), rng.randint(1, 3)
            body = dict(row_first=first, ring=ring, row_stride=stride, row_start=first * stride)
            ctx.set(dut.body, body)
            turns = [(position, row) for position in range(positions) for row in range(rows)]
            for n, (_, row) in enumerate(turns):
                ctx.set(dut.load, n == 0)
                ctx.set(dut.next, n > 0)
                ctx.set(dut.again, row == 0)
                await ctx.tick()
                ctx.set(dut.load, 0)
                ctx.set(dut.next, 0)
                while rng.random() < stall:
                    await ctx.tick()
                assert ctx.get(dut.offset) == (first + row) % ring * stride

    run(dut, main)
