"""The sparse engine through the command line."""

import json

import numpy as np
import pytest
import scipy.sparse

import cli
from hdl.config import PRESETS
from sim.bench import bench_fc
from tests.device.sparse.test_sparse import shared_weights


def test_pruned_lenet_on_rtl(tmp_path, capsys):
    """CONV on the array, FC on the engine, one table with the compression."""
    out = tmp_path / "run.json"
    assert (
        cli.main(["run", "--model", str(cli.MODELS / "lenet5_pruned.onnx"), "--json", str(out)])
        == 0
    )
    result = json.loads(out.read_text())
    assert [row["kind"] for row in result["layers"]] == [
        "conv",
        "conv",
        "sparse",
        "sparse",
        "sparse",
    ]
    assert result["mismatches"] == 0 and result["accuracy"]["rtl"] == result["accuracy"]["golden"]
    assert "% dense" in result["layers"][2]["mapping"]
    facts = json.loads((cli.MODELS / "lenet5_pruned.json").read_text())
    assert facts["heldout_accuracy"]["trained"] - facts["heldout_accuracy"]["fine_tuned"] <= 0.005


def scipy_file(path, rows=200, columns=500, **extra):
    rng = np.random.default_rng(6)
    dense = shared_weights(rng, rows, columns, 0.1)
    matrix = scipy.sparse.csr_matrix(dense)
    scipy.sparse.save_npz(path, matrix)
    with np.load(path) as archive:
        parts = dict(archive)
    x = rng.integers(-2000, 2000, columns).astype(np.int16)
    x[rng.random(columns) < 0.5] = 0
    np.savez(path, **(parts | {"activations": x} | extra))
    return dense, x


@pytest.mark.sampled(2)
@pytest.mark.parametrize("config", [PRESETS["demo"], bench_fc.DEEPEST], ids=lambda c: c.name)
def test_fc_command(config, tmp_path, monkeypatch, capsys):
    """On the command's own engine, and on another preset's of a quarter of its PEs."""
    monkeypatch.setattr(bench_fc, "DEEPEST", config)
    dense, x = scipy_file(tmp_path / "m.npz")
    out = tmp_path / "fc.json"
    assert (
        cli.main(
            [
                "fc",
                "--matrix",
                str(tmp_path / "m.npz"),
                "--depth",
                "8",
                "--depth",
                "1",
                "--json",
                str(out),
            ]
        )
        == 0
    )
    rows = json.loads(out.read_text())["layers"]
    assert [r["queue_depth"] for r in rows] == [8, 1]
    for row in rows:
        assert row["mismatches"] == 0 and row["nonzero_macs"] == np.count_nonzero(dense[:, x != 0])
        assert row["efficiency"] == row["nonzero_macs"] / (config.sparse_pes * row["cycles"])
    assert rows[0]["cycles"] <= rows[1]["cycles"]


@pytest.mark.parametrize(
    "extra, named",
    [
        ({"codebook": np.ones(16, np.int16)}, "codebook"),
        ({"codebook": np.arange(16)}, "not in the codebook"),
        ({"activations": np.zeros(3, np.int16)}, "3 activations"),
        ({"format": b"bsr"}, "bsr"),
        ({"data": np.array([1.5])}, "fractions"),
        ({"indices": np.array([1])}, "places"),
    ],
)
def test_fc_bad_input(extra, named, tmp_path, capsys):
    scipy_file(tmp_path / "m.npz", **extra)
    assert (
        cli.main(["fc", "--matrix", str(tmp_path / "m.npz"), "--json", str(tmp_path / "o.json")])
        == 2
    )
    err = capsys.readouterr().err
    assert err.startswith("eyrie: error: ") and named in err and err.count("\n") == 1
    assert not (tmp_path / "o.json").exists()
