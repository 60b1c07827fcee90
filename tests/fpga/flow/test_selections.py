"""What a bitstream's script selects: by marks in the source, and as many as there must be."""

import functools
import re
import subprocess

import pytest
from amaranth.back import rtlil

from fpga.boards import BOARDS
from fpga.flow import floorplan, tools
from fpga.flow.build import _why, options
from fpga.flow.tools import READ_PORTS, UNMARK, exactly, why
from fpga.netlist import Ecp5
from fpga.selections import BUT_MATCHES, MATCHES
from hdl.array.row import PeRow
from hdl.config import BOARD_PRESETS, PRESETS, Config
from hdl.emit import yosys
from hdl.lib.marks import FILTERS, MARKS, MULTIPLIER, PE, PREFIX
from hdl.top import Accelerator

PLAIN = PRESETS["tiny"]  # with a sparse engine: 6 PEs and 4
SMALL = BOARD_PRESETS["minimal"].replace(name="small")
SPARSE = BOARD_PRESETS["minimal"].replace(
    name="sparse",
    columns=3,
    simd=2,
    input_lanes=1,
    ifmap_fifo=0,
    sparse_pes=4,
    sparse_words=512,
    sparse_pointers=512,
    sparse_activations=64,
    sparse_rows=32,
)


def run(folder, text, *commands):
    """Yosys's log."""
    (folder / "top.il").write_text(text)
    (folder / "run.ys").write_text("\n".join(("read_rtlil top.il", *commands)) + "\n")
    command = [*yosys.COMMAND, "-q", "-l", "top.rpt", "run.ys"]
    subprocess.run(command, cwd=folder, capture_output=True)
    return (folder / "top.rpt").read_text()


@functools.cache
def design(config: Config, component=Accelerator) -> str:
    return rtlil.convert(component(config), name="top", platform=Ecp5(), emit_src=False)


READ = ("hierarchy -top top", "proc")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("config", [SPARSE, PLAIN, SMALL], ids=lambda config: config.name)
def test_as_many_as_the_configuration_says(tmp_path, config):
    """In what Yosys reads: PEs of both arrays, flip-flops, each block RAM and multiplier once."""
    cells = [(FILTERS, "DP16KD", n) for n in range(config.pes)]
    cells += [(MULTIPLIER, "MULT18X18D", n) for n in range(config.multipliers)]
    log = run(
        tmp_path,
        design(config),
        *tools.collisions(config).splitlines(),
        *READ,
        exactly(config.pes + config.sparse_pes, f"a:{PE}"),
        exactly(2 * config.pes, MATCHES),
        exactly(config.pes, f"a:{FILTERS}"),
        exactly(config.multipliers, f"a:{MULTIPLIER}"),
        *(exactly(1, f"a:{mark}={n} t:{kind} %i") for mark, kind, n in cells),
        "flatten",
        *(exactly(1, f"a:{mark}={n}") for mark, _, n in cells),
        UNMARK,
        *(exactly(0, f"a:{mark}") for mark in MARKS),
    )
    assert "Assertion" not in log and why(log) == ""


def test_the_flow_finds_them(tmp_path):
    """The steps of a bitstream up to the choice of flip-flops, of a row that is the whole array."""
    first = f"synth_ecp5 -top top {tools.FIRST}"
    legal = [line for line in tools.rest("top", BUT_MATCHES, SMALL).splitlines() if line][:2]
    assert legal == ["opt_clean", exactly(2 * SMALL.pes, MATCHES)]
    log = run(
        tmp_path,
        design(SMALL, PeRow),
        *tools.parts("top", SMALL).splitlines(),
        first,
        *legal,
        exactly(SMALL.multipliers, f"a:{MULTIPLIER}"),
        exactly(SMALL.pes, f"a:{FILTERS}"),
    )
    assert why(log) == ""


def test_whatever_signals_are_called(tmp_path):
    """The same selections once wires, cells and modules have other names."""
    text = design(SPARSE)
    for name, other in (
        (r"filter_matches", "first_of_them"),
        (r"ifmap_matches", "second_of_them"),
        (r"\.pe_", ".number_"),
        (r"row_", "line_"),
        (r"psum_spad", "sums_kept"),
        (r"block_", "memory_"),
        (rf"(?<!{PREFIX})multiplier", "times"),
        (rf"(?<!attribute \\){PE}", "third_of_them"),
    ):
        assert re.search(name, text), name
        text = re.sub(name, other, text)
    log = run(
        tmp_path,
        text,
        *READ,
        exactly(SPARSE.pes + SPARSE.sparse_pes, f"a:{PE}"),
        exactly(2 * SPARSE.pes, MATCHES),
        exactly(1, f"a:{FILTERS}={SPARSE.pes - 1}"),
        exactly(1, f"a:{MULTIPLIER}={SPARSE.multipliers - 1}"),
    )
    assert why(log) == ""


@pytest.mark.parametrize("board", ["ulx3s-85f", "ulx3s-85f-128"])
def test_scripts_have_no_names_of_variables(board):
    """Every selection is by type, parameter or mark, and counted before it is used."""
    board = BOARDS[board]
    config, places = board.config, floorplan.commands(board.config, board.device)
    made = options("ecp5", 1, places, board.soft_controls, config)
    lines = f"{made['script_after_read']}\n{made['script_after_synth']}".splitlines()
    counted = set()
    for line in lines:
        if found := re.match(r"select -assert-(?:count|min) \d+ (.*)", line):
            counted.add(found[1])
        elif line.startswith(("setattr", "setparam", "dfflegalize")) and not line.endswith(" *"):
            selection = re.search(r"(a:|t:).*", line)[0]
            assert any(selection in (c, f"{c} %m", f"{c} %n") for c in counted), line
    assert not re.search(r"\s[wcnmsiox]:|\*\.", "\n".join(lines))
    assert set(re.findall(r"\sa:(\w+)", "\n".join(lines))) <= set(MARKS)
    wanted = {
        READ_PORTS,
        f"a:{PE}",
        *(f"a:{FILTERS}={n}" for n in range(config.pes)),
        *(f"a:{MULTIPLIER}={n}" for n in range(config.multipliers)),
    }
    assert counted == wanted | ({MATCHES} if board.soft_controls == BUT_MATCHES else set())


def test_a_wrong_count_ends_it(tmp_path):
    wrong = SMALL.replace(name="wrong", columns=3)
    log = run(tmp_path, design(SMALL, PeRow), *tools.parts("top", wrong).splitlines())
    said = f"Yosys's selection `a:{PE}` has 2 objects and must have 3"
    assert why(log) == said and "Executing FLATTEN" not in log
    assert _why(tmp_path) == said  # of a build, in one line


def test_no_memory_ends_it(tmp_path):
    log = run(tmp_path, "module \\top\nend\n", *tools.collisions(SMALL).splitlines())
    assert why(log) == f"Yosys's selection `{READ_PORTS}` has 0 objects and must have at least 1"


def test_other_errors_are_said_as_they_are():
    assert why("ERROR: no such file\nERROR: more\n") == "no such file"
    assert why("all went well") == ""
