"""The host against a far end in Python, over a pseudo-terminal."""

import os
import random
import select
import threading
import tty

import pytest

import cli
from compiler.runtime.device import START, DeviceError, check_identity, read_counters
from compiler.runtime.interpreter import Interpreter
from fpga.host.board import BoardDevice
from fpga.host.link import Link, LinkError, open_port
from fpga.serial.protocol import MAX_DATA, NAK, Frame, Opcode, Reason, encode
from hdl.config import PRESETS
from hdl.isa import ID_VALUE, VERSION_VALUE, Register, Status
from tests.fpga.far_end import Executor, FarEnd, noise

CONFIG = PRESETS["tiny"]
MEMORY = 1 << 16


class Memory:
    """A Device of bytes and registers that logs its starts."""

    def __init__(self, config=CONFIG):
        self.config, self.memory, self.starts = config, bytearray(MEMORY), 0
        self.registers = {Register.VERSION: VERSION_VALUE}

    def read(self, address, size):
        if address + size > MEMORY:
            raise ValueError
        return bytes(self.memory[address : address + size])

    def write(self, address, data):
        if address + len(data) > MEMORY:
            raise ValueError
        self.memory[address : address + len(data)] = data

    def read_register(self, offset):
        return self.registers.get(offset, offset)

    def write_register(self, offset, value):
        self.starts += offset == Register.CONTROL
        self.registers[offset] = value


def far_end(spoil=lambda raw, direction: raw, device=None):
    return FarEnd(Executor(device or Memory(), MEMORY), spoil)


def test_memory_of_any_alignment():
    rng, expected = random.Random(1), bytearray(MEMORY)
    with far_end() as end, BoardDevice(CONFIG, end.port) as board:
        for _ in range(30):
            at, size = (
                rng.randrange(MEMORY - 5000),
                rng.choice((0, 1, 3, 8, 17, MAX_DATA, 3 * MAX_DATA + 5)),
            )
            data = rng.randbytes(size)
            board.write(at, data)
            expected[at : at + size] = data
            at, size = rng.randrange(MEMORY - 5000), rng.randrange(5000)
            assert board.read(at, size) == expected[at : at + size]
        assert end.executor.device.memory == expected
        for call in (lambda: board.read(MEMORY - 4, 8), lambda: board.write(-1, b"1")):
            with pytest.raises(ValueError, match="the board has 0x10000"):
                call()


def test_registers_and_progress():
    seen = []
    with (
        far_end() as end,
        BoardDevice(CONFIG, end.port, progress=lambda *a: seen.append(a)) as board,
    ):
        assert board.read_register(Register.PES) == Register.PES
        board.write_register(Register.COUNT, 0xFFFFFFFF)
        assert board.read_registers(Register.PROGRAM, 2) == [Register.PROGRAM, 0xFFFFFFFF]
        assert len(read_counters(board)) > 30
        with pytest.raises(ValueError, match="not of 32 bits"):
            board.write_register(0, 1 << 32)
        board.write(0, bytes(2500))
    assert seen == [
        ("writing", 1024, 2500 // 8 * 8 + 8),
        ("writing", 2048, 2504),
        ("writing", 2504, 2504),
    ] or [s[1] for s in seen if s[0] == "writing"] == [1024, 2048, 2504]


@pytest.mark.parametrize("kind", ["flip", "drop", "double"])
def test_noise_costs_time_only(kind):
    """What is written and read stays right, and no start is executed twice."""
    rng = random.Random(kind)
    with far_end() as end, BoardDevice(CONFIG, end.port, timeout=0.1, retries=20) as board:
        end.spoil = noise(kind, **{kind: 5e-4})
        for round in range(8):
            data = rng.randbytes(3000)
            board.write(0x100, data)
            board.write_register(Register.CONTROL, START)
            assert board.read(0x100, 3000) == data
            assert end.executor.device.starts == round + 1
        assert board.link.retried > 0


def test_a_lost_reply_is_not_a_second_start():
    lost = []

    def spoil(raw, direction):
        if direction == "out" and armed and len(lost) < 2:
            lost.append(raw)
            return b""
        return raw

    armed = []
    with far_end(spoil) as end, BoardDevice(CONFIG, end.port, timeout=0.1) as board:
        armed.append(1)
        board.write_register(Register.CONTROL, START)
        assert len(lost) == 2 and end.executor.device.starts == 1
        board.write_register(Register.CONTROL, START)
        assert end.executor.device.starts == 2


def test_wrong_configuration_and_version():
    with far_end(device=Memory(PRESETS["demo"])) as end:
        with pytest.raises(LinkError, match="built for configuration 'demo' .*, not for 'tiny'"):
            BoardDevice(CONFIG, end.port)
        end.executor.identity = end.executor.identity.__class__(9, 512, 0, MEMORY, 1, "tiny")
        with pytest.raises(LinkError, match="speaks protocol 9, this host 1"):
            BoardDevice(CONFIG, end.port)


def test_no_port_and_no_answer(tmp_path):
    with pytest.raises(LinkError, match="^port /dev/ttyNONE: no such port"):
        BoardDevice(CONFIG, "/dev/ttyNONE")
    with pytest.raises(LinkError, match="^port .*"):
        BoardDevice(CONFIG, str(tmp_path))
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    with pytest.raises(LinkError, match="no answer to 3 requests of 0.05 s"):
        BoardDevice(CONFIG, os.ttyname(theirs), timeout=0.05, retries=2)
    os.close(ours)
    os.close(theirs)


def test_a_port_that_never_stops_talking():
    """Something else is at the port, or another baud rate: the host gives up."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    stop = threading.Event()

    def talk():
        while not stop.is_set():
            if select.select([], [ours], [], 0.05)[1]:
                os.write(ours, b"~NMEA, or whatever~" * 20)

    speaker = threading.Thread(target=talk)
    speaker.start()
    try:
        with pytest.raises(LinkError, match="no answer to 3 requests"):
            BoardDevice(CONFIG, os.ttyname(theirs), timeout=5, retries=2)
    finally:
        stop.set()
        speaker.join()
        os.close(ours)
        os.close(theirs)


def test_reset_of_the_board_is_told():
    with far_end() as end, BoardDevice(CONFIG, end.port) as board:
        end.executor.session = False
        with pytest.raises(LinkError, match="reset meanwhile"):
            board.read(0, 8)


def test_an_earlier_hosts_refusals_are_not_this_ones():
    """Of a board that was reset they may arrive behind the next host's HELLO, whatever its
    number."""

    def spoil(raw, direction):
        earlier = [encode(Frame(NAK, sequence, int(Reason.NO_SESSION))) for sequence in range(256)]
        return b"".join(earlier) + raw if direction == "out" else raw

    with far_end(spoil) as end:
        assert Link(open_port(end.port, 3_000_000)).request(Opcode.HELLO)


def test_refusals_are_final():
    with far_end() as end, BoardDevice(CONFIG, end.port) as board:
        for request, reason in (
            ((Opcode.READ, 4, 8), "ADDRESS"),
            ((Opcode.READ, 0, 12), "LENGTH"),
            ((Opcode.READ, MEMORY, 8), "BUS"),
            ((77, 0, 0), "OPCODE"),
            ((Opcode.WRITE, 0, 0, b"123"), "LENGTH"),
        ):
            with pytest.raises(LinkError, match=reason):
                board.link.request(*request)
        assert board.link.retried == 0


def test_wait():
    with far_end() as end, BoardDevice(CONFIG, end.port) as board:
        registers = end.executor.device.registers
        registers[Register.STATUS] = Status.RUNNING
        with pytest.raises(TimeoutError, match="still running after 0.05 s"):
            board.wait(0.05)
        registers[Register.STATUS] = Status.DONE | 7 << 8
        board.wait(0.05)


def test_another_version_of_the_commands():
    memory = Memory()
    memory.registers[Register.VERSION] = 1
    with (
        far_end(device=memory) as end,
        pytest.raises(
            LinkError,
            match="takes commands of version 1, this host makes version 4; build and flash it "
            "again",
        ),
    ):
        BoardDevice(CONFIG, end.port)
    assert memory.starts == 0


def test_in_use():
    with far_end() as end, BoardDevice(CONFIG, end.port):
        with pytest.raises(LinkError, match="in use|temporarily"):
            open_port(end.port, 9600)


def test_identity_of_the_accelerator():
    with far_end(device=Interpreter(CONFIG, MEMORY)) as end, BoardDevice(CONFIG, end.port) as board:
        check_identity(board)
        assert board.read_register(Register.ID) == ID_VALUE
        assert isinstance(LinkError("x"), DeviceError) and isinstance(board.link, Link)


def test_main_job(capsys):
    """`eyrie run --device board` on a far end that computes with the interpreter."""
    with FarEnd(Executor(Interpreter(CONFIG, 1 << 20), 1 << 20)) as end:
        assert (
            cli.main(
                ["run", "--device", "board", "--port", end.port, "--config", "tiny", "--limit", "2"]
            )
            == 0
        )
        assert "│ board" in capsys.readouterr().out
        assert (
            cli.main(
                ["run", "--device", "board", "--port", end.port, "--config", "demo", "--limit", "2"]
            )
            == 2
        )
        assert "built for configuration 'tiny'" in capsys.readouterr().err
        # by the board's own name
        assert cli.main(["run", "--device", "board", "--port", end.port, "--limit", "2"]) == 0
    with FarEnd(Executor(Interpreter(CONFIG.replace(name="own"), 1 << 20), 1 << 20)) as end:
        assert cli.main(["run", "--device", "board", "--port", end.port, "--limit", "2"]) == 2
        assert "'own', which is no preset here: give its file" in capsys.readouterr().err
    with far_end() as end:
        assert (
            cli.main(
                ["run", "--device", "board", "--port", end.port, "--config", "tiny", "--limit", "2"]
            )
            == 2
        )
        assert "try a smaller --batch" in capsys.readouterr().err
    assert cli.main(["run", "--device", "board", "--limit", "2"]) == 2
    assert "a board needs --port" in capsys.readouterr().err
