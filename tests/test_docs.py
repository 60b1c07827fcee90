"""What the documents name is there: paths, classes and functions, counters, links."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from compiler.frontend.onnx_import import _Importer
from compiler.frontend.onnx_integers import Importer
from hdl.config import PRESETS
from hdl.isa import COUNTERS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Whose paths are checked.
NAMING = [
    *filter(Path.exists, (ROOT / "README.md", ROOT / "CONTRIBUTING.md")),
    *sorted(DOCS.glob("*.md")),
]
FOLDERS = ("cli", "compiler", "docs", "fpga", "golden", "hdl", "sim", "tests")
# A place below a folder of ours, a file with a folder in front, or a Python or Markdown file alone;
# `file:name` too. Other files alone are a user's, or what a command writes.
PATH = re.compile(
    rf"((?:{'|'.join(FOLDERS)})/[\w./-]*|[\w.-]+/[\w./-]*\w\.\w+|[\w-]+\.(?:py|md))"
    r"(?::\w+)?"
)
NOT_OURS = ("build/", ".venv/")


def prose(path: Path) -> str:
    """Without fenced blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def named(path: Path) -> list[tuple[str, str]]:
    """(path, name or "") of everything in backticks that looks like a path of the repository."""
    found = (span for span in re.findall(r"`([^`\n]+)`", prose(path)) if PATH.fullmatch(span))
    return [
        (file, name)
        for file, _, name in (span.partition(":") for span in found)
        if not file.startswith(NOT_OURS)
    ]


@cache
def defined(path: Path) -> set[str]:
    """Classes and functions at the top of a module."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {node.name for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}


@pytest.mark.parametrize("document", NAMING, ids=lambda path: path.name)
def test_paths(document):
    missing = {
        file
        for file, _ in named(document)
        if not ((ROOT / file).exists() or (document.parent / file).exists())
    }
    assert not missing


def test_names_of_figures():
    places = [(file, name) for file, name in named(DOCS / "figures.md") if name]
    assert len(places) > 50
    wrong = [
        f"{file}:{name}"
        for file, name in places
        if not (ROOT / file).exists() or name not in defined(ROOT / file)
    ]
    assert not wrong


def test_counters():
    """One row a counter, in the order of the registers."""
    rows = re.findall(r"^\| `(\w+)` \| [\w -]+ \| .+ \| .+ \|$", prose(DOCS / "counters.md"), re.M)
    assert tuple(rows) == COUNTERS


def test_presets():
    """README's table says what each preset is."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+ x .+) \| [^|]+ \|$", prose(ROOT / "README.md"), re.M)
    assert {name: cells.split(" | ") for name, cells in rows} == {
        name: [
            f"{c.rows} x {c.columns}",
            f"{c.filter_spad} words",
            f"{c.ifmap_spad} words",
            f"{c.psum_spad} + {c.drain_depth}",
            f"{c.glb_bytes // 1024} KiB",
            str(c.sparse_pes or "-"),
            f"{c.storage_bytes / 1024:,.1f} KiB",
        ]
        for name, c in PRESETS.items()
    }


def test_example_of_counters():
    """The table of PE-cycles adds up."""
    text = prose(DOCS / "counters.md")
    rows = re.findall(r"^\| `(pe_\w+)` \| ([\d,]+) \| [\d.]+ \|$", text, re.M)
    counts = {name: int(count.replace(",", "")) for name, count in rows}
    assert list(counts) == [name for name in COUNTERS if name.startswith("pe_")]
    assert sum(counts.values()) == 168 * 3_733_768


def anchors(path: Path) -> set[str]:
    """Of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "document",
    [*NAMING, DOCS / "results" / "README.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_links(document):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if target.startswith(("http:", "https:")):
            continue
        file, _, anchor = target.partition("#")
        path = document.parent / file if file else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize(
    "heading, end, importer",
    [
        ("## Operators", "\nLayers of any height", _Importer),
        ("### Of a quantised network", "\n## ", Importer),
    ],
    ids=["float", "quantised"],
)
def test_operators(heading, end, importer):
    """docs/network.md lists the operators that an importer knows, and no others."""
    table = (ROOT / "docs" / "network.md").read_text().partition(heading)[2]
    cells = re.findall(r"(?m)^\| ([A-Z][^|]*) \|", table.partition(end)[0])
    listed = {name for cell in cells for name in re.findall(r"\b[A-Z]\w+", cell)} - {"Constant"}
    known = {name.removeprefix("op_") for name in dir(importer) if name.startswith("op_")}
    assert {name.lower() for name in listed} == known
