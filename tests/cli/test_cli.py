"""The command line: help everywhere, one-line errors, exit statuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cli
from cli.names import COMMANDS
from compiler.mapping.layout import View
from tests.onnx_models import model as onnx_model
from tests.onnx_models import node

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help(command, capsys):
    with pytest.raises(SystemExit) as e:
        cli.main([*command, "--help"])
    assert e.value.code == 0 and "usage: eyrie" in capsys.readouterr().out


def test_every_command_is_in_the_list():
    """One file a command; --help alone imports none of them."""
    folders = (ROOT / "cli" / "commands", ROOT / "cli" / "studies")
    files = {path.stem for folder in folders for path in folder.glob("[a-z]*.py")}
    assert files == {name.replace("-", "_") for name in COMMANDS}
    code = "import sys, cli; cli.parser(()); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name for name in done.stdout.split() if name.partition(".")[0] == "cli"}
    assert loaded == {"cli", "cli.names", "cli.parsing"} and "numpy" not in done.stdout.split()


def test_user_errors(tmp_path, capsys):
    bad = tmp_path / "c.json"
    bad.write_text(json.dumps({"color": 1}))
    for arguments, message in (
        (["verilog", "--config", "nope"], "unknown preset 'nope'"),
        (["verilog", "--config", str(bad)], "unknown key 'color'"),
        (["verilog", "--config", str(tmp_path / "none.json")], "no such file"),
        (["sim", "nope"], "unknown bench 'nope'"),
        (["map", "--net", "nope"], "network 'nope'"),
        (["map", "--config", "demo", "--mode", "skip"], "'demo' cannot skip zeros"),
        (["map", "--net", "squeezenet1.0", "--part", "fc"], "squeezenet1.0 has no fc layers"),
        *(
            ([command, option, str(bad / "x.svg")], "c.json is no folder that can be written to")
            for command, option in (
                ("map", "--json"),
                ("dataflows", "--plot"),
                ("energy", "--json"),
                ("explore", "--plot"),
                ("precision", "--json"),
                ("gates", "--json"),
            )
        ),
        (["bench", "--layer", "CONV9"], "layer 'CONV9': choose from CONV1"),
        (["bench", "--config", "eie64", "--mode", "skip"], "'eie64' cannot skip zeros"),
    ):
        assert cli.main(arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith("eyrie: error: ") and message in err and err.count("\n") == 1


def test_exit_status_of_the_process():
    done = subprocess.run(
        [sys.executable, "-m", "cli", "verilog", "--config", "nope"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert (
        subprocess.run(
            [sys.executable, "-m", "cli", "nonsense"], cwd=ROOT, capture_output=True
        ).returncode
        == 2
    )


def test_make_lists_its_targets():
    out = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in (
        "setup",
        "verilog",
        "run",
        "sim",
        "explore",
        "precision",
        "gates",
        "report",
        "test",
        "lint",
        "clean",
    ):
        assert f"make {target}" in out


def test_map(tmp_path, capsys):
    out = tmp_path / "map.json"
    assert cli.main(["map", "--config", "demo", "--batch", "1", "--all", "--json", str(out)]) == 0
    shown, found = capsys.readouterr().out, json.loads(out.read_text())
    assert [layer["name"] for layer in found["layers"]] == [f"CONV{n}" for n in range(1, 6)]
    assert found["total"]["cycles"] == sum(layer["cycles"] for layer in found["layers"])
    assert f"{found['total']['cycles']:,}" in shown and found["layers"][0]["runners_up"]
    assert cli.main(["map", "--net", str(cli.MODELS / "lenet5.onnx"), "--config", "tiny"]) == 0
    assert "conv1" in capsys.readouterr().out


def test_a_wrong_program_is_not_written(tmp_path, capsys, monkeypatch):
    """Concat(Concat(x, y), x), compiled as if what lies in one storage were in place: status 1,
    no folder."""
    rng, model = np.random.default_rng(0), tmp_path / "net.onnx"
    weights = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in (("a", (3, 2, 1, 1)), ("b", (5, 2, 1, 1)), ("c", (4, 11, 1, 1)))
    }
    model.write_bytes(
        onnx_model(
            [
                node("Conv", "x a", "u"),
                node("Conv", "x b", "v"),
                node("Concat", "u v", "uv", axis=1),
                node("Concat", "uv u", "uvu", axis=1),
                node("Conv", "uvu c"),
            ],
            (1, 2, 4, 4),
            weights,
        ).SerializeToString()
    )
    np.save(tmp_path / "images.npy", rng.normal(size=(3, 2, 4, 4)))
    command = [
        "compile",
        str(model),
        "--config",
        "tiny",
        "--calib",
        str(tmp_path / "images.npy"),
        "-o",
        str(tmp_path / "out"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(View, "at", lambda self, other: self.storage is other.storage)
        assert cli.main(command) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        "eyrie: nothing is written, the compiler has erred: tensor 'uvu' (layer 'uvu_node'): "
    )
    assert err.count("\n") == 1 and not (tmp_path / "out").exists()
    assert cli.main(command) == 0 and (tmp_path / "out" / "map.json").exists()
    assert "equal to golden" in capsys.readouterr().out
