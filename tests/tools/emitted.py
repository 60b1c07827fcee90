"""Digests of what the generator emits: shows that a change of the source changes nothing of it.

    python -m tests.tools.emitted --json FILE     before the change
    python -m tests.tools.emitted --against FILE  after it; exit status 1 names what differs

Of every preset the Verilog and its sidecar; of NETWORKS the compiled folders (memory image with the
program, address map, C header and driver).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import cli
from hdl.config import BOARD_PRESETS, PRESETS

MODELS = "compiler/models"
CALIBRATION = f"{MODELS}/digits_calibration.npz"
# (model, preset, other options)
NETWORKS = (
    (f"{MODELS}/lenet5.onnx", "demo", ()),
    (f"{MODELS}/lenet5.onnx", "tiny", ("--batch", "3")),
    (f"{MODELS}/lenet5.onnx", "eyeriss", ()),
    (f"{MODELS}/lenet5.onnx", "ecp5-85-128", ()),
    (f"{MODELS}/lenet5_pruned.onnx", "demo", ()),
    (f"{MODELS}/lenet5_pruned.onnx", "demo", ("--huffman",)),
    (f"{MODELS}/lenet5_pruned.onnx", "ecp5-25", ("--sparse", "fc1=off")),
)


def run(*arguments: str) -> None:
    """A command of the tool. Raises RuntimeError if it fails."""
    if status := cli.main(list(arguments)):
        raise RuntimeError(f"eyrie {' '.join(arguments)}: exit status {status}")


def digests(work: Path) -> dict[str, str]:
    """SHA-256 of every file, by what it is of and its name."""
    for name in sorted(PRESETS | BOARD_PRESETS):
        run("verilog", "--config", name, "--output", str(work / name))
    for model, preset, options in NETWORKS:
        name = "-".join([Path(model).stem, preset, *(o.strip("-") for o in options)])
        run(
            "compile",
            model,
            "--config",
            preset,
            "--calib",
            CALIBRATION,
            *options,
            "-o",
            str(work / name),
        )
    return {
        path.relative_to(work).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(work.rglob("*"))
        if path.is_file()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the digests there")
    parser.add_argument("--against", metavar="FILE", help="compare with digests that were written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = digests(Path(folder))
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")
    if not options.against:
        print(f"{len(found)} files")
        return 0
    before = json.loads(Path(options.against).read_text())
    differ = sorted(name for name in found.keys() | before if found.get(name) != before.get(name))
    for name in differ:
        print(f"differs: {name}")
    print(f"{len(found)} files, {len(differ)} differ from {options.against}")
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main())
