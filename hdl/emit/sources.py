"""What a result depends on: a digest of modules and of all of ours that they import, for the
keys of what is kept."""

from __future__ import annotations

import ast
import functools
import hashlib
import threading
from pathlib import Path

_ONE = threading.Lock()  # ast.parse fails in several threads at once (CPython 3.11)
PACKAGES = ("hdl", "golden", "compiler", "sim", "fpga")
ROOT = Path(__file__).resolve().parents[2]


def _file(name: str, root: Path) -> Path | None:
    """The file of a module or package; None if there is none of that name."""
    place = root.joinpath(*name.split("."))
    return next(
        (path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None
    )


def _imports(path: Path, root: Path) -> set[str]:
    """Modules of ours that a file imports anywhere, in functions too."""
    package = path.relative_to(root).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            # A name is a module of the package, or something in it.
            found.update(
                name if _file(name := f"{base}.{alias.name}", root) else base
                for alias in node.names
            )
    return {name for name in found if name.partition(".")[0] in PACKAGES}


def closure(names: tuple[str, ...], root: Path) -> list[Path]:
    """Files of these modules, of all that they import and of the packages that these are in,
    sorted. Raises ValueError for a module that is not there."""
    done, todo = {}, list(names)
    while todo:
        name = todo.pop()
        if name in done:
            continue
        if (path := _file(name, root)) is None:
            raise ValueError(f"no module {name}")
        done[name] = path
        todo += _imports(path, root)
        if "." in name:
            todo.append(name.rpartition(".")[0])
    return sorted(set(done.values()))


@functools.cache
def fingerprint(*names: str, root: Path = ROOT) -> str:
    """Changes when the text of one of these modules (as "compiler.mapping.search") does, or of one
    that it depends on; with no other."""
    digest = hashlib.sha256()
    with _ONE:
        files = closure(names, root)
    for path in files:
        digest.update(
            f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest()
        )
    return digest.hexdigest()
