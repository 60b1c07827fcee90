"""Where the shared data (MNIST images, the MNIST model) is; tests that need it skip without it."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared(name: str) -> Path:
    """A file of the shared data folder: $EYRIE_DATA, else ../shared/data beside the repository."""
    folder = Path(os.environ.get("EYRIE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / name).exists():
        pytest.skip(f"{name} is absent: set EYRIE_DATA to the folder that holds it")
    return folder / name
