"""The edge with a model of the core: programs end to end."""

import random
from collections import deque

import pytest
from amaranth.back import rtlil

from hdl.command_unit import ARRAY_ENGINES
from hdl.config import PRESETS
from hdl.edge import Edge
from hdl.isa import COUNTERS, VERSION_VALUE, Error, Opcode, Register, Status, pack
from tests.hdl.commands import GOOD
from tests.hdl.lite import read, write
from tests.hdl.streams import ReadMemory, WriteMemory, flat_master, holds, idle, run, shared

CONFIG = PRESETS["tiny"]
MEMORY = 1 << 16
PROGRAM, TILE, OUT = 0x0, 0x4000, 0x8000


class Core:
    """Engines that take a while, and a global buffer."""

    def __init__(self, dut, stall, seed=17):
        self.dut, self.stall, self.rng = dut, stall, random.Random(seed)
        self.words = [0] * 4096
        self.log = []
        self.stuck = False  # engines never finish
        self.open = 0  # commands under way in the engines

    def engine(self, name):
        port = getattr(self.dut, name)

        async def process(ctx):
            flight = deque()
            while True:
                ready = len(flight) < 2 and self.rng.random() >= self.stall
                done = bool(flight) and not self.stuck and self.rng.random() < 0.2
                ctx.set(port.command.ready, ready)
                ctx.set(port.done, done)
                _, _, valid, reset = await ctx.tick().sample(
                    port.command.valid, self.dut.core_reset
                )
                if done:
                    flight.popleft()
                    self.open -= 1
                if valid and ready:
                    flight.append(1)
                    self.open += 1
                    self.log.append(name)
                if reset:
                    self.open -= len(flight)
                    flight.clear()

        return process

    async def chain(self, ctx):
        port = self.dut.config
        while True:
            _, _, valid = await ctx.tick().sample(port.valid)
            if not valid:
                continue
            assert self.open == 0
            await idle(ctx, 6)
            ctx.set(port.ready, 1)
            await ctx.tick()
            ctx.set(port.ready, 0)
            self.log.append("config")

    async def buffer(self, ctx):
        w, q, r = self.dut.load_write, self.dut.store_request, self.dut.store_response
        queue, valid = deque(), False
        while True:
            wready, qready = (self.rng.random() >= self.stall for _ in range(2))
            ctx.set(w.ready, wready)
            ctx.set(q.ready, qready)
            if not valid and queue and self.rng.random() >= self.stall:
                valid = True
                ctx.set(r.payload, queue.popleft())
            ctx.set(r.valid, valid)
            _, _, wv, word, value, mask, qv, address, taken, reset = await ctx.tick().sample(
                w.valid,
                w.payload.word,
                w.payload.data,
                w.payload.mask,
                q.valid,
                q.payload,
                r.ready,
                self.dut.core_reset,
            )
            if valid and taken:
                valid = False
            if wv and wready:
                for half in (0, 1):
                    if mask >> 4 * half & 15:
                        self.words[(word + half) % 4096] = value >> 64 * half & (1 << 64) - 1
            if qv and qready:
                queue.append(self.words[address % 4096] | self.words[(address + 1) % 4096] << 64)
            if reset:
                queue.clear()
                valid = False


def simulate(bench, *, stall=0.0, bad_reads=(), bad_writes=(), latency=20, read_stall=None):
    """`bench(ctx, go, dut, memory, core, axi)`; `go(program)` runs it and returns STATUS."""
    dut = shared(Edge, CONFIG)
    core = Core(dut, stall)
    memory = bytearray(random.Random(18).randbytes(MEMORY))
    memory[OUT:] = bytes(MEMORY - OUT)
    rp, wp = flat_master(dut)
    reads = ReadMemory(
        rp,
        memory,
        stall=stall if read_stall is None else read_stall,
        latency=latency,
        bad=bad_reads,
    )
    writes = WriteMemory(wp, memory, stall=stall, bad=bad_writes)

    async def go(ctx, commands, count=None):
        memory[PROGRAM : PROGRAM + 64 * len(commands)] = b"".join(commands)
        for register, v in [
            (Register.PROGRAM, PROGRAM),
            (Register.READ_BASE, 0),
            (Register.READ_LIMIT, OUT),
            (Register.COUNT, len(commands) if count is None else count),
            (Register.WRITE_BASE, OUT),
            (Register.WRITE_LIMIT, MEMORY),
            (Register.WATCHDOG, 300),
            (Register.INTERRUPT, 3),
            (Register.CONTROL, 1),
        ]:
            await write(ctx, dut, register, v)
        await ctx.tick().until(dut.interrupt)
        return await read(ctx, dut, Register.STATUS)

    async def process(ctx):
        await bench(ctx, go, dut, memory, core, (reads, writes))

    async def ids(ctx):
        async for _, _, v, r, a, i in ctx.tick().sample(
            dut.m_axi_arvalid, dut.m_axi_arready, dut.m_axi_araddr, dut.m_axi_arid
        ):
            if v and r:
                assert i == (a >= TILE)

    run(
        dut,
        process,
        background=[
            reads,
            writes,
            core.chain,
            core.buffer,
            ids,
            *(core.engine(n) for n in ARRAY_ENGINES),
            *(holds(getattr(dut, n).command, n) for n in ARRAY_ENGINES),
            holds(dut.load_write, "load write"),
            holds(dut.store_request, "store request"),
            holds(dut.config, "config"),
        ],
    )


def load(tile, words=24, **more):
    return pack(
        Opcode.LOAD,
        dram=TILE + tile * 0x400,
        word=tile * 64,
        length=words // 2,
        count_a=1,
        count_b=1,
        count_c=2,
        stride_c=4 * words,
        **more,
    )


def store(tile, words=24, **more):
    return pack(
        Opcode.STORE,
        base=tile * 256,
        row_stride=4 * words // 2,
        column_stride=4,
        block=4,
        ring=2,
        dram=OUT + tile * 0x400,
        out_row_stride=4 * words,
        images=1,
        rows=2,
        blocks=1,
        columns=words // 2,
        out_block=4,
        chunk=4,
        **more,
    )


def engine(op, **more):
    return pack(op, **GOOD[op], **more)


def program(tiles=6):
    """Tiles through two buffers: LOAD -> ifmap -> ofmap -> STORE -> LOAD."""
    out = [engine(Opcode.CONFIG), pack(Opcode.SHAPE)]
    for i in range(tiles):
        out += [
            load(i, wait=8 if i > 1 else 0, signal=1),
            engine(Opcode.IFMAP, wait=1, signal=2),
            engine(Opcode.OFMAP, wait=2, signal=4),
            store(i, wait=4, signal=8),
        ]
        if i % 2:
            out += [engine(Opcode.FILTER), engine(Opcode.PSUM), engine(Opcode.CONFIG)]
    return out


def copied(memory, tiles=6, words=24):
    return all(
        memory[OUT + i * 0x400 : OUT + i * 0x400 + 8 * words]
        == memory[TILE + i * 0x400 : TILE + i * 0x400 + 8 * words]
        for i in range(tiles)
    )


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_program(stall):
    async def bench(ctx, go, dut, memory, core, axi):
        commands = program()
        assert await go(ctx, commands) == Status.DONE
        assert copied(memory)
        assert axi[1].strobed == 6 * 24 * 8
        want = {
            "command_bytes": 64 * len(commands),
            "dram_write_bytes": 6 * 24 * 8,
            "dram_read_bytes": 64 * len(commands) + 6 * 24 * 8,
        }
        for i, name in enumerate(COUNTERS):
            low = await read(ctx, dut, Register.COUNTERS + 8 * i)
            assert await read(ctx, dut, Register.COUNTERS + 8 * i + 4) == 0
            if name in want:
                assert low == want[name], name
            if name in ("cycles", "load_busy", "store_busy", "store_wait"):
                assert low > 20, name
        assert core.log.count("ifmap") == core.log.count("ofmap") == 6
        assert core.log[0] == "config" and core.log.count("config") == 4
        # The same once more: nothing of the first run is left.
        memory[OUT:] = bytes(MEMORY - OUT)
        assert await go(ctx, commands) == Status.DONE
        assert copied(memory)
        at = Register.COUNTERS + 8 * COUNTERS.index("command_bytes")
        assert await read(ctx, dut, at) == want["command_bytes"]
        assert await go(ctx, []) == Status.DONE

    simulate(bench, stall=stall)


ILLEGAL = bytes([31 | VERSION_VALUE << 5]) + bytes(63)
FAULTS = {
    "opcode": (program(2) + [ILLEGAL], Error.ILLEGAL_COMMAND, 2 + 8 + 3),
    "read window": (
        [
            load(0),
            pack(Opcode.LOAD, dram=OUT - 8, length=2, count_a=1, count_b=1, count_c=1),
            store(0),
        ],
        Error.READ_WINDOW,
        1,
    ),
    "write window": (
        [load(0), store(0), pack(Opcode.SHAPE), store(31, 512), store(1)],
        Error.WRITE_WINDOW,
        3,
    ),
    "deadlock": ([load(0), engine(Opcode.IFMAP, wait=0x8000), load(1)], Error.WATCHDOG, 1),
    "read response": ([load(0), load(1), load(2)], Error.READ_RESPONSE, 1),
    "write response": ([load(0), store(0), store(1), store(2)], Error.WRITE_RESPONSE, 2),
    "last write response": ([load(0), store(0), store(1)], Error.WRITE_RESPONSE, 2),
}


@pytest.mark.sampled(2, across="stall")
@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("name", FAULTS)
def test_fault_and_recovery(name, stall):
    commands, error, index = FAULTS[name]
    bad_reads = [TILE + 0x400 + 40] if name == "read response" else ()
    bad_writes = [OUT + 0x400] if "write response" in name else ()

    async def bench(ctx, go, dut, memory, core, axi):
        assert await go(ctx, commands) == Status.ERROR | error << 8
        assert await read(ctx, dut, Register.ERROR_INDEX) == index
        assert ctx.get(dut.halt)
        await idle(ctx, 5)
        reads, writes = len(axi[0].bursts), len(axi[1].bursts)
        await idle(ctx, 150)
        # Addresses already on the bus may still go through; no others follow.
        assert len(axi[0].bursts) <= reads + 1 and len(axi[1].bursts) <= writes + 1
        await write(ctx, dut, Register.CONTROL, 2)
        while await read(ctx, dut, Register.STATUS) != Status.IDLE:
            pass
        assert not ctx.get(dut.halt) and not ctx.get(dut.interrupt)
        assert axi[1].beats == sum(n for _, n in axi[1].bursts)
        assert axi[0].beats == sum(n for _, n in axi[0].bursts)
        axi[0].bad, axi[1].bad = set(), set()
        memory[OUT:] = bytes(MEMORY - OUT)
        assert await go(ctx, program(3)) == Status.DONE
        assert copied(memory, 3)

    simulate(bench, stall=stall, bad_reads=bad_reads, bad_writes=bad_writes)


def test_engine_error_and_stuck_engine():
    async def bench(ctx, go, dut, memory, core, axi):
        core.stuck = True
        commands = [load(0), engine(Opcode.PSUM), engine(Opcode.IFMAP), engine(Opcode.IFMAP)]
        assert await go(ctx, commands) == Status.ERROR | Error.WATCHDOG << 8
        assert await read(ctx, dut, Register.ERROR_INDEX) == 1
        await write(ctx, dut, Register.CONTROL, 2)
        while await read(ctx, dut, Register.STATUS) != Status.IDLE:
            pass
        ctx.set(dut.progress, 1)  # the core still moves: no watchdog
        ctx.set(dut.ifmap.error, Error.ILLEGAL_COMMAND)
        assert await go(ctx, commands) == Status.ERROR | Error.ILLEGAL_COMMAND << 8

    simulate(bench)


def test_reset_in_the_middle():
    """A reset drains the bus before it resets, and the next program runs."""

    async def bench(ctx, go, dut, memory, core, axi):
        for wait in (30, 60, 85, 110, 140, 200, 230):
            memory[PROGRAM : PROGRAM + 64 * 40] = b"".join((program(8) * 2)[:40])
            await write(ctx, dut, Register.COUNT, 32)
            await write(ctx, dut, Register.CONTROL, 1)
            await idle(ctx, wait)
            await write(ctx, dut, Register.CONTROL, 2)
            while await read(ctx, dut, Register.STATUS) != Status.IDLE:
                pass
            assert axi[1].beats == sum(n for _, n in axi[1].bursts)
            assert axi[0].beats == sum(n for _, n in axi[0].bursts)
            memory[OUT:] = bytes(MEMORY - OUT)
            assert await go(ctx, program(2)) == Status.DONE
            assert copied(memory, 2)

    simulate(bench)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_elaborates(name):
    rtlil.convert(Edge(PRESETS[name].replace(counters=name == "tiny")))
