"""Cost tables: the energy of a MAC and of an access at each level, from JSON files.

A file has `unit`, `source`, `mac` (energy by the bits of both operands), and `spad`, `network`,
`glb`, `dram`: energy of an access of 16 bits to a spad, over a link between PEs or from the buffer
to PEs, to the global buffer, to DRAM. Presets lie beside this module; any other file is named by
its path, ending in .json.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LEVELS = ("spad", "network", "glb", "dram")


class CostsError(ValueError):
    """A cost table that cannot be used; one line with the file and the field."""


@dataclass(frozen=True)
class Costs:
    """Energies in `unit`. macs: by bits."""

    name: str
    unit: str
    source: str
    macs: dict[int, float]
    spad: float
    network: float
    glb: float
    dram: float

    def mac(self, first: int = 16, second: int | None = None) -> float:
        """Of operands of these widths, the second by default as the first: a power of their
        geometric mean, through the widths given around it; with the square, as a multiplier's area,
        where there is one width only."""
        bits = math.sqrt(first * (first if second is None else second))
        known = sorted(self.macs)
        if len(known) == 1:
            return self.macs[known[0]] * (bits / known[0]) ** 2
        at = min(max(1, sum(bits > b for b in known)), len(known) - 1)
        (low, high) = known[at - 1 : at + 1]
        power = math.log(self.macs[high] / self.macs[low]) / math.log(high / low)
        return self.macs[low] * (bits / low) ** power

    @classmethod
    def load(cls, name: str) -> Costs:
        """A preset, or a file. Raises CostsError."""
        path = Path(name) if name.endswith(".json") else FOLDER / f"{name}.json"
        if not name.endswith(".json") and not path.exists():
            raise CostsError(
                f"costs {name!r}: choose from {', '.join(presets())}, or give a .json file"
            )
        try:
            table = json.loads(path.read_text())
        except json.JSONDecodeError as e:
            raise CostsError(f"{name}: line {e.lineno}: {e.msg}") from None
        wanted = ("unit", "source", "mac", *LEVELS)
        if not isinstance(table, dict):
            raise CostsError(f"{name}: expected an object with {', '.join(wanted)}")
        for key in table:
            if key not in wanted:
                raise CostsError(f"{name}: unknown key {key!r}")
        for key in wanted:
            if key not in table:
                raise CostsError(f"{name}: {key} is missing")
        for key in ("unit", "source"):
            if not isinstance(table[key], str):
                raise CostsError(f"{name}: {key} = {table[key]!r}: must be text")

        def energy(key, value, zero):
            good = (
                isinstance(value, (int, float))
                and not isinstance(value, bool)
                and math.isfinite(value)
            )
            if not good or value < 0 or (value == 0 and not zero):
                raise CostsError(
                    f"{name}: {key} = {value!r}: must be a number "
                    f"{'of 0 or more' if zero else 'above 0'}"
                )
            return float(value)

        if not isinstance(table["mac"], dict) or not table["mac"]:
            raise CostsError(
                f'{name}: mac = {table["mac"]!r}: must give energies by bits, as {{"16": 1.0}}'
            )
        macs = {}
        for bits, value in table["mac"].items():
            if not bits.isdigit() or not 1 <= int(bits) <= 64:
                raise CostsError(f"{name}: mac: {bits!r} is no width of 1..64 bits")
            macs[int(bits)] = energy(f"mac[{bits}]", value, False)
        return cls(
            path.stem,
            table["unit"],
            table["source"],
            macs,
            *(energy(level, table[level], True) for level in LEVELS),
        )


def presets() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))
