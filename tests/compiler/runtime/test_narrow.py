"""8-bit strips in the interpreter."""

import re
from pathlib import Path

import numpy as np
import pytest

from compiler.lowering.structures.commands import Schedule
from compiler.runtime.device import run_program
from compiler.runtime.interpreter import Interpreter, ProgramError
from hdl import isa
from hdl.config import PRESETS
from hdl.isa import Error, Opcode, pack
from tests.compiler.strips import END, SOURCE, TARGET, check_random, run_schedule

TINY = PRESETS["tiny"]
ONES = {f"count_{n}": 1 for n in "abc"}


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("seed", range(6))
def test_random(lanes, seed):
    check_random(Interpreter(TINY.replace(store_lanes=lanes), END), seed)


def strip(dram, size, **more):
    """A STORE of one strip of bytes."""
    fields = dict(block=size, ring=1, rows=1, images=1, blocks=1, columns=1, out_block=size)
    return Opcode.STORE, fields | dict(chunk=1, dram=dram, narrow=1) | more


def run(*commands):
    device, schedule = Interpreter(TINY, END), Schedule()
    for opcode, fields in commands:
        schedule.add(opcode, **fields)
    return device, run_schedule(device, schedule)


@pytest.mark.parametrize("unsigned, low, high", [(0, -128, 127), (1, 0, 255)])
def test_there_and_back(unsigned, low, high):
    """All bytes through the buffer, with the zero point of their type's ends."""
    for zero in (low, -1, 0, 1, high):
        device, schedule = Interpreter(TINY, END), Schedule()
        kind = dict(narrow=1, unsigned=unsigned, zero=zero)
        device.write(SOURCE, bytes(range(256)))
        load = schedule.add(Opcode.LOAD, dram=SOURCE, word=2, length=32, **ONES, **kind)
        fields = strip(TARGET + 3, 256)[1] | dict(base=8) | kind
        schedule.depend(schedule.add(Opcode.STORE, **fields), load)
        assert run_schedule(device, schedule).ok
        assert device.read(TARGET + 3, 256) == bytes(range(256))
        entries = device.glb[8 : 8 + 256].astype(int) + zero
        q = np.arange(256, dtype=np.uint8).view(np.uint8 if unsigned else np.int8)
        assert np.array_equal(entries, q)


DOCUMENTED = Path(__file__).resolve().parents[3] / "docs" / "commands.md"


def test_documented_example():
    """docs/commands.md: the entries, the bytes, the strobes, and what a LOAD makes of them."""
    text = DOCUMENTED.read_text().partition("## 8-bit strips")[2]
    rows = re.findall(r"^\| \d \| (.*) \| .* \| (.*) \|$", text, re.M)
    entries = [int(v) for row in rows for v in row[0].split(", ")]
    packed = bytes.fromhex("".join(row[1] for row in rows))
    code = re.search(r"```python\n(.*?)```", text, re.S)
    assert len(entries) == len(packed) == 15 and code
    device = Interpreter(TINY, END)
    device.glb[20:35] = entries
    device.write(0x2000, bytes(24))
    device.write(0x8000, eval(code[1], dict(isa=isa, Opcode=Opcode)))
    windows = dict(read_window=(0, END), write_window=(0x2003, 0x2012))
    result = run_program(device, 0x8000, 1, **windows)
    assert result.ok and result.counters["dram_write_bytes"] == 15
    assert device.read(0x2003, 15) == packed

    beats = re.findall(r"^\| 0x(20[01][08]) \| (.*) \| ([01]{8}) \|$", text, re.M)
    assert len(beats) == 3
    for address, data, strobes in beats:
        for k, byte in enumerate(data.split()):
            assert (byte == "..") == (strobes[7 - k] == "0")
            if byte != "..":
                assert device.read(int(address, 16) + k, 1).hex() == byte

    device.write(
        0x8000, pack(Opcode.LOAD, dram=0x2000, word=8, length=3, narrow=1, zero=-10, **ONES)
    )
    assert run_program(device, 0x8000, 1, **windows).ok
    assert device.glb[35:50].tolist() == [min(127, max(-128, v - 10)) + 10 for v in entries]


@pytest.mark.parametrize(
    "dram, size, error",
    [
        (TARGET, 7, Error.NONE),
        (TARGET - 1, 7, Error.WRITE_WINDOW),
        (0x40000 - 7, 7, Error.NONE),
        (0x40000 - 7, 8, Error.WRITE_WINDOW),
    ],
)
def test_window(dram, size, error):
    device, result = run(strip(dram, size))
    assert result.error == error
    assert result.counters["dram_write_bytes"] == (0 if error else size)


LOAD = dict(dram=SOURCE, word=0, length=4, narrow=1, **ONES)


@pytest.mark.parametrize(
    "command, message",
    [
        ((Opcode.LOAD, LOAD | dict(word=1)), "LOAD.*word 1 is odd"),
        ((Opcode.LOAD, LOAD | dict(rlc=1)), "LOAD.*both narrow and coded"),
        (
            (Opcode.LOAD, LOAD | dict(word=TINY.glb_words - 6)),
            f"LOAD.*word {TINY.glb_words + 1} is outside",
        ),
        (strip(TARGET, 4, rlc=1), "STORE.*both narrow and coded"),
        (strip(TARGET + 1, 4, narrow=0), "STORE.*odd DRAM address"),
    ],
    ids=range(5),
)
def test_what_a_compiler_must_not_do(command, message):
    with pytest.raises(ProgramError, match=message):
        run(command)
