"""The benchmark of layers, on the smallest preset."""

import json
from pathlib import Path

import numpy as np
import pytest

import cli
from compiler.networks.layer_tables import NETWORKS, ConvLayer, Network
from compiler.studies import map_table, scale
from golden.conv import conv2d
from hdl.config import PRESETS
from hdl.isa import Mode
from sim.bench import bench
from sim.bench.bench_plot import plot
from sim.bench.bench_table import bench_table, totals

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
TINY = PRESETS["tiny"]
LAYERS = (
    ConvLayer("CONV1", 3, 11, 8, 3, 2, 0, 1, 0.0, 1.0),
    ConvLayer("CONV2", 8, 5, 8, 3, 1, 1, 2, 0.6, 1.0),
)
NETWORK = Network("small", 2, LAYERS, 0.5, 0.003)


def test_nonzero_macs():
    rng = np.random.default_rng(0)
    for layer in LAYERS:
        images = rng.integers(0, 3, (2, layer.C, layer.H, layer.H)).astype(np.int16)
        padded = np.pad(images, ((0, 0), (0, 0), (layer.pad,) * 2, (layer.pad,) * 2))
        count = 0
        for y in range(layer.E):
            for x in range(layer.E):
                at = (
                    slice(y * layer.stride, y * layer.stride + layer.R),
                    slice(x * layer.stride, x * layer.stride + layer.R),
                )
                count += np.count_nonzero(padded[:, :, *at]) * layer.M // layer.groups
        assert bench.nonzero_macs(layer, images) == count


@pytest.mark.parametrize("clustered, bits", [(False, 32), (True, 32), (False, 24)])
def test_made_layers(clustered, bits):
    """The share of zeros asked for, in and out; psums within their bits."""
    big = ConvLayer("CONV", 8, 20, 16, 3, 1, 1, 1, 0.6, 1.0)
    network, images = bench.make_layer(
        Network("n", 1, (big,), 0.4, 0.003), big, 4, clustered=clustered, psum_bits=bits
    )
    assert images.dtype == np.int16 and abs((images == 0).mean() - 0.6) < 0.02
    out = bench.golden_run(network, images).tensors["out"]
    assert abs((out == 0).mean() - 0.4) < 0.02
    numbers = network.convs["CONV"]
    psums = conv2d(
        images, numbers.weights, numbers.bias, pads=(1, 1, 1, 1), psum_bits=network.psum_bits
    )
    assert network.psum_bits == bits and (psums.exact == psums.wrapped).all()
    again, same = bench.make_layer(
        Network("n", 1, (big,), 0.4, 0.003), big, 4, clustered=clustered, psum_bits=bits
    )
    assert (same == images).all()


def test_layers_on_rtl(tmp_path, monkeypatch):
    """Equal to golden, PE-cycles accounted for, non-zero MACs those of the counters; kept once
    done."""
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    results = {}
    for mode in (Mode.DENSE, Mode.SKIP):
        done = []
        found = bench.run_bench(NETWORK, TINY, mode, 2, 1, list(LAYERS), done.append)
        assert [r.name for r in found] == ["CONV1", "CONV2"] and len(done) == 2
        for r in found:
            assert r.mismatches == 0 and r.macs == 2 * next(
                x.macs for x in LAYERS if x.name == r.name
            )
            # counters reach the total two cycles late
            assert abs(sum(r.stalls.values()) - 1) < 4 / r.cycles
            assert r.counters_equal and abs(r.model_cycles / r.cycles - 1) < 0.1
            assert (
                sum(kind["read"] for kind in r.accesses["glb"].values()) == r.counters["glb_reads"]
            )
            if mode is Mode.SKIP:
                assert r.counters["macs"] - r.counters["macs_gated"] == r.nonzero_macs
        results[mode] = found
    assert results[Mode.SKIP][1].cycles < results[Mode.DENSE][1].cycles
    monkeypatch.setattr(bench, "simulate", lambda *_: pytest.fail("simulated again"))
    assert bench.run_layer(NETWORK, LAYERS[0], 2, TINY, Mode.SKIP) == results[Mode.SKIP][0]
    plot("title", results[Mode.DENSE], tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


@pytest.mark.parametrize("name", ["alexnet-skip", "vgg16-dense-batch1"])
def test_table_of_results(name, capsys):
    """Sums and table of what was measured: a row a layer and one for all."""
    report = json.loads((RESULTS / f"bench-{name}.json").read_text())
    results = [bench.LayerBench(**row) for row in report["layers"]]
    assert totals(results) == report["total"]
    table = bench_table("title", results, 168)
    assert table.row_count == len(results) + 1
    columns = {column.header: list(column.cells) for column in table.columns}
    assert columns["cycles"] == [
        f"{row['cycles']:,}" for row in [*report["layers"], report["total"]]
    ]
    assert (
        columns["of peak %"][-1]
        == f"{100 * report['total']['macs'] / report['total']['cycles'] / 168:.1f}"
    )


def test_scaling(tmp_path, monkeypatch, capsys):
    """More PEs take fewer cycles; the RTL's are those of the results that belong to an array,
    and of no other."""
    monkeypatch.setitem(NETWORKS, "alexnet", NETWORK)
    monkeypatch.setattr(map_table, "FOLDER", tmp_path / "map")
    monkeypatch.setattr(
        scale,
        "SWEEPS",
        {
            "array": (("rows=1",), ("rows=2",), ("columns=6",)),
            "latency": (("dram_latency=10",), ("dram_latency=200",)),
        },
    )
    monkeypatch.chdir(tmp_path)
    Path("docs/results").mkdir(parents=True)
    known = {"config": TINY.to_dict(), "batch": 2, "objective": "cycles", "total": {"cycles": 1234}}
    Path("docs/results/bench-alexnet-dense.json").write_text(json.dumps(known))
    assert cli.main(["scale", "--config", "tiny", "--json", "out.json", "--plot", "out.svg"]) == 0
    rows = json.loads(Path("out.json").read_text())["rows"]
    assert [row["pes"] for row in rows] == [3, 6, 12]
    assert rows[0]["model_cycles"] > rows[1]["model_cycles"] > rows[2]["model_cycles"]
    assert [row["rtl_cycles"] for row in rows] == [None, 1234, None]
    assert "1,234" in capsys.readouterr().out and "<svg" in Path("out.svg").read_text()
    assert cli.main(["scale", "--by", "latency", "--config", "tiny", "--json", "out.json"]) == 0
    out = json.loads(Path("out.json").read_text())
    assert (
        out["rows"][0]["model_cycles"] < out["rows"][1]["model_cycles"]
        and "BY=latency" in out["command"]
    )
