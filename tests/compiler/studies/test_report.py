"""The benchmark report: its figures by hand, a page that needs nothing but itself, what it
refuses."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import cli
from compiler.studies.costs import Costs
from compiler.studies.report import (
    NOT_MEASURED,
    ReportError,
    inline_svg,
    markdown,
    nonzero_of_chip,
    page,
    sections,
)

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"
COSTS = Costs.load("eyeriss_65nm")


@pytest.fixture
def folder(tmp_path):
    for name in (
        "bench-alexnet-dense.json",
        "bench-alexnet-dense.svg",
        "run-lenet5-demo.json",
        "eie64.json",
        "eie64.svg",
    ):
        shutil.copy(RESULTS / name, tmp_path)
    return tmp_path


def cells(found, title):
    """{name of a row: {name of a column: text}} of a section's table."""
    table = next(s for s in found if s.title == title).tables[0]
    assert all(len(row) == len(table.head) for row in table.rows)
    return {row[0]: dict(zip(table.head[1:], row[1:])) for row in table.rows}


def test_figures(folder):
    """Against arithmetic on the run: 16,412,131 cycles, 1,214,665,952 non-zero MACs, 20,288,168
    bytes; `make energy` says 42,453 uJ of it, 3,550 of them DRAM."""
    table = cells(sections(folder, COSTS), "alexnet, convolutions")
    ours = {name: row["dense"] for name, row in table.items()}
    assert ours["run time, ms"] == "82.1" and ours["images/s"] == f"{4 / 16.412131 * 200:.1f}"
    assert ours["non-zero MACs, M"] == "1,214.7" and ours["ofmap entries unlike golden"] == "0"
    assert ours["DRAM accesses of 16 bits a non-zero MAC"] == f"{20288168 / 2 / 1214665952:.4f}"
    assert ours["utilisation, % of peak"] == f"{100 * 2663139456 / 16412131 / 168:.1f}"
    for name, pj in (
        ("energy of a non-zero MAC with DRAM, pJ (estimate)", 42453e6),
        ("energy of a non-zero MAC, chip without DRAM, pJ (estimate)", 38903e6),
    ):
        assert float(ours[name]) == pytest.approx(pj / 1214665952, abs=0.06)
    assert float(ours["power, chip without DRAM, mW (estimate)"]) == pytest.approx(
        38903 / 82.06, abs=1
    )


def test_chip(folder):
    """Its published column: 115.3 ms, 278 mW, 34.7 frames/s, 69 % of peak; the rest is
    arithmetic on it."""
    found = sections(folder, COSTS)
    chip = {
        name: row["Eyeriss chip"] for name, row in cells(found, "alexnet, convolutions").items()
    }
    assert (
        chip["run time, ms"],
        chip["power, chip without DRAM, mW (estimate)"],
        chip["images/s"],
    ) == ("115.3", "278 (measured)", "34.7")
    assert chip["utilisation, % of peak"] == "68.7 (calc)"
    nonzero = (
        421.6 * 0.9999
        + 895.7 * (1 - 0.387)
        + 598.1 * (1 - 0.725)
        + 448.6 * (1 - 0.793)
        + 299.0 * (1 - 0.776)
    )
    assert sum(nonzero_of_chip("alexnet")) / 1e6 == pytest.approx(nonzero, rel=0.001)
    assert float(
        chip["energy of a non-zero MAC, chip without DRAM, pJ (estimate)"].split()[0]
    ) == pytest.approx(278 * 115.3 / nonzero, abs=0.1)
    design = cells(found, "Design")
    assert design["peak, GMAC/s"] == {"eyeriss": "33.6", "Eyeriss chip": "33.6"}
    assert design["gates of a PE without its memories, NAND2"]["eyeriss"] == NOT_MEASURED
    layers = cells(found, "alexnet dense, by layer")
    assert list(layers) == ["CONV1", "CONV2", "CONV3", "CONV4", "CONV5"]
    assert layers["CONV2"]["chip's run time, ms"] == "41.9"
    assert (
        layers["CONV2"]["chip's DRAM accesses a non-zero MAC (calc)"]
        == f"{4.0e6 / 2 / (895.7e6 * 0.613):.4f}"
    )


def test_gates(folder):
    """A count belongs to the designs with the same PE: another memory is no matter, other spads
    and tags are."""
    report = json.loads((folder / "bench-alexnet-dense.json").read_text())
    for name, field, value in (
        ("latency", "dram_latency", 160),
        ("spads", "filter_spad", 64),
        ("rows", "rows", 24),
    ):
        other = report | {"config": report["config"] | {field: value}}
        (folder / f"bench-alexnet-{name}.json").write_text(json.dumps(other))
    (folder / "gates-x.json").write_text(json.dumps({"config": report["config"], "nand2": 1234.5}))
    row = cells(sections(folder, COSTS), "Design")["gates of a PE without its memories, NAND2"]
    assert row == {
        "eyeriss": "1,234",
        "eyeriss dram_latency=160": "1,234",
        "eyeriss filter_spad=64": NOT_MEASURED,
        "eyeriss rows=24": NOT_MEASURED,
        "Eyeriss chip": "-",
    }
    (folder / "gates-x.json").write_text("{}")
    with pytest.raises(ReportError, match="gates-x.json: no result of make gates"):
        sections(folder, COSTS)


def test_costs_in_pj(folder):
    with pytest.raises(ReportError, match="costs 'isca2016': energies in MAC"):
        sections(folder, Costs.load("isca2016"))


def test_networks_and_sparse(folder):
    """A LeNet-5 image takes a quarter of a batch of four: 88,594 cycles and 1,666,080 MACs."""
    found = sections(folder, COSTS)
    lenet = cells(found, "Whole networks on the RTL")["lenet5-demo"]
    assert (
        lenet["MACs an image, M"] == "0.417"
        and lenet["ms an image at 200 MHz"] == f"{88594 / 4 / 200e3:.3f}"
    )
    assert (lenet["images tested"], lenet["accuracy, %"], lenet["utilisation, %"]) == (
        "20",
        "90.00",
        "29.2",
    )
    assert len(cells(found, "Compressed fully connected layers, 64 sparse PEs")) == 9


def test_boards(folder):
    assert (
        NOT_MEASURED
        in next(s for s in sections(folder, COSTS) if s.title == "Designs on an FPGA").notes[0]
    )
    (folder / "fpga").mkdir()
    board = {
        "board": "b",
        "preset": "p",
        "device": "d",
        "config": {"simd": 2},
        "pes": 4,
        "clock_mhz": 50.0,
        "fmax_mhz": 45.5,
        "lut": [20000, 80000],
        "ff": [9000, 80000],
        "dsp": [4, 156],
        "bram": [10, 208],
        "peak_gmacs": 0.2,
        "sustained_gmacs": None,
        "seed": 1,
        "seconds": 9.0,
        "tools": {},
    }
    (folder / "fpga" / "b-p.json").write_text(json.dumps(board))
    row = cells(sections(folder, COSTS), "Designs on an FPGA")["b"]
    assert (
        row["DSP"] == "4 of 156"
        and row["LUT"] == "20,000 of 80,000"
        and row["fmax, MHz"] == "45.5 (too slow)"
    )
    assert (
        row["density, peak MMAC/s a DSP"] == "50.0" and row["density, peak MMAC/s a kLUT"] == "10.0"
    )
    assert row["sustained, GMAC/s"] == NOT_MEASURED and row["MACs a cycle"] == "8"
    del board["dsp"]
    (folder / "fpga" / "b-p.json").write_text(json.dumps(board))
    with pytest.raises(ReportError, match="b-p.json"):
        sections(folder, COSTS)


class Outside(HTMLParser):
    """Everything that a page would fetch, and its ids."""

    def __init__(self):
        super().__init__()
        self.fetched, self.ids, self.used, self.svgs = [], [], [], 0

    def handle_starttag(self, tag, attributes):
        self.svgs += tag == "svg"
        for name, value in attributes:
            if name in ("src", "href", "xlink:href"):
                (self.used if value.startswith("#") else self.fetched).append(value.lstrip("#"))
            if name == "id":
                self.ids.append(value)
        assert tag not in ("script", "link", "img", "iframe")


def test_page_is_self_contained(folder):
    found = sections(folder, COSTS)
    text = page(found, "eyeriss_65nm", folder)
    read = Outside()
    read.feed(text)
    assert read.fetched == [] and read.svgs == 2 and "@import" not in text
    assert len(set(read.ids)) == len(read.ids) and set(read.used) <= set(read.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(read.ids)
    assert text == page(sections(folder, COSTS), "eyeriss_65nm", folder)
    for row in cells(found, "alexnet dense, by layer"):
        assert f"<td>{row}</td>" in text


def test_markdown_columns(folder):
    """Every row of a table has as many cells as its head."""
    rows = [
        line
        for line in markdown(sections(folder, COSTS), "eyeriss_65nm").splitlines()
        if line.startswith("|")
    ]
    counts = [line.count("|") for line in rows]
    heads = [n for n, line in enumerate(rows) if set(line) <= set("|- ")]
    assert len(heads) == 5
    for n, following in zip(heads, [*(h - 1 for h in heads[1:]), len(rows)]):
        assert set(counts[n - 1 : following]) == {counts[n]}


def test_inline_svg():
    text = inline_svg(
        '<?xml?>\n<svg><metadata>\n<a href="https://x"/></metadata><path id="c"/><use '
        'xlink:href="#c" '
        'clip-path="url(#c)"/></svg>',
        "p",
    )
    assert text == '<svg><path id="p-c"/><use xlink:href="#p-c" clip-path="url(#p-c)"/></svg>'


def test_empty_folder(tmp_path, capsys):
    page = tmp_path / "made" / "page.html"
    assert cli.main(["report", "--results", str(tmp_path), "--page", str(page)]) == 0
    assert "no results" in (tmp_path / "report.md").read_text() and page.exists()
    assert cli.main(["report", "--results", str(tmp_path / "none")]) == 2
    (tmp_path / "bench-alexnet-x.json").write_text("{")
    assert cli.main(["report", "--results", str(tmp_path)]) == 2
    assert "bench-alexnet-x.json: line 1" in capsys.readouterr().err
    (tmp_path / "bench-alexnet-x.json").rename(tmp_path / "bench-other-x.json")
    assert cli.main(["report", "--results", str(tmp_path)]) == 2
    assert "no known network" in capsys.readouterr().err


def test_the_report_is_of_all_results(tmp_path):
    """The one in docs/results says what the files beside it do, older ones too."""
    shutil.copytree(RESULTS, tmp_path / "results")
    made = tmp_path / "results" / "report.md"
    made.unlink()
    words = [
        "report",
        "--results",
        str(tmp_path / "results"),
        "--page",
        str(tmp_path / "page.html"),
    ]
    assert cli.main(words) == 0
    assert made.read_text() == (RESULTS / "report.md").read_text()
