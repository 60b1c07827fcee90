"""TFLite files on the command line: run, compiled, and refused in one line."""

import json

import numpy as np
import pytest

import cli
from compiler.studies.litert import Reference
from tests.compiler.tflite.test_damaged import net
from tests.tflite_models import ModelWriter


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


def test_order_of_elements(tmp_path, capsys):
    """Vectors that are reshaped to an image, and an image that is flattened, have the order of the
    model: classes are LiteRT's."""
    rng, m = np.random.default_rng(1), ModelWriter()
    x = m.tensor("x", (1, 32), scale=0.1, zero=5)
    i = m.tensor("i", (1, 4, 4, 2), scale=0.1, zero=5)
    m.op("RESHAPE", [x, m.constant("to", np.array([1, 4, 4, 2], np.int32))], [i])
    w = m.constant("w", rng.integers(-127, 128, (3, 3, 3, 2)).astype(np.int8), scale=0.05)
    b = m.constant("b", rng.integers(-900, 900, 3).astype(np.int32), scale=0.005)
    y = m.tensor("y", (1, 2, 2, 3), scale=0.5, zero=-3)
    m.op(
        "CONV_2D",
        [i, w, b],
        [y],
        Padding=1,
        StrideH=1,
        StrideW=1,
        DilationHFactor=1,
        DilationWFactor=1,
    )
    f = m.tensor("f", (1, 12), scale=0.5, zero=-3)
    m.op("RESHAPE", [y, m.constant("flat", np.array([1, 12], np.int32))], [f])
    raw = m.finish([x], [f], 3)
    (tmp_path / "net.tflite").write_bytes(raw)
    images = rng.integers(-128, 128, (24, 32)).astype(np.int8)
    np.save(tmp_path / "images.npy", images)
    reference = Reference(raw)
    want = [int(reference.run(image[None])["f"].argmax()) for image in images]
    (tmp_path / "labels.txt").write_text(" ".join(map(str, want)))
    words = ["run", "--device", "golden", "--model", str(tmp_path / "net.tflite"), "--limit", "24"]
    words += ["--images", str(tmp_path / "images.npy"), "--labels", str(tmp_path / "labels.txt")]
    assert cli.main([*words, "--json", str(tmp_path / "run.json")]) == 0
    result = json.loads((tmp_path / "run.json").read_text())
    assert result["predictions"]["golden"] == result["predictions"]["interpreter"] == want
    assert len(set(want)) > 3 and result["accuracy"]["interpreter"] == 1


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
