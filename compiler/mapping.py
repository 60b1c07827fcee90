"""Mapping a convolution onto the array: Eyeriss's n, e, p, q, r, t with folds, and tiles.

A processing pass computes n*p*t*e*F psums from q*r channels (JSSC 2017, III-C). A filter
taller than a chain allows, or wider than the spads, is folded: a slice of it is one more
pass that accumulates. What does not fit the global buffer is tiled.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

from hdl.config import PSUM_LANES, Config

HAZARD = 3          # MAC slots of an entry are at least this many (hdl/pe.py)
PASS_OVERHEAD = 12  # cycles of fill and hand-over that a pass does not hide
COMMAND_BYTES = 4 * 64


class MappingError(ValueError):
    """A layer that no mapping fits, or a mapping that the hardware cannot run."""


@dataclass(frozen=True)
class Shape:
    """One group of a convolution as the mapper sees it. C, M: channels and filters of the
    group; H, W unpadded ifmap; E, F ofmap; uy, ux strides; block: q_T of the input;
    out_block: of the output; pool: (kernel, stride) rows of a pool to be fused, or None."""
    N: int
    C: int
    H: int
    W: int
    M: int
    R: int
    S: int
    E: int
    F: int
    uy: int
    ux: int
    block: int
    blocks: int      # blocks of the input that hold the group's channels, at most
    out_block: int
    pool: tuple[int, int] | None = None


@dataclass(frozen=True)
class Mapping:
    """height, width: R', S' of a slice; p, q, r, t, e as Eyeriss's; n images and `columns`
    ofmap columns a tile; filter_blocks (of p*t filters) whose psums the buffer holds at
    once; whether the whole tile of all channels, and all filters, stay in the buffer;
    copies of each buffer; ring: ofmap rows kept for a fused pool (0: none)."""
    height: int
    width: int
    p: int
    q: int
    r: int
    t: int
    e: int
    n: int
    columns: int
    filter_blocks: int
    ifmap_resident: bool
    filters_resident: bool
    ifmap_buffers: int
    filter_buffers: int
    ofmap_buffers: int
    ring: int
    cycles: int = 0        # the model's estimate for one group
    bound: str = ""        # what binds it

    def __str__(self):
        return (f"R'{self.height} S'{self.width} p{self.p} q{self.q} r{self.r} t{self.t} "
                f"e{self.e} n{self.n} F'{self.columns}")

    @property
    def pes(self) -> int:
        return self.height * self.r * self.t * self.e


def ceil(a: int, b: int) -> int:
    return -(-a // b)


def sizes(shape: Shape, m: Mapping) -> dict[str, int]:
    """Words of each region of the global buffer, and counts the emitter and model share."""
    rows = min((m.e - 1) * shape.uy + shape.R, shape.H)
    columns = min((m.columns - 1) * shape.ux + shape.S, shape.W)
    strip = ceil(columns * shape.block + 3, 4)
    words = ceil(m.p * m.q * m.width, 4)
    tags = m.height * m.r * m.t
    lanes = ceil(m.p, PSUM_LANES)
    ratio = shape.block // m.q
    channel_passes = ceil(shape.blocks, m.r) * ratio
    folds = ceil(shape.R, m.height) * ceil(shape.S, m.width)
    accumulations = channel_passes * folds
    blocks = ceil(shape.M, m.p * m.t)
    width = blocks * m.p * m.t if m.filter_blocks >= blocks else m.filter_blocks * m.p * m.t
    of_rows = m.ring or m.e * m.ofmap_buffers
    return {
        "strip": strip,
        "ifmap": m.n * rows * (shape.blocks if m.ifmap_resident else min(m.r, shape.blocks)) * strip,
        "filter": words * tags,
        "filters": words * tags * accumulations * blocks,
        "bias": 2 * lanes * m.t * blocks,
        "ring": 2 * m.n * m.columns * m.e * m.t * lanes * m.filter_blocks if accumulations > 1 else 2,
        "ofmap": ceil(m.n * of_rows * m.columns * width + shape.out_block, 4),
        "channel_passes": channel_passes, "folds": folds, "accumulations": accumulations,
        "blocks": blocks, "width": width, "words": words, "tags": tags, "lanes": lanes,
    }


def buffer_words(shape: Shape, m: Mapping) -> int:
    s = sizes(shape, m)
    filters = s["filters"] if m.filters_resident else s["filter"] * m.filter_buffers
    return s["ifmap"] * m.ifmap_buffers + filters + s["bias"] + s["ring"] + s["ofmap"] + 2


def estimate(shape: Shape, m: Mapping, config: Config) -> tuple[int, str]:
    """(cycles, what binds) of one group, from a model: passes overlap, the slowest of MACs,
    networks and DRAM sets the pace."""
    s = sizes(shape, m)
    tiles = ceil(shape.N, m.n) * ceil(shape.E, m.e) * ceil(shape.F, m.columns)
    m_blocks = ceil(s["blocks"], m.filter_blocks)
    passes = tiles * s["blocks"] * s["accumulations"]
    width = min(m.width, shape.S)
    macs = m.n * m.columns * max(m.p, HAZARD) * m.q * ceil(shape.S, ceil(shape.S, m.width))
    rows = (m.e - 1) * shape.uy + m.height
    contiguous = m.q == shape.block and shape.ux <= width
    if contiguous:
        strip = ceil(((m.columns - 1) * shape.ux + width) * m.q, 4)
    elif m.q == shape.block:
        strip = m.columns * ceil(width * m.q, 4)
    else:
        strip = ((m.columns - 1) * min(shape.ux, width) + width) * ceil(m.q, 4)
    ifmap = m.n * rows * m.r * strip
    # A PE writes one entry a cycle into its filter spad.
    filters = max(s["words"] * s["tags"], 4 * s["words"])
    psums = m.n * m.columns * m.e * m.t * s["lanes"]
    loaded = tiles * (s["ifmap"] if m.ifmap_resident else
                      s["ifmap"] * ceil(shape.blocks, m.r) * m_blocks)
    streamed = s["filters"] * (1 if m.filters_resident else tiles)
    stored = shape.N * shape.E * shape.F * shape.M // 4
    if shape.pool:
        stored //= shape.pool[1] ** 2
    dram = (8 * (loaded + streamed + stored) + passes * COMMAND_BYTES) / config.dram_bytes_per_cycle
    per_pass = {"MACs": macs, "ifmap network": ifmap, "filter network": filters,
                "psum network": psums}
    worst = max(per_pass, key=per_pass.get)
    compute = passes * (per_pass[worst] + PASS_OVERHEAD)
    fill = s["tags"] * 2 + config.pes + 2 * config.dram_latency
    # Transfers and passes overlap, but for about an eighth of the shorter of the two.
    cycles = int(max(dram, compute) + min(dram, compute) / 8 + fill)
    return cycles, "DRAM" if dram > compute else worst


def _splits(n: int, limit: int, most: int = 6) -> list[int]:
    """Slice sizes ceil(n / k) that fit `limit`, largest first."""
    out = []
    for k in range(1, n + 1):
        size = ceil(n, k)
        if size <= limit and size not in out:
            out.append(size)
            if len(out) == most:
                break
    return out


def _fit(shape: Shape, m: Mapping, config: Config):
    """The mapping with tiles and buffers that fit the global buffer, best first guess."""
    blocks = ceil(shape.M, m.p * m.t)
    words = config.glb_words
    step = 1  # filter blocks that end on a block of the output
    while step < blocks and step * m.p * m.t % shape.out_block:
        step += 1
    for n in sorted({min(shape.N, k) for k in (shape.N, 2, 1)}, reverse=True):
        columns = shape.F
        while True:
            for fbs in sorted({blocks, *(k for k in (step * ceil(blocks, step * d)
                                         for d in (2, 4, 8, 16, 64)) if k < blocks), step}, reverse=True):
                for resident, copies, f_copies, o_copies in (
                        (True, 2, 2, 2), (True, 1, 2, 2), (False, 2, 2, 2), (False, 2, 2, 1),
                        (True, 1, 1, 1), (False, 1, 1, 1)):
                    if shape.pool:
                        if columns != shape.F or fbs != blocks:
                            continue
                        kernel, stride = shape.pool
                        ring = min(shape.E, m.e * o_copies + kernel)
                        ring = max(ring, min(shape.E, m.e + max(kernel, stride)))
                        # e rows are written at a time, from anywhere
                        ring = max(ring, m.e)
                    else:
                        ring = 0
                    trial = Mapping(m.height, m.width, m.p, m.q, m.r, m.t, m.e, n, columns, fbs,
                                    resident, False, copies, f_copies, o_copies, ring)
                    if buffer_words(shape, trial) <= words:

                        kept = dataclasses.replace(trial, filters_resident=True)
                        tiles = ceil(shape.N, n) * ceil(shape.E, m.e) * ceil(shape.F, columns)
                        if tiles > 1 and buffer_words(shape, kept) <= words:
                            return kept
                        return trial
            if columns == 1 or shape.pool:
                break
            columns = ceil(columns, 2)
    return None


@functools.lru_cache(maxsize=4096)
def search(shape: Shape, config: Config) -> Mapping | None:
    """The mapping with the fewest estimated cycles, None if nothing fits (a fused pool that
    the buffer cannot hold; without one there is always a mapping on the presets)."""
    best, best_cycles = None, None
    half, spad = config.filter_half, config.ifmap_spad
    p_most = min(config.psum_spad, shape.M)
    ps = sorted({p for p in (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, p_most) if p <= p_most}
                | {ceil(shape.M, k) for k in range(1, 65) if ceil(shape.M, k) <= p_most and (
                    ceil(shape.M, k) % 4 == 0)}, reverse=True)
    total = shape.N * shape.E * shape.F * shape.M * shape.R * shape.S * shape.block * shape.blocks
    for height in _splits(shape.R, config.pes, 3):
        chains = config.pes // height
        for width in _splits(shape.S, spad, 4):
            for q in (q for q in range(shape.block, 0, -1) if shape.block % q == 0):
                if q * width > spad:
                    continue
                for p in ps:
                    if p * q * width > half:
                        continue
                    # MAC cycles if every chain worked all the time: no mapping beats it
                    floor = total * max(p, HAZARD) / p / (chains * height)
                    if best is not None and floor >= best_cycles:
                        continue
                    for e in _splits(shape.E, chains, 12):
                        for r in _splits(shape.blocks, chains // e, 8):
                            most = chains // (e * r)
                            for t in {min(most, ceil(shape.M, p)),
                                      ceil(ceil(shape.M, p), ceil(ceil(shape.M, p), most))}:
                                trial = Mapping(height, width, p, q, r, t, e, 1, shape.F, 1,
                                                False, False, 1, 1, 1, 0)
                                rounds = (ceil(shape.M, p * t) * ceil(shape.E, e) * shape.N
                                          * ceil(shape.blocks, r) * (shape.block // q)
                                          * ceil(shape.R, height) * ceil(shape.S, width))
                                if best is not None and rounds * shape.F * max(p, HAZARD) * q * \
                                        ceil(shape.S, ceil(shape.S, width)) >= best_cycles:
                                    continue
                                fitted = _fit(shape, trial, config)
                                if fitted is None:
                                    continue
                                cycles, bound = estimate(shape, fitted, config)
                                if best is None or cycles < best_cycles:
                                    best, best_cycles, best_bound = fitted, cycles, bound
    if best is None:
        return None

    return dataclasses.replace(best, cycles=best_cycles, bound=best_bound)
