"""TFLite files on the command line: run, compiled, and refused in one line."""

import json

import numpy as np
import pytest

import cli
from tests.compiler.tflite.test_damaged import net


@pytest.fixture
def files(tmp_path):
    """A model and three images of its own type."""
    (tmp_path / "net.tflite").write_bytes(net())
    images = np.random.default_rng(0).integers(-128, 128, (3, 6, 6, 2)).astype(np.int8)
    np.save(tmp_path / "images.npy", images)
    return tmp_path


def test_run(files, capsys):
    words = ["run", "--device", "golden", "--model", str(files / "net.tflite")]
    words += ["--images", str(files / "images.npy"), "--json", str(files / "run.json")]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "all 3 images equal to golden in every layer" in out and "int8" in out
    result = json.loads((files / "run.json").read_text())
    assert result["mismatches"] == 0 and "float" not in result["predictions"]


def test_calibration_is_refused(files, capsys):
    words = ["run", "--device", "golden", "--model", str(files / "net.tflite")]
    words += ["--images", str(files / "images.npy"), "--calib", str(files / "images.npy")]
    assert cli.main(words) == 2
    assert "a network of integers is not calibrated" in capsys.readouterr().err


@pytest.mark.parametrize("images", [True, False])
def test_compile(files, images, capsys):
    out = files / "out"
    words = ["compile", str(files / "net.tflite"), "-o", str(out), "--config", "tiny"]
    words += ["--images", str(files / "images.npy")] * images
    assert cli.main(words) == 0
    assert "every tensor equal to golden" in capsys.readouterr().out
    tensors = {t["name"]: t for t in json.loads((out / "map.json").read_text())["tensors"]}
    read = tensors["x"]
    assert (read["element_bytes"], read["type"], read["zero_point"]) == (1, "int8", 5)
    assert "fraction_bits" not in read
    assert "#define EYRIE_INPUT_ELEMENT_BYTES 0x1u" in (out / "eyrie.h").read_text()


@pytest.mark.parametrize("command", ["run", "compile"])
def test_refused(command, tmp_path, capsys):
    file = tmp_path / "net.tflite"
    file.write_bytes(net(scale=0.0))
    words = {
        "run": ["run", "--device", "golden", "--model", str(file)],
        "compile": ["compile", str(file), "-o", str(tmp_path / "out")],
    }
    assert cli.main(words[command]) == 2
    err = capsys.readouterr().err
    assert "tensor 'y': scale 0.0: it must be finite and above 0" in err
    assert err.strip().count("\n") == 0
    assert [*tmp_path.iterdir()] == [file]
