"""Commands: packing, unpacking and the hardware's view of the same bits agree."""

import pytest
from amaranth.lib import data
from hypothesis import given
from hypothesis import strategies as st

from hdl import isa


@st.composite
def commands(draw):
    opcode = draw(st.sampled_from(list(isa.BODIES)))
    values = {}
    for name, _, width, signed in isa.fields(isa.BODIES[opcode]):
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
        values[name] = draw(st.integers(low, high))
    mask = st.integers(0, 0xFFFF)
    return opcode, draw(mask), draw(mask), values


@given(commands())
def test_round_trip(command):
    opcode, wait, signal, values = command
    raw = isa.pack(opcode, wait=wait, signal=signal, **values)
    assert len(raw) == isa.COMMAND_BYTES
    assert isa.unpack(raw) == (opcode, wait, signal, values)


@given(commands())
def test_equals_hardware_layout(command):
    opcode, wait, signal, values = command
    word = int.from_bytes(isa.pack(opcode, wait=wait, signal=signal, **values), "little")
    body = isa.BODIES[opcode]
    assert word >> 64 == data.Layout.cast(body).const(values).as_value().value
    head = data.Layout.cast(isa.Header).const({"opcode": int(opcode), "wait": wait, "signal": signal})
    assert word & (1 << 64) - 1 == head.as_value().value


@pytest.mark.parametrize("opcode", isa.BODIES)
def test_out_of_range(opcode):
    for name, _, width, signed in isa.fields(isa.BODIES[opcode]):
        for value in ((1 << width - 1), -(1 << width - 1) - 1) if signed else ((1 << width), -1):
            with pytest.raises(ValueError, match=f"{opcode.name}.{name}"):
                isa.pack(opcode, **{name: value})


def test_unknown():
    with pytest.raises(ValueError, match="unknown field 'colour'"):
        isa.pack(isa.Opcode.LOAD, word=1, colour=2)
    with pytest.raises(ValueError, match="semaphore mask"):
        isa.pack(isa.Opcode.LOAD, wait=1 << 16)
    with pytest.raises(ValueError, match="illegal command"):
        isa.unpack(bytes(64))
    with pytest.raises(ValueError, match="illegal command"):
        isa.unpack((1 | 1 << 40).to_bytes(64, "little"))


def test_registers_do_not_overlap():
    offsets = [int(r) for r in isa.Register]
    assert len(set(offsets)) == len(offsets) and all(o % 4 == 0 for o in offsets)
    assert max(offsets) == isa.Register.COUNTERS
    assert isa.Register.COUNTERS + 8 * len(isa.COUNTERS) <= 1 << 12
    assert len(set(isa.COUNTERS)) == len(isa.COUNTERS)
