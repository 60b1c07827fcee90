"""The whole board under Verilator, its serial pins on a pseudo-terminal: runs, and faults on the
line."""

import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from onnx import helper

import cli
from compiler.quantise.fixed_point import quantise, quantise_input
from compiler.runtime.device import START, DeviceError
from compiler.runtime.run import RunError
from fpga.host.board import BoardDevice
from fpga.host.link import open_port
from fpga.serial.protocol import Frame, Opcode, encode
from fpga.simulation.board import CYCLES_PER_BIT, PART, SimulatedBoard
from hdl.config import PRESETS
from hdl.isa import Register, Status
from tests.cli.test_run import model_with
from tests.compiler.builder import Builder
from tests.device.devices import check_network

# As little as there is to compile: a test of the board, not of the array.
CONFIG = PRESETS["tiny"].replace(name="lean", sparse_pes=0, skip=False, rows=1, columns=4)
TIMEOUT = 3.0  # s: a frame takes a fraction of one


@pytest.fixture(scope="module")
def board():
    with SimulatedBoard(CONFIG) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def network():
    """(quantised network, its input): a convolution with pooling and a fully connected layer."""
    b = Builder((2, 8, 8), 0)
    x = b.pool(b.conv("x", 4, (3, 3), relu=True), "max", (2, 2), (2, 2))
    tensor = b.graph.tensors[x]
    b.conv(x, 5, (tensor.height, tensor.width), full=True)
    data = np.random.default_rng(1).normal(size=(2, *b.graph.tensors["x"].shape)).astype(np.float32)
    quantised = quantise(b.graph, data)
    return quantised, quantise_input(quantised, data)


def good_run(board, network, **options):
    """One session of a host: every layer equal to golden. The program."""
    with BoardDevice(CONFIG, board.port, timeout=TIMEOUT, **options) as device:
        return check_network(device, *network)


@pytest.fixture(scope="module")
def length(board, network):
    """Cycles of a run."""
    before = board.counts().cycles
    good_run(board, network)
    return board.counts().cycles - before


def test_memory_and_runs(board, network):
    """Two hosts, one after the other; SDRAM across its rows and banks; the line is what takes
    the time."""
    with BoardDevice(CONFIG, board.port, timeout=TIMEOUT) as device:
        assert device.identity.memory == PART.size and device.identity.name == "lean"
        data = np.random.default_rng(2).bytes(6000)
        # the clock runs on while another process keeps this one waiting: the best counts
        for _ in range(4):
            before = board.counts()
            device.write(PART.size - 6000, data)
            assert device.read(PART.size - 6000, 6000) == data
            moved = board.counts() - before
            if moved.cycles < 1.1 * 10 * CYCLES_PER_BIT * (moved.to_board + moved.from_board):
                break
        else:
            pytest.fail(
                f"{moved.cycles} cycles for {moved.to_board} bytes to the board and "
                f"{moved.from_board} from it"
            )
    program, counters = good_run(board, network)
    assert counters[program.segments[0].name]["macs"] > 0


@pytest.mark.parametrize("fault", ["flip", "drop", "double"])
def test_a_noisy_line_costs_time_only(board, network, fault):
    before = board.counts()
    board.faults(**{fault: 4e-4}, seed=5)
    try:
        good_run(board, network, retries=30)
    finally:
        board.faults()
    assert (board.counts() - before).damaged > 0


def test_a_line_that_is_no_line(board, network):
    """Where nothing gets through, that is what is said."""
    board.faults(flip=0.2)
    with pytest.raises(DeviceError, match="no answer|refuses"):
        with BoardDevice(CONFIG, board.port, timeout=0.3, retries=3) as device:
            check_network(device, *network)
    board.faults()
    good_run(board, network)


def test_a_host_that_dies_inside_a_frame(board, network):
    """Nothing of the frame is written, and the next host is not disturbed."""
    with BoardDevice(CONFIG, board.port, timeout=TIMEOUT) as device:
        device.write(0, bytes(64))
    port = open_port(board.port, 3_000_000)
    for half in (20, 37):
        port.write(encode(Frame(Opcode.WRITE, 7, 0, 64, b"\xff" * 64))[:half])
    port.close()
    with BoardDevice(CONFIG, board.port, timeout=TIMEOUT) as device:
        assert device.read(0, 64) == bytes(64)
    good_run(board, network)


def test_a_host_that_is_killed(board, network, length):
    for share in (0.3, 0.8):
        before = board.counts().cycles
        host = multiprocessing.get_context("fork").Process(target=good_run, args=(board, network))
        host.start()
        while host.is_alive() and board.counts().cycles - before < share * length:
            time.sleep(0.01)
        os.kill(host.pid, signal.SIGKILL)
        host.join()
        assert host.exitcode == -signal.SIGKILL
    good_run(board, network)


@pytest.mark.parametrize("part", [0.2, 0.8])
def test_the_board_is_reset_in_a_run(board, network, length, part):
    """The host says so; it never goes on as if nothing had been."""
    with BoardDevice(CONFIG, board.port, timeout=TIMEOUT) as device:
        board.reset(int(part * length))
        with pytest.raises((DeviceError, RunError), match="reset meanwhile|stopped"):
            check_network(device, *network)
    good_run(board, network)


def test_main_job(board, tmp_path, capsys):
    """`eyrie board-sim` with a configuration and a network of one's own."""
    config, model, out = tmp_path / "lean.json", tmp_path / "net.onnx", tmp_path / "result.json"
    config.write_text(json.dumps(CONFIG.to_dict()))
    weights = np.random.default_rng(3).normal(size=(4, 1, 3, 3)).astype(np.float32)
    model.write_bytes(
        model_with(helper.make_node("Conv", ["x", "w"], ["y"]), shape=(1, 1, 6, 6), w=weights)
    )
    np.save(
        tmp_path / "images.npy", np.random.default_rng(4).integers(0, 256, (6, 1, 6, 6), np.uint8)
    )
    assert (
        cli.main(
            [
                "board-sim",
                "--config",
                str(config),
                "--model",
                str(model),
                "--images",
                str(tmp_path / "images.npy"),
                "--limit",
                "3",
                "--json",
                str(out),
            ]
        )
        == 0
    )
    text = capsys.readouterr().out
    assert "equal to golden in every layer" in text and "bytes from it" in text
    result = json.loads(out.read_text())
    assert result["device"] == "board-sim" and result["images"] == 3 and result["mismatches"] == 0
    assert len(result["predictions"]["board-sim"]) == 3


def test_a_program_is_stopped_by_reset(board, network):
    """The host resets the accelerator in the middle of a program, transactions under way or not."""
    with BoardDevice(CONFIG, board.port, timeout=TIMEOUT) as device:
        program, _ = check_network(device, *network)
        device.write(0x100000, bytes(range(256)))
        device.write_register(Register.COUNT, program.command_count)
        device.write_register(Register.CONTROL, START)
        device.reset()
        assert device.read_register(Register.STATUS) & 0xFF == Status.IDLE
        assert device.read(0x100000, 256) == bytes(range(256))  # the SDRAM keeps what it has
        check_network(device, *network)
