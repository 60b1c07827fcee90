"""Energies of known counts, cost tables, and layers as text."""

import json
from pathlib import Path

import pytest

import cli
from compiler.studies import layer_file
from compiler.studies.costs import Costs, CostsError, presets
from compiler.studies.energy import Bits, EnergyError, layer_energy, of_run, words

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"
ISCA = Costs.load("isca2016")
ACCESSES = {
    "dram": {
        "ifmap": {"read": 20, "write": 0},
        "filter": {"read": 40, "write": 0},
        "psum": {"read": 8, "write": 0},
        "ofmap": {"read": 0, "write": 16},
        "table": {"read": 6, "write": 2},
        "command": {"read": 64, "write": 0},
    },
    "glb": {
        "ifmap": {"read": 5, "write": 3},
        "filter": {"read": 2, "write": 2},
        "psum": {"read": 1, "write": 1},
        "ofmap": {"read": 1, "write": 0},
    },
    "network": {
        "ifmap": {"word": 7},
        "filter": {"word": 3},
        "psum": {"in": 2, "out": 2, "hand-over": 9},
    },
    "spad": {
        "ifmap": {"read": 30, "write": 10},
        "filter": {"read": 25, "write": 5},
        "psum": {"read": 30, "write": 30},
    },
}
# 1 image of 2 x 6 x 6 with 18 zeros, 4 filters of 3 x 3, padded by 1.
LINE = [1, 6, 6, 2, 1, 18, 16, 3, 3, 2, 4, 0, 16, 6, 6, 4, 1, 36, 16, 1, 1, 1, 1, 1, 1]


def text(*lines):
    return "".join(",".join(map(str, line)) + "\n" for line in lines)


def changed(**fields):
    """LINE with fields by their names, blanks as underscores."""
    line = list(LINE)
    for field, value in fields.items():
        line[layer_file.FIELDS.index(field.replace("_", " "))] = value
    return line


def test_words():
    """By hand: DRAM bytes by 2, bank accesses by 4; words of networks are four entries, four psums
    of two words; psums of spads two words."""
    assert words(ACCESSES, 32) == {
        "dram": {
            "ifmap": 10,
            "filter": 20,
            "psum": 4,
            "ofmap": 8,
            "table in": 3,
            "table out": 1,
            "command": 32,
        },
        "glb": {"ifmap": 32, "filter": 16, "psum": 8, "ofmap": 4},
        "network": {"ifmap": 28, "filter": 12, "psum": (4 * 4 + 9) * 2},
        "spad": {"ifmap": 40, "filter": 30, "psum": 120},
    }


def test_layer_energy():
    """30 MACs, five of which were held, at 1, 1, 2, 6, 200."""
    e = layer_energy("x", 30, ACCESSES, 32, ISCA)
    assert (e.done, e.mac) == (25, 25)
    assert [e.level(level) for level in ("spad", "network", "glb", "dram")] == [
        190,
        2 * 90,
        6 * 60,
        200 * 78,
    ]
    assert e.input == 200 * (10 + 3) + 6 * 32 + 2 * 28 + 40
    assert e.kind("filter") == 200 * 20 + 6 * 16 + 2 * 12 + 30
    assert e.output == 200 * (4 + 8 + 1) + 6 * 12 + 2 * 50 + 120
    assert (
        e.total
        == 25 + 190 + 180 + 360 + 15600
        == e.mac + e.input + e.kind("filter") + e.output + e.kind("command")
    )


def test_narrow_operands():
    """8-bit activations and weights: half the words, a quarter of the MAC; psums as they are."""
    wide, narrow = (
        layer_energy("x", 30, ACCESSES, 32, ISCA, bits) for bits in (Bits(), Bits(8, 8, 16))
    )
    assert (
        narrow.mac == wide.mac / 4
        and narrow.kind("ifmap", "filter") == wide.kind("ifmap", "filter") / 2
    )
    assert narrow.output == wide.output


def test_presets():
    assert presets() == ["eyeriss_65nm", "horowitz_45nm", "isca2016"]
    for name in presets():
        costs = Costs.load(name)
        assert (
            costs.spad <= costs.network <= costs.glb < costs.dram
            and costs.source
            and costs.mac(8) < costs.mac(16)
        )
    eyeriss = Costs.load("eyeriss_65nm")
    assert [
        getattr(eyeriss, level) / eyeriss.mac() for level in ("spad", "network", "glb", "dram")
    ] == pytest.approx([1, 2, 6, 200])
    horowitz = Costs.load("horowitz_45nm")
    assert horowitz.mac(8) == 0.3 and horowitz.mac(32) == pytest.approx(3.2)
    assert horowitz.mac() == pytest.approx(0.98, abs=0.005)
    assert ISCA.mac(8, 16) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dram": -1}, "dram = -1: must be a number of 0 or more"),
        ({"glb": "6"}, "glb = '6': must be a number"),
        ({"colour": 1}, "unknown key 'colour'"),
        ({"mac": {}}, "mac = {}: must give"),
        ({"mac": {"16": 0}}, "mac[16] = 0: must be a number above 0"),
        ({"mac": {"wide": 1}}, "'wide' is no width"),
        ({"spad": True}, "spad = True: must be"),
        ({"unit": 1}, "unit = 1: must be text"),
        ({"network": None}, "network = None: must be"),
        ({"network": ...}, "network is missing"),
    ],
)
def test_bad_costs(change, message, tmp_path):
    table = {
        "unit": "pJ",
        "source": "a test",
        "mac": {"16": 1},
        "spad": 1,
        "network": 2,
        "glb": 6,
        "dram": 200,
    } | change
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({key: value for key, value in table.items() if value is not ...}))
    with pytest.raises(CostsError, match="^" + str(path)) as e:
        Costs.load(str(path))
    assert message in str(e.value) and "\n" not in str(e.value)


def test_costs_of_ones_own(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(
        json.dumps(
            {
                "unit": "fJ",
                "source": "a test",
                "mac": {"8": 1, "16": 3},
                "spad": 1,
                "network": 2,
                "glb": 6,
                "dram": 0,
            }
        )
    )
    costs = Costs.load(str(path))
    assert (costs.name, costs.unit, costs.mac(), costs.dram) == ("mine", "fJ", pytest.approx(3), 0)
    path.write_text("{")
    with pytest.raises(CostsError, match="line 1"):
        Costs.load(str(path))


@pytest.mark.parametrize("mode", ["dense", "skip"])
def test_counters_of_the_rtl(mode):
    """Five layers measured on the RTL: its counters give the same energies as the model's accesses,
    which were equal; done are the MACs that a multiplier did."""
    path = RESULTS / f"bench-alexnet-{mode}.json"
    layers, about = of_run(path, ISCA)
    rows = json.loads(path.read_text())["layers"]
    assert len(layers) == len(rows) == 5
    for e, row in zip(layers, rows):
        assert row["counters_equal"]
        model = layer_energy(
            row["name"], row["macs"], row["accesses"], about["config"]["psum_bits"], ISCA
        )
        assert e.total == pytest.approx(model.total, rel=1e-12)
        assert e.done == model.done == row["counters"]["macs"] - row["counters"]["macs_gated"]
    if mode == "skip":
        dense, _ = of_run(RESULTS / "bench-alexnet-dense.json", ISCA)
        assert sum(e.total for e in layers) < 0.6 * sum(e.total for e in dense)


def test_counters_decide(tmp_path):
    """Where counters and model differ, the counters' sums are taken."""
    report = json.loads((RESULTS / "bench-alexnet-dense.json").read_text())
    row = report["layers"][2]
    before = of_run(RESULTS / "bench-alexnet-dense.json", ISCA)[0][2]
    row["counters"]["dram_read_bytes"] *= 2
    row["counters"]["macs_gated"] = 1000
    path = tmp_path / "run.json"
    path.write_text(json.dumps(report))
    after = of_run(path, ISCA)[0][2]
    reads = sum(kind["read"] for kind in row["accesses"]["dram"].values())
    assert after.level("dram") - before.level("dram") == pytest.approx(reads / 2 * 200)
    assert before.mac - after.mac == 1000


@pytest.mark.parametrize(
    "content, message",
    [("[", "line 1"), ("{}", "'config' is missing"), ("[]", "no JSON of make bench")],
)
def test_bad_run(content, message, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(EnergyError, match=message):
        of_run(path, ISCA)


@pytest.mark.parametrize(
    "line, message",
    [
        (LINE[:24], "line 2: 24 entries instead of 25: pad right is missing"),
        (LINE + [0], "line 2: 26 entries instead of 25"),
        (changed(filter_height="3.5"), "line 2: filter height = '3.5': must be an integer"),
        (changed(input_maps=0), "line 2: input maps = 0: must be 1 or more"),
        (changed(pad_top=-1), "line 2: pad top = -1: must be 0 or more"),
        (changed(input_bitwidth=32), "line 2: input bitwidth = 32: must be 1..16"),
        (
            changed(input_zero_entries=73),
            "line 2: input zero entries = 73: the tensor has 72 entries",
        ),
        (changed(stride_y=3), "line 2: stride y = 3: 1, 2, 4"),
        (changed(output_height=5), "line 2: output height = 5: the other fields make it 6"),
        (changed(output_maps=2), "line 2: output maps = 2: the input has 1"),
        (changed(filter_channels=3), "line 2: filter channels = 3: must divide the input's 2"),
        (changed(output_channels=5), "line 2: output channels = 5"),
        (changed(filter_width=9), "line 2: filter width = 9: is above the padded input's 8"),
        (changed(index=7), "line 2: index 7 is that of line 1 too"),
    ],
)
def test_bad_lines(line, message, tmp_path, capsys):
    """One line that names line and field, status 2, nothing written."""
    path, out = tmp_path / "layers.txt", tmp_path / "out.txt"
    path.write_text(text(changed(index=7), line))
    assert cli.main(["energy", "--layers", str(path), "--out", str(out), "--config", "tiny"]) == 2
    err = capsys.readouterr().err
    assert (
        err.startswith(f"eyrie: error: {path}: {message}")
        and err.count("\n") == 1
        and not out.exists()
    )


def test_lines(tmp_path):
    path = tmp_path / "layers.txt"
    path.write_text(
        "\n"
        + text(changed(index=4, input_maps=2, output_maps=2, input_zero_entries=36))
        + "  \n"
        + text([5, 4, 4, 8, 1, 0, 8, 4, 4, 8, 3, 1, 8, 1, 1, 3, 1, 0, 8, 1, 1, 0, 0, 0, 0])
    )
    first, second = layer_file.read(path)
    assert (first.number, first.index, first.images, first.zeros) == (
        2,
        4,
        2,
        {"in": 0.25, "out": 0.125},
    )
    assert (first.layer.full, first.layer.groups, first.layer.pads) == (False, 1, (1, 1, 1, 1))
    assert (second.number, second.layer.full, second.bits) == (4, True, Bits(8, 8, 8))
    path.write_text(" \n")
    with pytest.raises(layer_file.LayerFileError, match="no layers"):
        layer_file.read(path)


def test_command(tmp_path, capsys):
    """Energies of a file: a line a layer; zeros save energy with `gate`, and 8 bits do."""
    path, out = tmp_path / "layers.txt", tmp_path / "out.txt"
    path.write_text(
        text(
            LINE,
            changed(index=2, input_zero_entries=0),
            changed(index=3, input_bitwidth=8, filter_bitwidth=8),
        )
    )
    assert (
        cli.main(
            [
                "energy",
                "--layers",
                str(path),
                "--out",
                str(out),
                "--config",
                "tiny",
                "--costs",
                "isca2016",
                "--json",
                str(tmp_path / "e.json"),
            ]
        )
        == 0
    )
    rows = [[float(x) for x in line.split(",")] for line in out.read_text().splitlines()]
    assert [row[0] for row in rows] == [1, 2, 3] and all(
        len(row) == 5 and min(row) > 0 for row in rows
    )
    macs = 6 * 6 * 4 * 2 * 9
    assert rows[1][4] <= macs and rows[0][4] < 0.9 * rows[1][4] and rows[2][4] == rows[0][4] / 4
    assert rows[2][1] == pytest.approx(rows[0][1], rel=0.6) and rows[2][1] < rows[0][1]
    report = json.loads((tmp_path / "e.json").read_text())
    assert [e["mac"] for e in report["layers"]] == [row[4] for row in rows] and report[
        "mode"
    ] == "gate"
    assert "layer 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--costs", "nope"], "costs 'nope': choose from eyeriss_65nm"),
        (["--layers", "x"], "--layers and --out go together"),
        (["--layers", "x", "--out", "y", "--run", "z"], "give one of them"),
        (["--net", "nope"], "network 'nope'"),
        (["--config", "demo", "--mode", "skip"], "'demo' cannot skip zeros"),
        (["--run", "no.json"], "no.json: no such file"),
    ],
)
def test_errors(arguments, message, capsys):
    assert cli.main(["energy", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err
