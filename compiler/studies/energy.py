"""Energy of layers on an Eyrie accelerator: accesses of the cost model, or of an RTL run, times a
cost table.

    energy = sum over levels and data types of (accesses, in words of 16 bits) x (energy of a word
    there) + MACs x (energy of a MAC)

Accesses are those of compiler/model/cost.py: what a compiled layer moves, with run-length coded
feature maps in DRAM, zero activations that hold the multiplier (`gate`) or that are dropped before
it (`skip`) already counted as such. A word on a network counts once, however many PEs take it; what
they store of it counts at their spads. Leakage, clock and control logic are not in any table: this
is the energy of data movement and arithmetic, an estimate for comparisons (ISCA 2016, section
VI-C).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compiler.studies.costs import LEVELS, Costs
from hdl.config import ENTRY_BITS, LANES, PSUM_LANES

Accesses = Mapping[str, Mapping[str, Mapping[str, float]]]


class EnergyError(ValueError):
    """Counts that an energy cannot be made of; one line with the file and the field."""


@dataclass(frozen=True)
class Bits:
    """Widths of operands and results. The array's are 16; for others an estimate scales accesses
    with the bits, MACs by the cost table."""

    ifmap: int = ENTRY_BITS
    filter: int = ENTRY_BITS
    ofmap: int = ENTRY_BITS

    def of(self, kind: str) -> float:
        """Part of a 16-bit word that an entry takes; psums, tables and commands keep their
        width."""
        return getattr(self, kind, ENTRY_BITS) / ENTRY_BITS


@dataclass
class LayerEnergy:
    """levels: level -> data type -> energy; mac: of the arithmetic; macs: of the layer, done: those
    that a multiplier did."""

    name: str
    macs: int
    done: int
    mac: float
    levels: dict[str, dict[str, float]]

    def level(self, name: str) -> float:
        return sum(self.levels[name].values())

    def kind(self, *names: str) -> float:
        return sum(level.get(name, 0.0) for level in self.levels.values() for name in names)

    @property
    def output(self) -> float:
        """Psums and ofmaps, with the lengths of coded strips that are written."""
        return self.kind("psum", "ofmap", "table out")

    @property
    def input(self) -> float:
        return self.kind("ifmap", "table in")

    @property
    def total(self) -> float:
        return self.mac + sum(map(self.level, LEVELS))

    def to_dict(self) -> dict:
        return {
            "name": self.name,
            "macs": self.macs,
            "macs_done": self.done,
            "total": self.total,
            "mac": self.mac,
            "levels": self.levels,
            "input": self.input,
            "output": self.output,
            "weights": self.kind("filter"),
            "commands": self.kind("command"),
        }


def words(accesses: Accesses, psum_bits: int, bits: Bits = Bits()) -> dict[str, dict[str, float]]:
    """Accesses in words of 16 bits, by level and data type; length tables apart by direction."""
    wide = psum_bits / ENTRY_BITS
    # What a count stands for (compiler/model/cost.py): DRAM bytes, 64-bit accesses of banks, words
    # of networks, entries and psums of spads.
    sizes = {"dram": 8 / ENTRY_BITS, "glb": LANES, "spad": 1}
    out: dict[str, dict[str, float]] = {level: {} for level in LEVELS}
    for level in ("dram", "glb", "spad"):
        for kind, ways in accesses[level].items():
            size = sizes[level] * (wide if (level, kind) == ("spad", "psum") else bits.of(kind))
            if kind == "table":
                out[level] |= {"table in": ways["read"] * size, "table out": ways["write"] * size}
            else:
                out[level][kind] = sum(ways.values()) * size
    network = accesses["network"]
    out["network"] = {
        kind: network[kind]["word"] * LANES * bits.of(kind) for kind in ("ifmap", "filter")
    }
    out["network"]["psum"] = (
        (network["psum"]["in"] + network["psum"]["out"]) * PSUM_LANES + network["psum"]["hand-over"]
    ) * wide
    return out


def layer_energy(
    name: str,
    macs: int,
    accesses: Accesses,
    psum_bits: int,
    costs: Costs,
    bits: Bits = Bits(),
    done: int | None = None,
) -> LayerEnergy:
    """macs: of the layer, zeros too; done: those that a multiplier did, by default as many as
    filter words were read for one."""
    done = int(accesses["spad"]["filter"]["read"]) if done is None else done
    moved = words(accesses, psum_bits, bits)
    return LayerEnergy(
        name,
        macs,
        done,
        done * costs.mac(bits.ifmap, bits.filter),
        {
            level: {kind: n * getattr(costs, level) for kind, n in kinds.items()}
            for level, kinds in moved.items()
        },
    )


def of_run(path: str | Path, costs: Costs) -> tuple[list[LayerEnergy], dict]:
    """(layers, the file's other entries) of a JSON of `make bench`. The RTL's counters say how many
    MACs, words and bytes there were, the cost model's accesses beside them of which data type:
    where the two differ, a level's data types are scaled to the counters. Spads have no counters.
    Raises EnergyError."""
    try:
        report = json.loads(Path(path).read_text())
    except json.JSONDecodeError as e:
        raise EnergyError(f"{path}: line {e.lineno}: {e.msg}") from None
    try:
        psum_bits = report["config"]["psum_bits"]
        layers = []
        for row in report["layers"]:
            accesses, counters = row["accesses"], row["counters"]
            if not counters["macs"]:
                raise EnergyError(
                    f"{path}: layer {row['name']!r}: no MACs counted: the configuration has no "
                    "counters"
                )
            network = {
                "ifmap": {"word": counters["ifmap_words"]},
                "filter": {"word": counters["filter_words"]},
                "psum": {
                    "in": counters["psum_words"],
                    "out": counters["ofmap_words"],
                    "hand-over": accesses["network"]["psum"]["hand-over"],
                },
            }
            counted = {
                "spad": accesses["spad"],
                "network": network,
                "glb": _scaled(accesses["glb"], counters["glb_reads"], counters["glb_writes"]),
                "dram": _scaled(
                    accesses["dram"], counters["dram_read_bytes"], counters["dram_write_bytes"]
                ),
            }
            layers.append(
                layer_energy(
                    row["name"],
                    row["macs"],
                    counted,
                    psum_bits,
                    costs,
                    done=counters["macs"] - counters["macs_gated"],
                )
            )
    except (KeyError, TypeError) as e:
        raise EnergyError(
            f"{path}: no JSON of make bench: {e} is missing"
            if isinstance(e, KeyError)
            else f"{path}: no JSON of make bench"
        ) from None
    return layers, {name: value for name, value in report.items() if name != "layers"}


def _scaled(
    kinds: dict[str, dict[str, int]], reads: int, writes: int
) -> dict[str, dict[str, float]]:
    """Reads and writes of the data types, that sum up to these."""
    factor = {}
    for way, counted in (("read", reads), ("write", writes)):
        modelled = sum(ways[way] for ways in kinds.values())
        factor[way] = counted / modelled if modelled else 1.0
    return {kind: {way: n * factor[way] for way, n in ways.items()} for kind, ways in kinds.items()}
