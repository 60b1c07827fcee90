"""Frames: round trips, damage, resynchronisation."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpga.serial.protocol import (
    ESCAPE,
    FLAG,
    MAX_DATA,
    MAX_FRAME,
    Decoder,
    Frame,
    Identity,
    Opcode,
    Reason,
    configuration_hash,
    encode,
)
from hdl.config import PRESETS

frames = st.builds(
    lambda o, s, a, d: Frame(o, s, a, len(d), d),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=MAX_DATA),
)


def frame(sequence=1, size=40, seed=1):
    return Frame(Opcode.WRITE, sequence, 0x1000, size, random.Random(seed).randbytes(size))


@given(st.lists(frames, max_size=3), st.integers(1, 7))
def test_round_trip(sent, step):
    decoder, got = Decoder(), []
    raw = b"".join(map(encode, sent))
    for at in range(0, len(raw), step):
        got += decoder.feed(raw[at : at + step])
    assert got == sent


def test_only_flags_are_flags():
    raw = encode(Frame(FLAG, ESCAPE, FLAG << 8, 4, bytes((FLAG, ESCAPE, FLAG, ESCAPE))))
    assert raw.count(FLAG) == 2 and raw[0] == raw[-1] == FLAG


def test_any_damage_is_found():
    """Every single flipped bit, dropped byte and doubled byte: never another frame."""
    raw, good = encode(frame()), frame()
    broken = [
        raw[:i] + bytes((raw[i] ^ 1 << bit,)) + raw[i + 1 :]
        for i in range(len(raw))
        for bit in range(8)
    ]
    broken += [raw[:i] + raw[i + 1 :] for i in range(len(raw))] + [
        raw[: i + 1] + raw[i:] for i in range(len(raw))
    ]
    for damaged in broken:
        got = [f for f in Decoder().feed(damaged + bytes((FLAG,))) if isinstance(f, Frame)]
        assert got in ([], [good])


@given(st.binary(max_size=300))
def test_resynchronises_after_garbage(garbage):
    assert list(Decoder().feed(garbage + bytes((FLAG,)) + encode(frame())))[-1] == frame()


def test_half_a_frame_costs_itself_only():
    raw = encode(frame(1))
    got = list(Decoder().feed(raw[:20] + encode(frame(2))))
    assert got == [Reason.CRC, frame(2)]


def test_limits():
    with pytest.raises(ValueError, match="1025 bytes in a frame"):
        encode(Frame(Opcode.WRITE, 0, data=bytes(MAX_DATA + 1)))
    decoder = Decoder()
    for _ in range(100):  # an endless frame does not fill the memory
        assert list(decoder.feed(bytes(1000))) == []
    assert len(decoder._open) <= 2 * MAX_FRAME + 1000
    assert list(decoder.feed(bytes((FLAG,)) + encode(frame()))) == [Reason.TOO_LONG, frame()]


def test_identity():
    identity = Identity(1, 512, 1 << 63, 1 << 25, 80_000_000, "demo")
    assert Identity.unpack(identity.pack()) == identity
    with pytest.raises(ValueError, match="begins with 0x"):
        Identity.unpack(bytes(40))
    with pytest.raises(ValueError, match="of 3 bytes"):
        Identity.unpack(bytes(3))


def test_configuration_hash():
    tiny = PRESETS["tiny"]
    assert configuration_hash(tiny) == configuration_hash(
        tiny.replace(name="other", dram_latency=3)
    )
    for changed in (
        dict(rows=3),
        dict(rlc=False),
        dict(sparse_pes=0, store_lanes=1),
        dict(address_bits=24),
    ):
        assert configuration_hash(tiny) != configuration_hash(tiny.replace(**changed))
    assert len({configuration_hash(c) for c in PRESETS.values()}) == len(PRESETS)
