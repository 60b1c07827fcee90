"""8-bit strips in the interpreter."""

import numpy as np
import pytest

from compiler.lowering.structures.commands import Schedule
from compiler.runtime.interpreter import Interpreter, ProgramError
from hdl.config import PRESETS
from hdl.isa import Error, Opcode
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
