"""Bridge: every request, every refusal, repetitions; memory and registers are models."""

import random

import pytest

from fpga.serial.bridge.bridge import Bridge
from fpga.serial.bridge.controller import RESET_CYCLES
from fpga.serial.protocol import (
    HEADER,
    MAX_DATA,
    NAK,
    REPLY,
    VERSION,
    Frame,
    Identity,
    Opcode,
    Reason,
)
from tests.fpga.serial.registers import Registers
from tests.hdl.streams import ReadMemory, WriteMemory, holds, receive, run, send, shared

IDENTITY = Identity(VERSION, 512, 0x0123456789ABCDEF, 1 << 13, 80_000_000, "tiny")
HELLO = Frame(Opcode.HELLO, 200)


def bench(requests, *, stall=0.0, bad=(), memory=None, cycles=60_000):
    """Frames or Reasons in; (replies, registers, write model, cycles taken, system_reset
    cycles)."""
    dut = shared(Bridge, IDENTITY)
    memory = bytearray(random.Random(1).randbytes(1 << 13)) if memory is None else memory
    reads = ReadMemory(dut.read, memory, stall=stall, bad=bad)
    writes = WriteMemory(dut.write, memory, stall=stall, bad=bad)
    registers, replies, resets = Registers(dut, stall), [], []

    async def talk(ctx):
        for request in requests:
            if isinstance(request, Reason):
                items = [{"data": 7, "end": 0}] * 5 + [{"data": int(request), "end": 1}]
            else:
                raw = (
                    HEADER.pack(request.opcode, request.sequence, request.length, request.address)
                    + request.data
                )
                items = [{"data": b, "end": 0} for b in raw + b"CRC!"] + [{"data": 0, "end": 1}]
            await send(ctx, dut.received, items, stall=stall)
            out = []
            while not out or not out[-1].last:
                await receive(ctx, dut.send, len(out) + 1, out, stall=stall)
            raw = bytes(o.data for o in out)
            opcode, sequence, length, address = HEADER.unpack_from(raw)
            replies.append(Frame(opcode, sequence, address, length, raw[HEADER.size :]))
            assert length == len(replies[-1].data)

    async def watch(ctx):
        async for _, _, active in ctx.tick().sample(dut.system_reset):
            resets.append(active)

    taken = run(
        dut,
        talk,
        background=[
            reads,
            writes,
            registers,
            watch,
            holds(dut.send),
            holds(dut.read.address),
            holds(dut.write.address),
            holds(dut.write.data),
        ],
        cycles=cycles,
    )
    return replies, registers, memory, taken, sum(resets)


def ok(request, data=b""):
    return Frame(request.opcode | REPLY, request.sequence, request.address, len(data), data)


@pytest.mark.parametrize("stall", [0, 0.4])
def test_memory(stall):
    rng = random.Random(2)
    memory = bytearray(rng.randbytes(1 << 13))
    expected, requests, want = bytearray(memory), [HELLO], [ok(HELLO, IDENTITY.pack())]
    for i in range(10):
        size = rng.choice((8, 16, 72))
        at = rng.choice((rng.randrange(0, (1 << 13) - size, 8), 4096 - 8))
        if rng.random() < 0.5:
            data = rng.randbytes(size)
            requests.append(Frame(Opcode.WRITE, i, at, size, data))
            expected[at : at + size] = data
            want.append(ok(requests[-1]))
        else:
            requests.append(Frame(Opcode.READ, i, at, size))
            want.append(ok(requests[-1], bytes(expected[at : at + size])))
    replies, _, memory, _, _ = bench(requests, stall=stall, memory=memory)
    assert replies == want and memory == expected


def test_longest_and_throughput():
    """The longest frames; cycles as the docstring has them."""
    data = random.Random(3).randbytes(MAX_DATA)
    write, read = (
        Frame(Opcode.WRITE, 1, 4096 - 64, MAX_DATA, data),
        Frame(Opcode.READ, 2, 4096 - 64, MAX_DATA),
    )
    replies, _, _, hello, _ = bench([HELLO])
    replies, _, _, first, _ = bench([HELLO, write])
    assert replies[1] == ok(write)
    replies, _, _, both, _ = bench([HELLO, write, read])
    assert replies[2] == ok(read, data)
    words = MAX_DATA // 8
    assert first - hello <= MAX_DATA + 13 + 11 + (16 + 5) * words + 4 * 8
    # the model's stalls and latency, too
    assert both - first <= 13 + 11 + (13 + 8) * words + 4 * (MAX_DATA + 8)


@pytest.mark.parametrize("stall", [0, 0.4])
def test_registers(stall):
    requests = [
        HELLO,
        Frame(Opcode.READ_REGISTERS, 1, 0x100, 20),
        Frame(Opcode.WRITE_REGISTER, 2, 0x104, 4, b"\1\2\3\4"),
        Frame(Opcode.READ_REGISTERS, 3, 0x104, 4),
        Frame(Opcode.WRITE_REGISTER, 4, 0xFF0, 4, bytes(4)),
        Frame(Opcode.READ_REGISTERS, 5, 0xFE8, 12),
    ]
    replies, registers, *_ = bench(requests, stall=stall)
    assert replies[1:] == [
        ok(requests[1], b"".join((0x100 + 4 * i).to_bytes(4, "little") for i in range(5))),
        ok(requests[2]),
        ok(requests[3], b"\1\2\3\4"),
        Frame(NAK, 4, Reason.BUS),
        Frame(NAK, 5, Reason.BUS),
    ]
    assert registers.writes == [(0x104, 0x04030201), (0xFF0, 0)]


def test_refusals():
    bad = [
        (Frame(Opcode.READ, 1, 4, 8), Reason.ADDRESS),
        (Frame(Opcode.READ, 2, 0, 12), Reason.LENGTH),
        (Frame(Opcode.READ, 3, 0, 0), Reason.LENGTH),
        (Frame(Opcode.READ, 4, 0, MAX_DATA + 8), Reason.LENGTH),
        (Frame(Opcode.WRITE, 5, 0, 16, bytes(8)), Reason.LENGTH),
        (Frame(77, 6), Reason.OPCODE),
        (Frame(Opcode.WRITE_REGISTER, 7, 0, 8, bytes(8)), Reason.LENGTH),
        (Frame(0, 8), Reason.OPCODE),
        (Frame(Opcode.READ_REGISTERS, 9, 2, 4), Reason.ADDRESS),
        (Frame(Opcode.READ, 10, 0, 8, b"x"), Reason.LENGTH),
        (Frame(Opcode.RESET, 11, 0, 4, bytes(4)), Reason.LENGTH),
    ]
    replies, registers, _, _, resets = bench([HELLO, *(f for f, _ in bad), *Reason])
    assert replies[1:] == [Frame(NAK, f.sequence, r) for f, r in bad] + [
        Frame(NAK, 0, r) for r in Reason
    ]
    assert not registers.writes and not resets


def test_bus_errors():
    requests = [
        HELLO,
        Frame(Opcode.READ, 1, 64, 32),
        Frame(Opcode.WRITE, 2, 80, 8, bytes(8)),
        Frame(Opcode.READ, 3, 96, 8),
    ]
    replies, *_ = bench(requests, bad={80})
    assert [r.opcode for r in replies[1:]] == [NAK, NAK, Opcode.READ | REPLY]
    assert [r.address for r in replies[1:3]] == [Reason.BUS] * 2


def test_nothing_without_hello():
    requests = [
        Frame(Opcode.READ, 1, 0, 8),
        Frame(Opcode.WRITE_REGISTER, 2, 8, 4, bytes(4)),
        Frame(Opcode.RESET, 3),
        HELLO,
        Frame(Opcode.READ, 1, 0, 8),
    ]
    replies, registers, _, _, resets = bench(requests)
    assert [r.address for r in replies[:3]] == [Reason.NO_SESSION] * 3 and replies[
        4
    ].opcode == Opcode.READ | REPLY
    assert not registers.writes and not resets


def test_repetitions_are_answered_once_more():
    start = Frame(Opcode.WRITE_REGISTER, 9, 8, 4, b"\1\0\0\0")
    reset, look = Frame(Opcode.RESET, 10), Frame(Opcode.READ_REGISTERS, 11, 0, 4)
    requests = [HELLO, start, start, Reason.CRC, start, reset, reset, look, start, HELLO, start]
    replies, registers, _, _, resets = bench(requests)
    assert [r for q, r in zip(requests, replies, strict=True) if q is start] == [ok(start)] * 5
    assert len(registers.writes) == 3 and resets == RESET_CYCLES
