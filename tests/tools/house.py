"""How readable the source is: what `make count` counts, by file, by folder and for the whole.

    python -m tests.tools.house [--json FILE] [--against FILE] [--files]

The folders of TOP are walked, so files may move within them. Of each .py file:

    lines, blank    a line of blanks only is blank, in a docstring too
    long lines      over COLUMNS characters
    functions       lines from `def` to the last, nested functions and docstrings included; those
                    over LONG lines are listed
    assignments     calls of `.eq` in each `elaborate`, nested functions included, other methods not
    elaborate       its lines, and those of them that are blank
    tests           of the configuration in hdl/ (tests/tools/choices.py); `registered`: those that
                    name it; `passed`: flags handed to a helper or another component; `places`:
                    tests that Python makes of a loop's place or a constant, not among the tests

Of the imports, those in functions and under TYPE_CHECKING too: circles between modules and between
folders, imports against the order of ORDER and of tests/test_layering.py. Of the formats, by
importing them: semaphores, bits of commands, bytes of the presets of CHIP_PRESETS that are free.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from compiler.tables import new_table
from tests.test_layering import ALLOWED
from tests.tools import choices

ROOT = Path(__file__).resolve().parents[2]
TOP = ("hdl", "compiler", "golden", "sim", "fpga", "cli", "tests")
COLUMNS = 100  # of a line
LONG = 80  # lines of a function
CROWDED = 15  # files of a folder
WORST = 10  # offenders that are printed
TOTALS = (
    "tests",
    "registered",
    "passed",
    "places",
    "long_lines",
    "blank",
    "elaborate_lines",
    "elaborate_blank",
)  # figures of a file that are added up
CHIP_PRESETS = ("eyeriss",)  # held against the chip's storage

# The order within a folder, lowest rank first. A module may import from lower ranks and from its
# own folder, not from higher ranks nor from another folder of its rank. What has no rank is free.
ORDER: dict[str, tuple[tuple[str, ...], ...]] = {
    "hdl": (
        ("hdl.config", "hdl.isa", "hdl.timing"),
        ("hdl.lib",),
        ("hdl.array", "hdl.buffer"),
        ("hdl.sequencers", "hdl.memory", "hdl.sparse"),
        ("hdl.control",),
        ("hdl.command_unit",),
        ("hdl.core", "hdl.edge"),
        ("hdl.top",),
        ("hdl.emit",),
    ),
    "compiler": (
        ("compiler.numbers", "compiler.tables", "compiler.progress", "compiler.drawing"),
        ("compiler.graph",),
        ("compiler.frontend", "compiler.networks"),
        ("compiler.mapping", "compiler.quantise"),
        ("compiler.sparse",),
        ("compiler.lowering",),
        ("compiler.model",),
        ("compiler.runtime",),
        ("compiler.export",),
        ("compiler.studies",),
    ),
}

Graph = dict[str, set[str]]


# ---- files ----------------------------------------------------------------------------------
def sources(root: Path = ROOT) -> dict[str, str]:
    """Text of every .py file below TOP by its path from `root`, sorted."""
    paths = [path for top in TOP for path in (root / top).rglob("*.py")]
    paths += [path for top in TOP if (path := root / f"{top}.py").is_file()]
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in sorted(paths)
        if not _hidden(path.relative_to(root))
    }


def _hidden(place: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in place.parts)


def folders(root: Path = ROOT) -> dict[str, int]:
    """Files of any kind in each folder below TOP, not in those below it."""
    count: Counter[str] = Counter()
    for top in TOP:
        for path in (root / top).rglob("*"):
            place = path.relative_to(root)
            if path.is_file() and not _hidden(place):
                count[place.parent.as_posix()] += 1
    return dict(sorted(count.items()))


def module_of(path: str) -> str:
    """The module of a file: hdl.lib.fifo of "hdl/lib/fifo.py", hdl.lib of "hdl/lib/__init__.py"."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def top_of(path: str) -> str:
    return path.partition("/")[0].removesuffix(".py")


# ---- one file -------------------------------------------------------------------------------
def functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, int]]:
    """(dotted name, lines) of every function, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        name = within
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{within}.{node.name}".lstrip(".")
            if not isinstance(node, ast.ClassDef):
                yield name, node.end_lineno - node.lineno + 1
        yield from functions(node, name)


def elaborates(tree: ast.AST) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The `elaborate` of each class that has one, with the class's name."""
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for method in owner.body:
            if isinstance(method, ast.FunctionDef) and method.name == "elaborate":
                yield owner.name, method


def assignments(tree: ast.AST) -> dict[str, int]:
    """Calls of `.eq` in the `elaborate` of each class."""
    return {
        owner: sum(
            isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "eq"
            for node in ast.walk(method)
        )
        for owner, method in elaborates(tree)
    }


def measure(text: str) -> dict[str, Any]:
    """A file's figures without its tests of the configuration."""
    lines, tree = text.splitlines(), ast.parse(text)
    lengths = sorted(functions(tree), key=lambda item: (-item[1], item[0]))
    longest = lengths[0] if lengths else ("", 0)
    inside = [
        line for _, node in elaborates(tree) for line in lines[node.lineno - 1 : node.end_lineno]
    ]
    return {
        "lines": len(lines),
        "blank": sum(not line.strip() for line in lines),
        "long_lines": sum(len(line) > COLUMNS for line in lines),
        "longest": longest[1],
        "longest_name": longest[0],
        "long_functions": {name: length for name, length in lengths if length > LONG},
        "assignments": assignments(tree),
        "elaborate_lines": len(inside),
        "elaborate_blank": sum(not line.strip() for line in inside),
    }


def measure_all(texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Figures of every file by its path."""
    rows = {path: measure(text) for path, text in texts.items()}
    hardware = {module_of(path): text for path, text in texts.items() if top_of(path) == "hdl"}
    counted = choices.count_all(hardware)
    for path, row in rows.items():
        one = counted.get(module_of(path), choices.Choices())
        row |= {
            "tests": one.tests,
            "registered": one.registered,
            "passed": one.passed,
            "places": one.places,
            "kinds": dict(sorted(one.kinds.items())),
            "units": {name: list(pair) for name, pair in sorted(one.units.items()) if pair[0]},
        }
    return rows


# ---- imports --------------------------------------------------------------------------------
def imported(module: str, text: str, known: Iterable[str], package: bool = False) -> set[str]:
    """Modules among `known` that a module imports anywhere. `package`: it is an __init__.py."""
    known, found = set(known), set()
    above = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
                found.update([name for name in names if name in known][:1])
        elif isinstance(node, ast.ImportFrom):
            start = above[: len(above) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:  # a module of the package, or something in it
                full = f"{base}.{alias.name}"
                found.add(full if full in known else base)
    return found & known


def import_graph(texts: dict[str, str]) -> Graph:
    """Modules that each module imports, from sources by path."""
    known = {module_of(path) for path in texts}
    return {
        module_of(path): imported(module_of(path), text, known, path.endswith("__init__.py"))
        for path, text in texts.items()
    }


def circles(graph: Graph) -> list[list[str]]:
    """Sets of two nodes or more that reach each other, or of one that reaches itself at once."""
    order, low, stack, found = {}, {}, [], []

    def enter(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in order:
                enter(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1 or node in graph.get(node, ()):
                found.append(sorted(part))

    for node in sorted(graph):
        if node not in order:
            enter(node)
    return sorted(found)


def folder_graph(graph: Graph, packages: Iterable[str]) -> Graph:
    """Imports between folders, where a package's __init__ lies in the package; a module right below
    one of TOP stands for itself."""
    packages, between = set(packages), defaultdict(set)

    def place(module: str) -> str:
        folder = module if module in packages else module.rpartition(".")[0]
        return module if folder in TOP or not folder else folder

    for module, others in graph.items():
        between[place(module)] |= {place(other) for other in others} - {place(module)}
    return dict(between)


def _rank(module: str, ranks: tuple[tuple[str, ...], ...]) -> tuple[int, str] | None:
    """The rank of a module and the prefix that puts it there, None without one."""
    return next(
        (
            (n, prefix)
            for n, prefixes in enumerate(ranks)
            for prefix in prefixes
            if module == prefix or module.startswith(prefix + ".")
        ),
        None,
    )


def upward(
    graph: Graph,
    order: dict[str, tuple[tuple[str, ...], ...]] = ORDER,
    allowed: dict[str, tuple[str, ...]] = ALLOWED,
) -> list[str]:
    """Imports that go up or sideways, as "module > module"."""
    found = []
    for module, others in graph.items():
        top = module.partition(".")[0]
        for other in others:
            wrong = top in allowed and _rank(other, (allowed[top],)) is None
            if top in order and other.partition(".")[0] == top:
                mine, theirs = _rank(module, order[top]), _rank(other, order[top])
                if mine and theirs and theirs[0] >= mine[0]:
                    beside = module.rpartition(".")[0] == other.rpartition(".")[0]
                    wrong |= theirs[0] > mine[0] or (theirs[1] != mine[1] and not beside)
            if wrong:
                found.append(f"{module} > {other}")
    return sorted(found)


def measure_imports(texts: dict[str, str]) -> dict[str, Any]:
    """Circles, upward imports, and how many modules of each folder with an order have no rank."""
    graph = import_graph(texts)
    packages = {module_of(path) for path in texts if path.endswith("__init__.py")}
    free = {
        top: sum(module.startswith(top + ".") and _rank(module, ranks) is None for module in graph)
        for top, ranks in ORDER.items()
    }
    return {
        "circles": circles(graph),
        "folder_circles": circles(folder_graph(graph, packages)),
        "upward": upward(graph),
        "unranked": free,
    }


# ---- formats --------------------------------------------------------------------------------
def defined(name: str, top: str, texts: dict[str, str]) -> Any:
    """The value of a module's name, wherever below `top` it is assigned or defined, or None."""
    for path in texts:
        if top_of(path) != top or name not in texts[path]:
            continue
        for node in ast.parse(texts[path]).body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            names = {getattr(target, "id", None) for target in targets}
            if name in names | {getattr(node, "name", None)}:
                return getattr(importlib.import_module(module_of(path)), name)
    return None


def free_room(texts: dict[str, str]) -> dict[str, Any]:
    """What is free in the formats: semaphores, bits of the header and of each command, storage."""
    from amaranth.hdl import Shape
    from amaranth.lib import data

    header, bodies = defined("Header", "hdl", texts), defined("BODIES", "hdl", texts)
    built = defined("SEMAPHORES", "hdl", texts)
    named = len(defined("CHANNELS", "compiler", texts))
    size = 8 * defined("COMMAND_BYTES", "hdl", texts) - Shape.cast(header).width
    widths = {name: Shape.cast(field.shape).width for name, field in data.Layout.cast(header)}
    spare = sum(width for name, width in widths.items() if name.startswith("reserved"))

    limit = defined("CHIP_STORAGE_BYTES", "hdl", texts)
    presets = defined("PRESETS", "hdl", texts) | (defined("BOARD_PRESETS", "hdl", texts) or {})
    storage = {}
    for name, config in sorted(presets.items()):
        storage[name] = {"bytes": config.storage_bytes}
        if name in CHIP_PRESETS:
            storage[name]["left"] = limit - config.storage_bytes
    return {
        "semaphores": {
            "in_masks": widths["wait"],
            "built": built,
            "named": named,
            "free": widths["wait"] - named,
        },
        "header_reserved_bits": spare,
        "command_free_bits": {
            opcode.name: size - Shape.cast(body).width for opcode, body in bodies.items()
        },
        "storage": storage,
    }


# ---- the whole ------------------------------------------------------------------------------
def _share(part: int, whole: int) -> float:
    return round(100 * part / max(1, whole), 1)


def summary(rows: dict[str, dict[str, Any]], places: dict[str, int]) -> dict[str, float]:
    """Figures of some files and folders together."""
    lines = sum(row["lines"] for row in rows.values())
    each = [number for row in rows.values() for number in row["assignments"].values()]
    tests = [pair[1] for row in rows.values() for pair in row["units"].values()]
    total = {key: sum(row[key] for row in rows.values()) for key in TOTALS}
    return {
        "files (.py)": len(rows),
        "lines": lines,
        "blank lines, %": _share(total["blank"], lines),
        "blank lines of elaborates, %": _share(total["elaborate_blank"], total["elaborate_lines"]),
        f"lines over {COLUMNS} columns": total["long_lines"],
        "longest function, lines": max((row["longest"] for row in rows.values()), default=0),
        f"functions over {LONG} lines": sum(len(row["long_functions"]) for row in rows.values()),
        "tests of the configuration": total["tests"],
        "of these naming `registered`": total["registered"],
        "flags passed on": total["passed"],
        "tests of a place or constant": total["places"],
        "elaborates": len(each),
        "of these with over 3 tests": sum(number > 3 for number in tests),
        "most tests of an elaborate": max(tests, default=0),
        "assignments of an elaborate, median": float(statistics.median(each)) if each else 0,
        "assignments of an elaborate, most": max(each, default=0),
        f"folders over {CROWDED} files": sum(number > CROWDED for number in places.values()),
        "most files of a folder": max(places.values(), default=0),
    }


def take_stock(root: Path = ROOT) -> dict[str, Any]:
    """Everything: "whole" (figures by top folder and for all), files, folders, imports, formats."""
    texts, places = sources(root), folders(root)
    rows = measure_all(texts)

    def of(top: str, figures: dict[str, Any]) -> dict[str, Any]:
        return {path: figure for path, figure in figures.items() if top_of(path) == top}

    whole = {top: summary(of(top, rows), of(top, places)) for top in TOP}
    whole["all"] = summary(rows, places)
    imports, formats = measure_imports(texts), free_room(texts)
    whole["all"] |= {
        "circles of modules": len(imports["circles"]),
        "circles of folders": len(imports["folder_circles"]),
        "upward imports": len(imports["upward"]),
        "free semaphores": formats["semaphores"]["free"],
        "free bits of the fullest command": min(formats["command_free_bits"].values()),
        "reserved bits of the header": formats["header_reserved_bits"],
    }
    for name, row in formats["storage"].items():
        if "left" in row:
            whole["all"][f"bytes left, {name}"] = row["left"]
    return {
        "whole": whole,
        "folders": places,
        "imports": imports,
        "formats": formats,
        "files": rows,
    }


def to_json(stock: dict[str, Any]) -> str:
    """Stable text: a line for every file and every group of figures, without a file's zeros."""

    def line(key: str, value: Any) -> str:
        return f"    {json.dumps(key)}: {json.dumps(value)}"

    parts = []
    for name, group in stock.items():
        if name == "files":
            group = {
                path: {key: value for key, value in row.items() if value}
                for path, row in group.items()
            }
        if name == "folders":
            parts.append(f"  {json.dumps(name)}: {json.dumps(group)}")
        else:
            body = ",\n".join(line(key, value) for key, value in group.items())
            parts.append(f"  {json.dumps(name)}: {{\n{body}\n  }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


# ---- printing -------------------------------------------------------------------------------
def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def print_whole(console: Console, stock: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Figures by top folder; with `before` those of the whole then and now, and each change."""
    whole, extra = stock["whole"], ("before", "after") if before else ()
    old = before["whole"] if before else {}
    table = new_table("the whole", ("figure",), "figure", *TOP, "all", *extra)
    for figure in whole["all"]:
        cells = [_shown(whole[top].get(figure)) for top in (*TOP, "all")]
        if before:
            cells += [_shown(old["all"].get(figure)), _shown(whole["all"][figure])]
        table.add_row(figure, *cells)
    console.print(table)
    if not before:
        return
    table = new_table("changed", ("folder", "figure"), "folder", "figure", "before", "after")
    for top in TOP:
        for figure, value in whole[top].items():
            if (then := old.get(top, {}).get(figure)) != value:
                table.add_row(top, figure, _shown(then), _shown(value))
    console.print(table)


def print_worst(console: Console, stock: dict[str, Any]) -> None:
    """The worst of each kind."""
    rows = stock["files"]
    units = [
        (pair[1], pair[0], path, name)
        for path, row in rows.items()
        for name, pair in row["units"].items()
    ]
    table = new_table(
        "most tests of the configuration",
        ("file", "class"),
        "file",
        "class",
        "elaborate",
        "class in all",
    )
    for inside, total, path, name in sorted(units, key=lambda u: (-u[0], -u[1], *u[2:]))[:WORST]:
        table.add_row(path, name or "(module)", _shown(inside), _shown(total))
    console.print(table)

    for title, key in (
        (f"functions over {LONG} lines", "long_functions"),
        ("assignments of an elaborate", "assignments"),
    ):
        found = [
            (number, path, name) for path, row in rows.items() for name, number in row[key].items()
        ]
        title += f" ({left} more)" if (left := len(found) - WORST) > 0 else ""
        table = new_table(title, ("file", "of"), "file", "of", "number")
        for number, path, name in sorted(found, key=lambda f: (-f[0], *f[1:]))[:WORST]:
            table.add_row(path, name, _shown(number))
        console.print(table)

    long = [(row["long_lines"], path) for path, row in rows.items() if row["long_lines"]]
    crowded = [(number, path) for path, number in stock["folders"].items() if number > CROWDED]
    for title, found in (
        (f"lines over {COLUMNS} columns", sorted(long, reverse=True)[:WORST]),
        (f"folders over {CROWDED} files", sorted(crowded, reverse=True)),
    ):
        table = new_table(title, ("in",), "in", "number")
        for number, path in found:
            table.add_row(path, _shown(number))
        console.print(table)


def print_imports(console: Console, imports: dict[str, Any]) -> None:
    """Circles and upward imports: lists that should be empty."""
    table = new_table("imports", ("kind", "modules"), "kind", "modules")
    for kind, key in (("circle", "circles"), ("circle of folders", "folder_circles")):
        for part in imports[key]:
            table.add_row(kind, " ".join(part))
    for pair in imports["upward"]:
        table.add_row("upward", pair)
    for top, number in imports["unranked"].items():
        table.add_row("modules without a rank", f"{top}: {number}")
    console.print(table)


def print_formats(console: Console, formats: dict[str, Any]) -> None:
    """What is free in the formats."""
    masks = formats["semaphores"]
    table = new_table("room of the formats", ("of",), "of", "bits free")
    table.add_row("semaphores of a mask", _shown(masks["free"]))
    table.add_row("header, reserved", _shown(formats["header_reserved_bits"]))
    for name, free in formats["command_free_bits"].items():
        table.add_row(name, _shown(free))
    console.print(table)

    table = new_table("storage", ("preset",), "preset", "bytes", "left of the chip's")
    for name, row in formats["storage"].items():
        table.add_row(name, _shown(row["bytes"]), _shown(row.get("left")))
    console.print(table)


def print_files(console: Console, rows: dict[str, dict[str, Any]]) -> None:
    """A row for every file."""
    numbers = ("lines", "blank", "long_lines", "longest", "tests", "registered", "passed", "places")
    table = new_table(
        "files", ("file", "longest_name"), "file", *numbers, "assignments", "longest_name"
    )
    for path, row in rows.items():
        table.add_row(
            path,
            *(_shown(row[key]) for key in numbers),
            _shown(sum(row["assignments"].values())),
            row["longest_name"],
        )
    console.print(table)


def main(argv: list[str] | None = None) -> int:
    """The command. Status 0; 2 if `--against` or `--json` names no file that can be used."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.house", description="Counts how readable the source is."
    )
    parser.add_argument("--json", metavar="FILE", help="write everything to this file")
    parser.add_argument("--against", metavar="FILE", help="compare with what --json wrote")
    parser.add_argument("--files", action="store_true", help="print every file")
    args = parser.parse_args(argv)

    try:
        before = json.loads(Path(args.against).read_text()) if args.against else None
        stock = take_stock()
        if args.json:
            Path(args.json).write_text(to_json(stock))
    except (OSError, ValueError) as e:
        print(f"house: error: {e}", file=sys.stderr)
        return 2

    console = Console(width=None if sys.stdout.isatty() else 200)
    print_whole(console, stock, before)
    print_worst(console, stock)
    print_imports(console, stock["imports"])
    print_formats(console, stock["formats"])
    if args.files:
        print_files(console, stock["files"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
