"""Accesses of a mapping at DRAM, global buffer, networks and spads, from its formula alone: no
command is made.

The same counts as compiler/model/cost.py, which are exact, in the same form; here tiles, bands and
blocks of filters at the end of a dimension count as whole ones, but for MACs, zeros lie
independently, and length tables are left out. For sweeps over many configurations; docs/study.md
compares the energies of both.
"""

from __future__ import annotations

import dataclasses

from compiler.mapping.mapping import Counts, Mapping, Shape, chunk_of, ifmap_words, traffic
from hdl.config import Config
from hdl.isa import COMMAND_BYTES, Mode


def accesses(
    shape: Shape, m: Mapping, config: Config, mode: Mode, zeros: float, groups: int = 1
) -> dict[str, dict[str, dict[str, int]]]:
    """Level -> data type -> way -> count, of all groups; DRAM in bytes, GLB in accesses of banks,
    networks in words, spads in entries. zeros: share of the ifmap's entries."""
    shape = dataclasses.replace(shape, parts=1)  # groups counts them
    s = Counts(shape, m)
    moved, passes = traffic(shape, m, s), s.tiles * s.blocks * s.accumulations
    used = 1.0 if mode is Mode.DENSE else 1 - zeros
    # What fills up the last slice of a filter and the last group of channel blocks is multiplied
    # too. Such channels are zero, and so is what lies beyond an ifmap that the filter covers.
    filled = shape.macs * s.folds * m.height * m.width / (shape.R * shape.S)
    macs = filled * s.groups * m.channel_blocks * shape.block / shape.C
    covered = (shape.R, shape.S) == (shape.H, shape.W)
    done = macs if mode is Mode.DENSE else (shape.macs if covered else filled) * used
    # With `skip` a window without entries still hands its psums on: a cycle each, in which nothing
    # is read.
    empty = macs / (m.q * m.width) * zeros ** (m.q * m.width) if mode is Mode.SKIP else 0.0
    issued = done + empty if mode is Mode.SKIP else macs
    windows = passes * s.laps * m.columns
    psums = windows * m.e * m.sets * s.lanes  # words each way
    last = psums / s.accumulations  # of them, those that become ofmaps
    ifmaps = passes * ifmap_words(shape, m, s)
    filters = passes * s.filter_unit
    taken = passes * s.laps * ((m.columns - 1) * shape.ux + m.width) * m.q * m.pes
    counts = {
        "dram": {
            "ifmap": {"read": 8 * moved["ifmap"], "write": 0},
            "filter": {"read": 8 * moved["filter"], "write": 0},
            "psum": {"read": 8 * moved["psum"], "write": 0},
            "ofmap": {"read": 0, "write": 8 * moved["ofmap"]},
            # The formula has no length tables.
            "table": {"read": 0, "write": 0},
            "command": {"read": COMMAND_BYTES * moved["commands"], "write": 0},
        },
        # A read takes a word and the one behind it.
        "glb": {
            "ifmap": {"read": 2 * ifmaps, "write": moved["ifmap units"] * s.ifmap_unit},
            "filter": {"read": 2 * filters, "write": moved["filter units"] * s.filter_unit},
            "psum": {"read": 2 * psums, "write": 2 * (psums - last) + moved["psum"]},
            "ofmap": {
                "read": 2
                * shape.N
                * shape.E
                * shape.F
                * shape.M
                / chunk_of(config, shape.out_block),
                "write": last,
            },
        },
        "network": {
            "ifmap": {"word": ifmaps},
            "filter": {"word": filters},
            "psum": {
                "in": psums,
                "out": psums,
                "hand-over": windows * m.psums * (m.pes - m.e * m.sets),
            },
        },
        "spad": {
            "ifmap": {
                "read": done if mode is Mode.SKIP else macs / config.simd,
                "write": taken * (used if mode is Mode.SKIP else 1.0),
            },
            "filter": {
                "read": done,
                "write": passes * (m.depthwise or m.p) * m.q * m.width * m.pes,
            },
            "psum": {"read": issued, "write": issued},
        },
    }
    return {
        level: {
            kind: {way: int(groups * n) for way, n in ways.items()} for kind, ways in kinds.items()
        }
        for level, kinds in counts.items()
    }
