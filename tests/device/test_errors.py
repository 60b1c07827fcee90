"""Bad programs and bad memories: a status and the command's index, nothing written after,
and a reset that recovers."""

import numpy as np
import pytest

from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import golden_run
from compiler.runtime.device import RESET, run_program
from compiler.runtime.run import RunError, run_network
from hdl import isa
from hdl.config import PRESETS
from hdl.isa import COMMAND_BYTES, Error, Opcode, Register, Status
from sim.device import SimDevice
from tests.layers import draw

TINY = PRESETS["tiny"]


class Case:
    """A layer on the device, its program as a mutable list of commands."""

    def __init__(self, device):
        self.device = device
        _, batch, self.network, self.images = draw(6)
        self.program = compile_network(self.network, device.config, Options(images=batch))
        raw = self.program.commands
        self.commands = [raw[i : i + COMMAND_BYTES] for i in range(0, len(raw), COMMAND_BYTES)]
        self.clear()

    def clear(self):
        p = self.program
        self.device.write(p.base, bytes(p.constant - p.base))
        p.load(self.device)
        p.write_input(self.device, self.images)

    def index(self, opcode, nth=0):
        return [i for i, c in enumerate(self.commands) if isa.unpack(c)[0] == opcode][nth]

    def change(self, index, **fields):
        opcode, wait, signal, old = isa.unpack(self.commands[index])
        return isa.pack(Opcode(opcode), wait=wait, signal=signal, **(old | fields))

    def run(self, *, replace=None, watchdog=3000, read_limit=None, write_limit=None, count=None):
        p = self.program
        commands = list(self.commands)
        for index, raw in (replace or {}).items():
            commands[index] = raw
        self.device.write(p.program, b"".join(commands))
        return run_program(
            self.device,
            p.program,
            len(commands) if count is None else count,
            watchdog=watchdog,
            read_window=(p.base, read_limit or p.end),
            write_window=(p.base, write_limit or p.constant),
            timeout=2_000_000,
        )

    def output(self):
        return self.program.read_tensor(self.device, "out")

    def recovers(self):
        """After a reset the same device runs the sound program."""
        device = self.device
        device.fault()
        device.write_register(Register.CONTROL, RESET)
        for _ in range(100):
            if device.read_register(Register.STATUS) & 0xFF == Status.IDLE:
                break
        else:
            # A bus that never answered leaves transactions open: it needs its own reset.
            device.reset()
        self.clear()
        result = self.run()
        assert result.status is Status.DONE, result
        np.testing.assert_array_equal(
            self.output(), golden_run(self.network, self.images).tensors["out"]
        )


@pytest.fixture
def case():
    with SimDevice(TINY, "cpp", 1 << 20) as device:
        yield Case(device)


@pytest.mark.parametrize(
    "what",
    [
        "opcode 0",
        "opcode 31",
        "semaphore",
        "zero count",
        "p above the spad",
        "mapping above the chain",
    ],
)
def test_illegal_command(case, what):
    index = case.index(Opcode.IFMAP, 1)
    match what:
        case "opcode 0":
            raw = bytes([isa.VERSION_VALUE << 5]) + case.commands[index][1:]
        case "opcode 31":
            raw = bytes([31 | isa.VERSION_VALUE << 5]) + case.commands[index][1:]
        case "semaphore":
            raw = case.commands[index][:7] + b"\1" + case.commands[index][8:]
        case "zero count":
            raw = case.change(index, rows=0)
        case "p above the spad":
            raw = case.change(index, p=TINY.psum_spad + 1)
        case "mapping above the chain":
            index = case.index(Opcode.CONFIG)
            raw = case.change(index, sets=7, groups=5)
    result = case.run(replace={index: raw})
    assert (result.status, result.error, result.index) == (
        Status.ERROR,
        Error.ILLEGAL_COMMAND,
        index,
    )
    case.recovers()


def test_a_program_of_another_version(case):
    """The header of version 1 began with an opcode of eight bits."""
    first = case.commands[0]
    result = case.run(replace={0: bytes([first[0] & 31]) + first[1:]})
    assert (result.status, result.error, result.index) == (Status.ERROR, Error.VERSION, 0)
    case.recovers()


def test_windows(case):
    out = case.program.views["out"].storage.address
    case.device.write(out, b"\xaa" * 64)
    result = case.run(write_limit=out)
    assert (result.error, result.index) == (Error.WRITE_WINDOW, case.index(Opcode.STORE))
    assert case.device.read(out, 64) == b"\xaa" * 64
    case.recovers()
    result = case.run(
        replace={case.index(Opcode.LOAD, 1): case.change(case.index(Opcode.LOAD, 1), dram=1 << 19)}
    )
    assert (result.error, result.index) == (Error.READ_WINDOW, case.index(Opcode.LOAD, 1))
    case.recovers()


@pytest.mark.parametrize("kind", ["slverr", "decerr"])
def test_error_responses(case, kind):
    p = case.program
    source, target = (p.views[n].storage.address for n in ("in", "out"))
    loads = [
        i
        for i, c in enumerate(case.commands)
        if isa.unpack(c)[0] == Opcode.LOAD and isa.unpack(c)[3]["dram"] == source
    ]
    case.device.fault(source, source + 8, kind)
    result = case.run()
    assert (result.error, result.index) == (Error.READ_RESPONSE, loads[0])
    case.recovers()
    case.device.fault(target, target + 8, kind)
    result = case.run()
    assert (result.error, result.index) == (Error.WRITE_RESPONSE, case.index(Opcode.STORE))
    case.recovers()
    case.device.fault(p.program, p.program + 8, kind)
    assert case.run().error is Error.READ_RESPONSE
    case.recovers()


def test_memory_that_never_answers(case):
    source = case.program.views["in"].storage.address
    case.device.fault(source, source + 8, "silent")
    result = case.run(watchdog=2000)
    assert (result.status, result.error) == (Status.ERROR, Error.WATCHDOG)
    assert isa.unpack(case.commands[result.index])[0] == Opcode.LOAD
    case.recovers()


def test_token_that_never_comes(case):
    """A command that waits for a semaphore which nobody gives is a hang, and is found."""
    index = case.index(Opcode.STORE, -1)  # the last: others need none of what it frees
    opcode, _, signal, fields = isa.unpack(case.commands[index])
    result = case.run(
        replace={index: isa.pack(Opcode.STORE, wait=1 << 15, signal=signal, **fields)}
    )
    assert (result.error, result.index) == (Error.WATCHDOG, index)
    case.recovers()


def test_run_names_the_layer(case):
    source = case.program.views["in"].storage.address
    case.device.fault(source, source + 8, "slverr")
    with pytest.raises(RunError, match="layer 'layer': the device stopped with READ_RESPONSE"):
        run_network(case.program, case.network, case.device, case.images)
