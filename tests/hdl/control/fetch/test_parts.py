"""The parts of Fetch, each with random stalls on its ports, and without: latency and throughput."""

import random

import pytest
from amaranth.hdl import Value

from hdl.config import PRESETS
from hdl.control.fetch.body_checker import BodyChecker
from hdl.control.fetch.checker import Checker
from hdl.control.fetch.command_register import CommandRegister
from hdl.control.fetch.dispatcher import Dispatcher
from hdl.control.fetch.program_reader import ProgramReader
from hdl.control.legality import legal
from hdl.control.words import BEATS, engine_of, engines, opcodes, queued
from hdl.isa import BODIES, VERSION_VALUE, Error, Opcode, fields, pack
from tests.hdl.commands import GOOD
from tests.hdl.streams import ReadMemory, holds, idle, receive, run, send, shared

TINY = PRESETS["tiny"]
CONFIGS = {
    "tiny": TINY,
    "narrow": TINY.replace(address_bits=16, queue_depth=2, rlc=False),
    "sparse": TINY.replace(sparse_pes=4),
}
each = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
PROGRAM = 0x400


def word_of(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def some_of(word: int) -> int:
    return sum((word >> 64 * n & (1 << 64) - 1 != 0) << n for n in range(BEATS))


# ---- program reader ------------------------------------------------------------------------
def read_program(config, commands, *, stall, limit=1 << 16, latency=8):
    """(beats, times they came at, bursts, cycles until `outside` or None) of a program whose
    commands leave as soon as they came."""
    dut = shared(ProgramReader, config)
    rng = random.Random(4)
    memory = bytearray(rng.randbytes(1 << 16))
    source = ReadMemory(dut.read, memory, latency=latency, stall=stall)
    beats, times = [], []

    async def leaves(ctx):
        left, gone = 0, 0
        while ctx.get(dut.busy) and not ctx.get(dut.outside):
            assert ctx.get(dut.left) == left
            assert len(source.bursts) <= gone + config.fetch_ahead
            ready = len(beats) // BEATS > left and rng.random() >= stall
            ctx.set(dut.leave, ready)
            await ctx.tick()
            gone, left = left, left + ready
        ctx.set(dut.leave, 0)

    async def bench(ctx):
        for name, value in dict(program=PROGRAM, count=commands, limit=limit, start=1).items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await leaves(ctx)
        await idle(ctx, 40)
        assert ctx.get(dut.outside) == (len(beats) < BEATS * commands)
        assert ctx.get(dut.left) == len(beats) // BEATS

    async def take(ctx):
        await receive(ctx, dut.beats, None, beats, stall=stall, rng=rng, times=times)

    run(dut, bench, background=[source, take, holds(dut.beats), holds(dut.read.address)])
    words = [word_of(memory[at : at + 8]) for at in range(PROGRAM, PROGRAM + 64 * commands, 8)]
    assert [beat.data for beat in beats] == words[: len(beats)]
    assert not any(beat.bad for beat in beats)
    return beats, times, source.bursts


@each
@pytest.mark.parametrize("commands", [0, 1, 13])
def test_reader_stalls(config, commands):
    beats, _, bursts = read_program(config, commands, stall=0.4)
    assert len(beats) == BEATS * commands
    assert bursts == [(PROGRAM + 64 * n, BEATS) for n in range(commands)]


@each
@pytest.mark.parametrize("inside", [0, 1, 5])
@pytest.mark.parametrize("stall", [0, 0.4])
def test_reader_window(config, inside, stall):
    beats, _, bursts = read_program(config, 9, stall=stall, limit=PROGRAM + 64 * inside + 8)
    assert len(beats) == BEATS * inside and len(bursts) == inside


@each
def test_reader_throughput(config):
    """A beat a cycle, from a memory that answers in eight."""
    beats, times, _ = read_program(config, 20, stall=0)
    assert times[-1] - times[0] == len(beats) - 1


# ---- command register ----------------------------------------------------------------------
@pytest.mark.parametrize("stall", [0, 0.5])
def test_register(stall):
    dut, rng = shared(CommandRegister), random.Random(5)
    commands = [rng.getrandbits(512) >> rng.randrange(500) for _ in range(20)]
    bad = {(3, 0), (3, 1), (8, 7), (9, 2)}  # beats of commands
    beats = [
        dict(data=word >> 64 * n & (1 << 64) - 1, bad=(at, n) in bad)
        for at, word in enumerate(commands)
        for n in range(BEATS)
    ]
    seen = []

    async def leaves(ctx):
        while len(seen) < len(commands):
            full = ctx.get(dut.full)
            if full:
                word = ctx.get(Value.cast(dut.command))
                at = len(seen)
                assert ctx.get(dut.some) == some_of(word)
                assert ctx.get(dut.bad) == any(command == at for command, _ in bad)
                if rng.random() >= stall:
                    seen.append(word)
                    ctx.set(dut.leave, 1)
            await ctx.tick()
            ctx.set(dut.leave, 0)
            assert not ctx.get(dut.full) or not full or len(seen) == at

    cycles = run(dut, leaves, lambda ctx: send(ctx, dut.beats, beats, stall=stall))
    assert seen == commands
    if not stall:
        assert cycles == 8 * len(commands) + 1


# ---- checkers ------------------------------------------------------------------------------
def variants(config, opcode, rng, count=150):
    """Commands of an opcode, legal ones and such with a field or a spare bit changed."""
    layout = fields(BODIES[opcode])
    good = GOOD.get(opcode) or {name: 1 for name, *_ in layout}
    for _ in range(count):
        values = dict(good)
        name, _, width, is_signed = rng.choice(layout)
        if rng.random() < 0.7:
            top = width - is_signed
            values[name] = rng.choice([0, 1, 2, 8, (1 << top) - 1, rng.randrange(1 << top)]) % (
                1 << top
            )
            values[name] ^= -(is_signed and rng.random() < 0.5)
        masks = {m: rng.choice([0, 0, 0, 1, 1 << 15, 1 << 16]) for m in ("wait", "signal")}
        word = word_of(pack(opcode, **values, **masks))
        if rng.random() < 0.2:
            word |= 1 << rng.randrange(448, 512)
        yield word.to_bytes(64, "little")


@each
@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda opcode: opcode.name)
def test_body_checker(config, opcode):
    """As software has it, a cycle later, a command every cycle."""
    if opcode not in opcodes(config):
        pytest.skip("not of this machine")
    dut, rng = BodyChecker(config, opcode), random.Random(6)
    verdicts = set()

    async def bench(ctx):
        for raw in variants(config, opcode, rng):
            ctx.set(Value.cast(dut.command), word_of(raw))
            ctx.set(dut.some, some_of(word_of(raw)))
            await ctx.tick()
            assert ctx.get(dut.is_opcode)
            assert ctx.get(dut.ok) == legal(config, raw), raw
            verdicts.add(ctx.get(dut.ok))
            ctx.set(Value.cast(dut.command), word_of(raw) ^ 31)
            await ctx.tick()
            assert not ctx.get(dut.is_opcode) and not ctx.get(dut.ok)

    run(dut, bench)
    assert 1 in verdicts


@each
def test_checker(config):
    """`known` a cycle after a command comes, `error` two; the next may come in the same cycle."""
    dut, rng = shared(Checker, config), random.Random(7)
    known = opcodes(config)
    seen = set()

    async def bench(ctx):
        for raw in [raw for op in GOOD for raw in variants(config, op, rng, 15)]:
            bad = rng.random() < 0.1
            if rng.random() < 0.2:
                raw = bytes([rng.randrange(256)]) + raw[1:]
            want = Error.NONE if legal(config, raw) else Error.ILLEGAL_COMMAND
            want = want if raw[0] >> 5 == VERSION_VALUE else Error.VERSION
            want = Error.READ_RESPONSE if bad else want
            ctx.set(Value.cast(dut.command), word_of(raw))
            ctx.set(dut.some, some_of(word_of(raw)))
            ctx.set(dut.bad, bad)
            await ctx.tick()
            assert ctx.get(dut.known) == sum((raw[0] & 31 == op) << n for n, op in enumerate(known))
            await ctx.tick()
            assert ctx.get(dut.error) == want
            seen.add(want)

    run(dut, bench)
    assert seen == {Error.NONE, Error.READ_RESPONSE, Error.VERSION, Error.ILLEGAL_COMMAND}


# ---- dispatcher ----------------------------------------------------------------------------
class Dispatched:
    """A Dispatcher with the commands that it is shown, one after the other, and its queues."""

    def __init__(self, config, ops, *, stall=0.0, wrong=None):
        self.config, self.ops, self.stall, self.wrong = config, ops, stall, wrong or {}
        self.dut, self.rng, self.got, self.left = (
            shared(Dispatcher, config),
            random.Random(8),
            [],
            [],
        )

    def raw(self, at):
        return word_of(pack(self.ops[at], **GOOD.get(self.ops[at], {})))

    async def source(self, ctx):
        """`known` and `wrong` as the Checker has them; a command at once after the last."""
        dut, at, age = self.dut, 0, 0
        ctx.set(dut.drained, 1)
        while at < len(self.ops) and not ctx.get(dut.error):
            ctx.set(dut.full, 1)
            ctx.set(Value.cast(dut.command), self.raw(at))
            ctx.set(dut.index, at)
            known = 1 << opcodes(self.config).index(self.ops[at])
            ctx.set(dut.known, known if age > 0 else ~known)
            ctx.set(dut.wrong, self.wrong.get(at, Error.NONE) if age > 1 else Error.VERSION)
            _, _, leave = await ctx.tick().sample(dut.leave)
            at, age = (at + 1, 0) if leave else (at, age + 1)
            if leave:
                self.left.append(at)
        ctx.set(dut.full, 0)

    def queue(self, name):
        port = getattr(self.dut, name)

        async def take(ctx):
            while True:
                ready = self.rng.random() >= self.stall
                ctx.set(port.ready, ready)
                _, _, valid, payload = await ctx.tick().sample(port.valid, Value.cast(port.payload))
                if valid and ready:
                    self.got.append((name, payload))

        return take

    def run(self, *benches):
        names = ("config", *engines(self.config))
        checks = [holds(getattr(self.dut, name), name) for name in names]
        queues = [self.queue(name) for name in names]
        return run(self.dut, self.source, *benches, background=[*checks, *queues])

    def want(self, at):
        op, body = self.ops[at], self.raw(at) >> 64
        name = engine_of(op)
        if name == "config":
            return name, body
        kinds = {"store": body << 1 | (op == Opcode.SHAPE), "sparse": body << 2 | op - 10 & 3}
        layout = queued(engines(self.config)[name])
        return name, kinds.get(name, body) << layout["body"].offset | at << layout["index"].offset


@each
@pytest.mark.parametrize("stall", [0, 0.5])
def test_dispatcher(config, stall):
    ops = opcodes(config) + random.Random(9).choices(opcodes(config), k=30)
    rig = Dispatched(config, ops, stall=stall)
    cycles = rig.run()
    assert rig.got == [rig.want(at) for at in range(len(ops))]
    if not stall:  # Collect, Look, Check, Dispatch, Leave; a CONFIG one more
        assert cycles == 5 * len(ops) + ops.count(Opcode.CONFIG)


@each
@pytest.mark.parametrize("error", [Error.VERSION, Error.READ_RESPONSE, Error.ILLEGAL_COMMAND])
def test_dispatcher_stops(config, error):
    ops = random.Random(10).choices([Opcode.PSUM, Opcode.STORE], k=6)
    rig = Dispatched(config, ops, wrong={4: error})

    async def bench(ctx):
        await idle(ctx, 60)
        assert ctx.get(rig.dut.error) == error

    rig.run(bench)
    assert rig.got == [rig.want(at) for at in range(4)]


def test_dispatcher_waits():
    """For the array before CONFIG, and for `halt` to go; a refused CONFIG is an error."""
    rig = Dispatched(TINY, [Opcode.CONFIG, Opcode.PSUM, Opcode.CONFIG])
    dut = rig.dut

    async def bench(ctx):
        await ctx.tick()
        ctx.set(dut.drained, 0)
        await idle(ctx, 20)
        assert rig.got == []
        ctx.set(dut.halt, 1)
        ctx.set(dut.drained, 1)
        await idle(ctx, 20)
        assert rig.got == [rig.want(0)]
        ctx.set(dut.config_refused, 1)
        ctx.set(dut.halt, 0)
        await idle(ctx, 20)
        assert ctx.get(dut.error) == Error.ILLEGAL_COMMAND

    rig.run(bench)
    assert rig.left == [1, 2]


def test_dispatcher_outside():
    """Only when there is no command any more."""
    rig = Dispatched(TINY, [Opcode.PSUM] * 2)

    async def bench(ctx):
        ctx.set(rig.dut.outside, 1)
        await idle(ctx, 30)
        assert ctx.get(rig.dut.error) == Error.READ_WINDOW

    rig.run(bench)
    assert len(rig.got) == 2
