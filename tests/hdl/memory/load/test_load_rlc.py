"""Run-length coded LOADs, between others: the same words as from strips that are not coded."""

import numpy as np
import pytest

from golden.rlc import encode, slot_words
from hdl.isa import Error
from hdl.memory.load.load import Load
from tests.golden.test_rlc import strips_of, word
from tests.hdl.memory.load.reference import loaded, narrow, written
from tests.hdl.streams import ReadMemory, holds, idle, receive, run, send, shared

SIZE = 1 << 18
TABLES = SIZE // 2  # coded strips lie below, tables and plain words above


class Memory:
    """DRAM with tensors [a][b][c] of coded strips."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.bytes = bytearray(self.rng.bytes(SIZE))
        self.at, self.table_at = 8, TABLES + 2

    def tensor(self, counts, entries, zeros, word_at, reverse=False):
        """(LOAD, the words it writes, strips' addresses, table's address)."""
        a, b, c = counts
        strips = strips_of(self.rng, a * b * c, entries, zeros)
        data, lengths = encode(strips)
        length, slot = -(-entries // 4), slot_words(entries)
        c_pitch = 8 * (slot + int(self.rng.integers(0, 3)))
        b_pitch, a_pitch = c_pitch * c + 8, (c_pitch * c + 8) * b + 16
        table_b = 2 * c + 2 * int(self.rng.integers(0, 3))
        addresses = []
        first, table = self.at, self.table_at
        for i in range(a * b * c):
            x, y, z = i // (b * c), i // c % b, i % c
            at, t = (
                first + x * a_pitch + y * b_pitch + z * c_pitch,
                table + x * a_pitch + y * table_b + 2 * z,
            )
            addresses.append(at)
            n = int(lengths[i])
            self.bytes[at : at + 8 * n] = data[i, :n].tobytes()
            self.bytes[t : t + 2] = n.to_bytes(2, "little")
        self.at += a * a_pitch
        self.table_at += a * a_pitch + 2 * int(self.rng.integers(0, 5))
        assert self.at < TABLES and self.table_at < SIZE - 8000
        strides = [a_pitch, b_pitch, c_pitch]
        want = np.zeros((a, b, c, 4 * length), np.int16)
        want[..., :entries] = strips.reshape(a, b, c, entries)
        if reverse:  # rows from last to first: negative strides
            first, strides[1], want = first + (b - 1) * b_pitch, -b_pitch % 2**32, want[:, ::-1]
            lengths_at = [table + x * a_pitch + y * table_b for x in range(a) for y in range(b)]
            rows = [bytes(self.bytes[at : at + 2 * c]) for at in lengths_at]
            # the table's stay positive: lengths of the last row first
            for i, at in enumerate(lengths_at):
                self.bytes[at : at + 2 * c] = rows[i // b * b + b - 1 - i % b]
        command = dict(
            dram=first,
            word=word_at,
            length=length,
            count_a=a,
            count_b=b,
            count_c=c,
            rlc=1,
            slot=slot,
            table=table,
            table_b=table_b,
            **{f"stride_{n}": s for n, s in zip("abc", strides)},
        )
        return (
            command,
            np.ascontiguousarray(want).view(np.uint64).reshape(-1).tolist(),
            addresses,
            table,
        )

    def plain(self, words, word_at, **more):
        """(LOAD, the words it writes) of a strip that is not coded, perhaps of 8 bits."""
        at = SIZE - 8 * int(self.rng.integers(100, 1000))
        data = [
            word
            for n in range(at, at + 8 * words, 8)
            for word in loaded(more, bytes(self.bytes[n : n + 8]))
        ]
        return dict(
            more,
            dram=at,
            word=word_at,
            length=words,
            count_a=1,
            count_b=1,
            count_c=1,
            rlc=0,
            slot=0,
            table=1,
            table_b=0,
            stride_a=0,
            stride_b=0,
            stride_c=0,
        ), data


def simulate(
    memory,
    commands,
    want,
    *,
    stall=0.0,
    latency=5,
    bad=(),
    limit=SIZE,
    base=0,
    error=None,
    dones=None,
):
    """Runs commands; want: (word, data) in order. Returns (the memory's log, cycles of writes)."""
    dut = shared(Load)
    axi = ReadMemory(dut.read, memory.bytes, latency=latency, stall=stall, bad=bad)
    got, times, seen = [], [], []

    async def done(ctx):
        async for _, _, d in ctx.tick().sample(dut.done):
            seen.extend([len(got)] * d)

    async def start(ctx):
        ctx.set(dut.base, base)
        ctx.set(dut.limit, limit)
        await send(ctx, dut.command, commands, stall=stall)

    async def take(ctx):
        await receive(ctx, dut.write, None, got, stall=stall, times=times)

    async def finish(ctx):
        if error is None:
            while len(seen) < len(commands):
                await ctx.tick()
        else:
            await ctx.tick().until(dut.error != Error.NONE)
            assert ctx.get(dut.error) == error and len(seen) == dones
        await idle(ctx, 100 if error is None else 400)
        if error is not None:  # what was under way has been taken, nothing more asked for
            assert len(seen) == dones and axi.beats == sum(n for _, n in axi.bursts)

    run(
        dut,
        finish,
        background=[
            start,
            take,
            axi,
            done,
            holds(dut.write, "write"),
            holds(dut.read.address, "ar"),
        ],
        cycles=60_000,
    )
    words = [word for write in got for word in written(write)]
    if error is None:
        assert len(words) == len(want) and words == want
        assert len(seen) == len(commands)
    else:
        sound = len(want) - 3 * 8  # the words before the strip with a flaw
        assert words[:sound] == want[: len(words)][:sound]
    return axi, times


def mixed(memory, seed, count=10):
    rng = np.random.default_rng(seed)
    commands, want = [], []
    for _ in range(count):
        at = int(rng.integers(0, 1 << 17))
        kind = rng.random()
        if kind < 0.2:
            command, words = memory.plain(int(rng.integers(1, 90)), at)
        elif kind < 0.5:
            of_bytes = narrow(int(rng.integers(-128, 256)), int(rng.integers(2)))
            command, words = memory.plain(int(rng.integers(1, 90)), at & ~1, **of_bytes)
            at &= ~1
        else:
            counts = [int(n) for n in rng.integers(1, (3, 5, 8))]
            command, words, *_ = memory.tensor(
                counts,
                int(rng.integers(1, 50)),
                rng.choice([0, 0.5, 0.8, 0.97, 1]),
                at,
                rng.random() < 0.3,
            )
        commands.append(command)
        want += [(at + n, w) for n, w in enumerate(words)]
    return commands, want


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stall,latency", [(0.0, 40), (0.4, 5), (0.0, 1)])
def test_mixed(seed, stall, latency):
    """Coded, plain and 8-bit strips."""
    memory = Memory(seed)
    simulate(memory, *mixed(memory, seed), stall=stall, latency=latency)


def test_many_zero_strips():
    """More strips without words than fit any queue, and a long row of lengths."""
    memory = Memory(1)
    a = memory.tensor((1, 2, 150), 4, 1.0, 0)
    b = memory.tensor((1, 1, 90), 9, 0.9, 500)
    c, data = memory.plain(5, 1000)
    want = [(n, w) for n, w in enumerate(a[1])] + [(500 + n, w) for n, w in enumerate(b[1])]
    simulate(
        memory,
        [a[0], b[0], c],
        want + [(1000 + n, w) for n, w in enumerate(data)],
        latency=40,
    )


def rate(beats, times):
    return beats / (times[-1] - times[0] + 1)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("zeros", [0.0, 0.4, 0.7, 0.9])
def test_throughput(zeros):
    """Strips of 13 columns of 4 channels behind a latency of 40 cycles: a word of the global buffer
    a cycle where there are zeros, a beat of the bus a cycle where there are none."""
    memory = Memory(3)
    parts = [memory.tensor((1, 5, 8), 52, zeros, 600 * i) for i in range(6)]
    want = [(600 * i + n, w) for i, p in enumerate(parts) for n, w in enumerate(p[1])]
    axi, times = simulate(memory, [p[0] for p in parts], want, latency=40)
    bus, buffer = rate(len(axi.times), axi.times), rate(len(times), times)
    assert max(bus, buffer) > 0.93, (bus, buffer)


def prepared(kind):
    """A good tensor, a plain command, and a tensor with a flaw: (memory, commands, want,
    options, error)."""
    memory = Memory(5)
    good = memory.tensor((1, 3, 4), 30, 0.5, 0)
    plain, data = memory.plain(20, 400)
    last = memory.tensor((1, 2, 4), 30, 0.5, 800)
    want = [(n, w) for n, w in enumerate(good[1])] + [(400 + n, w) for n, w in enumerate(data)]
    want += [(800 + n, w) for n, w in enumerate(last[1])]
    command, _, addresses, table = last
    options, error = {}, Error.RLC_STREAM
    victim = addresses[5]
    match kind:
        case "no termination":
            memory.bytes[victim : victim + 8] = word((1, 1), last=0).to_bytes(8, "little")
            memory.bytes[table + command["table_b"] + 2] = 1
        case "early termination":
            memory.bytes[victim : victim + 8] = word((1, 1)).to_bytes(8, "little")
            memory.bytes[table + command["table_b"] + 2] = 3
        case "level behind the strip":
            memory.bytes[victim : victim + 8] = word((31, 0), (0, 0), (0, 1)).to_bytes(8, "little")
            memory.bytes[table + command["table_b"] + 2] = 1
        case "length":
            memory.bytes[table + command["table_b"] + 2] = command["slot"] + 1
        case "huge length":
            memory.bytes[table + command["table_b"] + 2 : table + command["table_b"] + 4] = (
                b"\xff\xff"
            )
        case "beat":
            options, error = dict(bad=[victim]), Error.READ_RESPONSE
        case "table beat":
            options, error = dict(bad=[table & ~7]), Error.READ_RESPONSE
        case "strip window":
            options, error = dict(base=good[0]["dram"]), Error.READ_WINDOW
            commands = [good[0], plain, command | dict(stride_b=2**32 - 0x4000)]
            return memory, commands, want, options, error
        case "table window":
            commands = [good[0], plain, command | dict(table=SIZE)]
            return memory, commands, want, options, Error.READ_WINDOW
    return memory, [good[0], plain, command], want, options, error


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "kind",
    [
        "no termination",
        "early termination",
        "level behind the strip",
        "length",
        "huge length",
        "beat",
        "table beat",
        "strip window",
        "table window",
    ],
)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_errors(kind, stall):
    memory, commands, want, options, error = prepared(kind)
    simulate(
        memory,
        commands + commands[:2],
        want,
        stall=stall,
        latency=20,
        error=error,
        dones=2,
        **options,
    )
