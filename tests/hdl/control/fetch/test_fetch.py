import random

import pytest
from amaranth.hdl import Value

from hdl import isa
from hdl.config import PRESETS, SEMAPHORES
from hdl.control.fetch.fetch import Fetch
from hdl.control.legality import STORE_ADDRESSES, legal
from hdl.control.words import ENGINE_BODY as ENGINES
from hdl.control.words import engine_of
from hdl.isa import INDEX, VERSION_VALUE, Error, Opcode, pack, unpack
from tests.hdl.commands import GOOD
from tests.hdl.streams import ReadMemory, holds, idle, run, shared

CONFIG = PRESETS["tiny"]
BAD = {
    Opcode.CONFIG: [
        dict(height=0),
        dict(stride=5),
        dict(mode=3),
        dict(ring=101),
        dict(ring_size=926),
        dict(ring=102, ring_size=924),
        dict(wait=1),
        dict(signal=0x8000),
    ],
    Opcode.LOAD: [
        dict(length=0),
        dict(count_a=0),
        dict(count_b=0),
        dict(count_c=0),
        dict(dram=4),
        dict(stride_a=1),
        dict(word=1001),
        dict(rlc=1, table=1),
        dict(rlc=1, table_b=1),
        dict(narrow=1),
        dict(narrow=1, length=13),
        dict(narrow=1, length=12, word=999),
        dict(narrow=1, length=12, rlc=1),
    ],
    Opcode.IFMAP: [
        {n: 0}
        for n in (
            "images",
            "rows",
            "groups",
            "outer",
            "inner",
            "length",
            "p",
            "window",
            "step",
            "positions",
            "bands",
            "laps",
        )
    ]
    + [dict(p=9), dict(window=9), dict(window=7)],
    Opcode.FILTER: [
        dict(tags=0),
        dict(words=0),
        dict(words=9),
        dict(tail=0),
        dict(tail=5),
        dict(word=1024),
    ],
    Opcode.PSUM: [dict(positions=0), dict(p=0), dict(p=9), dict(bias=3)],
    Opcode.OFMAP: [dict(images=0), dict(sets=0), dict(p=9), dict(to_ring=0)],
    Opcode.STORE: [
        dict(chunk=0),
        dict(chunk=5),
        dict(pool=3),
        dict(add=1),
        dict(row_first=2),
        dict(dram=1),
        dict(out_row_stride=3),
        dict(columns=0),
        dict(blocks=0),
        dict(rlc=1),
        dict(rlc=1, dram=8, out_block_stride=4),
        dict(rlc=1, dram=8, table=1),
        dict(rlc=1, dram=8, table_row=3),
        dict(rlc=1, dram=8, narrow=1),
        dict(narrow=1, chunk=5),
    ],
    Opcode.SCALE: [
        dict(channels=0),
        dict(channels=6),
        dict(channels=36),
        dict(word=1),
        dict(word=1018),
        dict(rounding=3),
    ],
    Opcode.SHAPE: [
        dict(shift_a=1),
        dict(shift_b=-32),
        dict(shift=-32),
        dict(shift=31),
        dict(multiplier=(1 << 29) - 1),
        dict(rounding=3),
    ],
}


class Rig:
    def __init__(
        self,
        commands,
        *,
        stall=0.0,
        program=0x1000,
        count=None,
        limit=1 << 16,
        bad=(),
    ):
        self.dut = shared(Fetch, CONFIG)
        self.stall = stall
        self.program, self.limit = program, limit
        self.count = len(commands) if count is None else count
        memory = bytearray(1 << 16)
        memory[program : program + 64 * len(commands)] = b"".join(commands)
        self.memory = ReadMemory(self.dut.read, memory, stall=stall, latency=20, bad=bad)
        self.got = []
        self.rng = random.Random(14)

    def sink(self, name):
        port = getattr(self.dut, name)

        async def take(ctx):
            while True:
                ready = self.rng.random() >= self.stall
                ctx.set(port.ready, ready)
                _, _, valid, p = await ctx.tick().sample(port.valid, Value.cast(port.payload))
                if valid and ready:
                    self.got.append((name, p))

        return take

    def run(self, bench):
        sinks = [self.sink(n) for n in (*ENGINES, "config")]
        checks = [holds(getattr(self.dut, n), n) for n in (*ENGINES, "config")]

        async def start(ctx):
            ctx.set(self.dut.drained, 1)
            ctx.set(self.dut.limit, self.limit)
            ctx.set(self.dut.program, self.program)
            ctx.set(self.dut.count, self.count)
            ctx.set(self.dut.start, 1)
            await ctx.tick()
            ctx.set(self.dut.start, 0)
            await bench(ctx)

        return run(
            self.dut,
            start,
            background=[self.memory, *sinks, *checks, holds(self.dut.read.address, "ar")],
        )

    async def wait(self, ctx):
        while ctx.get(self.dut.busy) and not ctx.get(self.dut.error):
            await ctx.tick()
        await idle(ctx, 3)


def expected(commands):
    out = []
    for i, raw in enumerate(commands):
        word = int.from_bytes(raw, "little")
        opcode, wait, signal, _ = unpack(raw)
        opcode = Opcode(opcode)
        width = sum(w for _, _, w, _ in isa.fields(isa.BODIES[opcode]))
        body = word >> 64 & ((1 << width) - 1)
        name = engine_of(opcode)
        if opcode == Opcode.CONFIG:
            out.append((name, body))
            continue
        if name in ("ofmap", "store"):
            body = body << 1 | (opcode in (Opcode.SCALE, Opcode.SHAPE))
        masks = signal << SEMAPHORES | wait
        out.append((name, (body << INDEX | i) << 2 * SEMAPHORES | masks))
    return out


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_dispatch(stall):
    rng = random.Random(15)
    ops = list(GOOD) + [rng.choice(list(GOOD)) for _ in range(30)]
    commands = [
        pack(
            op,
            **GOOD[op],
            **(
                {}
                if op == Opcode.CONFIG
                else dict(wait=rng.getrandbits(SEMAPHORES), signal=rng.getrandbits(SEMAPHORES))
            ),
        )
        for op in ops
    ]
    assert all(legal(CONFIG, c) for c in commands)
    rig = Rig(commands, stall=stall)
    cycles = rig.run(rig.wait)
    want = expected(commands)
    assert len(rig.got) == len(want)
    assert rig.got == want
    if not stall:
        # memory's latency and the first command's way; CONFIG is offered a cycle later than others
        assert cycles == 12 * len(commands) + ops.count(Opcode.CONFIG) + 32


def test_narrow_is_legal():
    """8-bit strips: two words for one of memory, up to the end of the buffer; odd addresses."""
    changes = {
        Opcode.LOAD: dict(narrow=1, length=12, unsigned=1, zero=255),
        Opcode.STORE: dict(narrow=1, zero=-256, dram=3, **dict.fromkeys(STORE_ADDRESSES[1:], 1)),
    }
    commands = [pack(op, **(GOOD[op] | change)) for op, change in changes.items()]
    rig = Rig(commands)
    rig.run(rig.wait)
    assert all(legal(CONFIG, c) for c in commands) and rig.got == expected(commands)


@pytest.mark.parametrize("op", list(GOOD))
def test_illegal(op):
    good = pack(Opcode.PSUM, **GOOD[Opcode.PSUM])
    cases = [pack(op, **(GOOD[op] | change)) for change in BAD[op]]
    # Semaphores that a command can name and this machine has not.
    cases += [pack(op, **GOOD[op], **{mask: 1 << SEMAPHORES}) for mask in ("wait", "signal")]
    raw = bytearray(pack(op, **GOOD[op]))
    raw[63] = 0x80
    cases.append(bytes(raw))  # reserved behind the body
    for case in cases:
        assert not legal(CONFIG, case)
        rig = Rig([good, case, good])

        async def bench(ctx):
            await rig.wait(ctx)
            assert ctx.get(rig.dut.error) == Error.ILLEGAL_COMMAND
            assert ctx.get(rig.dut.index) == 1 and ctx.get(rig.dut.busy)

        rig.run(bench)
        assert len(rig.got) == 1


@pytest.mark.parametrize(
    "opcode, version, error",
    [
        *((opcode, VERSION_VALUE, Error.ILLEGAL_COMMAND) for opcode in (0, 9, 31)),
        *(
            (opcode, version, Error.VERSION)
            for opcode, version in ((0, 0), (Opcode.PSUM, 0), (Opcode.PSUM, 1), (Opcode.PSUM, 7))
        ),
    ],
)
def test_unknown_opcode_or_version(opcode, version, error):
    good = pack(Opcode.PSUM, **GOOD[Opcode.PSUM])
    rig = Rig([good, bytes([opcode | version << 5]) + good[1:], good])

    async def bench(ctx):
        await rig.wait(ctx)
        assert ctx.get(rig.dut.error) == error and ctx.get(rig.dut.index) == 1

    rig.run(bench)
    assert len(rig.got) == 1


def test_config_waits():
    commands = [pack(op, **GOOD[op]) for op in (Opcode.CONFIG, Opcode.PSUM)]
    rig = Rig(commands)

    async def bench(ctx):
        ctx.set(rig.dut.drained, 0)
        await idle(ctx, 100)
        assert rig.got == []
        ctx.set(rig.dut.drained, 1)
        await rig.wait(ctx)

    rig.run(bench)
    assert rig.got == expected(commands)


@pytest.mark.parametrize(
    "limit,index", [(0x1000 + 64 * 3, 3), (0x1000 + 64 * 3 + 63, 3), (0x1000, 0)]
)
def test_read_window(limit, index):
    rig = Rig([pack(Opcode.PSUM, **GOOD[Opcode.PSUM])] * 6, limit=limit)

    async def bench(ctx):
        await rig.wait(ctx)
        assert ctx.get(rig.dut.error) == Error.READ_WINDOW and ctx.get(rig.dut.index) == index

    rig.run(bench)
    assert len(rig.got) == index
    assert all(a + 8 * n <= limit for a, n in rig.memory.bursts)


def test_read_response():
    rig = Rig([pack(Opcode.PSUM, **GOOD[Opcode.PSUM])] * 6, bad=[0x1000 + 64 * 2 + 24])

    async def bench(ctx):
        await rig.wait(ctx)
        assert ctx.get(rig.dut.error) == Error.READ_RESPONSE and ctx.get(rig.dut.index) == 2

    rig.run(bench)
    assert len(rig.got) == 2
