"""Messages that once misled or were cut: what was said before, and the line that is said now."""

import io
import os
import re
import shlex
import subprocess

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

import cli
from tests.data import ROOT
from tests.onnx_models import model, node

SHAPE = (1, 4, 8, 8)
W = {"w": np.ones((4, 4, 3, 3), np.float32)}
K = {"k": np.float32(2)}
NO_LAYER = "the network's output does not depend on its input through any layer"


def unnamed(m):
    m.graph.node[0].name = ""
    m.graph.node[0].attribute.append(helper.make_attribute("color", 3))


def twice(m):
    m.graph.node.append(node("Relu", "x"))


def no_name(m):
    m.graph.initializer[0].name = ""


def short(m):
    m.graph.initializer[0].dims[0] = 5


def untyped(m):
    m.graph.initializer[0].data_type = 99


def elsewhere(m):
    m.graph.initializer[0].ClearField("raw_data")
    m.graph.initializer[0].data_location = TensorProto.EXTERNAL
    m.graph.initializer[0].external_data.add(key="location", value="gone.bin")


def sequence(m):
    m.graph.input[0].type.Clear()
    m.graph.input[0].type.sequence_type.SetInParent()


CONV = [node("Conv", "x w")]
NETWORKS = [  # what it shows, nodes, constants, a change of the model, said before, said now
    ("the input", [node("Identity", "x")], {}, None, NO_LAYER, "output 'y' is input 'x' itself"),
    ("a view", [node("Flatten", "x")], {}, None, NO_LAYER, "output 'y' is input 'x' itself"),
    (
        "softmax",
        [node("Flatten", "x", "f"), node("Softmax", "f")],
        {},
        None,
        NO_LAYER,
        "output 'y' is softmax of input 'x' itself",
    ),
    ("a constant", [node("Identity", "k")], K, None, NO_LAYER, "output 'y' is constant"),
    (
        "an initializer",
        [node("Relu", "x", "z")],
        {"y": np.float32(2)},
        None,
        NO_LAYER,
        "output 'y' is constant",
    ),
    ("a shape", [node("Shape", "x")], {}, None, NO_LAYER, "output 'y' is constant"),
    (
        "nothing",
        [node("Relu", "x", "z")],
        {},
        None,
        "is not an output of any node in graph",
        "output 'y': no node computes it",
    ),
    (
        "Split",
        [node("Split", "x", "a b", axis=1, num_outputs=2), node("Add", "a b")],
        {},
        None,
        "output 'b' is not supported",
        "node 'a_node' (Split): operator not supported",
    ),
    (
        "Split for an output",
        [node("Split", "x", "a y", axis=1, num_outputs=2)],
        {},
        None,
        "output 'y' is not supported",
        "node 'a_node' (Split): operator not supported",
    ),
    (
        "TopK",
        [node("TopK", "x k", "a y")],
        {"k": np.int64([1])},
        None,
        "output 'y' is not supported",
        "node 'a_node' (TopK): operator not supported",
    ),
    (
        "LSTM",
        [node("LSTM", "x w w", "a y", hidden_size=3)],
        W,
        None,
        "output 'y' is not supported",
        "node 'a_node' (LSTM): operator not supported",
    ),
    (
        "MaxPool's indices",
        [
            node("MaxPool", "x", "p i", kernel_shape=[2, 2]),
            node("Cast", "i", "c", to=1),
            node("Add", "p c"),
        ],
        {},
        None,
        "(MaxPool): output 'i' is not supported",
        "node 'p_node' (MaxPool): output 'i', its output 2, is not supported: only the first is",
    ),
    (
        "Dropout's mask",
        [
            node("Relu", "x", "r"),
            node("Dropout", "r", "d m"),
            node("Cast", "m", "c", to=1),
            node("Add", "d c"),
        ],
        {},
        None,
        "(Dropout): output 'm' is not supported",
        "node 'd_node' (Dropout): output 'm', its output 2, is not supported: only the first is",
    ),
    (
        "BatchNormalization's variance",
        [
            helper.make_node("BatchNormalization", ["x", *"ssss"], ["b", "", "v"], name="b_node"),
            node("Add", "b v"),
        ],
        {"s": np.ones(4, np.float32)},
        None,
        "output '' is not supported",
        "node 'b_node' (BatchNormalization): output 'v', its output 3, is not supported",
    ),
    (
        "an unknown operator",
        [node("Blah", "x")],
        {},
        None,
        "not a valid ONNX model: No Op registered for Blah",
        "node 'y_node' (Blah): No Op registered for Blah",
    ),
    (
        "an attribute that is missing",
        [node("Concat", "x x")],
        {},
        None,
        "not a valid ONNX model: Required attribute 'axis' is missing",
        "node 'y_node' (Concat): Required attribute 'axis' is missing",
    ),
    (
        "a node without a name",
        CONV,
        W,
        unnamed,
        "not a valid ONNX model: Unrecognized attribute: color",
        "node 'y' (Conv): Unrecognized attribute: color",
    ),
    (
        "an undefined input",
        [node("Conv", "x q")],
        {},
        None,
        "must be topologically sorted, however input 'q' of node:",
        "node 'y_node' (Conv): nothing computes its input 'q'",
    ),
    (
        "a cycle",
        [node("Relu", "b"), node("Add", "x b", "a"), node("Relu", "a", "b")],
        {},
        None,
        "must be topologically sorted",
        "node 'b_node' (Relu): in a cycle, its input 'a' is computed from its own output",
    ),
    (
        "an output twice",
        CONV,
        W,
        twice,
        "single static assignment",
        "node 'y_node' (Relu): its output 'y' is that of node 'y_node' (Conv) too",
    ),
    (
        "an initializer without a name",
        CONV,
        W,
        no_name,
        "Tensor initializers must have a non-empty name",
        "initializer number 1, of shape [4, 4, 3, 3], has no name",
    ),
    (
        "an initializer cut short",
        CONV,
        W,
        short,
        "not a valid ONNX model: TensorProto",
        "initializer 'w': ",
    ),
    (
        "an initializer of no type",
        CONV,
        W,
        untyped,
        "unreadable: 99",
        "initializer 'w': unreadable: data type 99",
    ),
    (
        "an initializer without its file",
        CONV,
        W,
        elsewhere,
        "not a valid ONNX model: Data of TensorProto",
        "initializer 'w': ",
    ),
    (
        "an input of another kind",
        CONV,
        W,
        sequence,
        "not a valid ONNX model: Field 'elem_type'",
        "input 'x': Field",
    ),
    (
        "after a host's operation",
        [
            node("GlobalAveragePool", "x", "p"),
            node("ArgMax", "p", "a", axis=1),
            node("Softmax", "a", axis=1),
        ],
        {},
        None,
        "must be at the end of the network",
        "node 'y_node' (Softmax): cannot follow argmax",
    ),
]


def error(capsys):
    """The one line that is on stderr, but for bars of progress."""
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if "eyrie: error: " in line]
    assert len(lines) == 1 and "Traceback" not in err
    assert re.split("eyrie: error: ", err)[1].count("\n") == 1  # nothing comes after it
    return lines[0]


@pytest.mark.parametrize(
    "nodes,constants,change,before,now",
    [row[1:] for row in NETWORKS],
    ids=[row[0] for row in NETWORKS],
)
def test_networks(nodes, constants, change, before, now, tmp_path, capsys):
    m = model(nodes, SHAPE, constants)
    if change:
        change(m)
    (tmp_path / "net.onnx").write_bytes(m.SerializeToString())
    np.save(tmp_path / "x.npy", np.ones((4, *SHAPE[1:])))
    out = tmp_path / "out.json"
    assert (
        cli.main(
            [
                "run",
                "--device",
                "golden",
                "--model",
                str(tmp_path / "net.onnx"),
                "--images",
                str(tmp_path / "x.npy"),
                "--json",
                str(out),
            ]
        )
        == 2
    )
    line = error(capsys)
    assert now in line and before not in line and not out.exists()


def picture(kind):
    """The bytes of an image file."""
    out = io.BytesIO()
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(out, kind)
    return out.getvalue()


JPEG, GIF, PNG = picture("JPEG"), picture("GIF"), picture("PNG")
KINDS = "images are read from IDX (gzipped or not), .npy, .npz, PNG or a folder of PNGs"
LABELS = "labels are read from IDX (gzipped or not), .npy, .npz, .txt or .csv"
FILES = [  # option, files and what is in them, which is given, said before, said now
    (
        "--images",
        {"i.jpg": JPEG},
        "i.jpg",
        "i.jpg: not an IDX file",
        f"i.jpg: a JPEG file; {KINDS}: convert it to PNG",
    ),
    (
        "--images",
        {"i": JPEG},
        "i",
        "i: not an IDX file",
        f"i: a JPEG file; {KINDS}: convert it to PNG",
    ),
    (
        "--images",
        {"i.JPEG": b""},
        "i.JPEG",
        "i.JPEG: not an IDX file",
        f"i.JPEG: a JPEG file; {KINDS}: convert it",
    ),
    (
        "--images",
        {"i.gif": GIF},
        "i.gif",
        "i.gif: not an IDX file",
        f"i.gif: a GIF file; {KINDS}: convert it to PNG",
    ),
    (
        "--images",
        {"i.data": PNG},
        "i.data",
        "i.data: not an IDX file",
        "i.data: a PNG file: name it .png",
    ),
    (
        "--images",
        {"i.bin": b"text"},
        "i.bin",
        "i.bin: not an IDX file\n",
        f"i.bin: not an IDX file; {KINDS}",
    ),
    (
        "--images",
        {"f/a.jpg": JPEG, "f/b.jpeg": JPEG},
        "f",
        "f: folder holds no PNG file\n",
        "f: folder holds no PNG file but JPEGs (a.jpg): convert them to PNG",
    ),
    (
        "--images",
        {"f/a.txt": b""},
        "f",
        "f: folder holds no PNG file\n",
        f"f: folder holds no PNG file; {KINDS}",
    ),
    (
        "--calib",
        {"i.jpg": JPEG},
        "i.jpg",
        "i.jpg: not an IDX file",
        f"i.jpg: a JPEG file; {KINDS}: convert it to PNG",
    ),
    (
        "--labels",
        {"l.jpg": JPEG},
        "l.jpg",
        "l.jpg: not an IDX file",
        f"l.jpg: a JPEG file; {LABELS}",
    ),
    ("--labels", {"l.png": PNG}, "l.png", "l.png: not an IDX file", f"l.png: a PNG file; {LABELS}"),
    (
        "--labels",
        {"l.json": b"[1, 2]"},
        "l.json",
        "l.json: not an IDX file\n",
        f"l.json: not an IDX file; {LABELS}",
    ),
]


@pytest.mark.parametrize("option,files,given,before,now", FILES, ids=range(len(FILES)))
def test_files(option, files, given, before, now, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert cli.main(["run", "--device", "golden", option, given]) == 2
    line = error(capsys)
    assert now in line and before not in line + "\n"


WRONG = [  # arguments, said before, said now
    (["run", "--model", "nope.onnx"], "needs --images", "nope.onnx: no such file"),
    (
        ["run", "--images", "nope.npz"],
        "Errno",
        "nope.npz: no such file",
    ),
    (["run", "--labels", "nope.txt"], "Errno", "nope.txt: no such file"),
    (["run", "--calib", "nope.npy"], "Errno", "nope.npy: no such file"),
    (["run", "--config", "nope.json"], "config file", "nope.json: no such file"),
    (["fc", "--matrix", "nope.npz"], "not a .npz file", "nope.npz: no such file"),
    (["energy", "--run", "nope.json"], "Errno", "nope.json: no such file"),
    (["energy", "--costs", "nope.json"], "Errno", "nope.json: no such file"),
    (["map", "--net", "nope.onnx"], "Errno", "nope.onnx: no such file"),
    (["unpack", "nope", "-o", "image"], "Errno", "nope: no such folder"),
    (["report", "--results", "nope"], "file", "nope: no such folder"),
    # Two things are wrong: options that contradict, then files as they are read, then contents.
    (["run", "--port", "x", "--model", "nope.onnx"], "nope", "--port is of --device board"),
    (["run", "--device", "board", "--model", "nope.onnx"], "nope", "a board needs --port"),
    (["run", "--device", "golden", "--waves"], "equal", "--waves is of --device rtl"),
    (["run", "--net", "lenet5", "--images", "nope.npz"], "nope", "leave out --images"),
    (["run", "--config", "huge", "--model", "nope.onnx"], "huge", "nope.onnx: no such file"),
    (["run", "--config", "huge", "--images", "nope.npz"], "nope", "unknown preset 'huge'"),
    (["run", "--images", "a.npz", "--calib", "b.npz"], "b.npz", "a.npz: no such file"),
    (["run", "--labels", "a.txt", "--calib", "b.npz"], "b.npz", "a.txt: no such file"),
    (["run", "--mode", "skip", "--images", "a.npz"], "skip zeros", "a.npz: no such file"),
    (["run", "--mode", "skip", "--images", "empty.npz"], "empty.npz", "'demo' cannot skip zeros"),
    (["run", "--model", "empty.npz", "--mode", "skip"], "skip zeros", "empty.npz"),
    (["board-sim", "--board", "ulx3s-25f", "--config", "a.json"], "a.json", "leave out --config"),
    (["compile", "a.onnx", "--calib", "b.npz", "-o", "x"], "b.npz", "a.onnx: no such file"),
    (["energy", "--layers", "a", "--run", "b"], "no such", "give one of them"),
    (["bench", "--layer", "CONV9", "--config", "a.json"], "a.json", "layer 'CONV9': choose from"),
    (["precision", "--bits", "17", "--model", "a.onnx"], "a.onnx", "17 bits"),
]


@pytest.mark.parametrize("words,before,now", WRONG, ids=[" ".join(row[0]) for row in WRONG])
def test_the_first_thing_that_is_wrong(words, before, now, tmp_path, monkeypatch, capsys):
    """One line and nothing else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.npz").touch()
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert err.startswith("eyrie: error: ") and err.count("\n") == 1 and not out
    assert now in err and before not in err


USAGE = [  # arguments, said now; the usage, of up to 19 lines, came before it
    (["run", "--limt", "3"], "unrecognized arguments: --limt; see `eyrie run --help`"),
    (["run", "extra"], "unrecognized arguments: extra; see `eyrie run --help`"),
    (
        ["run", "--limt", "3", "--mode", "x"],
        "unrecognized arguments: --limt; see `eyrie run --help`",
    ),
    (["--limt", "run"], "unrecognized arguments: --limt; see `eyrie --help`"),
    (["nope"], "argument COMMAND: invalid choice: 'nope' (choose from 'run', "),
    ([], "the following arguments are required: COMMAND; see `eyrie --help`"),
    (["run", "--mode", "x"], "argument --mode: invalid choice: 'x' (choose from 'dense', "),
    (
        ["run", "--limit", "x"],
        "argument --limit: x: must be a whole number, 0 or more; see `eyrie r",
    ),
    (["run", "--model"], "argument --model: expected one argument; see `eyrie run --help`"),
    (["compile"], "the following arguments are required: -o/--output; see `eyrie compile --help`"),
    (["compile", "-o", "x", "--base", "y"], "argument --base: y: must be a number, as 0x40000000"),
]


@pytest.mark.parametrize("words,now", USAGE, ids=[" ".join(words) for words, _ in USAGE])
def test_usage(words, now, capsys):
    """One line that names the command whose help says more."""
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and not out and err.count("\n") == 1
    assert err.startswith(f"eyrie: error: {now}") and " --help`\n" in err


def test_options_may_be_cut_short_and_have_values():
    args = cli.parser().parse_args(["run", "--model=x.onnx", "--lim", "3", "--sparse=fc1=on"])
    assert (args.model, args.limit, args.sparse) == ("x.onnx", 3, [("fc1", True)])


def make(*words, **environment):
    """A make of the project, what a make around the tests was given left out."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=ROOT,
        env=env | environment,
        capture_output=True,
        text=True,
    )


def taken():
    """Variables by target, as `make` lists them."""
    found = {}
    for line in make().stdout.splitlines():
        if target := re.match(r"  make ([a-z-]+) ", line):
            found[last := target[1]] = []
        elif line.startswith(" "):
            found[last] += line.split()
    return found


RUN = "NET MODEL IMAGES LABELS LIMIT CALIB CONFIG DEVICE PORT BATCH MODE JSON WAVES ARGS"
MAKES = [  # arguments of make, said now; each was ignored in silence
    (["run", "LIMT=3"], f"make run takes no LIMT: it takes {RUN}"),
    (["run", "PART=fc"], f"make run takes no PART: it takes {RUN}"),
    (["sim", "MODE=skip"], "make sim takes no MODE: it takes WAVES ARGS"),
    (
        ["bench", "LIMIT=3"],
        "make bench takes no LIMIT: it takes NET CONFIG SET MODE BATCH OBJECTIVE ZEROS ARGS",
    ),
    (["run", "RLC=off"], f"make run takes no RLC: it takes {RUN}"),
    (["lint", "CONFIG=tiny"], "make lint takes no CONFIG: it takes nothing"),
    (["clean", "CONFIG=tiny"], "make clean takes no CONFIG: it takes nothing"),
    (["setup", "MODE=skip"], "make setup takes no MODE: it takes nothing"),
    (["CONFIG=tiny"], "make help takes no CONFIG: it takes nothing"),
    (["test", "LAYERS=3"], "make test takes no LAYERS: it takes ARGS"),
    (["flash"], "flash needs BOARD=; make fpga BOARD=list names them"),
    (["bench", "ZEROS=clusterd"], "ZEROS=clusterd: clustered or independent"),
]


@pytest.mark.parametrize("words,now", MAKES, ids=[" ".join(words) for words, _ in MAKES])
def test_variables_that_a_target_does_not_take(words, now):
    done = make("-n", *words)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.count("\n") == 1 and f"*** {now}.  Stop." in done.stderr


def test_variables_are_passed_on():
    """Each that a target lists is in its recipe, and the command line knows the option."""
    targets = taken()
    assert len(targets) > 20 and " ".join(targets["run"]) == RUN
    numbers = "LIMIT BATCH SEED PES BITS".split()
    values = dict.fromkeys(numbers, "3") | {
        "DEVICE": "golden",
        "MODE": "skip",
        "PART": "fc",
        "OBJECTIVE": "dram",
        "ORDERS": "any",
        "BY": "latency",
        "ZEROS": "clustered",
        "NET": "vgg16",
        "MEMORY": "all",
        "BOARD": "list",
        "CLOCK": "80",
    }
    switches = {
        "WAVES": "--waves",
        "EXACT": "--exact",
        "ZEROS": "--clustered",
    }
    for target, names in targets.items():
        for name in names:
            value = values.get(name, "value")
            more = ["BOARD=b"] if target == "flash" and name != "BOARD" else []
            done = make("-n", target, f"{name}={value}", *more)
            words = shlex.split(done.stdout.splitlines()[-1])
            assert done.returncode == 0 and switches.get(name, value) in words, (target, name, done)
            if "cli" in words and name != "ARGS":
                cli.parser().parse_args(words[words.index("cli") + 1 :])


def test_other_options_are_passed_on():
    """ARGS as it is, last, also into the name of the results, which are others."""
    commands = {target for target, names in taken().items() if "ARGS" in names}
    assert len(commands) > 20
    for target in commands:
        shown = make("-n", target, "ARGS=--some 'a b'", *["BOARD=b"] * (target == "flash")).stdout
        assert shlex.split(shown.splitlines()[-1])[-2:] == ["--some", "a b"] or target == "test-all"
    words = shlex.split(make("-n", "bench", "ARGS=--layer CONV3").stdout.splitlines()[-1])
    assert "docs/results/bench-alexnet-dense-layer-CONV3.json" in words


def test_processes_of_the_tests():
    """All cores, but for ARGS that says how many, or that one is needed."""

    def words(args):
        return make("-n", "test", f"ARGS={args}").stdout.splitlines()[-1].split(" -m pytest ")[1]

    assert words("") == "-n auto --dist loadfile "
    assert words("-n 0 -x") == "-n auto --dist loadfile -n 0 -x"  # the last -n is taken
    assert (
        words("tests/cli -k 'a or b' -s") == "-n auto --dist loadfile -n 0 tests/cli -k 'a or b' -s"
    )


def test_mode_reaches_the_command_line():
    for target in ("run", "board-sim"):
        assert '--mode "skip"' in make("-n", target, "MODE=skip").stdout
    # demo has no skip, and says so
    assert cli.main(["run", "--device", "golden", "--mode", "skip"]) == 2


def test_variables_of_the_environment_and_of_make():
    assert make("-n", "clean", MODE="skip", LIMT="3", ZEROS="x").stdout == "rm -rf build\n"
    assert make("-n", "clean", "CC=gcc", "PYTHON=python3", "VENV=.venv").returncode == 0
    assert '--mode "skip"' in make("-n", "clean", "run", "MODE=skip").stdout  # one of them takes it


def test_makes_within_the_tests_are_not_given_their_variables(tmp_path):
    """As `make` in a test of `make test ARGS=...` would be."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "flags=$MAKEFLAGS, $@"\n')
    python.chmod(0o755)
    number = subprocess.run(
        ["cksum", "pyproject.toml"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()[0]
    for end in ("", "-test"):
        (tmp_path / f".installed-{number}{end}").touch()
    assert make("-s", "test", f"VENV={tmp_path}", "ARGS=-k x").stdout == (
        "flags=, -m pytest -n auto --dist loadfile -k x\n"
    )


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--json", "FOLDER"], "FOLDER: is a folder, --json names a file"),
        (["--model", ""], "--model: no name is given"),
    ],
)
def test_results_and_names_are_checked_first(tmp_path, capsys, arguments, said):
    """Before a job of minutes, not after it."""
    given = [str(tmp_path) if word == "FOLDER" else word for word in arguments]
    assert cli.main(["run", "--device", "golden", "--limit", "1", *given]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"eyrie: error: {said.replace('FOLDER', str(tmp_path))}\n")
    assert list(tmp_path.iterdir()) == []


def test_plots_are_of_a_known_kind(tmp_path, capsys):
    assert cli.main(["dataflows", "--plot", str(tmp_path / "x.txt")]) == 2
    assert capsys.readouterr().err.endswith("x.txt: a plot is .svg, .png, .pdf\n")
