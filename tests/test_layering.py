"""The direction of imports, and what may not be in a tracked file."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hdl", "golden", "compiler", "sim", "fpga", "cli")
# What a package may import of ours; a dotted name is that module only.
ALLOWED = {
    "hdl": ("hdl",),
    "golden": ("golden",),
    "compiler": (
        "compiler",
        "golden",
        "hdl.config",
        "hdl.isa",
        "hdl.timing",
        "hdl.emit.files",
        "hdl.emit.sources",
    ),
    "sim": ("sim", "compiler", "golden", "hdl"),
    "fpga": ("fpga", "sim", "compiler", "golden", "hdl"),
    "cli": PACKAGES,
}


def imports(path: Path):
    """Full names of our modules that a file imports."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            names = [".".join([*base, a.name]) for a in node.names]
        else:
            continue
        yield from (n for n in names if n.split(".")[0] in PACKAGES)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        for name in imports(path):
            assert any(name == a or name.startswith(a + ".") for a in ALLOWED[package]), (
                f"{path.relative_to(ROOT)} imports {name}"
            )


def test_host_needs_no_gateware():
    """The host's side of a board imports what describes the accelerator, and nothing that builds
    it."""
    allowed = (
        "fpga.host",
        "fpga.serial.protocol",
        "compiler.runtime.device",
        "hdl.config",
        "hdl.isa",
    )
    for path in (
        ROOT / "fpga" / "serial" / "protocol.py",
        *sorted((ROOT / "fpga" / "host").rglob("*.py")),
    ):
        for name in imports(path):
            assert any(name == a or name.startswith(a + ".") for a in allowed), (
                f"{path.relative_to(ROOT)} imports {name}"
            )


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if out.returncode:
        pytest.skip("not a git checkout")
    return [
        ROOT / name for name in out.stdout.decode().split("\0") if name and (ROOT / name).is_file()
    ]


def test_no_machine_paths():
    """No file names a folder of the machine it was written on."""
    words = [
        str(ROOT).encode(),
        str(Path.home()).encode() + b"/",
        b"/" + b"home/",
        b"site-" + b"packages/",
    ]
    words += [str(p).encode() + b"/" for p in list(ROOT.parents)[:-1]]
    for path in tracked():
        raw = path.read_bytes()
        for word in words:
            assert word not in raw, f"{path.relative_to(ROOT)} holds {word.decode()}"


def test_no_work_left_over():
    for path in tracked():
        if path.suffix in (".py", ".cpp", ".h", ".sv", ".md", ".toml"):
            for word in ("TO" + "DO", "FIX" + "ME"):
                assert word not in path.read_text(), f"{path.relative_to(ROOT)} holds {word}"
