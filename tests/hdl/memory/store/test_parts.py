"""The commands and the coders of STORE alone."""

import random
from itertools import product

import numpy as np
import pytest

from golden.rlc import encode
from hdl.memory.store.coded import RlcCoder
from hdl.memory.store.commands import StoreCommands
from hdl.memory.store.entry_bytes import EntryBytes
from hdl.memory.store.plain import PlainCoder
from hdl.timing import STORES
from tests.golden.test_rlc import strips_of
from tests.hdl.memory.store.reference import byte_of
from tests.hdl.streams import holds, idle, receive, run, send, shared


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_commands(stall):
    """Each is done in order: a SHAPE at once, a STORE when it has been answered."""
    rng, dut = random.Random(3), shared(StoreCommands)
    kinds = [rng.randrange(2) for _ in range(40)]
    commands = [dict(is_shape=kind, body=rng.getrandbits(64)) for kind in kinds]
    done, owed, seen = [], [], []

    async def engine(ctx):
        """The arithmetic, and the bus after it."""
        chance, busy = random.Random(4), 0
        ctx.set(dut.idle, 1)
        while True:
            answers = bool(owed) and chance.random() >= max(stall, 0.3)
            ctx.set(dut.answered, answers)
            busy = max(0, busy - 1)
            ctx.set(dut.idle, busy == 0)
            _, _, start, pulse, oldest, store = await ctx.tick().sample(
                dut.start, dut.done, dut.oldest, dut.store.as_value()
            )
            if answers:
                owed.pop()
            if start:
                busy = 1 + chance.randrange(6)
                seen.append(store & ((1 << 64) - 1))
                owed.append(1)
            if pulse:
                done.append(kinds[len(done)])
            if oldest:
                assert kinds[len(done)] == 0 or pulse

    async def finish(ctx):
        while len(done) < len(commands):
            await ctx.tick()
        await idle(ctx, 10)
        assert len(done) == len(commands) and not owed

    run(dut, lambda ctx: send(ctx, dut.command, commands, stall=stall), finish, background=[engine])
    assert seen == [c["body"] for c in commands if not c["is_shape"]]


def test_commands_wait_for_room():
    """No more than STORES are under way."""
    dut, sent = shared(StoreCommands), []

    async def offer(ctx):
        ctx.set(dut.idle, 1)
        for _ in range(STORES):
            await send(ctx, dut.command, [dict(is_shape=0, body=1)])
            sent.append(1)
        ctx.set(dut.command.valid, 1)
        for _ in range(30):
            assert not ctx.get(dut.command.ready) or len(sent) < STORES
            await ctx.tick()

    run(dut, offer)
    assert len(sent) == STORES


CODERS = [
    (PlainCoder, 0, 0),
    (PlainCoder, 0, 1),
    (RlcCoder, 0, 0),
    (RlcCoder, 0, 1),
    (RlcCoder, 1, 0),
]


def items_of(strip, chunk, lane):
    """A strip, as the pooler tells it."""
    for at in range(0, len(strip), chunk):
        entries = [int(e) & 0xFFFF for e in strip[at : at + chunk]]
        yield dict(
            entries=entries + [0] * (4 - len(entries)),
            first=at == 0,
            last=at + chunk >= len(strip),
            lane=lane,
        )


@pytest.mark.parametrize("coder,rlc,narrow", CODERS)
@pytest.mark.parametrize("lanes,chunk", [(1, 1), (4, 1), (4, 3), (4, 4)])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_coders(coder, rlc, narrow, lanes, chunk, stall):
    """What the ranges and words put into memory is the strips, coded, as they are, or as bytes."""
    rng, dut = np.random.default_rng(6), shared(coder, lanes)
    kind = dict(narrow=narrow, unsigned=int(rng.integers(2)), zero=int(rng.integers(-128, 256)))
    items, places, memory, want = [], [], {}, {}
    for n in range(12):
        strip = strips_of(rng, 1, chunk * int(rng.integers(1, 30)), 0.7)[0]
        begin, table = 0x1000 * n, 0x80000 + 2 * n
        begin += 0 if rlc else int(rng.integers(8)) if narrow else 2 * int(rng.integers(4))
        lane, size, last = begin & 7, (2 - narrow) * len(strip), n == 11
        words = (size + lane + 7) // 8
        request = dict(address=begin & ~7, words=words, last=last)
        places.append(dict(range=dict(begin=begin, bytes=size, request=request), table=table))
        items += items_of(strip, chunk, lane)
        if rlc:
            coded, lengths = encode(strip[None])
            raw = coded[0, : lengths[0]].tobytes()
            want |= {table: int(lengths[0]) & 0xFF, table + 1: int(lengths[0]) >> 8}
        elif narrow:
            raw = bytes(byte_of(entry, kind) for entry in strip.tolist())
        else:
            raw = strip.tobytes()
        want |= {begin + k: byte for k, byte in enumerate(raw)}
    words, ranges = [], []

    async def put(ctx):
        ctx.set(dut.rlc, rlc)
        ctx.set(dut.kind, kind)
        ctx.set(dut.chunk, chunk)
        await send(ctx, dut.entries, items, stall=stall)
        await idle(ctx, 100)
        assert ctx.get(dut.idle)

    run(
        dut,
        put,
        lambda ctx: send(ctx, dut.strips, places, stall=stall),
        background=[
            lambda ctx: receive(ctx, dut.words, None, words, stall=stall),
            lambda ctx: receive(ctx, dut.ranges, None, ranges, stall=stall),
            holds(dut.words, "words"),
            holds(dut.ranges, "ranges"),
        ],
    )
    coming = iter(words)
    for span in ranges:
        for n in range(span.request.words):
            word = next(coming)
            for k in range(8):
                if word.strobe >> k & 1:
                    memory[span.request.address + 8 * n + k] = word.data >> 8 * k & 0xFF
    assert next(coming, None) is None
    assert memory == want
    assert [span.request.last for span in ranges] == [0] * (len(ranges) - 1) + [1]


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("unsigned", [0, 1])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_entry_bytes(lanes, unsigned, stall):
    """A zero is added and the sum saturated, near the bounds and far from them."""
    dut, rng = shared(EntryBytes, lanes), random.Random(8)
    edges = [sign * (1 << bit) + n for bit in range(16) for sign in (1, -1) for n in (-1, 0, 1)]
    edges += range(-600, 600, 7)
    values = [v for v in edges if -32768 <= v < 32768]
    values += [0] * (-len(values) % lanes)

    for narrow, zero in product((0, 1), (-256, -128, -1, 0, 77, 127, 128, 255)):
        kind, items, got = dict(narrow=narrow, unsigned=unsigned, zero=zero), [], []
        rng.shuffle(values)
        for at in range(0, len(values), lanes):
            entries = [v & 0xFFFF for v in values[at : at + lanes]] + [0] * (4 - lanes)
            ends = dict(first=rng.randrange(2), last=rng.randrange(2), lane=rng.randrange(8))
            items.append(dict(entries=entries) | ends)

        async def put(ctx, kind=kind, items=items):
            ctx.set(dut.kind, kind)
            await send(ctx, dut.entries, items, stall=stall)

        cycles = run(
            dut,
            put,
            lambda ctx, items=items, got=got: receive(ctx, dut.bytes, len(items), got, stall=stall),
            background=[holds(dut.bytes)],
        )
        used = slice(0, max(lanes, 2) if narrow else 2 * lanes)
        for n, (item, bytes_) in enumerate(zip(items, got, strict=True)):
            mine = values[n * lanes : (n + 1) * lanes]
            want = (
                bytes(byte_of(v, kind) for v in mine)
                if narrow
                else (b"".join((v & 0xFFFF).to_bytes(2, "little") for v in mine))
            )
            want = want * 2 if narrow and lanes == 1 else want
            assert bytes_.data.to_bytes(2 * lanes, "little")[used] == want
            ends = {name: getattr(bytes_, name) for name in ("first", "last", "lane")}
            assert item | ends == item
        if not stall:  # an item a cycle
            assert cycles <= len(items) + 2
