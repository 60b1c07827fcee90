"""The parts of the bridge, each alone: with random stalls or orders, and without."""

import random
from types import SimpleNamespace

import pytest

from fpga.serial.bridge.controller import DECODE_CYCLES, RESET_CYCLES, Controller
from fpga.serial.bridge.frame_buffer import IDENTITY_AT, FrameBuffer
from fpga.serial.bridge.frame_header import FrameHeader
from fpga.serial.bridge.memory_access import MemoryAccess
from fpga.serial.bridge.register_access import RegisterAccess
from fpga.serial.bridge.reply_sender import ReplySender
from fpga.serial.bridge.request_check import RequestCheck
from fpga.serial.bridge.session import Session
from fpga.serial.bridge.word_mover import WordMover
from fpga.serial.bridge.words import BEGIN, PLACES
from fpga.serial.protocol import HEADER, IDENTITY, MAX_DATA, NAK, REPLY, Opcode, Reason
from tests.fpga.serial.registers import Registers
from tests.hdl.streams import ReadMemory, WriteMemory, holds, idle, receive, run, send, shared

TOLD = bytes(range(100, 140))  # an identity


def kind_of(opcode):
    return {code.name.lower(): int(code == opcode) for code in Opcode}


# ---- the frame ------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
def test_buffer(seed):
    """Every member against a model, whatever is asked, together too."""
    dut, rng = shared(FrameBuffer, TOLD), random.Random(seed)
    held = [0] * IDENTITY_AT + list(TOLD)

    async def bench(ctx):
        place, size, loaded, value = BEGIN, 0, 0, 0
        stored = set()
        for _ in range(1500):
            told = rng.random() < 0.3
            step, rewind, restart, sized = (rng.random() < p for p in (0.8, 0.02, 0.03, 0.05))
            store = rng.random() < 0.5 and place < IDENTITY_AT
            byte, length = rng.randrange(256), rng.randrange(60)
            for name, given in dict(
                step=step, rewind=rewind, restart=restart, telling=told, store=store, byte=byte,
                sized=sized, size=length,
            ).items():  # fmt: skip
                ctx.set(getattr(dut, name), given)
            assert ctx.get(dut.place) == place
            assert ctx.get(dut.in_header) == (place >= PLACES * 3 // 4)
            if value is not None:
                assert ctx.get(dut.value) == value
            await ctx.tick()
            assert ctx.get(dut.whole) == (place == size)
            assert ctx.get(dut.fits) == (place == (size & ~3) + 4)

            value, at = loaded, place | (IDENTITY_AT if told else 0)
            # what is read while it is written may be either
            loaded = held[at] if at < len(held) and not (store and at == place) else None
            if store:
                held[place] = byte
                stored.add(place)
            place = (place + step) % PLACES
            place = BEGIN if restart else 0 if rewind else place
            size = length if sized else size
        assert len(stored) > 40

    run(dut, bench)


def test_buffer_refuses_a_long_identity():
    with pytest.raises(ValueError, match="513"):
        FrameBuffer(bytes(513))


def test_header():
    dut, rng = shared(FrameHeader), random.Random(4)

    async def bench(ctx):
        async def pulse(**given):
            for name, value in given.items():
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            for name in given:
                ctx.set(getattr(dut, name), 0)

        def header():
            read = ctx.get(dut.header)
            return read.opcode, read.sequence, read.length, read.address

        for _ in range(100):
            raw = rng.randbytes(HEADER.size)
            for byte in raw:
                await idle(ctx, rng.randrange(2))
                await pulse(shift=1, byte=byte)
            opcode, sequence, length, address = HEADER.unpack(raw)
            assert header() == (opcode, sequence, length, address)
            if rng.random() < 0.5:
                await pulse(forget=1)
                sequence = 0
            if rng.random() < 0.5:
                await pulse(introduce=1)
                length = IDENTITY.size
            assert header() == (opcode, sequence, length, address)

            empty, refused, reason = rng.random() < 0.5, rng.random() < 0.5, rng.choice([*Reason])
            await pulse(answer=1, empty=empty, refused=refused, reason=reason)
            opcode, address = (NAK, reason) if refused else (opcode | REPLY, address)
            length = 0 if empty or refused else length
            assert header() == (opcode, sequence, length, address)

    run(dut, bench)


# ---- what is to be done ---------------------------------------------------------------------
def reason_against(opcode, length, address, fits, session):
    """What docs/board.md says of it; None if it is right."""
    if opcode not in [*Opcode]:
        return Reason.OPCODE
    if not session and opcode != Opcode.HELLO:
        return Reason.NO_SESSION
    right = {
        Opcode.READ: range(8, 1025, 8),
        Opcode.WRITE: range(8, 1025, 8),
        Opcode.READ_REGISTERS: range(4, 1025, 4),
        Opcode.WRITE_REGISTER: [4],
    }.get(opcode, [0])
    if length not in right or not fits:
        return Reason.LENGTH
    multiple = 8 if opcode in (Opcode.READ, Opcode.WRITE) else 4
    return Reason.ADDRESS if address % multiple else None


def test_check():
    dut, rng = shared(RequestCheck), random.Random(5)
    reasons = set()

    async def bench(ctx):
        for _ in range(2000):
            opcode = rng.choice([*Opcode, *Opcode, 0, 7, 77, 0x81])
            length = rng.choice([0, 0, 4, 4, 8, 12, 1, 2, 1020, 1024, 1028, 1032, 2052, 0xFFF8])
            address = rng.choice([0, 0, 8, 4, 2, 1, 0x80000000])
            fits, session = rng.random() < 0.8, rng.random() < 0.8
            ctx.set(dut.header, dict(opcode=opcode, length=length, address=address))
            await ctx.tick()
            assert ctx.get(dut.kind) == kind_of(opcode)
            assert ctx.get(dut.of_memory) == (opcode in (Opcode.READ, Opcode.WRITE))
            await ctx.tick()
            assert ctx.get(dut.carries) == (opcode in (Opcode.WRITE, Opcode.WRITE_REGISTER))
            ctx.set(dut.fits, fits)
            ctx.set(dut.session, session)
            await ctx.tick()
            reason = reason_against(opcode, length, address, fits, session)
            assert ctx.get(dut.refused) == (reason is not None)
            assert reason is None or ctx.get(dut.reason) == reason
            reasons.add(reason)

    run(dut, bench)
    assert len(reasons) == 5


def test_session():
    """Two sequence numbers, so that much comes again."""
    dut, rng = shared(Session), random.Random(6)
    effects = (Opcode.WRITE_REGISTER, Opcode.RESET)

    async def bench(ctx):
        last, active, repeated = None, False, 0
        for _ in range(1000):
            opcode = rng.choice([*effects] * 3 + [Opcode.READ] + [Opcode.HELLO] * active)
            if rng.random() < 0.02:
                opcode = Opcode.HELLO
            sequence = rng.choice([17, 145])
            ctx.set(dut.kind, kind_of(opcode))
            ctx.set(dut.sequence, sequence)
            await ctx.tick()
            again = opcode in effects and last == (opcode, sequence)
            assert ctx.get(dut.again) == again
            assert ctx.get(dut.active) == active
            repeated += again
            if rng.random() < 0.7:
                ctx.set(dut.carried, 1)
                await ctx.tick()
                ctx.set(dut.carried, 0)
                last, active = (opcode, sequence), active or opcode == Opcode.HELLO
        assert repeated > 50 and active

    run(dut, bench)


# ---- words ----------------------------------------------------------------------------------
async def ask(ctx, port, address, *, word=None, stall=0.0, rng=None):
    """Reads, or writes `word`; the answer, and the cycles to the end of it."""
    ctx.set(port.address, address)
    ctx.set(port.word, word or 0)
    pulse = port.get if word is None else port.put
    ctx.set(pulse, 1)
    await ctx.tick()
    ctx.set(pulse, 0)
    out, times = [], []
    await receive(ctx, port.answer, 1, out, stall=stall, rng=rng, times=times)
    return out[0], times[0]


@pytest.mark.parametrize("stall", [0, 0.5])
def test_memory_access(stall):
    dut, rng = shared(MemoryAccess), random.Random(7)
    before = rng.randbytes(256)
    memory, bad, expected = bytearray(before), {16, 64}, bytearray(before)
    reads = ReadMemory(dut.read, memory, stall=stall, bad=bad, latency=3)
    writes = WriteMemory(dut.write, memory, stall=stall, bad=bad, latency=3)
    bursts = {"read": [], "write": []}

    async def bench(ctx):
        for _ in range(60):
            address = rng.randrange(0, 256, 8)
            if rng.random() < 0.5:
                word = rng.getrandbits(64)
                answer, cycles = await ask(ctx, dut.port, address, word=word, stall=stall, rng=rng)
                expected[address : address + 8] = word.to_bytes(8, "little")
                bursts["write"].append((address, 1))
            else:
                answer, cycles = await ask(ctx, dut.port, address, stall=stall, rng=rng)
                bursts["read"].append((address, 1))
                assert answer.word.to_bytes(8, "little") == expected[address : address + 8]
            assert answer.failed == (address in bad)
            assert stall or cycles <= 3 + 4  # of the models

    checks = [holds(dut.read.address), holds(dut.write.address), holds(dut.write.data)]
    run(dut, bench, background=[reads, writes, *checks])
    assert memory == expected
    assert (reads.bursts, writes.bursts) == (bursts["read"], bursts["write"])


@pytest.mark.parametrize("stall", [0, 0.5])
def test_register_access(stall):
    dut, rng = shared(RegisterAccess), random.Random(8)
    registers, values, written = Registers(dut, stall), {}, []

    async def bench(ctx):
        for _ in range(60):
            address = rng.choice([0, 4, 0x100, 0xFF0, 0xFF4])
            if rng.random() < 0.5:
                word = rng.getrandbits(64)
                answer, cycles = await ask(ctx, dut.port, address, word=word, stall=stall, rng=rng)
                values[address] = word >> 32
                written.append((address, word >> 32))
            else:
                answer, cycles = await ask(ctx, dut.port, address, stall=stall, rng=rng)
                assert answer.word == values.get(address, address)
            assert answer.failed == (address == 0xFF0)
            assert stall or cycles == 2

    run(dut, bench, background=[registers])
    assert registers.writes == written


class Words:
    """Behind both ports of a WordMover: `data` by address, of which `fails` are answered so."""

    def __init__(self, dut, rng, stall, data, fails):
        self.dut, self.rng, self.stall, self.data, self.fails = dut, rng, stall, data, fails
        self.asked = []

    def port(self, name, size):
        port = getattr(self.dut, name)
        answer = port.answer

        async def bench(ctx):
            while True:
                _, _, get, put, address, word = await ctx.tick().sample(
                    port.get, port.put, port.address, port.word
                )
                if not get and not put:
                    continue
                assert not (get and put)
                raw = word.to_bytes(8, "little")[-size:]
                self.asked.append((name, address, raw if put else None))
                while self.rng.random() < self.stall:
                    await ctx.tick()
                read = self.data.get(address, bytes(size))
                failed = address in self.fails
                rubbish = self.rng.randbytes(8 - size)
                ctx.set(answer.p.word, int.from_bytes(read + rubbish, "little"))
                ctx.set(answer.p.failed, failed)
                ctx.set(answer.valid, 1)
                taken = False
                while not taken:
                    _, _, taken, *now = await ctx.tick().sample(
                        answer.ready, port.address, port.word
                    )
                    assert now == [address, word] if put else now[0] == address
                ctx.set(answer.valid, 0)
                ctx.set(answer.p.failed, self.rng.random() < 0.5)

        return bench


@pytest.mark.parametrize("stall", [0, 0.6])
def test_mover(stall):
    dut, rng = shared(WordMover), random.Random(9)
    frame, state = bytearray(64), SimpleNamespace(place=0, size=0)
    words = Words(dut, rng, stall, {}, set())

    async def buffer(ctx):
        """As a FrameBuffer: a byte two cycles after its place, `whole` one."""
        loaded = 0
        while True:
            ctx.set(dut.place, state.place)
            _, _, step, store, byte = await ctx.tick().sample(dut.step, dut.store, dut.byte)
            ctx.set(dut.value, loaded)
            ctx.set(dut.whole, state.place == state.size)
            loaded = frame[state.place % 64]
            if store:
                frame[state.place] = byte
            state.place += step

    async def bench(ctx):
        for case in range(24):
            of_memory, carries = case & 1, case >> 1 & 1
            size = 8 if of_memory else 4
            count, address = rng.randrange(1, 6), rng.randrange(0, 1 << 32, 8)
            places = [(address + size * i) % (1 << 32) for i in range(count)]
            data = rng.randbytes(size * count)
            cut = [data[size * i :][:size] for i in range(count)]
            words.asked.clear()
            words.data = dict(zip(places, cut, strict=True))
            words.fails = {rng.choice(places)} if case % 3 == 0 else set()
            frame[:] = rng.randbytes(64)
            if carries:
                frame[: len(data)] = data
            state.place, state.size = 0, len(data)

            ctx.set(dut.address, address)
            ctx.set(dut.of_memory, of_memory)
            ctx.set(dut.carries, carries)
            await idle(ctx, 3)
            ctx.set(dut.go, 1)
            cycles, done = 0, False
            while not done:
                _, _, done, failed = await ctx.tick().sample(dut.done, dut.failed)
                cycles += 1
            ctx.set(dut.go, 0)
            assert failed == bool(words.fails)
            name = "memory" if of_memory else "registers"
            assert words.asked == [
                (name, place, raw if carries else None)
                for place, raw in zip(places, cut, strict=True)
            ]
            assert bytes(frame[: len(data)]) == data
            assert stall or cycles == count * ((15 if of_memory else 11) if carries else size + 5)

    run(dut, bench, background=[buffer, words.port("memory", 8), words.port("registers", 4)])


# ---- steps ----------------------------------------------------------------------------------
@pytest.mark.parametrize("stall", [0, 0.6])
def test_sender(stall):
    dut, rng = shared(ReplySender), random.Random(10)
    state = SimpleNamespace(place=-8, size=0, head=b"", data=b"", shown=0, answered=0, sized=0)

    async def around(ctx):
        """FrameHeader and FrameBuffer."""
        loaded = 0
        while True:
            ctx.set(dut.in_header, state.place < 0)
            ctx.set(dut.opcode, state.head[state.shown] if state.shown < len(state.head) else 0)
            names = ("step", "restart", "shift", "answer", "sized")
            _, _, step, restart, shift, answer, sized = await ctx.tick().sample(
                *(getattr(dut, name) for name in names)
            )
            ctx.set(dut.value, loaded)
            ctx.set(dut.whole, state.place == state.size)
            loaded = state.data[state.place] if 0 <= state.place < len(state.data) else 0xEE
            state.shown = 0 if answer else state.shown + shift
            state.answered += answer
            state.size = len(state.data) if sized else state.size
            state.sized += sized
            state.place = -8 if restart else state.place + step

    async def bench(ctx):
        for size in (0, 1, 4, 40):
            state.head, state.data = rng.randbytes(8), rng.randbytes(size)
            state.answered = state.sized = 0
            out, times = [], []
            await idle(ctx, rng.randrange(4))
            ctx.set(dut.go, 1)
            count = 8 + size
            await receive(ctx, dut.send, count, out, stall=stall, rng=rng, times=times)
            ctx.set(dut.go, 0)
            await ctx.tick()  # its end has been seen
            assert bytes(o.data for o in out) == state.head + state.data
            assert [o.last for o in out] == [0] * (count - 1) + [1]
            assert (state.answered, state.sized, state.shown, state.place) == (1, 1, 8, -8)
            assert stall or times == [6 + 4 * i for i in range(count)]

    async def done(ctx):
        """Comes with the last byte and never else."""
        sample = ctx.tick().sample(dut.done, dut.send.valid, dut.send.ready, dut.send.p.last)
        async for _, _, done, valid, ready, last in sample:
            assert done == (valid and ready and last)

    run(dut, bench, background=[around, holds(dut.send), done])


def steps_of(opcode, wrong, again):
    """What the controller does of a whole frame before its answer, and in how many cycles."""
    steps = [("decode", DECODE_CYCLES), ("judge", 1)]
    if wrong:
        return steps
    steps.append(("carried", 1))
    if again or opcode == Opcode.HELLO:
        return steps
    return [*steps, ("system_reset", RESET_CYCLES) if opcode == Opcode.RESET else ("move", 5)]


@pytest.mark.parametrize("stall", [0, 0.6])
def test_controller(stall):
    dut, rng = shared(Controller), random.Random(11)
    names = ("take", "broken", "decode", "judge", "carried", "move", "system_reset", "answer")
    seen = []

    async def watch(ctx):
        place = moving = 0
        while True:
            ctx.set(dut.place, place)
            ctx.set(dut.moved, moving == 4)
            _, _, *active = await ctx.tick().sample(*(getattr(dut, name) for name in names))
            now = [name for name, on in zip(names, active, strict=True) if on]
            assert len(now) <= 1
            seen.extend(name for name in now if name != "answer")
            place = place + 1 if now == ["system_reset"] else 0
            moving = moving + 1 if now == ["move"] else 0

    async def bench(ctx):
        for _ in range(80):
            opcode, line = rng.choice([*Opcode]), rng.choice([0, 0, 0, *range(1, 5)])
            wrong, again, failed = (rng.random() < p for p in (0.2, 0.3, 0.3))
            again = again and opcode in (Opcode.WRITE_REGISTER, Opcode.RESET)
            why, size = rng.choice([*Reason]), rng.randrange(5)
            ctx.set(dut.kind, kind_of(opcode))
            for name, value in dict(wrong=wrong, why=why, again=again, move_failed=failed).items():
                ctx.set(getattr(dut, name), value)
            seen.clear()
            items = [{"data": rng.randrange(256), "end": 0} for _ in range(size)]
            await send(ctx, dut.received, [*items, {"data": line, "end": 1}], stall=stall, rng=rng)
            while not ctx.get(dut.answer):
                await ctx.tick()
            await ctx.tick()  # it has been seen
            steps = [("broken", 1)] if line else steps_of(opcode, wrong, again)
            assert seen == ["take"] * size + [name for name, n in steps for _ in range(n)]
            moves = ("move", 5) in steps
            refused = line or wrong or (moves and failed)
            assert ctx.get(dut.refused) == bool(refused)
            if refused:
                assert ctx.get(dut.reason) == (line or (why if wrong else Reason.BUS))
            assert ctx.get(dut.telling) == (opcode == Opcode.HELLO and not line and not wrong)
            await idle(ctx, rng.randrange(4))
            assert ctx.get(dut.answer) and not ctx.get(dut.received.ready)
            ctx.set(dut.answered, 1)
            await ctx.tick()
            ctx.set(dut.answered, 0)
            assert not ctx.get(dut.answer)

    run(dut, bench, background=[watch])


def test_longest_data_have_a_place():
    assert MAX_DATA + 4 <= IDENTITY_AT and IDENTITY_AT + IDENTITY.size <= BEGIN
