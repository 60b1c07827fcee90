"""Commands: packing, unpacking and the hardware's view of the same bits agree."""

import re
from pathlib import Path

import pytest
from amaranth.hdl import Shape
from amaranth.lib import data
from hypothesis import given
from hypothesis import strategies as st

from compiler.lowering.structures.commands import CHANNELS
from hdl import isa


@st.composite
def commands(draw):
    opcode = draw(st.sampled_from(list(isa.BODIES)))
    values = {}
    for name, _, width, signed in isa.fields(isa.BODIES[opcode]):
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
        values[name] = draw(st.integers(low, high))
    mask = st.integers(0, (1 << isa.MASK_BITS) - 1)
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
    head = data.Layout.cast(isa.Header).const(
        {"opcode": int(opcode), "version": isa.VERSION_VALUE, "wait": wait, "signal": signal}
    )
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
        isa.pack(isa.Opcode.LOAD, wait=1 << isa.MASK_BITS)
    with pytest.raises(ValueError, match="illegal command"):
        isa.unpack((isa.VERSION_VALUE << 5).to_bytes(64, "little"))


def test_version():
    """Commands of version 1 began with an opcode of eight bits: its number is not 4 in the bits
    where that stands now."""
    with pytest.raises(isa.VersionError, match="version 0; this is version 4"):
        isa.unpack(int(isa.Opcode.LOAD).to_bytes(64, "little"))


def test_headroom():
    """Room for what comes: semaphores, bits of a STORE, opcodes."""
    assert isa.MASK_BITS - len(CHANNELS) >= 8
    free = {
        op: 8 * isa.COMMAND_BYTES - 64 - Shape.cast(body).width for op, body in isa.BODIES.items()
    }
    assert free[isa.Opcode.STORE] >= 48 and min(free.values()) >= 24
    assert max(isa.Opcode) < 1 << 4


def test_registers_do_not_overlap():
    offsets = [int(r) for r in isa.Register]
    assert len(set(offsets)) == len(offsets) and all(o % 4 == 0 for o in offsets)
    assert max(offsets) == isa.Register.COUNTERS
    assert isa.Register.COUNTERS + 8 * len(isa.COUNTERS) <= 1 << 12
    assert len(set(isa.COUNTERS)) == len(isa.COUNTERS)


def test_documented_format():
    """docs/commands.md: free bits, and its example."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text()
    listed = {name: int(free) for name, free in re.findall(r"\| ([A-Z_]+) \| (\d+) ", text)}
    assert listed == {
        op.name: 8 * isa.COMMAND_BYTES - 64 - Shape.cast(body).width
        for op, body in isa.BODIES.items()
    }
    code, words = re.search(r"```python\n(.*?)```.*?```\n(.*?)```", text, re.DOTALL).groups()
    raw = eval(code, {"isa": isa, "Opcode": isa.Opcode})
    assert [raw[i : i + 8][::-1].hex() for i in range(0, 64, 8)] == words.split()
