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
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hdl.config import HAZARD, LANES, PSUM_LANES, Config

PASS_OVERHEAD = 12  # cycles of fill and hand-over that a pass does not hide
COMMAND_BYTES = 64
FETCH = 600         # cycles that a command's read waits behind the bursts of LOAD
SPREAD = 0.5        # of the non-zero entries of a window, in standard deviations, that a pace includes
SHARPNESS = 8       # of the maximum of compute and DRAM time
PATIENCE = 60, 300  # uses of the array tried without a better one: least, most
MOST = 255          # filter tags of a pass, and of each of e, r and t (FILTER and CONFIG in hdl/isa.py)
SLOWEST = 2.2       # times the fewest cycles, that a mapping for the least traffic may take


class MappingError(ValueError):
    """A layer that no mapping fits, or a mapping that the hardware cannot run."""


@dataclass(frozen=True)
class Shape:
    """One group of a convolution as the mapper sees it. C, M: channels and filters of the
    group; H, W unpadded ifmap; E, F ofmap; uy, ux strides; block: q_T of the input;
    out_block: of the output; pool: (kernel, stride) rows of a pool to be fused, or None;
    density: share of ifmap entries that cost MACs (all, unless zeros are skipped); in_bytes,
    out_bytes: what run-length coding leaves of ifmaps and ofmaps in whole rows."""
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
    density: float = 1.0
    in_bytes: float = 1.0
    out_bytes: float = 1.0

    @property
    def macs(self) -> int:
        return self.N * self.E * self.F * self.M * self.C * self.R * self.S


@dataclass(frozen=True)
class Mapping:
    """height, width: R', S' of a slice; p, q, r, t, e as Eyeriss's. A tile has n images, `bands`
    bands and `columns` ofmap columns. split: groups of q channels that a pass takes of one channel
    block; with more than one all r are of that block. filter_blocks: blocks of p*t filters whose psums the
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
    split: int = 1
    cycles: int = 0        # the model's estimate for one group
    dram_bytes: int = 0    # ... of all traffic
    bound: str = ""        # what binds it

    def __str__(self):
        return (f"R'{self.height} S'{self.width} m{self.p * self.t * self.filter_blocks} n{self.n} "
                f"e{self.e} p{self.p} q{self.q} r{self.r} t{self.t}")

    @property
    def channel_blocks(self) -> int:
        """Channel blocks of the ifmap in a pass."""
        return self.r // self.split

    @property
    def pes(self) -> int:
        return self.height * self.r * self.t * self.e


def ceil(a: int, b: int) -> int:
    return -(-a // b)


def chunk_of(config: Config, *blocks: int) -> int:
    """Entries a STORE moves at once: the most that divides every block size."""
    common = math.gcd(*blocks)
    return max(n for n in range(1, config.store_lanes + 1) if common % n == 0)


class Counts:
    """What a mapping comes to: the numbers that model, search and emitter share. The fields of
    the mapping may be numpy arrays, for many tilings at once.

    rows: ifmap rows of a tile; groups: of channel blocks; strip: words of a strip; words: of a tag's filters; tags:
    filter tags of a pass; lanes: psum words of a logical column; channel_passes, folds;
    accumulations: passes that add to a psum; blocks: of p*t filters; chunks, tiles;
    ifmap_unit, filter_unit: words; units: ifmap units of a channel pass; loads: of a tile;
    laps: bands of all images of a pass; width: filters of an ofmap slot.
    """

    def __init__(self, shape: Shape, m: Mapping):
        minimum = min if isinstance(m.n, int) else np.minimum
        where = (lambda a, b, c: b if a else c) if isinstance(m.n, int) else np.where
        self.rows = minimum((m.bands * m.e - 1) * shape.uy + shape.R, shape.H)
        self.strip = ceil(minimum((m.columns - 1) * shape.ux + shape.S, shape.W) * shape.block + 3, 4)
        self.words = ceil(m.p * m.q * m.width, 4)
        self.tags = m.height * m.r * m.t
        self.lanes = ceil(m.p, PSUM_LANES)
        self.folds = ceil(shape.R, m.height) * ceil(shape.S, m.width)
        self.groups = ceil(shape.blocks, m.channel_blocks)   # of channel blocks
        self.channel_passes = self.groups * (shape.block // (m.q * m.split))
        self.accumulations = self.channel_passes * self.folds
        self.blocks = ceil(shape.M, m.p * m.t)
        self.chunks = ceil(self.blocks, m.chunk)
        self.tiles = (ceil(shape.N, m.n) * ceil(shape.E, m.e * m.bands) * ceil(shape.F, m.columns))
        self.ifmap_unit = m.ifmap_images * self.rows * minimum(m.channel_blocks, shape.blocks) * self.strip
        self.filter_unit = self.words * self.tags
        self.units = ceil(m.n, m.ifmap_images)
        self.loads = self.units * self.groups
        self.laps = m.n * m.bands
        self.width = m.p * m.t * m.store_blocks
        self.ifmap_resident = m.ifmap_slots >= self.loads
        self.filters_resident = m.filter_slots >= m.chunk * self.accumulations
        self.ring = where(self.accumulations > 1,
                          2 * self.laps * m.columns * m.e * m.t * self.lanes * m.filter_blocks, 2 + 0 * self.laps)
        ofmap_rows = where(m.ring != 0, m.ring, m.e * m.store_bands)
        self.ofmap_image = ofmap_rows * m.columns * self.width    # entries
        self.ofmap_slot = where(m.store_bands >= m.bands, m.n, 1) * self.ofmap_image
        self.ofmap = ceil(where(m.ring != 0, 1, m.ofmap_slots) * self.ofmap_slot + shape.out_block, 4)
        self.bias = 2 * self.lanes * m.t * self.blocks

    def buffer_words(self, m: Mapping):
        return (self.ifmap_unit * m.ifmap_slots + self.filter_unit * m.filter_slots + self.bias
                + self.ring + self.ofmap + 2)


def traffic(shape: Shape, m: Mapping, s: Counts) -> dict:
    """What one group moves over DRAM, in 64-bit words: ifmap, filter, psum (biases), ofmap, coded as they are there;
    beside them "commands", and "ifmap units" and "filter units" loaded, of `s.ifmap_unit` and `s.filter_unit` words."""
    m_blocks = ceil(np.minimum(m.chunk, s.blocks), m.filter_blocks)
    passes = s.tiles * s.blocks * s.accumulations
    rounds = s.chunks * np.where(s.ifmap_resident, 1, m_blocks)
    units = s.tiles * s.loads * rounds
    filter_units = s.accumulations * s.blocks * np.where(s.filters_resident, 1, s.tiles)
    stored = shape.N * shape.E * ceil(shape.F * shape.M, 4)
    if shape.pool:
        stored //= shape.pool[1] ** 2
    stores = s.tiles * ceil(s.blocks, m.store_blocks) * np.where(
        m.store_bands < m.bands, m.n * ceil(m.bands, m.store_bands), 1)
    coded = m.columns >= shape.F   # only whole strips are
    return {"ifmap": units * s.ifmap_unit * np.where(coded, shape.in_bytes, 1), "filter": s.filter_unit * filter_units,
            "psum": s.bias, "ofmap": stored * np.where(coded, shape.out_bytes, 1),
            "commands": passes * (3 + s.units) + units + passes + 2 * stores,
            "ifmap units": units, "filter units": filter_units}


def estimate(shape: Shape, m: Mapping, config: Config):
    """(cycles, DRAM bytes, {what binds: its cycles}) of one group, from a model: passes and
    transfers overlap, the slowest of MACs, networks and DRAM sets the pace, but for the first
    loads, loads with no second place to go to, and stores that no later pass hides."""
    s = Counts(shape, m)
    rate = config.dram_bytes_per_cycle
    passes = s.tiles * s.blocks * s.accumulations
    paces = _paces(shape, m, s, config)
    pace = functools.reduce(np.maximum, paces.values()) + PASS_OVERHEAD
    moved = traffic(shape, m, s)
    units, loaded, commands = moved["ifmap units"], moved["ifmap"], moved["commands"]
    dram_bytes = 8 * (loaded + moved["filter"] + moved["psum"] + moved["ofmap"]) + COMMAND_BYTES * commands
    dram = dram_bytes / rate
    coded = m.columns >= shape.F   # only whole strips are
    # Without a place to spare, the next unit is loaded from the last use of the one it replaces on.
    fetch = 8 * s.ifmap_unit * np.where(coded, shape.in_bytes, 1) / rate + config.dram_latency
    others = np.minimum(1, (dram_bytes - 8 * loaded) / rate / (passes * pace))   # share the memory with it
    fetch = fetch * (1 + others)
    each = s.accumulations // s.groups * m.filter_blocks * pace     # cycles of a group of channels
    late = np.where(s.ifmap_resident, np.maximum(
        fetch - (s.groups - 1) * each, s.loads * fetch - 2 * (s.groups - 1) * each), fetch) \
        - each * (s.units - 1) / s.units
    times = np.where(s.ifmap_resident, s.tiles * s.chunks, units / s.units) - 1
    full = np.where(s.ifmap_resident, m.ifmap_slots == s.loads, m.ifmap_slots == s.units)
    exposed = np.where(full, times * np.maximum(0, late), 0)
    last = s.laps * m.columns * m.e * m.t * m.p * 2 * shape.out_bytes / rate  # what a last pass stores
    if shape.pool:  # a read of the buffer for a chunk of each element of a window
        kernel, stride = shape.pool
        reads = m.n * m.e * m.columns * ceil(s.width, chunk_of(config, shape.out_block)) * kernel ** 2 / stride ** 2
        last = reads + config.dram_latency
        alone = (m.ring < 2 * m.e) & (m.ring < shape.E)   # no rows of a ring to spare for the next band
        drained = s.tiles * np.where(alone, last, np.maximum(0, last - s.blocks * s.accumulations * pace)) \
            + ceil(shape.N, m.n) * last                   # an image's first rows wait for those before
    else:
        drained = s.tiles * s.blocks * np.where(m.ofmap_slots == 1, last, np.maximum(0, last - pace))
    edges = (8 * (s.ifmap_unit + s.filter_unit) + 2 * s.ofmap_slot) / rate + config.pes + 3 * config.dram_latency
    compute = 1.0 * passes * pace + exposed + drained
    # They come in bursts: when they take as long, they do not hide each other.
    fetch = FETCH / config.fetch_ahead * commands
    together = (compute ** SHARPNESS + dram ** SHARPNESS + fetch ** SHARPNESS) ** (1 / SHARPNESS)
    return together + edges, dram_bytes, {
        **{name: passes * n for name, n in paces.items()}, "DRAM": dram, "commands": fetch, "unhidden transfers": exposed + drained}


def ifmap_words(shape: Shape, m: Mapping, s: Counts, lanes: int = LANES):
    """Words of up to `lanes` entries that a pass sends over the ifmap network."""
    width = min(m.width, shape.S)
    if m.q == shape.block and shape.ux <= width:
        strip = ceil(((m.columns - 1) * shape.ux + width) * m.q, lanes)
    elif m.q == shape.block:
        strip = m.columns * ceil(width * m.q, lanes)
    else:
        strip = ((m.columns - 1) * min(shape.ux, width) + width) * ceil(m.q, lanes)
    return s.laps * ((m.e - 1) * shape.uy + m.height) * m.r * strip


def _paces(shape: Shape, m: Mapping, s: Counts, config: Config) -> dict:
    """Cycles that a pass takes at each resource of the array."""
    entries = m.q * ceil(shape.S, ceil(shape.S, m.width))   # of a window
    if shape.density < 1:   # at least one, and the slowest PE of a column sets the pace
        entries = max(1.0, entries * shape.density + SPREAD * (entries * shape.density * (1 - shape.density)) ** 0.5)
    return {
        "MACs": s.laps * m.columns * np.maximum(m.p // config.simd, HAZARD) * entries,
        "ifmap network": ifmap_words(shape, m, s, config.input_lanes),
        # A PE writes one entry a cycle into its filter spad.
        "filter network": s.words * (np.maximum(s.tags, LANES) if config.input_lanes == LANES else s.tags * LANES) + 0 * s.laps,
        "psum network": s.laps * m.columns * m.e * m.t * ceil(m.p, config.psum_lanes)}


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


class Table:
    """Tilings of one use of the array: a column per field that varies, for numpy."""

    def __init__(self, m: Mapping):
        self.base, self.columns, self.size = m, {}, 1

    def cross(self, names: tuple[str, ...], rows: list[tuple]) -> None:
        """Every row so far with each of these values of the named fields."""
        rows = np.array(rows, np.int64).reshape(-1, len(names))
        self.columns = {name: np.repeat(column, len(rows)) for name, column in self.columns.items()}
        for name, column in zip(names, rows.T):
            self.columns[name] = np.tile(column, self.size)
        self.size *= len(rows)

    def keep(self, mask) -> None:
        self.columns = {name: column[mask] for name, column in self.columns.items()}
        self.size = int(np.count_nonzero(mask))

    @property
    def mapping(self) -> Mapping:
        """A Mapping whose fields are columns."""
        return dataclasses.replace(self.base, **self.columns)

    def row(self, n: int) -> Mapping:
        return dataclasses.replace(self.base, **{name: int(column[n]) for name, column in self.columns.items()})


def _tilings(shape: Shape, m: Mapping, words: int, worst: float) -> Table:
    """The mapping with all tiles and buffers worth a look that fit `words` of global buffer,
    without those whose ifmaps alone take `worst` bytes of DRAM traffic."""
    blocks = ceil(shape.M, m.p * m.t)
    step = 1  # filter blocks that end on a block of the output
    while step < blocks and step * m.p * m.t % shape.out_block:
        step += 1
    pool = shape.pool is not None
    bands = ceil(shape.E, m.e)
    table = Table(dataclasses.replace(m, filter_blocks=step, chunk=blocks, store_blocks=step))
    table.cross(("n",), [(n,) for n in {shape.N, ceil(shape.N, 2), 1}])
    table.cross(("bands",), [(1,)] if pool else [(n,) for n in _splits(bands, bands)])
    table.cross(("columns",), [(shape.F,)] if pool else [(n,) for n in {*_splits(shape.F, shape.F), 1}])
    table.cross(("ifmap_images",), [(1,), (0,)])
    c = table.columns
    c["ifmap_images"] = np.where(c["ifmap_images"] == 0, c["n"], 1)
    table.keep((c["n"] > 1) | (np.arange(table.size) % 2 == 0))
    s = Counts(shape, table.mapping)
    table.keep((s.units * s.ifmap_unit + s.filter_unit <= words)
               & (8 * s.tiles * s.loads * s.ifmap_unit < worst))
    if pool:
        kernel, stride = shape.pool
        rings = {max(min(shape.E, m.e * slots + kernel), min(shape.E, m.e + max(kernel, stride)), m.e)
                 for slots in (1, 2)}
        table.cross(("filter_blocks", "store_blocks", "store_bands", "ofmap_slots", "ring"),
                    [(blocks, blocks, 1, 2, ring) for ring in rings])
    else:
        table.cross(("filter_blocks",), [(n,) for n in {
            min(blocks, step * ceil(ceil(blocks, step), d)) for d in (1, 2, 3, 4, 6, 8, 16, 32, blocks)}])
        # Ofmaps leave by the band, where a pass ends on a block of the output, or by the tile.
        table.cross(("store_bands", "ofmap_slots"), [(0, 2), (0, 1)] + (
            [(k, slots) for k in (4, 2, 1) for slots in (3, 2)] if step == 1 else []))
        c = table.columns
        table.keep(c["store_bands"] < c["bands"])
        c = table.columns
        c["store_bands"] = np.where(c["store_bands"] == 0, c["bands"], c["store_bands"])
    s = Counts(shape, table.mapping)
    left = words - 2 - s.bias - s.ring - s.ofmap
    fits = left >= s.units * s.ifmap_unit + s.filter_unit
    table.keep(fits)
    # Places for ifmaps: all of a tile or those of a pass, and one ahead; for filters: those of
    # passes to come, or of a chunk as large as there is room for.
    table.cross(("ifmap_slots",), [(k,) for k in range(5)])
    s = Counts(shape, table.mapping)
    c = table.columns
    c["ifmap_slots"] = np.choose(c["ifmap_slots"], [s.loads, s.loads + 1, s.units, s.units + 1, 2 * s.units])
    left = words - 2 - s.bias - s.ring - s.ofmap - c["ifmap_slots"] * s.ifmap_unit
    table.keep(left >= s.filter_unit)
    table.cross(("filter_slots",), [(0,), (1,)])
    s = Counts(shape, table.mapping)
    c = table.columns
    rest = (words - 2 - s.bias - s.ring - s.ofmap - c["ifmap_slots"] * s.ifmap_unit) // s.filter_unit
    each = s.accumulations * c["filter_blocks"]   # filter units of a psum block
    chunk = np.minimum(ceil(blocks, c["filter_blocks"]), rest // each)
    chunk = np.maximum(1, ceil(ceil(blocks, c["filter_blocks"]), np.maximum(1, ceil(ceil(blocks, c["filter_blocks"]),
                                                                                   np.maximum(1, chunk)))))
    chunk = np.minimum(blocks, chunk * c["filter_blocks"])
    resident = c["filter_slots"] == 1
    possible = ~resident | ((rest >= each) & (rest >= chunk * s.accumulations) & (s.tiles > 1))
    c["chunk"] = np.where(resident, chunk, blocks)
    c["filter_slots"] = np.where(resident, np.minimum(rest, chunk * s.accumulations + (chunk < blocks)),
                                 np.minimum(4, rest))
    table.keep(possible)
    return table


def _spatial(shape: Shape, config: Config) -> Iterator[tuple[float, Mapping]]:
    """(least cycles of its passes, mapping without tiles) of every use of the array worth a look,
    the least first."""
    columns: dict[str, list] = {name: [] for name in ("height", "width", "q", "p", "r", "split", "e", "t", "floor")}
    for height in _splits(shape.R, config.logical_height, 3):
        for width in _splits(shape.S, config.ifmap_spad, 4):
            for q in (q for q in range(1, shape.block + 1) if shape.block % q == 0 and q * width <= config.ifmap_spad):
                p_most = min(config.psum_spad, ceil(shape.M, config.simd) * config.simd, config.filter_half // (q * width))
                most = config.logical_columns(height)
                groups = [(r, 1) for r in _splits(shape.blocks, min(most, MOST // height), 12)]
                groups += [(n, n) for n in range(2, min(most, shape.block // q) + 1) if shape.block // q % n == 0]
                uses = np.array([
                    (p, r, split, e) for r, split in groups for e in _splits(shape.E, min(config.logical_columns(height * r), MOST), shape.E)
                    for p in range(config.simd, p_most + 1, config.simd)], np.int64).reshape(-1, 4)
                p, r, split, e = uses.T
                sets = np.array([config.logical_columns(height * n) for n in r.tolist()], np.int64) // e
                sets = np.minimum(sets, MOST // (height * r))
                want = ceil(shape.M, p)
                t = ceil(want, ceil(want, np.maximum(1, sets)))
                # all bands of all images in a pass: the least that passes can take
                m = Mapping(height, width, p, q, r, t, e, np.full(len(p), shape.N), ceil(shape.E, e), shape.F,
                            1, 1, 1, 1, 1, 1, 1, 1, split=split)
                s = Counts(shape, m)
                pace = functools.reduce(np.maximum, _paces(shape, m, s, config).values())
                floor = s.blocks * s.accumulations * (pace + PASS_OVERHEAD)
                # of those that differ in nothing but p the one with the least
                order = np.argsort(floor, kind="stable")
                alike = np.stack([r, split, e, t, s.blocks, s.lanes])[:, order]
                order = order[np.unique(alike, axis=1, return_index=True)[1]]
                for name, column in (("height", height), ("width", width), ("q", q), ("p", p), ("r", r), ("split", split),
                                     ("e", e), ("t", t), ("floor", floor)):
                    columns[name].append(np.broadcast_to(column, len(floor))[order])
    table = {name: np.concatenate(parts) for name, parts in columns.items()}
    for n in np.argsort(table["floor"], kind="stable"):
        row = {name: int(column[n]) for name, column in table.items() if name != "floor"}
        yield float(table["floor"][n]), Mapping(
            **row, n=shape.N, bands=ceil(shape.E, row["e"]), columns=shape.F, filter_blocks=1, chunk=1, ifmap_images=1,
            ifmap_slots=1, filter_slots=1, store_bands=1, store_blocks=1, ofmap_slots=1)


def _unlike(shape: Shape, uses: Iterator[tuple[float, Mapping]]) -> Iterator[tuple[float, Mapping]]:
    """Of uses of the array, the fastest first, those that differ in what traffic depends on and are not far too slow."""
    seen, least = set(), None
    for floor, m in uses:
        least = least or floor
        if floor > SLOWEST * least:
            return
        key = m.height, m.width, ceil(shape.M, m.p * m.t), m.channel_blocks, m.e
        if key not in seen:
            seen.add(key)
            yield floor, m


@functools.lru_cache(maxsize=4096)
def ranking(shape: Shape, config: Config, objective: str = "cycles", most: int = 5) -> tuple[Mapping, ...]:
    """The best mappings, each of a different use of the array, best first; empty if nothing
    fits. objective: 'cycles' (then DRAM bytes) or 'dram' (then cycles)."""
    least = 2 * (shape.N * shape.C * min(shape.H, shape.E * shape.uy) * shape.W
                 + shape.M * (shape.C * shape.R * shape.S + shape.N * shape.E * shape.F))

    def score(cycles, dram_bytes):
        # Half a percent of the figure that counts is worth the least traffic, or the MACs, of a layer.
        if objective == "cycles":
            return cycles * (1 + 0.005 * dram_bytes / least)
        return dram_bytes * (1 + 0.005 * cycles * config.multipliers / shape.macs)
    uses = _spatial(shape, config)
    if objective == "dram":
        uses = _unlike(shape, uses)
    best: list[tuple[float, Mapping]] = []
    barren = 0   # uses of the array tried since the best changed
    for floor, m in uses:
        if objective == "cycles" and best and (barren > min(max(best[0][1].cycles // 4000, PATIENCE[0]), PATIENCE[1])
                     or floor > 1.3 * best[0][1].cycles
                     or len(best) == most and floor >= best[-1][1].cycles):
            break
        barren += 1
        worst = float("inf")
        if best:
            worst = best[-1][1].dram_bytes if objective == "dram" else best[0][1].cycles * config.dram_bytes_per_cycle
        table = _tilings(shape, m, config.glb_words, worst)
        if not table.size:
            continue
        cycles, dram_bytes, _ = estimate(shape, table.mapping, config)
        scores = score(cycles, dram_bytes)
        n = int(np.argmin(scores))
        found = dataclasses.replace(table.row(n), cycles=int(cycles[n]), dram_bytes=int(dram_bytes[n]))
        if not best or scores[n] < 0.998 * best[0][0]:
            barren = 0
        best = sorted([*best, (float(scores[n]), found)], key=lambda item: item[0])[:most]

    def bound(m):
        _, _, shares = estimate(shape, m, config)
        return max(shares, key=shares.get)
    return tuple(dataclasses.replace(m, bound=bound(m)) for _, m in best)


def search(shape: Shape, config: Config, objective: str = "cycles") -> Mapping | None:
    """The best mapping, None if nothing fits (a fused pool that the buffer cannot hold; without
    one there is always a mapping on the presets)."""
    return next(iter(ranking(shape, config, objective)), None)
