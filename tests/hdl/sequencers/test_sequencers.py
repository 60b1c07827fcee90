"""Sequencers against the loops of hdl/isa.py, beside a model of the global buffer."""

import itertools
import random

import numpy as np
import pytest
from amaranth.hdl import Const, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.fixed import requantise
from hdl.array.words import PassHeader, ofmap_bus_word, psum_word
from hdl.buffer.psum_ring import PsumRing
from hdl.buffer.words import READ_SIGNATURE, WRITE_SIGNATURE
from hdl.config import PRESETS
from hdl.isa import WORD_ADDR, OfmapCommand, PsumBody
from hdl.sequencers.filter import FilterSequencer
from hdl.sequencers.ifmap import IfmapSequencer
from hdl.sequencers.ofmap.sequencer import OfmapSequencer
from hdl.sequencers.psum import PsumSequencer
from tests.hdl.commands import ofmap_payload
from tests.hdl.streams import LATENCY, Buffer, holds, idle, receive, run, send, shared

CONFIG = PRESETS["tiny"]
ENTRIES = 4 * CONFIG.glb_words  # addresses are modulo these


def low(value, count, bits):
    return value & (1 << count * bits) - 1


def ring_addresses(first, end):
    """Word addresses of a ring of psums, for ever."""
    return itertools.cycle(range(first, end, 2))


def play(dut, buffer, commands, wanted, reads, stall, background=()):
    """Runs commands through a sequencer that reads; `wanted` and `reads` per command.
    Returns the cycles its words left in, per command, and checks `done`."""
    got, times, done = [], [], []

    async def watch(ctx):
        async for _, _, pulse in ctx.tick().sample(dut.done):
            if pulse:
                done.append((len(buffer.reads), len(got)))

    async def main(ctx):
        await receive(ctx, dut.output, sum(map(len, wanted)), got, stall=stall, times=times)
        ctx.set(dut.output.ready, 1)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(dut.output.valid), "a word too many"

    run(
        dut,
        lambda ctx: send(ctx, dut.command, commands, stall=stall / 2),
        main,
        background=[
            buffer.reader(dut.glb),
            holds(dut.output),
            holds(dut.glb.request),
            watch,
            *background,
        ],
    )
    assert buffer.reads == [a for r in reads for a in r]
    assert buffer.answered == len(buffer.reads)
    assert len(done) == len(commands), "done once for each command"
    for n, (read, out) in enumerate(done):
        assert read >= sum(map(len, reads[: n + 1])), "done before the last read"
        assert out >= sum(map(len, wanted[: n + 1])) - 2, "done early"
    at, parts = 0, []
    for w in wanted:
        parts.append(times[at : at + len(w)])
        at += len(w)
    return got, parts


# ---- IFMAP ------------------------------------------------------------------------------


HEADER = "p", "window", "step", "positions", "laps", "channels"


def ifmap_words(b, buffer):
    """(words, addresses read) of a command, from the docstring of isa.IfmapBody."""
    header = {n: b[n] for n in HEADER} | dict(inner=(b["window"] - b["channels"] - 1) % 64)
    header = PassHeader.const(header)
    words, reads = [("header", Const.cast(header).value)] * b["header"], []
    for image, band in itertools.product(range(b["images"]), range(b["bands"])):
        for outer in range(b["outer"]):
            for inner in range(b["inner"]):
                for word in range(-(-b["length"] // 4)):
                    for row in range(b["rows"]):
                        for group in range(b["groups"]):
                            x = (
                                b["start"]
                                + outer * b["outer_stride"]
                                + inner * b["inner_stride"]
                                + 4 * word
                            )
                            x = (x + 2**19) % 2**20 - 2**19
                            strip = (
                                b["base"]
                                + image * b["image_stride"]
                                + row * b["row_stride"]
                                + group * b["group_stride"]
                                + band * b["band_stride"]
                            )
                            count = min(4, b["length"] - 4 * word)
                            here = (
                                0 <= b["row_first"] + band * b["band_rows"] + row < b["rows_valid"]
                            )
                            # the four lanes of the word decide whether it is read
                            if here and any(0 <= x + n < b["strip"] for n in range(4)):
                                reads.append((strip + x) % ENTRIES >> 2)
                            data = sum(
                                buffer.entry(strip + x + n) << 16 * n
                                for n in range(count)
                                if here and 0 <= x + n < b["strip"]
                            )
                            words.append((row * b["groups"] + group, count, data))
    return words, reads


def ifmap_command(rng, **changes):
    groups = rng.randint(1, 2)
    return (
        dict(
            base=rng.randrange(400),
            start=rng.randint(-6, 2),
            strip=rng.randint(1, 20),
            images=rng.randint(1, 2),
            image_stride=rng.randrange(2**20),
            rows=rng.randint(1, 3),
            row_first=rng.randint(-2, 2),
            rows_valid=rng.randint(1, 4),
            row_stride=rng.randrange(60),
            bands=rng.randint(1, 3),
            band_rows=rng.randint(1, 3),
            band_stride=rng.randrange(2**20),
            laps=rng.randint(1, 9),
            channels=rng.randint(0, 7),
            header=int(rng.random() < 0.7),
            groups=groups,
            group_stride=rng.randrange(30),
            outer=rng.randint(1, 2),
            outer_stride=rng.choice([3, 8, 2**20 - 5]),
            inner=rng.randint(1, 2),
            inner_stride=rng.choice([1, 7, 2**20 - 2]),
            length=rng.randint(1, 9),
            p=rng.randint(1, 8),
            window=rng.randint(1, 8),
            step=rng.randint(1, 8),
            positions=rng.randint(1, 99),
        )
        | changes
    )


IFMAP_CORNERS = [
    dict(
        images=1,
        rows=1,
        groups=1,
        outer=1,
        inner=1,
        length=1,
        start=0,
        strip=1,
        row_first=0,
        rows_valid=1,
    ),
    # padding rows only: no read at all
    dict(row_first=-3, rows=2, rows_valid=9, bands=1),
    # before the buffer's first word
    dict(base=0, start=-3, strip=5, length=8, row_first=0, rows_valid=9),
    dict(start=-8, strip=4, length=16, row_first=-1, rows=3, rows_valid=1),
    dict(start=30, strip=4),  # behind the strip
    dict(strip=9, length=9, start=0, outer=1, inner=1, row_first=0, rows_valid=9),
]


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_ifmap(stall):
    rng = random.Random(4)
    buffer = Buffer(random.Random(5), stall, CONFIG.glb_words)
    commands = [ifmap_command(rng, **c) for c in IFMAP_CORNERS] + [
        ifmap_command(rng) for _ in range(8)
    ]
    wanted, reads = zip(*(ifmap_words(c, buffer) for c in commands))
    got, times = play(shared(IfmapSequencer, CONFIG), buffer, commands, wanted, reads, stall)
    got = [
        ("header", w.data) if w.header else (w.tag, w.count, low(w.data, w.count, 16)) for w in got
    ]
    assert got == [w for words in wanted for w in words]
    if not stall:
        for t in times:  # one a cycle, but where the first read follows words that need none
            assert t[-1] - t[1] <= len(t) - 2 + LATENCY


def test_ifmap_full_rate():
    rng = random.Random(6)
    buffer = Buffer(rng, 0, CONFIG.glb_words)
    change = dict(
        start=0, strip=40, length=24, row_first=0, rows=3, rows_valid=99, outer=1, inner=1, header=1
    )
    commands = [ifmap_command(rng, **change) for _ in range(4)]
    wanted, reads = zip(*(ifmap_words(c, buffer) for c in commands))
    _, times = play(shared(IfmapSequencer, CONFIG), buffer, commands, wanted, reads, 0)
    for t in times:
        assert t[-1] - t[1] == len(t) - 2
    # The buffer's latency is hidden: the header, then one cycle without a word.
    assert all((b[0] - a[-1], b[1] - b[0]) == (1, 2) for a, b in zip(times, times[1:]))


# ---- FILTER -----------------------------------------------------------------------------


def filter_words(b, buffer):
    words = [
        (
            tag,
            b["tail"] if word == b["words"] - 1 else 4,
            word == b["words"] - 1,
            b["word"] + word * b["tags"] + tag,
        )
        for word in range(b["words"])
        for tag in range(b["tags"])
    ]
    return [(t, c, last, low(buffer.word(a), c, 16)) for t, c, last, a in words], [
        w[3] for w in words
    ]


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_filter(stall):
    rng = random.Random(1)
    buffer = Buffer(random.Random(2), stall, CONFIG.glb_words)
    commands = [
        dict(word=0, tags=1, words=1, tail=1),
        dict(word=7, tags=6, words=1, tail=4),
        dict(word=300, tags=1, words=8, tail=3),
    ]
    commands += [
        dict(
            word=rng.randrange(900),
            tags=rng.randint(1, 6),
            words=rng.randint(1, 8),
            tail=rng.randint(1, 4),
        )
        for _ in range(8)
    ]
    wanted, reads = zip(*(filter_words(c, buffer) for c in commands))
    got, times = play(shared(FilterSequencer, CONFIG), buffer, commands, wanted, reads, stall)
    assert [(w.tag, w.count, w.last, low(w.data, w.count, 16)) for w in got] == [
        w for words in wanted for w in words
    ]
    if not stall:
        for t in times:
            assert t[-1] - t[0] == len(t) - 1
        assert all(b[0] - a[-1] - 1 == 1 for a, b in zip(times, times[1:])), (
            "one cycle between commands"
        )


# ---- PSUM -------------------------------------------------------------------------------


def psum_words(b, buffer, ring):
    """`ring` yields the word addresses the ring gives out."""
    n = -(-b["p"] // 4)
    words, reads = [], []
    for _ in range(b["positions"]):
        for row in range(b["rows"]):
            for group in range(b["sets"]):
                for word in range(n):
                    count = min(4, b["p"] - 4 * word)
                    if b["zero"]:
                        words.append((row * b["sets"] + group, count, 0))
                        continue
                    at = next(ring) if b["from_ring"] else b["bias"] + 2 * (group * n + word)
                    reads.append(at)
                    words.append(
                        (
                            row * b["sets"] + group,
                            count,
                            low(buffer.word(at) | buffer.word(at + 1) << 64, count, 32),
                        )
                    )
    return words, reads


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_psum(stall, bits):
    rng = random.Random(1)
    config = CONFIG.replace(psum_bits=bits)
    buffer, dut = Buffer(random.Random(2), stall, CONFIG.glb_words), shared(PsumSequencer, config)
    commands = [
        dict(from_ring=r, zero=z, bias=2 * rng.randrange(300), positions=n, rows=e, sets=t, p=p)
        for r, z, n, e, t, p in [
            (0, 0, 1, 1, 1, 1),
            (1, 0, 1, 1, 1, 1),
            (0, 1, 2, 1, 2, 5),
            (0, 0, 2, 2, 3, 8),
            (1, 0, 3, 2, 1, 5),
            (0, 0, 9, 1, 1, 4),
            (1, 0, 2, 1, 2, 7),
            (0, 1, 1, 1, 1, 1),
            (0, 1, 6, 1, 1, 8),
            (1, 0, 5, 3, 1, 4),
            (0, 0, 2, 1, 2, 6),
        ]
    ]

    ring = ring_addresses(700, 730)
    wanted, reads = zip(*(psum_words(c, buffer, ring) for c in commands))

    async def ring_model(ctx):
        """A ring that is empty now and then; what it holds it holds until the pop."""
        ring, some = ring_addresses(700, 730), False
        ctx.set(dut.ring_word, next(ring))
        while True:
            some = some or rng.random() >= stall
            ctx.set(dut.ring_some, some)
            _, _, pop, valid, ready = await ctx.tick().sample(
                dut.pop, dut.glb.request.valid, dut.glb.request.ready
            )
            assert not pop or some and valid and ready
            if pop:
                ctx.set(dut.ring_word, next(ring))
                some = False

    got, times = play(dut, buffer, commands, wanted, reads, stall, [ring_model])
    mask = (1 << bits) - 1

    def slots(data, count):  # 32-bit slots to psum_bits
        return sum((data >> 32 * n & mask) << bits * n for n in range(count))

    assert [(w.tag, w.count, low(w.data, w.count, bits)) for w in got] == [
        (tag, count, slots(data, count)) for words in wanted for tag, count, data in words
    ]
    if not stall:
        for t in times:
            assert t[-1] - t[0] == len(t) - 1
        for before, after, a, b in zip(commands, commands[1:], times, times[1:]):
            if before["zero"] == after["zero"]:  # zeros come without the buffer's latency
                assert b[0] - a[-1] - 1 == 2, "two cycles between commands"


# ---- OFMAP ------------------------------------------------------------------------------


def ofmap_writes(b, words, ring, bits, convert=None):
    """Writes (word, mask, data under the mask) of a command that takes `words` of four psums.
    convert: what makes entries of a word's psums, if they are not only shifted."""
    n, out = -(-b["p"] // 4), []
    words = iter(words)
    for image in range(b["images"]):
        for position in range(b["positions"]):
            for row in range(b["rows"]):
                for group in range(b["sets"]):
                    for word in range(n):
                        psums = next(words)
                        if b["to_ring"]:
                            out.append(
                                (
                                    next(ring),
                                    0xFF,
                                    sum((v & 0xFFFFFFFF) << 32 * k for k, v in enumerate(psums)),
                                )
                            )
                        elif row < b["rows_valid"]:
                            entry = (
                                b["base"]
                                + image * b["image_stride"]
                                + position * b["position_stride"]
                                + (b["row_first"] + row) % b["ring"] * b["row_stride"]
                                + group * b["p"]
                                + 4 * word
                            ) % ENTRIES
                            count = min(4, b["p"] - 4 * word)
                            if convert:
                                q = convert(psums[:count])
                            else:
                                shift, relu = b["shift"], bool(b["relu"])
                                q = requantise(np.array(psums[:count]), shift, relu).tolist()
                            lane = entry % 4
                            out.append(
                                (
                                    entry >> 2,
                                    ((1 << count) - 1) << lane,
                                    sum((v & 0xFFFF) << 16 * (lane + k) for k, v in enumerate(q)),
                                )
                            )
    assert next(words, None) is None
    return out


def ofmap_command(rng, **changes):
    b = (
        dict(
            to_ring=rng.random() < 0.3,
            images=rng.randint(1, 2),
            positions=rng.randint(1, 3),
            rows=rng.randint(1, 4),
            sets=rng.randint(1, 2),
            p=rng.choice([1, 3, 4, 5, 8]),
            base=rng.randrange(500),
            image_stride=rng.choice([333, 2**20 - 77]),
            position_stride=rng.randrange(50),
            row_stride=rng.randrange(99),
            shift=rng.choice([0, 8, 16, 31]),
            relu=rng.getrandbits(1),
            scaled=0,
        )
        | changes
    )
    b["ring"] = changes.get("ring", rng.randint(b["rows"], 7))
    b["row_first"] = changes.get("row_first", rng.randrange(b["ring"]))
    b["row_start"] = b["row_first"] * b["row_stride"]
    b.setdefault("rows_valid", rng.randint(0, b["rows"]))
    return b


OFMAP_CORNERS = [
    dict(to_ring=0, images=1, positions=1, rows=1, sets=1, p=1, ring=1, rows_valid=1),
    # wraps after its first row
    dict(to_ring=0, rows=4, ring=4, row_first=3, rows_valid=4, p=5),
    # the row that wraps is dropped ...
    dict(to_ring=0, rows=3, ring=5, row_first=3, rows_valid=2, p=3),
    # ... all are: no write, done all the same
    dict(to_ring=0, rows=3, rows_valid=0),
    dict(to_ring=1, p=8),
    dict(to_ring=1, p=1, rows_valid=0),
    *(dict(to_ring=0, base=n, p=4, rows_valid=1, rows=1) for n in (1, 2, 3)),
]


def ofmap_psums(rng, b, bits):
    """Random words of four psums, as many as a command takes."""
    count = b["images"] * b["positions"] * b["rows"] * b["sets"] * -(-b["p"] // 4)
    return [
        [
            rng.choice([rng.randrange(-1 << bits - 1, 1 << bits - 1), rng.randint(-999, 999)])
            for _ in range(4)
        ]
        for _ in range(count)
    ]


def bus_items(b, words, bits, lanes):
    """The psums of a command on the output network."""
    mask, full = (1 << bits) - 1, -(-b["p"] // 4)
    if lanes == 4:
        return [
            dict(data=sum((v & mask) << bits * k for k, v in enumerate(w)), last=0) for w in words
        ]
    items = []
    for n, w in enumerate(words):
        count = min(4, b["p"] - 4 * (n % full))
        ends = (n + 1) % full == 0
        items += [dict(data=v & mask, end=k + 1 == count and ends) for k, v in enumerate(w[:count])]
    return items


class OfmapWatch:
    """Cycles in which the sequencer takes an input, and of every `done` (writes before its cycle,
    a write in it, cycle); and a ring that is full now and then."""

    def __init__(self, dut, buffer, lanes):
        self.dut, self.buffer, self.lanes = dut, buffer, lanes
        self.taken, self.done, self.reserved = [], [], 0

    async def watch(self, ctx):
        dut, now = self.dut, 0
        sample = ctx.tick().sample(
            dut.done, dut.input.valid, dut.input.ready, dut.glb.valid, dut.glb.ready
        )
        async for _, _, pulse, valid, ready, writing, written in sample:
            if valid and ready:
                self.taken.append(now)
            if pulse:  # with the write of this cycle, which the model may have logged or not
                self.done.append((len(self.buffer.writes), writing and written, now))
            now += 1

    def ring(self, addresses, rng, stall):
        async def model(ctx):
            dut, room = self.dut, False
            ctx.set(dut.ring_word, next(addresses))
            while True:
                room = room or rng.random() >= stall
                ctx.set(dut.ring_room, room)
                _, _, push, reserve, valid, ready = await ctx.tick().sample(
                    dut.push, dut.reserve, dut.glb.valid, dut.glb.ready
                )
                assert not push or valid and ready
                assert not reserve or room
                self.reserved += reserve - push
                if push:
                    ctx.set(dut.ring_word, next(addresses))
                if reserve:
                    room = False

        return model

    async def all_done(self, ctx, count):
        while len(self.done) < count:
            await ctx.tick()
        await idle(ctx, 20)


def masked(writes):
    """Writes with the data that their masks let through."""
    return [(w, m, sum(d & 0xFFFF << 16 * n for n in range(8) if m >> n & 1)) for w, m, d in writes]


def known(writes, commands, wanted):
    """Writes of one lane without what is older: it lies behind the last psum of a ring's word."""
    psums = [
        min(4, b["p"] - 4 * (k % -(-b["p"] // 4)))
        for b, of_command in zip(commands, wanted)
        for k in range(len(of_command))
    ]
    assert len(psums) == len(writes)
    return [(a, m, low(d, n, 32) if m == 0xFF else d) for (a, m, d), n in zip(writes, psums)]


def check_ofmap_rate(commands, lanes, seen, write_times):
    """One word or psum a cycle, two cycles between commands, and the latency."""
    cycle, expected = seen.taken[0], []
    for b in commands:
        of_position = b["p"] if lanes == 1 else -(-b["p"] // 4)
        n = b["images"] * b["positions"] * b["rows"] * b["sets"] * of_position
        expected += range(cycle, cycle + n)
        cycle += n + 2
    assert seen.taken == expected
    first = seen.taken[0]  # the first command has one word, which is written
    latency = OfmapSequencer.LATENCY + (lanes == 1)
    assert write_times[0] - first == latency
    assert seen.done[0][2] - first == latency


@pytest.mark.parametrize("lanes", [4, 1])
@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_ofmap(stall, bits, lanes):
    rng = random.Random(8)
    config = CONFIG.replace(
        psum_bits=bits, psum_lanes=lanes, psum_fifo=0 if lanes == 1 else CONFIG.psum_fifo
    )
    dut, buffer = shared(OfmapSequencer, config), Buffer(random.Random(2), stall, CONFIG.glb_words)
    commands = [ofmap_command(rng, **c) for c in OFMAP_CORNERS]
    commands += [ofmap_command(rng) for _ in range(6)]
    ring, items, wanted = ring_addresses(100, 140), [], []
    for b in commands:
        words = ofmap_psums(rng, b, bits)
        items += bus_items(b, words, bits, lanes)
        wanted.append(ofmap_writes(b, words, ring, bits))
    seen = OfmapWatch(dut, buffer, lanes)
    run(
        dut,
        lambda ctx: send(ctx, dut.command, map(ofmap_payload, commands), stall=stall / 2),
        lambda ctx: send(ctx, dut.input, items, stall=stall),
        lambda ctx: seen.all_done(ctx, len(commands)),
        background=[
            buffer.writer(dut.glb),
            seen.ring(ring_addresses(100, 140), rng, stall),
            seen.watch,
            holds(dut.glb),
        ],
    )
    got, wanted_writes = masked(buffer.writes), [w for writes in wanted for w in writes]
    assert len(got) == len(wanted_writes)
    if lanes == 1:
        got, wanted_writes = (known(w, commands, wanted) for w in (got, wanted_writes))
    assert got == wanted_writes
    assert len(seen.done) == len(commands) and seen.reserved == 0
    for n, (written, now, _) in enumerate(seen.done):
        assert written + now >= sum(map(len, wanted[: n + 1])), "done before the last write"
    if not stall:
        check_ofmap_rate(commands, lanes, seen, buffer.write_times)


# ---- the ring between OFMAP and PSUM ------------------------------------------------------


class Ring(wiring.Component):
    """OFMAP and PSUM with the pointers between them, as in hdl/core.py."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "ofmap_command": In(stream.Signature(OfmapCommand)),
                "psum_command": In(stream.Signature(PsumBody)),
                "input": In(stream.Signature(ofmap_bus_word(config))),
                "output": Out(stream.Signature(psum_word(config))),
                "read": Out(READ_SIGNATURE),
                "write": Out(WRITE_SIGNATURE),
                "restart": In(1),
                "base": In(WORD_ADDR),
                "size": In(WORD_ADDR),
                "push": Out(1),
                "pop": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ofmap = ofmap = OfmapSequencer(self.config)
        m.submodules.psum = psum = PsumSequencer(self.config)
        m.submodules.ring = ring = PsumRing(self.config)
        wiring.connect(m, wiring.flipped(self.ofmap_command), ofmap.command)
        wiring.connect(m, wiring.flipped(self.psum_command), psum.command)
        wiring.connect(m, wiring.flipped(self.input), ofmap.input)
        wiring.connect(m, psum.output, wiring.flipped(self.output))
        wiring.connect(m, psum.glb, wiring.flipped(self.read))
        wiring.connect(m, ofmap.glb, wiring.flipped(self.write))
        m.d.comb += [
            ring.restart.eq(self.restart),
            ring.base.eq(self.base),
            ring.size.eq(self.size),
            ring.reserve.eq(ofmap.reserve),
            ring.push.eq(ofmap.push),
            ring.pop.eq(psum.pop),
            psum.ring_word.eq(ring.read_word),
            psum.ring_some.eq(ring.some),
            ofmap.ring_word.eq(ring.write_word),
            ofmap.ring_room.eq(ring.room),
            self.push.eq(ofmap.push),
            self.pop.eq(psum.pop),
        ]
        return m


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("size", [2, 6, 64])
@pytest.mark.parametrize("lanes", [4, 1])
def test_ring(lanes, size, stall):
    """Psums come back in order through a ring of any size; twice, with a restart elsewhere."""
    dut, buffer = (
        shared(Ring, CONFIG.replace(psum_lanes=lanes, psum_fifo=0 if lanes == 1 else 2)),
        Buffer(random.Random(3), stall, CONFIG.glb_words),
    )
    rng, level = random.Random(size), []

    async def main(ctx):
        for base in (10, 300):
            ctx.set(dut.base, base)
            ctx.set(dut.size, size)
            ctx.set(dut.restart, 1)
            await ctx.tick()
            ctx.set(dut.restart, 0)
            level[:] = [0, 0]
            got.clear()
            words[:] = [rng.getrandbits(128) for _ in range(40)]
            step[0] += 1
            await receive(ctx, dut.output, 40, got, stall=stall, rng=rng)
            # 5 psums: four and one
            assert [low(w.data, w.count, 32) for w in got] == [
                low(w, (4, 1)[n % 2], 32) for n, w in enumerate(words)
            ]
            assert {a for a, _, _ in buffer.writes[-40:]} <= set(range(base, base + size, 2))
            assert buffer.reads[-40:] == [a for a, _, _ in buffer.writes[-40:]]
            await idle(ctx, 5)
            assert level[0] == level[1] == 40

    got, words, step = [], [], [0]

    async def count(ctx):
        async for _, _, push, pop in ctx.tick().sample(dut.push, dut.pop):
            if level:
                assert not pop or level[0] > level[1]
                assert not push or level[0] - level[1] < size // 2
                level[0] += push
                level[1] += pop

    def feed(port, make):
        async def bench(ctx):
            seen = 0
            while True:
                await ctx.tick()
                if step[0] > seen:
                    seen += 1
                    await send(ctx, port, make(), stall=stall, rng=random.Random(seen))

        return bench

    run(
        dut,
        main,
        background=[
            buffer.reader(dut.read),
            buffer.writer(dut.write),
            count,
            feed(
                dut.ofmap_command,
                lambda: (
                    2
                    * [ofmap_payload(dict(to_ring=1, images=1, positions=10, rows=1, sets=1, p=5))]
                ),
            ),
            feed(
                dut.psum_command, lambda: [dict(from_ring=1, positions=5, rows=2, sets=1, p=5)] * 2
            ),
            feed(
                dut.input,
                lambda: (
                    [dict(data=w, last=0) for w in words]
                    if lanes == 4
                    else [
                        dict(data=w >> 32 * k & 0xFFFFFFFF, end=int(count == 1))
                        for n, w in enumerate(words)
                        for count in ((4, 1)[n % 2],)
                        for k in range(count)
                    ]
                ),
            ),
        ],
    )
