"""Bring-up on a simulated board: a sound one passes, and each fault is found by the step that is
there for it, those before it being right, with its place."""

import json

import numpy as np
import pytest
from onnx import helper

import cli
from fpga.selftest import digits, line
from fpga.selftest.bench import Bench, Effort
from fpga.selftest.engines import ENGINES
from fpga.selftest.steps import FIRST, Step, run
from fpga.simulation import board as simulation
from fpga.simulation.board import PART, SimulatedBoard
from hdl.config import PRESETS
from tests.cli.test_run import model_with
from tests.compiler.builder import Builder
from tests.fpga.selftest.planted import plant

CONFIG = PRESETS["tiny"]  # which has all engines
TIMEOUT = 10.0
LEAST = Effort(soak=1, words=24, backgrounds=1, retention=1e-4)
STEPS = [step.name for step in FIRST]


@pytest.fixture(scope="module", autouse=True)
def planted():
    """Every board of this module has the faults of FAULTS, none of which is on by itself."""
    emit = simulation.emit

    def emit_planted(board, name):
        text, sidecar = emit(board, name)
        return plant(text), sidecar

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "emit", emit_planted)
        yield


def bench_of(board, config=CONFIG, effort=LEAST, **known):
    return Bench(board.port, board.baud, TIMEOUT, effort, board.now, board.pause, config, **known)


def first_wrong(bench, steps=FIRST):
    """(step, the line of it that is wrong), all before them being right."""
    results = list(run(bench, steps))
    bench.close()
    assert [result.name for result in results] == [step.name for step in steps][: len(results)]
    assert all(result.wrong is None for result in results[:-1])
    wrong = results[-1].wrong
    assert wrong is not None, "no step has found it"
    assert wrong is results[-1].checks[-1] and wrong.look
    return results[-1].name, wrong


@pytest.fixture(scope="module")
def network():
    b = Builder((1, 6, 6), 0)
    b.conv("x", 4, (6, 6), full=True)
    return b.graph, np.random.default_rng(1).normal(size=(3, 1, 6, 6)).astype(np.float32)


def test_a_sound_board_passes(tmp_path, capsys):
    """All five steps, on the command line, with a network of one's own."""
    model, out = tmp_path / "net.onnx", tmp_path / "result.json"
    weights = np.random.default_rng(3).normal(size=(4, 1, 3, 3)).astype(np.float32)
    model.write_bytes(
        model_with(helper.make_node("Conv", ["x", "w"], ["y"]), shape=(1, 1, 6, 6), w=weights)
    )
    images = np.random.default_rng(4).integers(0, 256, (6, 1, 6, 6), np.uint8)
    np.save(tmp_path / "images.npy", images)
    words = f"selftest --model {model} --images {tmp_path / 'images.npy'}"
    words += f" --limit 2 --words 24 --retention 0.1 --soak 1 --json {out}"
    assert cli.main(words.split()) == 0
    text = capsys.readouterr().out
    assert "all 5 steps" in text and "WRONG" not in text
    result = json.loads(out.read_text())
    assert result["ok"] and result["simulated"] and result["config"] == "tiny"
    assert [step["name"] for step in result["steps"]] == [*STEPS, "digits"]
    measured = [check["what"] for check in result["steps"][3]["checks"]]
    assert measured == [engine.name for engine in ENGINES]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("fault", ["flip", "drop", "double"])
def test_line(fault):
    with SimulatedBoard(CONFIG) as board:
        bench = bench_of(board, effort=Effort(8, 24, 1, 1e-4))
        bench.timeout = 3.0
        board.faults(**{fault: 5e-4}, seed=3)
        step, wrong = first_wrong(bench)
        assert step == "serial line" and "all byte values" in wrong.what
        assert not wrong.measured.startswith("0 sent again, 0 ")


def test_identity():
    """Another configuration, another clock, another memory, nobody."""
    with SimulatedBoard(CONFIG) as board:
        for known, text in (
            ({"config": PRESETS["demo"]}, "not for 'demo'"),
            ({"clock_hz": 75_000_000}, "80,000,000"),
            ({"memory": 65_536}, "33,554,432"),
        ):
            step, wrong = first_wrong(bench_of(board, **known))
            assert step == "serial line" and text in wrong.measured
        board.faults(drop=1.0)
        bench = bench_of(board)
        bench.timeout = 0.05
        step, wrong = first_wrong(bench)
        assert step == "serial line" and "no answer" in wrong.measured and wrong.look == line.LOOK


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("fault", "values", "what", "place"),
    [
        ("stuck_data", (5, 0), "data lines", "DQ5 stuck at 0, bits 5, 21, 37, 53 of"),
        ("stuck_data", (9, 1), "data lines", "DQ9 stuck at 1, bits 9, 25, 41, 57 of"),
        ("joined_data", (2, 3), "data lines", "DQ2 wrong, DQ3 wrong"),
        ("stuck_address", (3, 0), "address lines", "address bits 4, 15 (pin A3) stuck"),
        ("stuck_address", (11, 1), "address lines", "address bit 23 (pin A11) stuck"),
        ("joined_address", (10, 12), "address lines", "bits 22, 24 (pins A10, A12) act as one"),
        ("forget", (1 << 20, 4e6), "kept for", "word 0x100000: ffffffffffff0000 for ffffffff"),
    ],
)
def test_memory(fault, values, what, place):
    effort = Effort(1, 24, 1, 6e-3) if fault == "forget" else LEAST
    with SimulatedBoard(CONFIG) as board:
        board.damage(fault, *values)
        step, wrong = first_wrong(bench_of(board, effort=effort))
        assert step == "memory" and wrong.what.startswith(what) and place in wrong.measured
        board.damage("whole")


def test_march():
    """A cell of the sample that is weak: what the wires' tests do not see."""
    with SimulatedBoard(CONFIG) as board:
        board.damage("forget", PART.size - 6, 0.0)
        step, wrong = first_wrong(bench_of(board))
        assert step == "memory" and wrong.what.startswith("March") and "bit 16" in wrong.measured


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("fault", "step", "what", "place"),
    [
        ("register", "registers", "WATCHDOG keeps", "bit 7 stuck at 1"),
        ("psum", "engines", "array, dense", "elements differ from golden, the first"),
        ("average", "engines", "average pooling", "elements differ from golden, the first"),
        ("addition", "engines", "addition", "elements differ from golden, the first"),
        ("decoder", "engines", "run-length coding", "elements differ from golden, the first"),
        ("sparse", "engines", "sparse engine", "elements differ from golden, the first"),
    ],
)
def test_planted(fault, step, what, place):
    with SimulatedBoard(CONFIG, plusargs=(fault,)) as board:
        name, wrong = first_wrong(bench_of(board))
        assert name == step and wrong.what == what and place in wrong.measured


def test_digits(network):
    """A fault of the array, where digits alone look for it."""
    graph, images = network
    steps = (
        FIRST[0],
        Step("digits", lambda bench: digits.check(bench, graph, images, None, images)),
    )
    with SimulatedBoard(CONFIG, plusargs=("psum",)) as board:
        step, wrong = first_wrong(bench_of(board), steps)
        assert step == "digits" and "elements" in wrong.measured or wrong.what.startswith("image")


def test_a_board_at_a_port(capsys, tmp_path):
    """Exit status: 1 for what is wrong on the board, 2 for bad use."""
    assert cli.main(["selftest", "--port", str(tmp_path / "none")]) == 2
    assert "no such port" in capsys.readouterr().err
    assert cli.main(["selftest", "--board", "ulx3s-85f", "--config", "tiny"]) == 2
    with SimulatedBoard(CONFIG) as board:
        assert cli.main(["selftest", "--port", board.port, "--board", "ulx3s-85f"]) == 1
    (text,) = capsys.readouterr().err.splitlines()[-1:]
    assert text.startswith("eyrie: serial line: identity: ") and "look at: " in text
