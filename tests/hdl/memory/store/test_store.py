"""STORE against a direct reading of the docstrings of StoreBody and ShapeBody."""

import random
from collections import deque

import numpy as np
import pytest

from golden.fixed import reciprocal
from hdl.isa import BODIES, Error, Opcode, Pool, Rounding, fields
from hdl.memory.store.store import Store
from tests.hdl.memory.store.reference import Reference, operand_scales, scaling
from tests.hdl.streams import WriteMemory, holds, idle, run, send, shared

ENTRIES = 1 << 13
TILE = np.random.default_rng(12).integers(-32768, 32768, ENTRIES).astype(np.int64)
DRAM = 1 << 16


def body(opcode, values):
    word = 0
    for name, offset, width, _ in fields(BODIES[opcode]):
        word |= (values.get(name, 0) & ((1 << width) - 1)) << offset
    assert not set(values) - {f[0] for f in fields(BODIES[opcode])}
    return dict(is_shape=opcode == Opcode.SHAPE, body=word)


def store(**v):
    base = dict(
        block=4,
        ring=1 << 10,
        images=1,
        rows=1,
        blocks=1,
        columns=1,
        out_block=4,
        chunk=4,
        column_stride=4,
        dram=0x1000,
    )
    return Opcode.STORE, base | v


def shape(**v):
    base = dict(
        block=1,
        kernel_x=1,
        kernel_y=1,
        stride_x=1,
        stride_y=1,
        height=1000,
        width=1000,
        count_bottom=1000,
        count_right=1000,
        count_top=-1000,
        count_left=-1000,
    )
    return Opcode.SHAPE, base | v


def reference(commands, out):
    """Applies the commands to `out`, a bytearray."""
    Reference(TILE, out)(commands)


class Glb:
    """Answers reads in order after a few cycles, refusing some."""

    def __init__(self, dut, stall, latency=4, seed=13):
        self.dut, self.stall, self.latency, self.rng = dut, stall, latency, random.Random(seed)
        self.times = []

    async def __call__(self, ctx):
        q, r = self.dut.request, self.dut.response
        queue, now, valid = deque(), 0, False
        while True:
            ready = self.rng.random() >= self.stall
            ctx.set(q.ready, ready)
            if not valid and queue and queue[0][0] <= now and self.rng.random() >= self.stall:
                word = queue.popleft()[1]
                value = 0
                for i in range(8):
                    value |= (int(TILE[(4 * word + i) % ENTRIES]) & 0xFFFF) << 16 * i
                ctx.set(r.payload, value)
                valid = True
            ctx.set(r.valid, valid)
            _, _, asked, word, taken = await ctx.tick().sample(q.valid, q.payload, r.ready)
            now += 1
            if asked and ready:
                queue.append((now + self.latency - 1, word))
                self.times.append(now)
            if valid and taken:
                valid = False


BUILD = {}
SMALL = dict(rlc=False, address=17, lanes=1)


@pytest.fixture(
    autouse=True,
    params=[{}, SMALL],
    ids=["all", "small"],
)
def built(request):
    """All of it also with an entry at a time, addresses no wider than the memory, and without the
    parts for coded strips."""
    BUILD.clear()
    BUILD.update(request.param)


def chunked(commands):
    """As a configuration with so many lanes has them."""
    lanes = BUILD.get("lanes", 4)
    return [
        (o, v | dict(chunk=min(v["chunk"], lanes)) if o == Opcode.STORE else v) for o, v in commands
    ]


def simulate(
    commands, *, stall=0.0, cycles=40_000, window=(0, DRAM), latency=4, reference=reference
):
    dut, commands = shared(Store, **BUILD), chunked(commands)
    memory = bytearray(DRAM)
    memory[:] = b"\xa5" * DRAM
    want = bytearray(memory)
    reference(commands, want)
    axi = WriteMemory(dut.write, memory, stall=stall, latency=latency)
    glb = Glb(dut, stall)
    dones = []

    async def start(ctx):
        ctx.set(dut.base, window[0])
        ctx.set(dut.limit, window[1])
        await send(ctx, dut.command, [body(o, v) for o, v in commands], stall=stall)

    async def done(ctx):
        async for _, _, d, outstanding in ctx.tick().sample(dut.done, dut.outstanding):
            if d:
                dones.append(outstanding)

    async def finish(ctx):
        while len(dones) < len(commands):
            await ctx.tick()
            assert ctx.get(dut.error) == Error.NONE
        await idle(ctx, 30)
        assert not ctx.get(dut.outstanding)

    run(
        dut,
        start,
        finish,
        cycles=cycles,
        background=[
            axi,
            glb,
            done,
            holds(dut.request, "request"),
            holds(dut.write.address, "aw"),
            holds(dut.write.data, "w"),
        ],
    )
    assert len(dones) == len(commands)
    wrong = [i for i in range(DRAM) if memory[i] != want[i]]
    assert not wrong, (len(wrong), wrong[:8], wrong[-1])
    return axi, glb


Q = 4


def tile(h, w, c, q=Q, **more):
    """Fields of a tile [row][block][column][q]."""
    blocks = -(-c // q)
    return dict(row_stride=blocks * w * q, block_stride=w * q, column_stride=q, block=q) | more


def out(h, w, c, q=Q, **more):
    pitch = -(-w * q * 2 // 8) * 8
    blocks = -(-c // q)
    return (
        dict(
            rows=h,
            columns=w,
            blocks=blocks,
            out_block=q,
            out_block_stride=pitch,
            out_row_stride=pitch * blocks,
            out_image_stride=pitch * blocks * h,
        )
        | more
    )


def powers(shift_a, shift_b, shift_out):
    """An add of powers of two."""
    return dict(
        multiplier_a=1 << 11 + shift_a,
        multiplier_b=1 << 11 + shift_b,
        multiplier=1 << 30,
        shift=1 - shift_out,
    )


MAX, AVERAGE = dict(pool=Pool.MAX), dict(pool=Pool.AVERAGE)
# The scales of an int8 add, and half of what is stored.
BYTES = dict(
    multiplier_a=1 << 30,
    multiplier_b=1_234_567_891,
    shift_b=-2,
    multiplier=1_987_654_321,
    shift=-26,
    rounding=Rounding.DOUBLE,
    lo=-100,
    hi=127,
)
HALVED = dict(multiplier=1 << 30, shift=0, rounding=Rounding.AWAY, lo=-9999, hi=8000)

CASES = {
    "one entry": [store(out_block=1, chunk=1, block=1, base=5)],
    "last lane": [store(base=3), store(base=3, chunk=3, out_block=3, block=3, dram=0x1006)],
    "copy": [store(**tile(5, 6, 8), **out(5, 6, 8), base=77)],
    "images": [store(**tile(3, 5, 8), **out(3, 5, 8), images=3, image_stride=121, relu=1)],
    "beyond channels": [store(**tile(3, 5, 6), **out(3, 5, 12), base=ENTRIES - 40)],
    "odd bytes": [store(**tile(3, 3, 4), **out(3, 3, 4), dram=0x1000 + d) for d in (2, 4, 6)],
    "4 to 3": [store(**tile(2, 5, 8), **out(2, 5, 8, 3), chunk=1)],
    "3 to 4": [store(**tile(2, 5, 9, 3), **out(2, 5, 9, 4), chunk=1)],
    "3 to 3": [store(**tile(2, 5, 9, 3), **out(2, 5, 9, 3), chunk=3)],
    "8 to 4": [store(**tile(2, 5, 16, 8), **out(2, 5, 16, 4))],
    "4 to 16": [store(**tile(2, 5, 32, 4), **out(2, 5, 32, 16))],
    "6 to 2": [store(**tile(2, 5, 12, 6), **out(2, 5, 12, 2), chunk=2)],
    "ring": [
        store(**tile(7, 3, 4), **out(7, 3, 4), row_first=5, ring=7, images=2, image_stride=200)
    ],
    "ring of one": [store(**tile(1, 3, 4), **out(1, 3, 4), ring=1)],
    "negative strides": [store(**tile(3, 3, 4, row_stride=-12 % 2**20), **out(3, 3, 4), base=500)],
    "max 2x2s2": [
        shape(kernel_y=2, kernel_x=2, stride_y=2, stride_x=2, height=6, width=8),
        store(**tile(6, 8, 8), **out(3, 4, 8), **MAX),
    ],
    "max 3x3s2": [
        shape(kernel_y=3, kernel_x=3, stride_y=2, stride_x=2, height=7, width=9),
        store(**tile(7, 9, 8), **out(3, 4, 8), **MAX, row_first=4, ring=7, relu=1),
    ],
    "max 3x3s2 padded": [
        shape(
            kernel_y=3,
            kernel_x=3,
            stride_y=2,
            stride_x=2,
            height=6,
            width=7,
            y_first=-1,
            x_first=-1,
        ),
        store(**tile(6, 7, 4), **out(4, 4, 4), **MAX, row_first=3, ring=8),
    ],
    "max 3x3s1 padded": [
        shape(kernel_y=3, kernel_x=3, height=5, width=5, y_first=-1, x_first=-1),
        store(**tile(5, 5, 4), **out(5, 5, 4), **MAX, row_first=4, ring=5),
    ],
    "crop": [
        shape(kernel_y=2, kernel_x=1, stride_y=3, height=9, width=5, y_first=2, x_first=1),
        store(**tile(9, 5, 4), **out(2, 3, 4), **MAX, row_first=8, ring=9),
    ],
    "empty windows": [
        shape(
            kernel_y=2,
            kernel_x=2,
            stride_y=2,
            stride_x=3,
            height=3,
            width=4,
            y_first=-4,
            x_first=-5,
        ),
        store(**tile(3, 4, 4), **out(6, 5, 4), **MAX, images=2, image_stride=7),
    ],
    "global": [
        shape(
            kernel_y=7,
            kernel_x=7,
            height=7,
            width=7,
            fixed=1,
            multiplier=reciprocal(49)[0],
            shift=reciprocal(49)[1],
        ),
        store(**tile(7, 7, 16), **out(1, 1, 16), **AVERAGE),
    ],
    "divisors": [
        shape(
            kernel_y=3,
            kernel_x=3,
            height=5,
            width=6,
            y_first=-1,
            x_first=-1,
            count_top=0,
            count_left=0,
            count_bottom=5,
            count_right=6,
        ),
        store(**tile(5, 6, 4), **out(5, 6, 4), **AVERAGE),
    ],
    "divisors with padding": [
        shape(
            kernel_y=2,
            kernel_x=2,
            stride_y=2,
            stride_x=2,
            height=5,
            width=5,
            count_bottom=6,
            count_right=4,
            count_top=0,
            count_left=0,
        ),
        store(**tile(5, 5, 3, 3), **out(4, 3, 3, 3), **AVERAGE, chunk=3, relu=1),
    ],
    "add": [
        shape(base=900, **powers(1, 0, 2), **tile(3, 5, 8)),
        store(**tile(3, 5, 8), **out(3, 5, 8), add=1, relu=1),
        shape(base=901, **powers(0, 15, 15), **tile(3, 5, 8, 8), image_stride=33),
        store(**tile(3, 5, 8), **out(3, 5, 8), add=1, images=2, image_stride=19, dram=0x1800),
    ],
    "add, another block": [
        shape(base=900, **powers(0, 0, 0), **tile(2, 5, 12, 3)),
        store(**tile(2, 5, 12, 4), **out(2, 5, 12, 2), add=1, chunk=1),
    ],
    "add of int8": [
        shape(base=900, **BYTES, **tile(3, 5, 8)),
        store(**tile(3, 5, 8), **out(3, 5, 8), add=1, scaled=1),
    ],
    "scaled": [
        shape(**HALVED, height=6, width=8),
        store(**tile(3, 5, 8), **out(3, 5, 8), scaled=1),
        store(**tile(3, 4, 8), **out(3, 4, 8), relu=1, dram=0x1800),
        shape(**HALVED, kernel_y=2, kernel_x=2, stride_y=2, stride_x=2, height=6, width=8),
        store(**tile(6, 8, 8), **out(3, 4, 8), **MAX, scaled=1, dram=0x2000),
        store(**tile(6, 8, 8), **out(3, 4, 8), **AVERAGE, scaled=1, dram=0x2800),
        store(**tile(6, 8, 8), **out(3, 4, 8), **AVERAGE, relu=1, dram=0x3000),
    ],
    "many bursts": [store(**tile(1, 160, 4), **out(1, 160, 4), dram=0x1F02)],
    "stale shape": [
        shape(
            kernel_y=5, kernel_x=5, stride_y=4, stride_x=4, y_first=3, x_first=3, height=2, width=2
        ),
        store(**tile(3, 4, 4), **out(3, 4, 4)),
    ],
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", CASES)
def test_store(name):
    simulate(CASES[name])


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", CASES)
def test_store_stalled(name):
    simulate(CASES[name], stall=0.35)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", range(5))
def test_store_random(seed):
    rng = random.Random(seed)
    commands = []
    for i in range(4):
        q, qo = rng.choice([(4, 4), (4, 4), (3, 4), (4, 3), (8, 4), (6, 3), (2, 2), (5, 5)])
        chunk = max(c for c in range(1, 5) if q % c == 0 and qo % c == 0)
        h, w, c = rng.randrange(1, 6), rng.randrange(1, 7), rng.randrange(1, 13)
        if rng.random() < 0.7:
            commands.append(
                shape(
                    base=rng.randrange(ENTRIES),
                    **operand_scales(rng),
                    **scaling(rng),
                    fixed=rng.randrange(2),
                    **tile(h, w, c, q),
                    image_stride=rng.randrange(99),
                    kernel_y=rng.randrange(1, 5),
                    kernel_x=rng.randrange(1, 5),
                    stride_y=rng.randrange(1, 4),
                    stride_x=rng.randrange(1, 4),
                    y_first=rng.randrange(-3, 3),
                    x_first=rng.randrange(-3, 3),
                    height=h,
                    width=w,
                    count_top=rng.randrange(-2, 2),
                    count_left=rng.randrange(-2, 2),
                    count_bottom=rng.randrange(0, 8),
                    count_right=rng.randrange(0, 8),
                )
            )
        elif not commands:
            commands.append(shape())
        add = rng.randrange(2) if commands[-1][0] == Opcode.SHAPE else 0
        commands.append(
            store(
                **tile(h, w, c, q),
                **out(rng.randrange(1, 5), rng.randrange(1, 5), c, qo),
                chunk=chunk,
                base=rng.randrange(ENTRIES),
                row_first=rng.randrange(12),
                ring=12,
                images=rng.randrange(1, 3),
                image_stride=rng.randrange(300),
                pool=0 if add else rng.randrange(3),
                add=add,  # chunk divides the second operand's block too
                relu=rng.randrange(2),
                scaled=rng.randrange(2),
                dram=0x1000 + 0x2000 * i + 2 * rng.randrange(4),
            )
        )
    simulate(commands, stall=rng.choice([0, 0.2]))


def rate(times):
    return len(times) / (times[-1] - times[0] + 1)


def test_throughput():
    _, glb = simulate([store(**tile(6, 14, 32), **out(6, 14, 32))])
    assert len(glb.times) == 6 * 14 * (8 if BUILD.get("lanes", 4) == 4 else 32)
    assert rate(glb.times) > 0.95
    _, glb = simulate(
        [
            shape(kernel_y=2, kernel_x=2, stride_y=2, stride_x=2, height=8, width=16),
            store(**tile(8, 16, 16), **out(4, 8, 16), **MAX),
        ]
    )
    assert rate(glb.times) > 0.95
    _, glb = simulate(
        [
            shape(kernel_y=2, kernel_x=2, stride_y=2, stride_x=2, height=8, width=16),
            store(**tile(8, 16, 16), **out(4, 8, 16), **AVERAGE),
        ]
    )
    assert rate(glb.times) > 0.95
    _, glb = simulate(
        [shape(base=700, **tile(4, 8, 32)), store(**tile(4, 8, 32), **out(4, 8, 32), add=1)]
    )
    assert rate(glb.times) > 0.95


def attempt(commands, error, *, bad=(), window=(0x1000, 0x2000), dones=0):
    """Runs into `error` with `dones` commands done before it."""
    dut, commands = shared(Store, **BUILD), chunked(commands)
    memory = bytearray(DRAM)
    axi = WriteMemory(dut.write, memory, bad=bad, stall=0.2)
    seen = []

    async def start(ctx):
        ctx.set(dut.base, window[0])
        ctx.set(dut.limit, window[1])
        await send(ctx, dut.command, [body(o, v) for o, v in commands])

    async def finish(ctx):
        while not ctx.get(dut.error):
            await ctx.tick()
            if ctx.get(dut.done):
                seen.append(1)
        assert ctx.get(dut.error) == error
        assert len(seen) == dones
        ctx.set(dut.halt, 1)
        await idle(ctx, 200)
        assert not ctx.get(dut.outstanding)

    run(dut, finish, background=[start, axi, Glb(dut, 0.1), holds(dut.write.data, "w")])
    assert all(window[0] <= a and a + 8 * n <= window[1] for a, n in axi.bursts)
    assert not any(memory[: window[0]]) and not any(memory[window[1] :])
    return axi


@pytest.mark.sampled(4)
@pytest.mark.parametrize("dram", [0xFFE, 0xFF8, 0x1FFA, 0x2000, 0xFFFFFFFE])
def test_window_error(dram):
    dram &= (1 << BUILD.get("address", 32)) - 1
    good = store(**tile(2, 5, 8), **out(2, 5, 8))
    attempt([good, shape(), store(dram=dram), good], Error.WRITE_WINDOW, dones=2)


def test_write_response_error():
    good = store(**tile(2, 5, 8), **out(2, 5, 8))
    attempt(
        [good, store(**tile(2, 5, 8), **out(2, 5, 8), dram=0x1800), good],
        Error.WRITE_RESPONSE,
        bad=[0x1828],
        dones=1,
    )


def test_too_long():
    attempt([store(), store(columns=65535, out_block=64)], Error.ILLEGAL_COMMAND, dones=1)


def test_halt_sends_empty_beats():
    """After halt the data of addresses issued goes out without strobes, and no more addresses."""
    dut = shared(Store, **BUILD)
    memory = bytearray(DRAM)
    axi = WriteMemory(dut.write, memory)

    async def bench(ctx):
        ctx.set(dut.limit, DRAM)
        (c,) = chunked([store(**tile(20, 32, 4), **out(20, 32, 4))])
        await send(ctx, dut.command, [body(*c)])
        await idle(ctx, 60)
        ctx.set(dut.request.ready, 0)
        ctx.set(dut.halt, 1)
        await idle(ctx, 3)
        issued, strobed = len(axi.bursts), axi.strobed
        await idle(ctx, 900)
        assert len(axi.bursts) <= issued + 1
        assert axi.beats == sum(n for _, n in axi.bursts) > strobed / 8
        assert axi.strobed <= strobed + 16
        assert not ctx.get(dut.outstanding)

    glb = Glb(dut, 0)
    run(dut, bench, background=[axi, glb, holds(dut.write.data, "w")])
