"""Deframer, Framer and the whole Link against fpga.serial.protocol."""

import random

import pytest

from fpga.serial.deframer import Deframer
from fpga.serial.framer import Framer
from fpga.serial.link import Link
from fpga.serial.protocol import (
    ESCAPE,
    FLAG,
    HEADER,
    MAX_FRAME,
    Decoder,
    Frame,
    Opcode,
    Reason,
    encode,
)
from tests.hdl.streams import holds, idle, receive, run, send, shared

FLAGS = bytes((FLAG, ESCAPE) * 20)


def payloads(seed, count=6):
    rng = random.Random(seed)
    return [
        Frame(Opcode.WRITE, i, rng.getrandbits(32), len(d), d)
        for i in range(count)
        for d in (rng.choice((b"", rng.randbytes(rng.randrange(60)), FLAGS)),)
    ]


def raw(frame):
    """A frame's bytes without CRC, flags and escapes."""
    return HEADER.pack(frame.opcode, frame.sequence, frame.length, frame.address) + frame.data


def collect(out):
    """What a Deframer gave: [(bytes without CRC, reason)]."""
    frames, now = [], b""
    for item in out:
        if item.end:
            frames.append((now[:-4], item.data))
            now = b""
        else:
            now += bytes((item.data,))
    assert not now
    return frames


def deframe(line, *, stall=0.0, timeout=1000, count=1, longest=MAX_FRAME):
    dut, out = shared(Deframer, timeout, longest), []
    seen = []

    async def sink(ctx):
        while sum(o.end for o in out) < count:
            await receive(ctx, dut.frame, len(out) + 1, out, stall=stall, rng=rng)
        seen.append(len(out))

    rng = random.Random(9)
    cycles = run(
        dut,
        lambda ctx: send(ctx, dut.bytes, line, stall=stall, rng=random.Random(8)),
        sink,
        background=[holds(dut.frame)],
    )
    return collect(out), cycles


def line_of(text):
    return [{"data": b, "framing": 0} for b in text]


@pytest.mark.parametrize("stall", [0, 0.5])
def test_deframer(stall):
    frames = payloads(1)
    text = b"".join(map(encode, frames))
    got, cycles = deframe(line_of(text), stall=stall, count=len(frames))
    assert got == [(raw(f), 0) for f in frames]
    if not stall:
        short = sum(b in FLAGS for b in text)
        assert cycles <= 11 * (len(text) - short) + 4 * short + 3  # as the docstring has it


def test_deframer_finds_damage_and_goes_on():
    rng = random.Random(3)
    good = encode(payloads(2)[0])
    for _ in range(12):
        frame = encode(Frame(Opcode.WRITE, 1, 2, 30, rng.randbytes(30)))
        at = rng.randrange(1, len(frame) - 1)
        damaged = rng.choice(
            (
                frame[:at] + frame[at + 1 :],
                frame[: at + 1] + frame[at:],
                frame[:at] + bytes((frame[at] ^ 1 << rng.randrange(8),)) + frame[at + 1 :],
                frame[:at],
            )
        )
        if FLAG in damaged[1:-1]:
            continue
        got, _ = deframe(line_of(damaged + good), count=2)
        assert [reason for _, reason in got] == [Reason.CRC, 0]
        assert got[1][0] == raw(payloads(2)[0])


def test_deframer_limits():
    good = encode(payloads(2)[0])
    longest = encode(Frame(Opcode.WRITE, 1, 2, 88, bytes(88)))
    got, _ = deframe(line_of(longest + b"\0" * 101 + good), count=3, longest=100)
    assert [reason for _, reason in got] == [0, Reason.TOO_LONG, 0]
    line = line_of(good[:9] + good)
    line[4]["framing"] = 1
    assert [reason for _, reason in deframe(line, count=2)[0]] == [Reason.FRAMING, 0]
    # a flag that is escaped is still one
    line = line_of(good[:-1] + bytes((ESCAPE,)) + good[-1:])
    assert [reason for _, reason in deframe(line)[0]] == [Reason.CRC]


def test_deframer_timeout():
    dut, out = shared(Deframer, 50), []
    good = encode(payloads(2)[0])

    async def drive(ctx):
        await send(ctx, dut.bytes, line_of(good[:10]))
        await idle(ctx, 100)
        await send(ctx, dut.bytes, line_of(good))
        await idle(ctx, 10)

    run(
        dut,
        drive,
        background=[lambda ctx: receive(ctx, dut.frame, None, out), holds(dut.frame)],
        cycles=2000,
    )
    ends = [o.data for o in out if o.end]
    assert ends == [Reason.TIMEOUT, 0]
    with pytest.raises(ValueError, match="a time-out of 0"):
        Deframer(0)


@pytest.mark.parametrize("stall", [0, 0.5])
def test_framer(stall):
    dut, out = shared(Framer), []
    frames = payloads(4)
    items = [
        {"data": b, "last": i == len(raw(f)) - 1} for f in frames for i, b in enumerate(raw(f))
    ]
    want = b"".join(map(encode, frames))
    cycles = run(
        dut,
        lambda ctx: send(ctx, dut.frame, items, stall=stall),
        lambda ctx: receive(ctx, dut.bytes, len(want), out, stall=stall),
        background=[holds(dut.bytes)],
    )
    assert bytes(out) == want
    if not stall:
        escapes = want.count(ESCAPE)
        # as the docstring has it
        assert cycles <= 12 * (len(want) - 2 * len(frames)) - 11 * escapes + 4 * len(frames) + 2


@pytest.mark.parametrize("stall", [0, 0.6])
def test_link(stall):
    """Pin to pin: frames out are frames in again, held back in the FIFO while nobody takes them."""
    dut, out = Link(4_000_000, 1_000_000, 4000), []
    frames = payloads(5, 4)

    async def loop(ctx):
        while True:
            _, _, tx = await ctx.tick().sample(dut.tx)
            ctx.set(dut.rx, tx)

    items = [
        {"data": b, "last": i == len(raw(f)) - 1} for f in frames for i, b in enumerate(raw(f))
    ]

    async def sink(ctx):
        while sum(o.end for o in out) < len(frames):
            await receive(ctx, dut.received, len(out) + 1, out, stall=stall)

    run(
        dut,
        lambda ctx: send(ctx, dut.send, items, stall=stall),
        sink,
        background=[loop, holds(dut.received)],
        cycles=40_000,
    )
    assert collect(out) == [(raw(f), 0) for f in frames]
    assert list(Decoder().feed(b"".join(map(encode, frames)))) == frames
