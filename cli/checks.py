"""What is looked at before a command begins, so that what is wrong is said at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

# Options that name what a command reads, in the order in which it is read.
FILES = ("model", "net", "config", "costs", "images", "labels", "calib")
OTHER_FILES = ("matrix", "activations", "codebook", "layers", "run", "folder", "results")
NAMED = {
    "net": ".onnx",
    "config": ".json",
    "costs": ".json",
}  # a file with this suffix, else a name
WRITTEN = ("json", "plot", "out", "page")
PLOTS = (".svg", ".png", ".pdf")


def check(args: argparse.Namespace) -> None:
    """Options that contradict each other, then files that are not there, then places where no
    result can be written. Raises ValueError and OSError, one line."""
    if args.check is not None:
        args.check(args)
    for path in _read(args):
        if not Path(path).exists():
            raise ValueError(f"{path}: no such {'folder' if path == _folder(args) else 'file'}")
    _check_written(args)


def _read(args: argparse.Namespace) -> Iterator[str]:
    """Paths that are read. Raises ValueError for a configuration whose name nobody knows."""
    for option in (*FILES, *OTHER_FILES):
        value = getattr(args, option, None)
        if not isinstance(value, str):
            continue
        if not value:
            raise ValueError(f"--{option}: no name is given")
        if value.endswith(NAMED.get(option, "")):
            yield value
        elif option == "config":
            from hdl.config import Config

            Config.load(value)


def _folder(args: argparse.Namespace) -> str | None:
    return getattr(args, "folder", None) or getattr(args, "results", None)


def _check_written(args: argparse.Namespace) -> None:
    for option in WRITTEN:
        if path := getattr(args, option, None):
            if Path(path).is_dir() and args.command != "fpga":  # which takes a folder
                raise OSError(f"{path}: is a folder, --{option} names a file")
            if option == "plot" and Path(path).suffix not in PLOTS:
                raise ValueError(f"{path}: a plot is {', '.join(PLOTS)}")
            folder = next(p for p in Path(path).absolute().parents if p.exists())
            if not folder.is_dir() or not os.access(folder, os.W_OK):
                raise OSError(f"{path}: {folder} is no folder that can be written to")
