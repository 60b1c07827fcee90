"""The benchmark report: the tables that the tutorial by Sze, Chen, Yang and Emer (Proc. IEEE 2017,
section VIII) asks of every design, made of the results of runs under docs/results, as Markdown and
as one HTML page.

Read are bench-*.json (make bench), run-*.json (make run), eie64.json (make bench-fc), gates-*.json
(make gates) and fpga/*.json (make fpga); plots are the .svg files beside them. What a result does
not say is `-` or "not measured", never assumed; the clock is, to be that of the Eyeriss chip, and
energies and powers are estimates by a cost table (docs/energy.md).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from compiler.networks.layer_tables import CHIP_MHZ, NETWORKS
from compiler.studies.costs import Costs
from compiler.studies.energy import LayerEnergy, of_run
from hdl.config import CHIP_STORAGE_BYTES, ENTRY_BITS, PRESETS, Config

Row = TypeVar("Row")

NOT_MEASURED = "not measured"
NOT_OF_A_PE = (
    "name",
    "rows",
    "columns",
    "segment",
    "glb_pairs",
    "glb_depth",
    "queue_depth",
    "dram_latency",
    "dram_bytes_per_cycle",
)
EIE_MHZ = 800
# Eyeriss: ISSCC 2016, fig. 14.5.6; JSSC 2017, tables V and VI; area:
# eyeriss.mit.edu/benchmarking.html. By network: power in mW, DRAM MB of all layers and, if
# published, of each.
CHIP_PES, CHIP_AREA = 168, 0.073
CHIP = {"alexnet": (278, 15.4, (5.0, 4.0, 3.0, 2.1, 1.3)), "vgg16": (236, 321.1, None)}


class ReportError(ValueError):
    """A result that cannot be reported; one line that names the file."""


@dataclass
class Table:
    """head: names of the columns; rows of as many texts, the first of each its name."""

    head: list[str]
    rows: list[list[str]]


@dataclass
class Section:
    """plots: SVG files of the results' folder."""

    title: str
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plots: list[str] = field(default_factory=list)


@dataclass
class Bench:
    """A result of `make bench`, of network `net`."""

    file: str
    net: str
    about: dict
    rows: list[dict]
    energies: list[LayerEnergy]

    @property
    def config(self) -> Config:
        return Config.of_result(self.about["config"])

    @property
    def total(self) -> dict:
        return self.about["total"]

    @property
    def title(self) -> str:
        return f"{self.net} {self.file.removeprefix(f'bench-{self.net}-').removesuffix('.json')}"

    @property
    def batch(self) -> int:
        return self.about["batch"]


def read(path: Path) -> dict:
    """Raises ReportError."""
    try:
        value = json.loads(path.read_text())
    except ValueError as e:
        raise ReportError(f"{path}: not JSON: {e}") from None
    if not isinstance(value, dict):
        raise ReportError(f"{path}: expected one JSON object")
    return value


def benches(folder: Path, costs: Costs) -> list[Bench]:
    found = []
    for path in sorted(folder.glob("bench-*.json")):
        net = path.name.split("-")[1].removesuffix(".json")
        if net not in NETWORKS:
            raise ReportError(f"{path}: no known network in its name")
        energies, about = of_run(path, costs)
        bench = Bench(path.name, net, about, read(path)["layers"], energies)
        try:
            for row in (bench.total, *bench.rows):
                if not row["nonzero_macs"] or not row["cycles"]:
                    raise ReportError(
                        f"{path}: {row.get('name', 'all layers')}: no cycles or no non-zero MACs"
                    )
            _ = bench.config  # read here, so that what is wrong in it is found here
        except (KeyError, TypeError) as e:
            raise ReportError(f"{path}: no result of make bench: {type(e).__name__} {e}") from None
        found.append(bench)
    # What was changed comes behind what it was changed from.
    return sorted(found, key=lambda b: (b.net, b.title.count("-"), b.title))


def gate_counts(folder: Path) -> list[dict]:
    """Results of `make gates`. Raises ReportError."""
    found = []
    for path in sorted(folder.glob("gates-*.json")):
        found.append(read(path))
        if not isinstance(found[-1].get("nand2"), (int, float)) or not isinstance(
            found[-1].get("config"), dict
        ):
            raise ReportError(f"{path}: no result of make gates")
    return found


def milliseconds(cycles: float) -> float:
    return cycles / CHIP_MHZ / 1000


def on_chip(energies: list[LayerEnergy]) -> float:
    return sum(e.total - e.level("dram") for e in energies)


def _figures(row: dict, energies: list[LayerEnergy], multipliers: int) -> list[str]:
    """FIGURES of a layer, or of all: macs, nonzero_macs, cycles and dram_bytes of a row;
    energies in pJ."""
    nonzero, cycles = row["nonzero_macs"], row["cycles"]
    return [
        f"{nonzero / 1e6:,.1f}",
        f"{milliseconds(cycles):,.1f}",
        f"{on_chip(energies) / 1e9 / milliseconds(cycles) * 1e3:,.0f}",
        f"{on_chip(energies) / nonzero:.1f}",
        f"{sum(e.total for e in energies) / nonzero:.1f}",
        f"{row['dram_bytes'] / 2 / nonzero:.4f}",
        f"{100 * row['macs'] / cycles / multipliers:.1f}",
    ]


FIGURES = [
    "non-zero MACs, M",
    "run time, ms",
    "power, chip without DRAM, mW (estimate)",
    "energy of a non-zero MAC, chip without DRAM, pJ (estimate)",
    "energy of a non-zero MAC with DRAM, pJ (estimate)",
    "DRAM accesses of 16 bits a non-zero MAC",
    "utilisation, % of peak",
]


def nonzero_of_chip(net: str) -> list[float]:
    """Non-zero MACs by layer of the chip's batch, from its published zeros of ifmaps."""
    network = NETWORKS[net]
    return [layer.macs * network.batch * (1 - layer.zeros) for layer in network.layers]


def chip_figures(net: str) -> list[str]:
    """FIGURES of the chip on its batch."""
    network, (power, dram_mb, _) = NETWORKS[net], CHIP[net]
    assert network.chip_cycles is not None  # published for the networks of CHIP
    time, nonzero = milliseconds(network.chip_cycles), sum(nonzero_of_chip(net))
    macs = sum(layer.macs for layer in network.layers) * network.batch
    return [
        f"{nonzero / 1e6:,.1f} (calc)",
        f"{time:,.1f}",
        f"{power} (measured)",
        f"{power * time * 1e6 / nonzero:.1f} (calc)",
        "-",
        f"{dram_mb * 1e6 / 2 / nonzero:.4f} (calc)",
        f"{100 * macs / network.chip_cycles / CHIP_PES:.1f} (calc)",
    ]


def asic(found: list[Bench], gates: list[dict]) -> list[Section]:
    """The ASIC-style tables. gates: results of `make gates`."""
    if not found:
        return [Section("Designs as an ASIC", notes=["no results: `make bench`"])]
    out = [designs([bench.config for bench in found], gates)]
    for net in dict.fromkeys(bench.net for bench in found):
        same = [bench for bench in found if bench.net == net]
        out += [convolutions(net, same), *map(layer_section, same)]
    return out


def changed_fields(config: Config) -> str:
    """Its name, and the fields in which it is not the preset of that name."""
    preset = PRESETS.get(config.name)
    if preset is None:
        return config.name
    fields = (
        name
        for name in Config.__dataclass_fields__
        if getattr(config, name) != getattr(preset, name)
    )
    return " ".join([config.name, *(f"{name}={getattr(config, name)}" for name in fields)])


def pe_of(config: Config) -> tuple:
    """All that a PE is made by; of the size of the array, the widths of its tags."""
    fields = {name: value for name, value in config.to_dict().items() if name not in NOT_OF_A_PE}
    return fields, config.pe_tag_bits, config.ifmap_tag_bits


def pe_gates(config: Config, gates: list[dict]) -> str:
    """Of the configuration's PE, counted in Yosys's netlist."""
    found = next((g for g in gates if pe_of(Config.of_result(g["config"])) == pe_of(config)), None)
    return f"{found['nand2']:,.0f}" if found else NOT_MEASURED


def designs(configs: list[Config], gates: list[dict]) -> Section:
    """A column each design, and the chip's."""
    configs = list(dict.fromkeys(configs))

    def row(name, ours, chip):
        return [name, *map(ours, configs), chip]

    clock, memory = f"{CHIP_MHZ} (assumed)", CHIP_STORAGE_BYTES / 1024
    rows = [
        row("process", lambda c: "RTL, none", "65 nm LP, 1.0 V"),
        row("clock, MHz", lambda c: clock, str(CHIP_MHZ)),
        row("multipliers", lambda c: str(c.multipliers), str(CHIP_PES)),
        row(
            "peak, GMAC/s",
            lambda c: f"{c.multipliers * CHIP_MHZ / 1000:.1f}",
            f"{CHIP_PES * CHIP_MHZ / 1000:.1f}",
        ),
        row("core area a multiplier, mm2", lambda c: NOT_MEASURED, str(CHIP_AREA)),
        row("gates of a PE without its memories, NAND2", lambda c: pe_gates(c, gates), "-"),
        row("on-chip memory, KiB", lambda c: f"{c.storage_bytes / 1024:.1f}", f"{memory:.1f}"),
        row(
            "on-chip memory a multiplier, KiB",
            lambda c: f"{c.storage_bytes / 1024 / c.multipliers:.2f}",
            f"{memory / CHIP_PES:.2f} (calc)",
        ),
        row("bits of an operand", lambda c: str(ENTRY_BITS), str(ENTRY_BITS)),
        row("measured or simulated", lambda c: "simulated: RTL, every cycle", "measured"),
    ]
    return Section(
        "Design",
        [Table(["", *map(changed_fields, configs), "Eyeriss chip"], rows)],
        [
            f"The clock of {CHIP_MHZ} MHz is the chip's, taken for comparison: no layout was made. "
            "The chip's memory is "
            "its SRAM; ours counts every array over two words, spads and FIFOs too. Gates: Yosys's "
            "netlist of simple gates, "
            "in transistors of CMOS by four (docs/study.md)."
        ],
    )


def convolutions(net: str, same: list[Bench]) -> Section:
    """A network's convolutions: a column a run, and the chip's."""
    network = NETWORKS[net]
    columns = [
        [
            bench.about["mode"],
            str(bench.batch),
            str(ENTRY_BITS),
            f"{len(bench.rows)} convolutions",
            str(bench.batch),
            str(bench.total["mismatches"]),
            *_figures(bench.total, bench.energies, bench.config.multipliers),
            f"{bench.batch / milliseconds(bench.total['cycles']) * 1000:.1f}",
        ]
        for bench in same
    ]
    titles = [bench.title.removeprefix(f"{net} ") for bench in same]
    if net in CHIP:
        assert network.chip_cycles is not None
        titles.append("Eyeriss chip")
        columns.append(
            [
                "gate",
                str(network.batch),
                str(ENTRY_BITS),
                f"{len(network.layers)} convolutions",
                "-",
                "-",
                *chip_figures(net),
                f"{network.batch / milliseconds(network.chip_cycles) * 1000:.1f}",
            ]
        )
    head = [
        "zeros",
        "batch",
        "bits of an operand",
        "layers",
        "images tested",
        "ofmap entries unlike golden",
        *FIGURES,
        "images/s",
    ]
    rows = [[name, *values] for name, values in zip(head, zip(*columns, strict=True), strict=True)]
    return Section(
        f"{net}, convolutions",
        [Table(["", *titles], rows)],
        [
            "Images tested are random, with the published share of zeros in each ifmap: they say "
            "nothing of accuracy. "
            "Power is energy of data movement and arithmetic over run time, without clock, control "
            "and leakage, so not that "
            "of a chip; the chip's is measured, and its energy (calc) is power x time. Utilisation "
            "counts all MACs, those "
            "with a zero too: where zeros are skipped it may exceed 100."
        ],
    )


def layer_section(bench: Bench) -> Section:
    """Its layers beside the chip's."""
    network = NETWORKS[bench.net]
    chip = {
        layer.name: (layer, nonzero)
        for layer, nonzero in zip(network.layers, nonzero_of_chip(bench.net))
    }
    dram = dict(
        zip((layer.name for layer in network.layers), CHIP.get(bench.net, (0, 0, None))[2] or ())
    )
    rows = []
    for row, e in zip(bench.rows, bench.energies, strict=True):
        layer, nonzero = chip[row["name"]]
        rows.append(
            [
                row["name"],
                str(bench.batch),
                str(ENTRY_BITS),
                *_figures(row, [e], bench.config.multipliers),
                f"{layer.chip_ms * bench.batch / network.batch:,.1f}" if layer.chip_ms else "-",
                f"{dram[layer.name] * 1e6 / 2 / nonzero:.4f}" if layer.name in dram else "-",
            ]
        )
    scaled = (
        ""
        if bench.batch == network.batch
        else f"; the chip's time is for a batch of {network.batch}, scaled"
    )
    head = [
        "layer",
        "batch",
        "bits",
        *FIGURES,
        "chip's run time, ms",
        "chip's DRAM accesses a non-zero MAC (calc)",
    ]
    return Section(
        f"{bench.title}, by layer",
        [Table(head, rows)],
        [f"Command: `{bench.about['command']}`{scaled}"],
        [f"{bench.file.removesuffix('.json')}.svg"],
    )


def _rows(paths: list[Path], target: str, row: Callable[[str, dict], Row]) -> list[Row]:
    """A row of each file by `row`, from its name and its content. Raises ReportError."""
    out = []
    for path in paths:
        try:
            out.append(row(path.stem, read(path)))
        except (KeyError, TypeError, IndexError, ZeroDivisionError) as e:
            raise ReportError(
                f"{path}: no result of make {target}: {type(e).__name__} {e}"
            ) from None
    return out


def networks(folder: Path) -> Section:
    """Whole networks on labelled images."""

    def row(name, run):
        config, batch = Config.of_result(run["config"]), run["batch"]
        # Rows are means of a batch.
        cycles, macs, dram = (
            sum(layer[key] or 0 for layer in run["layers"]) / batch
            for key in ("cycles", "macs", "dram_bytes")
        )
        accuracy = run["accuracy"].get("rtl")
        return [
            name.removeprefix("run-"),
            config.name,
            str(config.pes),
            str(batch),
            str(run["images"]),
            f"{100 * accuracy:.2f}" if accuracy is not None else "-",
            f"{macs / 1e6:.3f}",
            f"{milliseconds(cycles):.3f}",
            f"{100 * macs / cycles / config.multipliers:.1f}",
            f"{dram / 2 / macs:.4f}",
            str(run["mismatches"]),
        ]

    rows = _rows(sorted(folder.glob("run-*.json")), "run on the RTL", row)
    if not rows:
        return Section(
            "Whole networks on the RTL",
            notes=["no results: `make run JSON=docs/results/run-NAME.json`"],
        )
    head = [
        "network",
        "preset",
        "PEs",
        "batch",
        "images tested",
        "accuracy, %",
        "MACs an image, M",
        f"ms an image at {CHIP_MHZ} MHz",
        "utilisation, %",
        "DRAM accesses a MAC",
        "elements unlike golden",
    ]
    return Section(
        "Whole networks on the RTL",
        [Table(head, rows)],
        [
            "Accuracy is that of the images tested here; docs/results/README.md has all held-out "
            "ones. DRAM accesses are "
            "of 16 bits."
        ],
    )


def sparse(folder: Path) -> Section:
    """EIE's layers at queue depth 8, rows balanced."""

    def layers(name, result):
        return [
            [
                layer["name"],
                f"{layer['nonzero_macs']:,}",
                f"{layer['cycles']:,}",
                f"{layer['cycles'] / EIE_MHZ:.1f}",
                f"{100 * layer['efficiency']:.1f}",
                f"{100 * layer['published']:.1f}" if layer["published"] else "-",
            ]
            for layer in result["layers"]
            if (layer["queue_depth"], layer["placement"]) == (8, "balanced")
        ]

    title = "Compressed fully connected layers, 64 sparse PEs"
    found = _rows(sorted(folder.glob("eie64.json")), "bench-fc", layers)
    if not found:
        return Section(title, notes=["no results: `make bench-fc`"])
    head = [
        "layer",
        "non-zero MACs",
        "cycles",
        f"us at {EIE_MHZ} MHz (EIE's clock, assumed)",
        "useful MACs, % of 64 a cycle",
        "EIE, theory/actual, %",
    ]
    return Section(
        title,
        [Table(head, found[0])],
        ["Weights on chip, batch of 1; matrices are synthetic, with EIE's sizes and densities."],
        ["eie64.svg"],
    )


def fpga(folder: Path) -> Section:
    """The FPGA table: a row a board's build."""

    def row(name, b):
        def used(kind):
            return f"{b[kind][0]:,} of {b[kind][1]:,}"

        slow = " (too slow)" if b["fmax_mhz"] < b["clock_mhz"] else ""
        sustained, dsps = b["sustained_gmacs"], b["dsp"][0]
        return [
            b["board"],
            b["device"],
            b["preset"],
            str(b["pes"]),
            str(b["pes"] * b["config"]["simd"]),
            *map(used, ("dsp", "bram", "lut", "ff")),
            f"{b['clock_mhz']:g}",
            f"{b['fmax_mhz']:g}{slow}",
            f"{b['peak_gmacs']:g}",
            f"{sustained:g}" if sustained else NOT_MEASURED,
            f"{1000 * b['peak_gmacs'] / dsps:.1f}" if dsps else "-",
            f"{1e6 * b['peak_gmacs'] / b['lut'][0]:.1f}",
        ]

    rows = _rows(sorted((folder / "fpga").glob("*.json")), "fpga", row)
    if not rows:
        return Section(
            "Designs on an FPGA",
            notes=[
                f"{NOT_MEASURED}: no board's build has been recorded; `make fpga BOARD=...` "
                "records "
                "one"
            ],
        )
    head = [
        "board",
        "device",
        "preset",
        "PEs",
        "MACs a cycle",
        "DSP",
        "BRAM",
        "LUT",
        "FF",
        "clock, MHz",
        "fmax, MHz",
        "peak, GMAC/s",
        "sustained, GMAC/s",
        "density, peak MMAC/s a DSP",
        "density, peak MMAC/s a kLUT",
    ]
    return Section(
        "Designs on an FPGA",
        [Table(head, rows)],
        [
            "Resources and fmax after routing; sustained: on the simulated board, at the board's "
            "clock (docs/fpga.md)."
        ],
    )


def studies(folder: Path) -> Section:
    plots = [
        path.name
        for pattern in ("dataflows-*.svg", "scale-*.svg", "explore-*.svg", "precision-*.svg")
        for path in sorted(folder.glob(pattern))
    ]
    notes = ["Described in docs/energy.md and docs/study.md."] if plots else ["none"]
    return Section("Models and studies", notes=notes, plots=plots)


def sections(
    folder: Path, costs: Costs, progress: Callable[[str], None] = lambda text: None
) -> list[Section]:
    """Everything of a results' folder. Raises ReportError, EnergyError."""
    if not folder.is_dir():
        raise ReportError(f"{folder}: no such folder")
    if costs.unit != "pJ":
        raise ReportError(f"costs {costs.name!r}: energies in {costs.unit}: a report needs pJ")
    progress("convolutions")
    out = asic(benches(folder, costs), gate_counts(folder))
    progress("networks, sparse layers, boards")
    out += [networks(folder), sparse(folder), fpga(folder), studies(folder)]
    for section in out:
        section.plots = [plot for plot in section.plots if (folder / plot).exists()]
    return out


INTRODUCTION = (
    "Made by `make report` of the results in this folder. Columns and rows follow the tables that "
    "Sze, "
    'Chen, Yang and Emer ("Efficient Processing of Deep Neural Networks", Proc. '
    "IEEE 2017, section VIII) "
    "ask of a design. Energies and powers are estimates by the cost table {costs}; "
    "(calc) is arithmetic on "
    "published figures."
)


def markdown(found: list[Section], costs: str) -> str:
    lines = ["# Benchmark report", "", INTRODUCTION.format(costs=f"`{costs}`"), ""]
    for section in found:
        lines += [f"## {section.title}", ""]
        for table in section.tables:
            lines += [
                f"| {' | '.join(row)} |"
                for row in (table.head, ["---"] * len(table.head), *table.rows)
            ] + [""]
        lines += [line for note in section.notes for line in (note, "")]
        lines += [line for plot in section.plots for line in (f"![{Path(plot).stem}]({plot})", "")]
    return "\n".join(lines).rstrip() + "\n"


STYLE = """
body { font: 15px/1.5 sans-serif; color: #222; max-width: 76rem; margin: 2rem auto;
       padding: 0 1rem }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.4rem; border-bottom: 1px solid #ccc }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e4e4e4;
         vertical-align: bottom }
th:first-child, td:first-child { text-align: left } thead th { border-bottom: 2px solid #888 }
figure { margin: 1.2rem 0 } figure svg { max-width: 100%; height: auto }
figcaption { color: #666; font-size: 13px }
p { max-width: 52rem } nav a { margin-right: 1rem }
"""


def inline_svg(text: str, prefix: str) -> str:
    """An SVG file as an element of a page: without prologue and metadata, its ids with a prefix
    of their own."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)


def _prose(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))


def _row(tag: str, texts: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(text)}</{tag}>' for text in texts)}</tr>"


def page(found: list[Section], costs: str, folder: Path) -> str:
    """The page, which refers to nothing outside itself."""
    out = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8"><title>Eyrie: benchmark report</title>',
        f"<style>{STYLE}</style></head>",
        "<body>",
        "<h1>Benchmark report</h1>",
        f"<p>{_prose(INTRODUCTION.format(costs=f'`{costs}`'))}</p>",
        "<nav>",
        *(f'<a href="#s{n}">{html.escape(s.title)}</a>' for n, s in enumerate(found)),
        "</nav>",
    ]
    for n, section in enumerate(found):
        out.append(f'<h2 id="s{n}">{html.escape(section.title)}</h2>')
        for table in section.tables:
            out += [
                '<div class="wide"><table>',
                f"<thead>{_row('th', table.head)}</thead><tbody>",
                *(_row("td", row) for row in table.rows),
                "</tbody></table></div>",
            ]
        out += [f"<p>{_prose(note)}</p>" for note in section.notes]
        out += [
            f"<figure>{inline_svg((folder / plot).read_text(), f's{n}p{k}')}"
            f"<figcaption>{html.escape(Path(plot).stem)}</figcaption></figure>"
            for k, plot in enumerate(section.plots)
        ]
    return "\n".join([*out, "</body>", "</html>"]) + "\n"
