import itertools
import random

import pytest

from hdl.isa import Error
from hdl.memory.load.load import Load
from tests.hdl.memory.load.reference import loaded, narrow, written
from tests.hdl.streams import ReadMemory, holds, idle, receive, run, send, shared

RNG = random.Random(8)
MEMORY = bytearray(RNG.randbytes(1 << 16))


BUILD = {}


@pytest.fixture(autouse=True, params=[{}, dict(rlc=False, address=17)], ids=["all", "small"])
def build(request):
    """All of it also without the parts for coded strips, and with addresses no wider than the
    memory."""
    BUILD.clear()
    BUILD.update(request.param)


def load(dram=0, word=0, length=1, counts=(1, 1, 1), strides=(0, 0, 0), **more):
    return dict(
        more,
        dram=dram,
        word=word,
        length=length,
        count_a=counts[0],
        count_b=counts[1],
        count_c=counts[2],
        stride_a=strides[0] % 2**32,
        stride_b=strides[1] % 2**32,
        stride_c=strides[2] % 2**32,
    )


def expected(c):
    """The words of each beat, (word, data)."""
    beats, word = [], c["word"]
    for a, b, k in itertools.product(*(range(c["count_" + x]) for x in "abc")):
        at = (c["dram"] + a * c["stride_a"] + b * c["stride_b"] + k * c["stride_c"]) % 2**32
        for i in range(c["length"]):
            data = loaded(c, MEMORY[at + 8 * i : at + 8 * i + 8])
            beats.append([((word + n) % 2**18, each) for n, each in enumerate(data)])
            word += len(data)
    return beats


def simulate(commands, *, stall=0.0, latency=5, bad=(), limit=1 << 16, base=0, error=None):
    dut = shared(Load, **BUILD)
    memory = ReadMemory(dut.read, MEMORY, latency=latency, stall=stall, bad=bad)
    want = [w for c in commands for w in expected(c)] if error is None else None
    ends = list(itertools.accumulate(len(expected(c)) for c in commands))
    got, dones = [], []

    async def done(ctx):
        async for _, _, d in ctx.tick().sample(dut.done):
            if d:
                dones.append(len(got))

    async def start(ctx):
        ctx.set(dut.base, base)
        ctx.set(dut.limit, limit)
        await send(ctx, dut.command, commands, stall=stall)

    async def finish(ctx):
        if error is None:
            await receive(ctx, dut.write, len(want), got, stall=stall)
        else:
            ctx.set(dut.write.ready, 1)
            await ctx.tick().until(dut.error != Error.NONE)
            assert ctx.get(dut.error) == error
        await idle(ctx, 60)

    benches = [finish] if error else [start, finish]
    background = [memory, done, holds(dut.write, "write"), holds(dut.read.address, "ar")]
    if error:
        background.append(start)
    run(dut, *benches, background=background)
    if error is None:
        assert len(got) == len(want)
        assert [written(g) for g in got] == want
        assert len(dones) == len(commands)
        assert all(d in (e - 1, e) for d, e in zip(dones, ends, strict=True))
        assert memory.beats == len(want)
    return memory, dones


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_nests(stall):
    """Strips of 8 bits between others."""
    commands = [
        load(8, 5, 1),
        load(0xFF8, 6, 2, **narrow(0)),
        load(8, 0x3FFFE, 2, **narrow(-128)),
        load(0, 100, 130, **narrow(255, unsigned=1)),
        load(0x2000, 8, 3, (2, 3, 4), (0x1000, 0x100, 0x20), **narrow(127)),
        load(0xFF8, 0x3FFFF, 3),
        load(0, 100, 130),
        load(0x2000, 7, 3, (2, 3, 4), (0x1000, 0x100, 0x20)),
        load(0x2000, 7, 2, (1, 1, 5), (0, 0, -24)),
        load(0x208, 0, 1, (3, 1, 1), (-8, 0, 0)),
        load(0x208, 0, 1, (1, 4, 1), (0, 72, 0)),
        load(0x400, 0, 5, (2, 2, 2), (0, 0, 0)),
    ]
    rng = random.Random(9)
    for _ in range(24):
        small = rng.randrange(2)
        commands.append(
            load(
                rng.randrange(1 << 12) * 8,
                rng.randrange(1 << 10) * (1 + small),
                rng.randrange(1, 9),
                [rng.randrange(1, 4) for _ in range(3)],
                [rng.randrange(64) * 8 for _ in range(3)],
                **(narrow(rng.randrange(-256, 256), rng.randrange(2)) if small else {}),
            )
        )
    simulate(commands, stall=stall)


@pytest.mark.parametrize("unsigned", [0, 1])
def test_narrow_every_byte(unsigned):
    """All 256, of zero points at the ends of their field and of both types."""
    at = MEMORY.copy()
    MEMORY[:256] = bytes(range(256))
    try:
        zeros = [-256, -128, -1, 0, 1, 127, 255]
        simulate([load(0, 64 * n, 32, **narrow(z, unsigned)) for n, z in enumerate(zeros)])
    finally:
        MEMORY[:] = at


def test_short_strips_hide_latency():
    commands = [load(8 * i, 0, 13, (1, 5, 8), (0, 0x1000, 120)) for i in range(3)]
    memory, _ = simulate(commands, latency=40)
    assert len(memory.times) / (memory.times[-1] - memory.times[0] + 1) > 0.8
    memory, _ = simulate([load(0, 0, 2000)], latency=40)
    assert len(memory.times) / (memory.times[-1] - memory.times[0] + 1) > 0.99
    memory, _ = simulate([load(0, 0, 2000, **narrow(3))], latency=40)
    assert len(memory.times) / (memory.times[-1] - memory.times[0] + 1) > 0.99
    memory, _ = simulate([load(128 * i, i, 2) for i in range(60)], latency=10)
    assert len(memory.times) / (memory.times[-1] - memory.times[0] + 1) > 0.4


@pytest.mark.parametrize(
    "command",
    [
        load(0x10000 - 8, 0, 2),
        load(0x10000 - 8, 0, 2, **narrow(5)),
        load(0xFF8, 0, 1),
        load(0x1000, 0, 1, (1, 1, 3), (0, 0, 0x8000)),
        load(0xFFFFFFF8, 0, 2),
    ],
)
def test_window(command):
    good = load(0x1000, 0, 40, **narrow(5))
    memory, dones = simulate([good, command], base=0x1000, limit=0x10000, error=Error.READ_WINDOW)
    assert len(dones) == 1  # the error belongs to the second command
    assert all(0x1000 <= a and a + 8 * n <= 0x10000 for a, n in memory.bursts)


def test_bad_response():
    _, dones = simulate(
        [load(0x1000, 0, 40), load(0x2000, 0, 3)], bad=[0x2010], error=Error.READ_RESPONSE
    )
    assert len(dones) <= 2
