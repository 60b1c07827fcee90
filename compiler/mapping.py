"""Mapping a convolution onto the array: Eyeriss's m, n, e, p, q, r, t with folds, and tiles.

A processing pass computes n*p*t*e*F psums from q*r channels (JSSC 2017, III-C), here for
several bands of e ofmap rows one after the other, so that its filters are sent once. A filter
taller than a chain allows, or wider than the spads, is folded: a slice of it is one more
pass that accumulates. What does not fit the global buffer is tiled.

    for chunk of filters:                  kept in the buffer, if filters are resident
      for tile of images, rows, columns:   its ifmaps kept, if they are resident
        for m filters:                     whose psums the buffer holds
          for q*r channels, fold:
            for p*t filters:               a pass: n images, `bands` bands
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

from hdl.config import HAZARD, PSUM_LANES, Config

PASS_OVERHEAD = 12  # cycles of fill and hand-over that a pass does not hide
COMMAND_BYTES = 64
PATIENCE = 30, 400  # uses of the array tried without a better one: least, most


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

    @property
    def macs(self) -> int:
        return self.N * self.E * self.F * self.M * self.C * self.R * self.S


@dataclass(frozen=True)
class Mapping:
    """height, width: R', S' of a slice; p, q, r, t, e as Eyeriss's. A tile has n images, `bands`
    bands and `columns` ofmap columns. filter_blocks: blocks of p*t filters whose psums the
    buffer holds at once (m = p*t*filter_blocks); chunk: blocks whose filters stay there, or all
    if they stream. ifmap_images: images of a unit that is loaded at once; ifmap_slots,
    filter_slots: units that the buffer holds; ofmap_slots of store_bands bands and
    store_blocks filter blocks; ring: ofmap rows kept for a fused pool (0: none)."""
    height: int
    width: int
    p: int
    q: int
    r: int
    t: int
    e: int
    n: int
    bands: int
    columns: int
    filter_blocks: int
    chunk: int
    ifmap_images: int
    ifmap_slots: int
    filter_slots: int
    store_bands: int
    store_blocks: int
    ofmap_slots: int
    ring: int = 0
    cycles: int = 0        # the model's estimate for one group
    dram_bytes: int = 0    # ... of all traffic
    bound: str = ""        # what binds it

    def __str__(self):
        return (f"R'{self.height} S'{self.width} m{self.p * self.t * self.filter_blocks} n{self.n} "
                f"e{self.e} p{self.p} q{self.q} r{self.r} t{self.t}")

    @property
    def pes(self) -> int:
        return self.height * self.r * self.t * self.e


def ceil(a: int, b: int) -> int:
    return -(-a // b)


class Counts:
    """What a mapping comes to: the numbers that model, search and emitter share.

    rows: ifmap rows of a tile; strip: words of a strip; words: of a tag's filters; tags:
    filter tags of a pass; lanes: psum words of a logical column; channel_passes, folds;
    accumulations: passes that add to a psum; blocks: of p*t filters; chunks, tiles;
    ifmap_unit, filter_unit: words; units: ifmap units of a channel pass; loads: of a tile;
    laps: bands of all images of a pass; width: filters of an ofmap slot.
    """

    def __init__(self, shape: Shape, m: Mapping):
        self.rows = min((m.bands * m.e - 1) * shape.uy + shape.R, shape.H)
        self.strip = ceil(min((m.columns - 1) * shape.ux + shape.S, shape.W) * shape.block + 3, 4)
        self.words = ceil(m.p * m.q * m.width, 4)
        self.tags = m.height * m.r * m.t
        self.lanes = ceil(m.p, PSUM_LANES)
        self.folds = ceil(shape.R, m.height) * ceil(shape.S, m.width)
        self.groups = ceil(shape.blocks, m.r)           # of channel blocks
        self.channel_passes = self.groups * (shape.block // m.q)
        self.accumulations = self.channel_passes * self.folds
        self.blocks = ceil(shape.M, m.p * m.t)
        self.chunks = ceil(self.blocks, m.chunk)
        self.tiles = (ceil(shape.N, m.n) * ceil(shape.E, m.e * m.bands) * ceil(shape.F, m.columns))
        self.ifmap_unit = m.ifmap_images * self.rows * min(m.r, shape.blocks) * self.strip
        self.filter_unit = self.words * self.tags
        self.units = ceil(m.n, m.ifmap_images)
        self.loads = self.units * self.groups
        self.laps = m.n * m.bands
        self.width = m.p * m.t * m.store_blocks
        self.ifmap_resident = m.ifmap_slots >= self.loads
        self.filters_resident = m.filter_slots >= min(m.chunk, self.blocks) * self.accumulations
        self.ring = (2 * self.laps * m.columns * m.e * m.t * self.lanes * m.filter_blocks
                     if self.accumulations > 1 else 2)
        ofmap_rows = m.ring or m.e * m.store_bands
        images = m.n if m.store_bands == m.bands else 1
        self.ofmap_image = ofmap_rows * m.columns * self.width    # entries
        self.ofmap_slot = images * self.ofmap_image
        self.ofmap = ceil((1 if m.ring else m.ofmap_slots) * self.ofmap_slot + shape.out_block, 4)
        self.bias = 2 * self.lanes * m.t * self.blocks

    def buffer_words(self, m: Mapping) -> int:
        return (self.ifmap_unit * m.ifmap_slots + self.filter_unit * m.filter_slots + self.bias
                + self.ring + self.ofmap + 2)


def estimate(shape: Shape, m: Mapping, config: Config) -> tuple[int, int, str]:
    """(cycles, DRAM bytes, what binds) of one group, from a model: passes and transfers
    overlap, the slowest of MACs, networks and DRAM sets the pace, but for the first loads
    and the last store."""
    s = Counts(shape, m)
    passes = s.tiles * s.blocks * s.accumulations
    m_blocks = ceil(min(m.chunk, s.blocks), m.filter_blocks)
    pace, bound = _pace(shape, m, s)
    compute = passes * (pace + PASS_OVERHEAD)
    rounds = s.chunks * (1 if s.ifmap_resident else m_blocks)
    loaded = s.tiles * s.loads * s.ifmap_unit * rounds
    filters = s.filter_unit * s.accumulations * s.blocks * (1 if s.filters_resident else s.tiles)
    stored = shape.N * shape.E * ceil(shape.F * shape.M, 4)
    if shape.pool:
        stored //= shape.pool[1] ** 2
    loads = s.tiles * s.loads * rounds + passes
    stores = s.tiles * ceil(s.blocks, m.store_blocks) * (ceil(s.laps, m.store_bands) if m.store_bands < m.bands else 1)
    commands = passes * (3 + s.units) + loads + 2 * stores
    dram_bytes = 8 * (loaded + filters + s.bias + stored) + COMMAND_BYTES * commands
    dram = dram_bytes / config.dram_bytes_per_cycle
    edges = (8 * (s.ifmap_unit + s.filter_unit + s.ofmap_slot // 4) / config.dram_bytes_per_cycle
             + config.pes + 3 * config.dram_latency)
    return int(max(compute, dram) + edges), dram_bytes, "DRAM" if dram > compute else bound


def _pace(shape: Shape, m: Mapping, s: Counts) -> tuple[int, str]:
    """Cycles between passes, were there no DRAM, and what sets them."""
    width = min(m.width, shape.S)
    macs = s.laps * m.columns * max(m.p, HAZARD) * m.q * ceil(shape.S, ceil(shape.S, m.width))
    rows = (m.e - 1) * shape.uy + m.height
    if m.q == shape.block and shape.ux <= width:
        strip = ceil(((m.columns - 1) * shape.ux + width) * m.q, 4)
    elif m.q == shape.block:
        strip = m.columns * ceil(width * m.q, 4)
    else:
        strip = ((m.columns - 1) * min(shape.ux, width) + width) * ceil(m.q, 4)
    per_pass = {
        "MACs": macs, "ifmap network": s.laps * rows * m.r * strip,
        # A PE writes one entry a cycle into its filter spad.
        "filter network": max(s.words * s.tags, 4 * s.words),
        "psum network": s.laps * m.columns * m.e * m.t * s.lanes}
    worst = max(per_pass, key=per_pass.get)
    return per_pass[worst], worst


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


def _tilings(shape: Shape, m: Mapping, words: int, worst: float):
    """The mapping with tiles and buffers that fit `words` of global buffer, without those whose
    ifmaps alone take `worst` bytes of DRAM traffic."""
    blocks = ceil(shape.M, m.p * m.t)
    step = 1  # filter blocks that end on a block of the output
    while step < blocks and step * m.p * m.t % shape.out_block:
        step += 1
    aligned = sorted({min(blocks, step * ceil(ceil(blocks, step), d)) for d in (1, 2, 3, 4, 6, 8, 16, 32)},
                     reverse=True)
    bands_all = ceil(shape.E, m.e)
    pool = shape.pool is not None
    for n in sorted({shape.N, ceil(shape.N, 2), 1}, reverse=True):
        for bands in [1] if pool else _splits(bands_all, bands_all, 6):
            for columns in [shape.F] if pool else sorted({*_splits(shape.F, shape.F, 6), 1}, reverse=True):
                for ifmap_images in {1, n}:
                    base = dataclasses.replace(
                        m, n=n, bands=bands, columns=columns, filter_blocks=step, chunk=blocks,
                        ifmap_images=ifmap_images, store_bands=bands, store_blocks=step)
                    s = Counts(shape, base)
                    if s.ifmap_unit + s.filter_unit > words or 8 * s.tiles * s.loads * s.ifmap_unit >= worst:
                        continue
                    yield from _buffers(shape, base, s, words, aligned, blocks)


def _buffers(shape: Shape, base: Mapping, s: Counts, words: int, aligned: list[int], blocks: int):
    pool = shape.pool
    fixed = s.bias + 2
    ring_each = s.ring // base.filter_blocks if s.accumulations > 1 else 0
    for filter_blocks in ([blocks] if pool else aligned):
        ring = ring_each * filter_blocks if s.accumulations > 1 else 2
        # Ofmaps leave by single bands, by whole tiles of a step, or by whole psum blocks.
        stores = []
        if pool:
            kernel, stride = pool
            for slots in (2, 1):
                rows = min(shape.E, base.e * slots + kernel)
                rows = max(rows, min(shape.E, base.e + max(kernel, stride)), base.e)
                stores.append((1, blocks, slots, rows))
        else:
            step = base.store_blocks
            single = step * base.p * base.t % shape.out_block == 0 or step >= blocks
            one = [k for k in (1, 2, 4) if k < base.bands] if step == 1 or filter_blocks == step == 1 else []
            if single:
                stores += [(k, 1, slots, 0) for k in reversed(one) for slots in (3, 2)]
                stores += [(base.bands, step, slots, 0) for slots in (2, 1)]
        for store_bands, store_blocks, ofmap_slots, pool_ring in stores:
            trial = dataclasses.replace(base, filter_blocks=filter_blocks, store_bands=store_bands,
                                        store_blocks=store_blocks, ofmap_slots=ofmap_slots, ring=pool_ring,
                                        ifmap_slots=1, filter_slots=1)
            c = Counts(shape, trial)
            left = words - fixed - ring - c.ofmap
            if left < c.ifmap_unit * c.units + c.filter_unit:
                continue
            per_block = c.accumulations * c.filter_unit
            for ifmap_slots in {c.loads, c.loads + 1, c.units, c.units + 1, 2 * c.units}:
                rest = left - ifmap_slots * c.ifmap_unit
                if rest < c.filter_unit or c.units > ifmap_slots:
                    continue
                common = dict(ifmap_slots=ifmap_slots)
                yield dataclasses.replace(trial, **common, filter_slots=min(4, rest // c.filter_unit))
                if c.tiles > 1 and rest >= per_block * filter_blocks:
                    chunk = min(blocks, rest // (per_block * filter_blocks) * filter_blocks)
                    chunk = ceil(ceil(blocks, filter_blocks), ceil(blocks, chunk)) * filter_blocks
                    chunk = min(chunk, blocks)
                    slots = chunk * c.accumulations
                    extra = slots + 1 if chunk < blocks and rest >= (slots + 1) * c.filter_unit else slots
                    yield dataclasses.replace(trial, **common, chunk=chunk, filter_slots=extra)


def _spatial(shape: Shape, config: Config):
    """(cycles without DRAM, mapping without tiles) of every use of the array worth a look."""
    half, spad = config.filter_half, config.ifmap_spad
    p_most = min(config.psum_spad, shape.M)
    seen = {}
    for height in _splits(shape.R, config.logical_height, 3):
        for width in _splits(shape.S, spad, 4):
            for q in (q for q in range(shape.block, 0, -1) if shape.block % q == 0 and q * width <= spad):
                for p in range(min(p_most, half // (q * width)), 0, -1):
                    for r in _splits(shape.blocks, config.logical_columns(height), 12):
                        chains = config.logical_columns(height * r)
                        if not chains:
                            continue
                        for e in _splits(shape.E, chains, 12):
                            most = chains // e
                            want = ceil(shape.M, p)
                            t = ceil(want, ceil(want, most))
                            # all bands of all images in a pass: the least that passes can take
                            m = Mapping(height, width, p, q, r, t, e, shape.N, ceil(shape.E, e), shape.F,
                                        1, 1, 1, 1, 1, 1, 1, 1)
                            s = Counts(shape, m)
                            pace, _ = _pace(shape, m, s)
                            floor = ceil(shape.M, p * t) * s.accumulations * (pace + PASS_OVERHEAD)
                            key = (height, width, q, r, e, t, s.blocks, s.lanes)
                            if key not in seen or floor < seen[key][0]:
                                seen[key] = floor, m
    return sorted(seen.values(), key=lambda item: item[0])


@functools.lru_cache(maxsize=4096)
def ranking(shape: Shape, config: Config, objective: str = "cycles", most: int = 5) -> tuple[Mapping, ...]:
    """The best mappings, each of a different use of the array, best first; empty if nothing
    fits. objective: 'cycles' (then DRAM bytes) or 'dram' (then cycles)."""
    def score(m):
        # Differences below a part in 200 do not outweigh the other figure.
        pair = (m.cycles, m.dram_bytes)
        first, second = pair if objective == "cycles" else pair[::-1]
        return first * (1 + 0.005 * second / (1 + best_other)), second
    best: list[Mapping] = []
    barren = 0   # uses of the array tried since the best changed
    best_other = 8 * shape.N * shape.E * shape.F * shape.M if objective == "cycles" else shape.macs / config.pes
    for floor, m in _spatial(shape, config):
        if best and (barren > min(max(best[0].cycles // 4000, PATIENCE[0]), PATIENCE[1]) or floor > 1.3 * best[0].cycles
                     or objective == "cycles" and len(best) == most and floor >= best[-1].cycles):
            break
        found, barren = None, barren + 1
        worst = float("inf")
        if best:
            worst = best[0].dram_bytes if objective == "dram" else best[0].cycles * config.dram_bytes_per_cycle
        for trial in _tilings(shape, m, config.glb_words, worst):
            cycles, dram_bytes, bound = estimate(shape, trial, config)
            trial = dataclasses.replace(trial, cycles=cycles, dram_bytes=dram_bytes, bound=bound)
            if found is None or score(trial) < score(found):
                found = trial
        if found is not None:
            if not best or score(found) < (0.998 * score(best[0])[0],):
                barren = 0
            best = sorted([*best, found], key=score)[:most]
    return tuple(best)


def search(shape: Shape, config: Config, objective: str = "cycles") -> Mapping | None:
    """The best mapping, None if nothing fits (a fused pool that the buffer cannot hold; without
    one there is always a mapping on the presets)."""
    return next(iter(ranking(shape, config, objective)), None)
