"""`eyrie run` through the command line: results, and bad input."""

import gzip
import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import cli
from hdl.config import PRESETS

MODEL = cli.MODELS / "lenet5.onnx"
DIGITS = cli.MODELS / "digits_heldout.npz"


def run(*words):
    return cli.main(["run", "--device", "golden", *map(str, words)])


def model_with(*nodes, shape=(1, 1, 8, 8), **initializers):
    """An ONNX file's bytes: nodes from 'x' to 'y'."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in initializers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString()


def test_a_known_network(tmp_path, capsys):
    """Full size, random weights and images; --limit counts its images."""
    out = tmp_path / "table.json"
    assert run("--net", "lenet5", "--config", "tiny", "--limit", "2", "--json", out) == 0
    assert "lenet5: random weights and images, calibrated on 2 others" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert (result["model"], result["images"], result["mismatches"], result["accuracy"]) == (
        "lenet5",
        2,
        0,
        {},
    )
    for words, message in (
        (["--net", "nope"], "network 'nope': choose from lenet5, alexnet, "),
        (["--net", "lenet5", "--images", DIGITS], "leave out --images"),
    ):
        assert run(*words) == 2
        err = capsys.readouterr().err
        assert message in err and "Traceback" not in err


def test_defaults_and_json(tmp_path, capsys):
    out = tmp_path / "table.json"
    assert run("--json", out) == 0
    text = capsys.readouterr().out
    assert "conv1+pool1" in text and "accuracy: float" in text and "0 final psums wrapped" in text
    result = json.loads(out.read_text())
    assert result["mismatches"] == 0 and result["images"] == 20
    assert [layer["mismatches"] for layer in result["layers"]] == [0] * len(result["layers"])
    assert result["total"]["macs"] == 4 * (117_600 + 240_000 + 48_000 + 10_080 + 840)


def test_coded_feature_maps(tmp_path, capsys):
    """The same predictions with fewer bytes; ratios are below the entropy limit."""
    seen = {}
    for mode in ("off", "auto"):
        out = tmp_path / "r.json"
        assert run("--rlc", mode, "--limit", 8, "--json", out) == 0
        seen[mode] = json.loads(out.read_text())
    assert "entropy limit" in capsys.readouterr().out
    off, auto = seen["off"], seen["auto"]
    assert auto["predictions"] == off["predictions"] and not off["fmaps"]
    assert auto["total"]["dram_bytes"] < off["total"]["dram_bytes"]
    assert auto["fmaps"] and all(
        1 < f["ratio"] < f["entropy"] and f["coded"] < f["dense"] for f in auto["fmaps"]
    )


def test_image_formats_agree(tmp_path, capsys):
    """The same digits as .npz, .npy, IDX, IDX.gz and PNGs give the same predictions."""
    images = np.load(DIGITS)["images"][:6]
    np.save(tmp_path / "d.npy", images)
    idx = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (6, 28, 28)) + images.tobytes()
    (tmp_path / "d.idx").write_bytes(idx)
    (tmp_path / "d.idx.gz").write_bytes(gzip.compress(idx))
    (tmp_path / "png").mkdir()
    for n, image in enumerate(images):
        Image.fromarray(image[0]).save(tmp_path / "png" / f"{n}.png")
    seen = []
    for name in ("d.npy", "d.idx", "d.idx.gz", "png"):
        out = tmp_path / "r.json"
        assert (
            run(
                "--images",
                tmp_path / name,
                "--calib",
                cli.MODELS / "digits_calibration.npz",
                "--json",
                out,
            )
            == 0
        )
        seen.append(json.loads(out.read_text())["predictions"])
    assert all(s == seen[0] for s in seen) and len(seen[0]["golden"]) == 6


def test_calibration_is_disjoint(tmp_path, capsys):
    np.save(tmp_path / "d.npy", np.load(DIGITS)["images"][:10])
    out = tmp_path / "r.json"
    assert run("--model", MODEL, "--images", tmp_path / "d.npy", "--json", out) == 0
    result = json.loads(out.read_text())
    assert result["images"] == 8 and "last 2 of 10" in result["calibration"]


def test_every_preset(tmp_path):
    for preset in PRESETS:
        assert run("--config", preset, "--limit", 3, "--batch", 2) == 0


def conv(name="c", **kw):
    return helper.make_node("Conv", ["x", "w"], ["y"], name=name, **kw)


W = np.ones((2, 1, 3, 3), np.float32)
BAD = {
    "broken ONNX": (
        lambda d: (d / "m.onnx").write_bytes(b"\x08\x07garbage"),
        ["--model", "m.onnx", "--images", DIGITS],
        "m.onnx",
    ),
    "no such model": (lambda d: None, ["--model", "none.onnx", "--images", DIGITS], "none.onnx"),
    "unsupported operator": (
        lambda d: (d / "m.onnx").write_bytes(
            model_with(helper.make_node("Erf", ["x"], ["y"], name="odd"))
        ),
        ["--model", "m.onnx", "--images", DIGITS],
        "odd",
    ),
    "dilation": (
        lambda d: (d / "m.onnx").write_bytes(model_with(conv("wide", dilations=[2, 2]), w=W)),
        ["--model", "m.onnx", "--images", DIGITS],
        "wide",
    ),
    "image shape": (
        lambda d: np.save(d / "i.npy", np.zeros((3, 1, 27, 28))),
        ["--images", "i.npy"],
        "i.npy",
    ),
    "no images": (
        lambda d: (d / "m.onnx").write_bytes(MODEL.read_bytes()),
        ["--model", "m.onnx"],
        "--images",
    ),
    "one image": (
        lambda d: np.save(d / "i.npy", np.zeros((1, 1, 28, 28))),
        ["--images", "i.npy"],
        "--calib",
    ),
    "few labels": (
        lambda d: np.save(d / "l.npy", np.zeros(3, int)),
        ["--images", DIGITS, "--labels", "l.npy"],
        "l.npy",
    ),
    "unknown preset": (lambda d: None, ["--config", "huge"], "huge"),
    "unknown key": (
        lambda d: (d / "c.json").write_text(json.dumps(PRESETS["tiny"].to_dict() | {"colour": 1})),
        ["--config", "c.json"],
        "colour",
    ),
    "missing key": (
        lambda d: (d / "c.json").write_text(json.dumps({"name": "x"})),
        ["--config", "c.json"],
        "rows",
    ),
    "bad value": (
        lambda d: (d / "c.json").write_text(
            json.dumps(PRESETS["tiny"].to_dict() | {"ifmap_spad": 9})
        ),
        ["--config", "c.json"],
        "ifmap_spad",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, tmp_path, monkeypatch, capsys):
    """One line that names the thing, exit code 2, nothing half-written."""
    prepare, words, named = BAD[case]
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(*words, "--json", "out.json") == 2
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if "eyrie: error" in line]
    assert len(errors) == 1 and named in errors[0], err
    assert "Traceback" not in err
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    "words", [["--limit", "-1"], ["--device", "board9"], ["--batch", "0"], ["--rlc", "maybe"]]
)
def test_bad_options(words):
    with pytest.raises(SystemExit) as e:
        run(*words)
    assert e.value.code == 2


def test_help_everywhere(capsys):
    for command in ([], ["run"], ["verilog"], ["sim"], ["clean"]):
        with pytest.raises(SystemExit) as e:
            cli.main([*command, "--help"])
        assert e.value.code == 0
        assert "usage" in capsys.readouterr().out
