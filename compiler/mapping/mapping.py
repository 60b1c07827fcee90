"""Mapping a convolution onto the array: Eyeriss's m, n, e, p, q, r, t with folds, and tiles.

A processing pass computes n*p*t*e*F psums from q*r channels (JSSC 2017, IV-A), here for
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
from dataclasses import dataclass

import numpy as np

from compiler.numbers import ceil
from hdl.config import LANES, PSUM_LANES, Config
from hdl.isa import COMMAND_BYTES, Mode
from hdl.timing import HAZARD

PASS_OVERHEAD = 12  # cycles of fill and hand-over that a pass does not hide
FETCH = 600  # cycles that a command's read waits behind the bursts of LOAD
SPREAD = 0.5  # of the non-zero entries of a window, in standard deviations, that a pace includes
SHARPNESS = 3  # of the maximum of compute and DRAM time


class MappingError(ValueError):
    """A layer that no mapping fits, or a mapping that the hardware cannot run."""


@dataclass(frozen=True)
class Shape:
    """One group of a convolution as the mapper sees it. C, M: channels and filters of the
    group; H, W unpadded ifmap; E, F ofmap; uy, ux strides; block: q_T of the input;
    out_block: of the output; pool: (kernel, stride) rows of a pool to be fused, or None;
    density: share of ifmap entries that cost MACs (all, unless zeros are skipped); in_bytes,
    out_bytes: what run-length coding leaves of ifmaps and ofmaps in whole rows; narrow, narrow_out:
    ifmaps, ofmaps have 8 bits an entry in memory; scaled: its sums are scaled by channel, with
    biases that OFMAP adds. depthwise: all channels of a depthwise layer, or those of one of its
    `parts`, which follow each other."""

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
    blocks: int  # blocks of the input that hold the group's channels, at most
    out_block: int
    pool: tuple[int, int] | None = None
    density: float = 1.0
    in_bytes: float = 1.0
    out_bytes: float = 1.0
    narrow: bool = False
    narrow_out: bool = False
    scaled: bool = False
    depthwise: bool = False
    parts: int = 1

    @property
    def macs(self) -> int:
        channels = 1 if self.depthwise else self.C  # of a filter
        return self.parts * self.N * self.E * self.F * self.M * channels * self.R * self.S

    @property
    def multiplier(self) -> int:
        """Filters of a channel of a depthwise layer."""
        return self.M // self.C

    def part(self, q: int, r: int) -> Shape:
        """What a pass takes of a depthwise layer, r groups of q channels; the last part may lack
        some."""
        return dataclasses.replace(
            self,
            C=q * r,
            M=q * r * self.multiplier,
            blocks=q * r // self.block,
            parts=ceil(self.C, q * r),
        )

    def single(self) -> Shape:
        """A channel of a depthwise layer as a convolution of its own."""
        return dataclasses.replace(self, C=1, M=self.multiplier, blocks=1, depthwise=False)

    def of(self, m: Mapping) -> Shape:
        """The group that a mapping of the layer works on at a time."""
        if not self.depthwise:
            return self
        return self.part(m.q, m.r) if m.depthwise else self.single()

    def repeats(self, groups: int) -> int:
        """How often the figures of a mapping count for a layer of so many groups: those of a
        depthwise one are of all its channels."""
        return 1 if self.depthwise else groups

    def times(self, m: Mapping, groups: int) -> int:
        """How often a mapping of the layer works on such a group; groups: those of the layer."""
        return ceil(self.C, m.q * m.r) if m.depthwise else groups


@dataclass(frozen=True)
class Mapping:
    """height, width: R', S' of a slice; p, q, r, t, e as Eyeriss's. A tile has n images, `bands`
    bands and `columns` ofmap columns. split: groups of q channels that a pass takes of one channel
    block; with more than one all r are of that block. filter_blocks: blocks of p*t filters whose
    psums the buffer holds at once (m = p*t*filter_blocks); chunk: blocks whose filters stay there,
    or all if they stream. ifmap_images: images of a unit that is loaded at once; ifmap_slots,
    filter_slots: units that the buffer holds; ofmap_slots of store_bands bands and store_blocks
    filter blocks; ring: ofmap rows kept for a fused pool (0: none). bias_blocks: blocks whose
    biases are in the buffer at once (0: all), as many as a chunk. depthwise: filters of an entry
    in a PE's spad, p and what fills up, where each channel of the r groups has p sums of its own
    (docs/depthwise.md), and t is 1; else 0."""

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
    bias_blocks: int = 0
    depthwise: int = 0
    cycles: int = 0  # the model's estimate for one group
    dram_bytes: int = 0  # ... of all traffic
    bound: str = ""  # what binds it

    def __str__(self):
        return (
            f"R'{self.height} S'{self.width} m{self.p * self.t * self.filter_blocks} n{self.n} "
            f"e{self.e} p{self.p} q{self.q} r{self.r} t{self.t}"
        )

    @property
    def sets(self) -> int:
        """PEs, in logical columns, whose sums are of one ofmap row."""
        return self.r if self.depthwise else self.t

    @property
    def psums(self) -> int:
        """Of a PE's window."""
        return self.p * self.q if self.depthwise else self.p

    @property
    def block_filters(self) -> int:
        """Filters of a filter block."""
        return self.psums * self.sets

    def mode(self, asked: Mode) -> Mode:
        """Zeros of a depthwise pass are held, where those of others are left out."""
        return Mode.GATE if self.depthwise and asked is Mode.SKIP else asked

    @property
    def channel_blocks(self) -> int:
        """Channel blocks of the ifmap in a pass."""
        return self.r // self.split

    @property
    def pes(self) -> int:
        return self.height * self.r * self.t * self.e


def _choices(m: Mapping):
    """(minimum, where) for a mapping of single numbers, or of columns of numpy."""
    if isinstance(m.n, int):
        return min, lambda condition, a, b: a if condition else b
    return np.minimum, np.where


def chunk_of(config: Config, *blocks: int) -> int:
    """Entries a STORE moves at once: the most that divides every block size."""
    common = math.gcd(*blocks)
    return max(n for n in range(1, config.store_lanes + 1) if common % n == 0)


class Counts:
    """What a mapping comes to: the numbers that model, search and emitter share. The fields of
    the mapping may be numpy arrays, for many tilings at once.

    rows: ifmap rows of a tile; groups: of channel blocks; strip: words of a strip; words: of a
    tag's filters; tags: filter tags of a pass; lanes: psum words of a logical column;
    channel_passes, folds; accumulations: passes that add to a psum; blocks: of p*t filters; chunks,
    tiles; ifmap_unit, filter_unit: words; ifmap_loaded: words in memory of an ifmap unit; units:
    ifmap units of a channel pass; loads: of a tile; laps: bands of all images of a pass; width:
    filters of an ofmap slot; bias_block: words of the biases of a filter block, with their scales;
    bias, biases: of those in the buffer, and of all.
    """

    def __init__(self, shape: Shape, m: Mapping):
        minimum, where = _choices(m)
        self.rows = minimum((m.bands * m.e - 1) * shape.uy + shape.R, shape.H)
        # With the entries of its first word that lie before it, at worst.
        entries = minimum((m.columns - 1) * shape.ux + shape.S, shape.W) * shape.block
        loaded = ceil(entries + 7, 8) if shape.narrow else ceil(entries + 3, 4)  # words in memory
        self.strip = 2 * loaded if shape.narrow else loaded
        self.words = ceil((m.depthwise or m.p) * m.q * m.width, 4)
        self.tags = m.height * m.r * m.t
        self.lanes = ceil(m.psums, PSUM_LANES)
        self.folds = ceil(shape.R, m.height) * ceil(shape.S, m.width)
        self.groups = ceil(shape.blocks, m.channel_blocks)  # of channel blocks
        self.channel_passes = self.groups * (shape.block // (m.q * m.split))
        self.accumulations = self.channel_passes * self.folds
        self.blocks = ceil(shape.M, m.block_filters)
        self.chunks = ceil(self.blocks, m.chunk)
        self.tiles = ceil(shape.N, m.n) * ceil(shape.E, m.e * m.bands) * ceil(shape.F, m.columns)
        self.ifmap_unit = (
            m.ifmap_images * self.rows * minimum(m.channel_blocks, shape.blocks) * self.strip
        )
        self.ifmap_loaded = self.ifmap_unit // 2 if shape.narrow else self.ifmap_unit
        self.filter_unit = self.words * self.tags
        self.units = ceil(m.n, m.ifmap_images)
        self.loads = self.units * self.groups
        self.laps = m.n * m.bands
        self.width = m.block_filters * m.store_blocks
        self.ifmap_resident: bool | np.ndarray = m.ifmap_slots >= self.loads
        self.filters_resident: bool | np.ndarray = m.filter_slots >= m.chunk * self.accumulations
        self.ring = where(
            self.accumulations > 1,
            2 * self.laps * m.columns * m.e * m.sets * self.lanes * m.filter_blocks,
            2 + 0 * self.laps,
        )
        ofmap_rows = where(m.ring != 0, m.ring, m.e * m.store_bands)
        self.ofmap_image = ofmap_rows * m.columns * self.width  # entries
        self.ofmap_slot = where(m.store_bands >= m.bands, m.n, 1) * self.ofmap_image
        self.ofmap = ceil(
            where(m.ring != 0, 1, m.ofmap_slots) * self.ofmap_slot + shape.out_block, 4
        )
        # Two words hold four biases, or one channel's with its scale.
        self.bias_block = 2 * (PSUM_LANES if shape.scaled else 1) * self.lanes * m.sets
        self.bias = self.bias_block * where(m.bias_blocks != 0, m.bias_blocks, self.blocks)
        self.biases = self.bias_block * self.blocks

    def buffer_words(self, m: Mapping):
        return (
            self.ifmap_unit * m.ifmap_slots
            + self.filter_unit * m.filter_slots
            + self.bias
            + self.ring
            + self.ofmap
            + 2
        )


def traffic(shape: Shape, m: Mapping, s: Counts) -> dict:
    """What one group moves over DRAM, in 64-bit words: ifmap, filter, psum (biases), ofmap, coded
    as they are there; beside them "commands", and "ifmap units" and "filter units" loaded, of
    `s.ifmap_loaded` and `s.filter_unit` words."""
    m_blocks = ceil(np.minimum(m.chunk, s.blocks), m.filter_blocks)
    passes = s.tiles * s.blocks * s.accumulations
    rounds = s.chunks * np.where(s.ifmap_resident, 1, m_blocks)
    units = s.tiles * s.loads * rounds
    filter_units = s.accumulations * s.blocks * np.where(s.filters_resident, 1, s.tiles)
    stored = shape.N * shape.E * ceil(shape.F * shape.M, 8 if shape.narrow_out else 4)
    if shape.pool:
        stored //= shape.pool[1] ** 2
    stores = (
        s.tiles
        * ceil(s.blocks, m.store_blocks)
        * np.where(m.store_bands < m.bands, m.n * ceil(m.bands, m.store_bands), 1)
    )
    coded = m.columns >= shape.F  # only whole strips are
    return {
        "ifmap": units * s.ifmap_loaded * np.where(coded, shape.in_bytes, 1),
        "filter": s.filter_unit * filter_units,
        "psum": s.biases,
        "ofmap": stored * np.where(coded, shape.out_bytes, 1),
        "commands": passes * (3 + s.units) + units + passes + 2 * stores,
        "ifmap units": units,
        "filter units": filter_units,
    }


def together(*times):
    """What takes these times and overlaps: their maximum, where one is much the largest. The norm
    of exponent 2**SHARPNESS, by squares and roots."""
    total = 0.0
    for time in times:
        for _ in range(SHARPNESS):
            time = time * time
        total = total + time
    for _ in range(SHARPNESS):
        total = np.sqrt(total)
    return total


def estimate(shape: Shape, m: Mapping, config: Config):
    """(cycles, DRAM bytes, {what binds: its cycles}) of one group, from a model: passes and
    transfers overlap, the slowest of MACs, networks and DRAM sets the pace, but for the first
    loads, loads with no second place to go to, and stores that no later pass hides."""
    s = Counts(shape, m)
    rate = config.dram_bytes_per_cycle
    passes = s.tiles * s.blocks * s.accumulations
    each_pass = paces(shape, m, s, config)
    pace = functools.reduce(np.maximum, each_pass.values()) + PASS_OVERHEAD
    moved = traffic(shape, m, s)
    units, loaded, commands = moved["ifmap units"], moved["ifmap"], moved["commands"]
    dram_bytes = (
        8 * (loaded + moved["filter"] + moved["psum"] + moved["ofmap"]) + COMMAND_BYTES * commands
    )
    dram = shape.parts * dram_bytes / rate
    coded = m.columns >= shape.F  # only whole strips are
    # Without a place to spare, the next unit is loaded from the last use of the one it replaces on.
    fetch = 8 * s.ifmap_loaded * np.where(coded, shape.in_bytes, 1) / rate + config.dram_latency
    others = np.minimum(
        1, (dram_bytes - 8 * loaded) / rate / (passes * pace)
    )  # share the memory with it
    fetch = fetch * (1 + others)
    each = s.accumulations // s.groups * m.filter_blocks * pace  # cycles of a group of channels
    late = (
        np.where(
            s.ifmap_resident,
            np.maximum(fetch - (s.groups - 1) * each, s.loads * fetch - 2 * (s.groups - 1) * each),
            fetch,
        )
        - each * (s.units - 1) / s.units
    )
    times = np.where(s.ifmap_resident, s.tiles * s.chunks, units / s.units) - 1
    full = np.where(s.ifmap_resident, m.ifmap_slots == s.loads, m.ifmap_slots == s.units)
    exposed = np.where(full, times * np.maximum(0, late), 0)
    each_entry = 1 if shape.narrow_out else 2  # bytes of an ofmap's
    last = (
        s.laps * m.columns * m.e * m.block_filters * each_entry * shape.out_bytes / rate
    )  # what a last pass stores
    if shape.pool:  # a read of the buffer for a chunk of each element of a window
        kernel, stride = shape.pool
        reads = (
            m.n
            * m.e
            * m.columns
            * ceil(s.width, chunk_of(config, shape.out_block))
            * kernel**2
            / stride**2
        )
        last = reads + config.dram_latency
        alone = (m.ring < 2 * m.e) & (
            m.ring < shape.E
        )  # no rows of a ring to spare for the next band
        drained = (
            s.tiles * np.where(alone, last, np.maximum(0, last - s.blocks * s.accumulations * pace))
            + ceil(shape.N, m.n) * last
        )  # an image's first rows wait for those before
    else:
        drained = (
            s.tiles * s.blocks * np.where(m.ofmap_slots == 1, last, np.maximum(0, last - pace))
        )
    edges = (
        (8 * (s.ifmap_loaded + s.filter_unit) + each_entry * s.ofmap_slot) / rate
        + config.pes
        + 3 * config.dram_latency
    )
    compute = shape.parts * (1.0 * passes * pace + exposed + drained)
    # They come in bursts: when they take as long, they do not hide each other.
    fetch = shape.parts * FETCH / config.fetch_ahead * commands
    return (
        together(compute, dram, fetch) + edges,
        shape.parts * dram_bytes,
        {
            **{name: shape.parts * passes * n for name, n in each_pass.items()},
            "DRAM": dram,
            "commands": fetch,
            "unhidden transfers": shape.parts * (exposed + drained),
        },
    )


def least(
    shape: Shape,
    m: Mapping,
    s: Counts,
    config: Config,
    ifmaps_fit: np.ndarray,
    filters_fit: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(cycles, DRAM bytes) that no choice of places for ifmaps and filters goes below. m: with a
    chunk of all filters; ifmaps_fit, filters_fit: where those of a tile, and of a psum block, can
    stay in the buffer."""
    s.ifmap_resident, s.filters_resident = ifmaps_fit, filters_fit
    moved, rate = traffic(shape, m, s), config.dram_bytes_per_cycle
    pace = functools.reduce(np.maximum, paces(shape, m, s, config).values()) + PASS_OVERHEAD
    dram_bytes = shape.parts * (
        8 * (moved["ifmap"] + moved["filter"] + moved["psum"] + moved["ofmap"])
        + COMMAND_BYTES * moved["commands"]
    )
    cycles = together(
        shape.parts * s.tiles * s.blocks * s.accumulations * pace,
        dram_bytes / rate,
        shape.parts * FETCH / config.fetch_ahead * moved["commands"],
    )
    cycles = cycles + 8 * (s.ifmap_loaded + s.filter_unit) / rate
    cycles = cycles + config.pes + 3 * config.dram_latency
    return np.asarray(cycles), np.asarray(dram_bytes)


def ifmap_words(shape: Shape, m: Mapping, s: Counts, lanes: int = LANES):
    """Words of up to `lanes` entries that a pass sends over the ifmap network."""
    minimum, where = _choices(m)
    width = minimum(m.width, shape.S)
    strip = where(
        m.q == shape.block,
        where(
            shape.ux <= width,
            ceil(((m.columns - 1) * shape.ux + width) * m.q, lanes),
            m.columns * ceil(width * m.q, lanes),
        ),
        ((m.columns - 1) * minimum(shape.ux, width) + width) * ceil(m.q, lanes),
    )
    return s.laps * ((m.e - 1) * shape.uy + m.height) * m.r * strip


def paces(shape: Shape, m: Mapping, s: Counts, config: Config) -> dict:
    """Cycles that a pass takes at each resource of the array."""
    entries = m.q * ceil(shape.S, ceil(shape.S, m.width))  # of a window
    if shape.density < 1:  # at least one, and the slowest PE of a column sets the pace
        entries = np.maximum(
            1.0,
            entries * shape.density
            + SPREAD * (entries * shape.density * (1 - shape.density)) ** 0.5,
        )
    return {
        "MACs": s.laps * m.columns * np.maximum(ceil(m.p, config.simd), HAZARD) * entries,
        "ifmap network": ifmap_words(shape, m, s, config.input_lanes),
        # A PE writes one entry a cycle into its filter spad.
        "filter network": s.words
        * (np.maximum(s.tags, LANES) if config.input_lanes == LANES else s.tags * LANES)
        + 0 * s.laps,
        "psum network": s.laps * m.columns * m.e * m.sets * ceil(m.psums, config.psum_lanes),
    }
