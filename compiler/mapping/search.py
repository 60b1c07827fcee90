"""The best mapping of a convolution: every use of the array worth a look, each with its best
tiling.

Uses of the array are tried by the least cycles that their passes can take. The tilings of several
are estimated at once, as columns of numpy; what cannot beat the best so far, by a bound on its
cycles and traffic, is dropped before its buffers are drawn up.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.mapping.mapping import (
    PASS_OVERHEAD,
    Counts,
    Mapping,
    Shape,
    estimate,
    least,
    paces,
)
from compiler.numbers import ceil
from hdl.config import PSUM_LANES, Config
from hdl.isa import IfmapBody, largest

PATIENCE = 60, 300  # uses of the array tried without a better one: least, most
# filter tags of a pass, and of each of e, r and t (FILTER and CONFIG in hdl/isa.py)
MOST = 255
FARTHEST = 1.3  # times the fewest cycles, that the passes of a use of the array may take
SLOWEST = 2.2  # the same where the least traffic is looked for
# uses of the array whose tilings are estimated at once; the last again and again
TOGETHER = 1, 3, 8, 24
MOST_CHANNELS = 1 + largest(IfmapBody, "channels")
NEAR = 6  # uses of the array tried for some channels of a depthwise layer in a pass
BIASES = 4  # part of the global buffer that biases may take, before they come by the chunk
WORTH = 0.005  # of the figure that counts: the least traffic, or the MACs, of a layer

# hopeful(cycles, bytes of DRAM), of bounds on both: which of them may beat the best so far
Hopeful = Callable[[np.ndarray, np.ndarray], np.ndarray]

# what a use of the array is
SPATIAL: tuple[str, ...] = tuple("height width q p r split e t".split())


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


class Tilings:
    """Tilings of several uses of the array, a row each: `use` is the row's index among `uses` (by
    name, an array of a number for each), `columns` the fields that vary; depthwise: of them all."""

    def __init__(self, uses: dict[str, np.ndarray], depthwise: int, **fields: np.ndarray):
        self.depthwise = depthwise
        self.columns = {name: column.astype(np.float64) for name, column in (uses | fields).items()}
        self.use = np.arange(len(uses["e"]))

    def cross(self, names: tuple[str, ...], options: list[np.ndarray]) -> None:
        """Every row so far with each of the values of the named fields, [k, fields], that its
        use has."""
        counts = np.array([len(rows) for rows in options])
        first = np.cumsum(counts) - counts
        repeats = counts[self.use]
        end = np.cumsum(repeats)
        row = np.repeat(np.arange(len(self.use)), repeats)
        self._take(row)
        chosen = first[self.use] + np.arange(len(row)) - (end - repeats)[row]
        for name, column in zip(names, np.concatenate(options).T):
            self.columns[name] = column[chosen].astype(np.float64)

    def keep(self, mask: np.ndarray) -> None:
        self._take(np.flatnonzero(mask))

    def _take(self, rows: np.ndarray) -> None:
        self.use = self.use[rows]
        self.columns = {name: column[rows] for name, column in self.columns.items()}

    @property
    def size(self) -> int:
        return len(self.use)

    def mapping(self, **fields) -> Mapping:
        """A Mapping whose fields are columns, some replaced."""
        return Mapping(**{**EMPTY, **self.columns, **fields}, depthwise=self.depthwise)

    def row(self, n: int) -> Mapping:
        columns = {name: int(column[n]) for name, column in self.columns.items()}
        return Mapping(**{**EMPTY, **columns}, depthwise=self.depthwise)


# A mapping's fields without a default. Any: here columns of numpy take the place of its numbers.
EMPTY: dict[str, Any] = {
    field.name: 1 for field in dataclasses.fields(Mapping) if field.default is dataclasses.MISSING
}


@dataclass(frozen=True)
class _Blocks:
    """Filter blocks, of each use of the array. total: of all filters; step: the fewest that end on
    a block of the output; most: of a chunk at most, those whose biases have room."""

    total: list[int]
    step: list[int]
    most: list[int]


def _filter_blocks(
    shape: Shape, uses: dict[str, np.ndarray], depthwise: int, config: Config
) -> _Blocks:
    m = Mapping(**{**EMPTY, **uses}, depthwise=depthwise)
    filters_of = np.asarray(m.block_filters).tolist()
    total = [ceil(shape.M, filters) for filters in filters_of]
    steps = []
    for filters, blocks in zip(filters_of, total):
        step = 1
        while step < blocks and step * filters % shape.out_block:
            step += 1
        steps.append(step)
    each = PSUM_LANES if shape.scaled else 1
    room = [
        config.glb_words // BIASES // int(2 * each * ceil(p, PSUM_LANES) * t)
        for p, t in zip(np.asarray(m.psums).tolist(), np.asarray(m.sets).tolist())
    ]
    most = [
        b if shape.pool is not None or b <= k else max(k // step * step, step)
        for b, k, step in zip(total, room, steps)
    ]
    return _Blocks(total, steps, most)


def _tilings(
    shape: Shape, uses: dict[str, np.ndarray], config: Config, hopeful: Hopeful, depthwise: int = 0
) -> Tilings:
    """All tiles and buffers worth a look that fit the global buffer, but for those of which
    hopeful(cycles, bytes), of a bound on both, says no. depthwise: as Mapping's."""
    words, blocks = config.glb_words, _filter_blocks(shape, uses, depthwise, config)
    step, most = np.array(blocks.step, np.float64), np.array(blocks.most, np.float64)
    by_chunk = np.where(most < np.array(blocks.total), most, 0)
    table = Tilings(
        uses, depthwise, filter_blocks=step, chunk=most, store_blocks=step, bias_blocks=by_chunk
    )

    def bound(m: Mapping, s: Counts, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least cycles and bytes of tilings whose ifmaps and filters share `left` words."""
        psum_block = s.accumulations * table.columns["filter_blocks"] * s.filter_unit
        return least(
            shape,
            m,
            s,
            config,
            s.loads * s.ifmap_unit + s.filter_unit <= left,
            s.units * s.ifmap_unit + psum_block <= left,
        )

    _cross_tiles(table, shape, uses["e"].tolist())
    whole = most[table.use]
    m = table.mapping(filter_blocks=whole, store_blocks=whole, store_bands=table.columns["bands"])
    s = Counts(shape, m)
    fits = s.units * s.ifmap_unit + s.filter_unit <= words
    table.keep(fits & hopeful(*bound(m, s, words - 2 - s.bias)))
    if not table.size:
        return table

    if shape.pool is not None:
        _cross_pooled(table, shape, shape.pool, blocks, uses["e"].tolist())
    else:
        _cross_ofmaps(table, blocks)
    m = table.mapping()
    s = Counts(shape, m)
    left = words - 2 - s.bias - s.ring - s.ofmap
    fits = left >= s.units * s.ifmap_unit + s.filter_unit
    table.keep(fits & hopeful(*bound(m, s, left)))
    if table.size:
        _cross_places(table, shape, most, words)
    return table


def _cross_tiles(table: Tilings, shape: Shape, rows: list[int]) -> None:
    """Tiles of images, bands and columns, and the images of a unit. rows: of a band, by use."""
    pool = shape.pool is not None
    columns = [shape.F] if pool else list({*_splits(shape.F, shape.F), 1})

    @functools.cache
    def tiles(e: int) -> np.ndarray:
        bands = [1] if pool else _splits(ceil(shape.E, e), ceil(shape.E, e))
        return np.array(
            [
                (n, b, c, images)
                for n in {shape.N, ceil(shape.N, 2), 1}
                for b in bands
                for c in columns
                for images in ((1, n) if n > 1 else (1,))
            ]
        )

    table.cross(("n", "bands", "columns", "ifmap_images"), [tiles(e) for e in rows])


def _cross_pooled(
    table: Tilings, shape: Shape, pool: tuple[int, int], blocks: _Blocks, rows: list[int]
) -> None:
    """Ofmaps for a fused pool: rings of rows that hold its windows."""
    kernel, stride = pool

    def rings(e: int) -> set[int]:
        least_rows = min(shape.E, e + max(kernel, stride))
        return {max(min(shape.E, e * slots + kernel), least_rows, e) for slots in (1, 2)}

    names = ("filter_blocks", "store_blocks", "store_bands", "ofmap_slots", "ring")
    table.cross(
        names,
        [np.array([(b, b, 1, 2, ring) for ring in rings(e)]) for b, e in zip(blocks.total, rows)],
    )


def _cross_ofmaps(table: Tilings, blocks: _Blocks) -> None:
    """Filter blocks whose psums the buffer holds at once, and slots of ofmaps. These leave by the
    band, where a pass ends on a block of the output, or by the tile."""

    def parts(b: int, step: int) -> set[int]:
        return {min(b, step * ceil(ceil(b, step), d)) for d in (1, 2, 3, 4, 6, 8, 16, 32, b)}

    table.cross(
        ("filter_blocks",),
        [np.array([[n] for n in parts(b, k)]) for b, k in zip(blocks.most, blocks.step)],
    )
    by_tile = np.array([(0, 2), (0, 1)])
    by_band = np.concatenate((by_tile, [(k, slots) for k in (4, 2, 1) for slots in (3, 2)]))
    options = [by_band if k == 1 else by_tile for k in blocks.step]
    table.cross(("store_bands", "ofmap_slots"), options)
    table.keep(table.columns["store_bands"] < table.columns["bands"])
    c = table.columns
    c["store_bands"] = np.where(c["store_bands"] == 0, c["bands"], c["store_bands"])


def _cross_places(table: Tilings, shape: Shape, most: np.ndarray, words: int) -> None:
    """Places for ifmaps: all of a tile or those of a pass, and one ahead; for filters: those of
    passes to come, or of a chunk as large as there is room for. most: filter blocks, by use."""
    table.cross(("ifmap_slots",), [np.arange(5)[:, None]] * len(most))
    s = Counts(shape, table.mapping())
    c = table.columns
    c["ifmap_slots"] = np.choose(
        c["ifmap_slots"].astype(int), [s.loads, s.loads + 1, s.units, s.units + 1, 2 * s.units]
    )
    left = words - 2 - s.bias - s.ring - s.ofmap - c["ifmap_slots"] * s.ifmap_unit
    table.keep(left >= s.filter_unit)

    table.cross(("filter_slots",), [np.arange(2)[:, None]] * len(most))
    s = Counts(shape, table.mapping())
    c = table.columns
    whole = most[table.use]
    rest = np.floor(
        (words - 2 - s.bias - s.ring - s.ofmap - c["ifmap_slots"] * s.ifmap_unit) / s.filter_unit
    )
    of_block = s.accumulations * c["filter_blocks"]  # filter units of a psum block
    psum_blocks = ceil(whole, c["filter_blocks"])
    chunk = np.maximum(1, np.minimum(psum_blocks, np.floor(rest / of_block)))
    chunk = np.maximum(1, ceil(psum_blocks, np.maximum(1, ceil(psum_blocks, chunk))))
    chunk = np.minimum(whole, chunk * c["filter_blocks"])

    resident = c["filter_slots"] == 1
    possible = ~resident | ((rest >= of_block) & (rest >= chunk * s.accumulations) & (s.tiles > 1))
    c["chunk"] = np.where(resident, chunk, whole)
    c["bias_blocks"] = np.where(c["bias_blocks"] > 0, c["chunk"], 0)
    c["filter_slots"] = np.where(
        resident, np.minimum(rest, chunk * s.accumulations + (chunk < whole)), np.minimum(4, rest)
    )
    table.keep(possible)


def _spatial(shape: Shape, config: Config) -> dict[str, np.ndarray]:
    """Every use of the array worth a look, SPATIAL by name, and "floor", the least cycles of its
    passes; the least first."""
    # Of the shape only what tells here, so that others share it.
    return _uses(
        dataclasses.replace(
            shape,
            C=0,
            H=1,
            W=1,
            out_block=1,
            pool=None,
            in_bytes=1.0,
            out_bytes=1.0,
            narrow=False,
            narrow_out=False,
        ),
        config,
    )


@functools.lru_cache(maxsize=256)
def _uses(shape: Shape, config: Config) -> dict[str, np.ndarray]:
    columns: dict[str, list] = {name: [np.zeros(0, int)] for name in (*SPATIAL, "floor")}
    for height in _splits(shape.R, config.logical_height, 3):
        sets_of = np.array(
            [0] + [config.logical_columns(height * n) for n in range(1, config.pes // height + 1)]
        )
        for width in _splits(shape.S, config.ifmap_spad, 4):
            for q in range(1, shape.block + 1):
                if shape.block % q == 0 and q * width <= config.ifmap_spad:
                    for name, column in _of_slice(shape, config, height, width, q, sets_of).items():
                        columns[name].append(column)
    table = {name: np.concatenate(parts) for name, parts in columns.items()}
    order = np.argsort(table["floor"], kind="stable")
    return {name: column[order] for name, column in table.items()}


def _of_slice(
    shape: Shape, config: Config, height: int, width: int, q: int, sets_of: np.ndarray
) -> dict[str, np.ndarray]:
    """Uses of the array for slices of a filter, height x width of q channels, by the least cycles;
    none where no filter fits. sets_of: by r, how many sets of so many groups there is room for."""
    p_most = min(
        config.psum_spad,
        ceil(shape.M, config.simd) * config.simd,
        config.filter_half // (q * width),
    )
    most = config.logical_columns(height)
    groups = [(r, 1) for r in _splits(shape.blocks, min(most, MOST // height), 12)]
    groups += [
        (n, n) for n in range(2, min(most, shape.block // q) + 1) if shape.block // q % n == 0
    ]
    rows = [_splits(shape.E, min(int(sets_of[r]), MOST), shape.E) for r, _ in groups]
    counts = [len(each) for each in rows]
    ps = np.arange(config.simd, p_most + 1, config.simd)
    r, split = (np.repeat(np.repeat([g[k] for g in groups], counts), len(ps)) for k in (0, 1))
    e = np.repeat(np.concatenate(rows), len(ps)) if rows else np.zeros(0, int)
    p = np.tile(ps, sum(counts))
    if not len(p):
        return {}
    sets = np.minimum(sets_of[r] // e, MOST // (height * r))
    if shape.scaled:
        sets = np.minimum(sets, config.scale_channels // (ceil(p, PSUM_LANES) * PSUM_LANES))
    want = -(-shape.M // p)
    t = -(-want // -(-want // np.maximum(1, sets)))

    # all bands of all images in a pass: the least that passes can take
    varied = {"p": p, "r": r, "t": t, "e": e, "split": split}
    varied = {name: column.astype(np.float64) for name, column in varied.items()}
    fixed = {"height": height, "width": width, "q": q, "columns": shape.F}
    tile = {"n": np.full(len(p), shape.N, np.float64), "bands": ceil(shape.E, varied["e"])}
    m = Mapping(**{**EMPTY, **fixed, **varied, **tile})
    s = Counts(shape, m)
    pace = functools.reduce(np.maximum, paces(shape, m, s, config).values())
    floor = s.blocks * s.accumulations * (pace + PASS_OVERHEAD)

    # of those that differ in nothing but p the one with the least
    order = np.argsort(floor, kind="stable")
    alike = np.zeros(len(p), np.int64)
    for column in (r, split, e, t, np.asarray(s.blocks), np.asarray(s.lanes)):
        alike = alike * (int(column.max()) + 1) + column.astype(np.int64)
    order = order[np.unique(alike[order], return_index=True)[1]]
    found = {"height": height, "width": width, "q": q, "p": p, "r": r, "split": split}
    found |= {"e": e, "t": t, "floor": floor}
    return {name: np.broadcast_to(column, len(floor))[order] for name, column in found.items()}


def _unlike(shape: Shape, uses: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of uses of the array, the fastest first, those that differ in what traffic depends on and
    are not far too slow."""
    near = uses["floor"] <= SLOWEST * uses["floor"][:1]
    blocks = -(-shape.M // (uses["p"] * uses["t"]))
    key = np.stack([uses["height"], uses["width"], blocks, uses["r"] // uses["split"], uses["e"]])[
        :, near
    ]
    first = np.sort(np.unique(key, axis=1, return_index=True)[1])
    return {name: column[near][first] for name, column in uses.items()}


@functools.lru_cache(maxsize=4096)
def ranking(
    shape: Shape, config: Config, objective: str = "cycles", most: int = 5
) -> tuple[Mapping, ...]:
    """The best mappings, each of a different use of the array, best first; empty if nothing
    fits. objective: 'cycles' (then DRAM bytes) or 'dram' (then cycles)."""
    if shape.depthwise:
        return _depthwise(shape, config, objective, most)

    compulsory = 2 * (
        shape.N * shape.C * min(shape.H, shape.E * shape.uy) * shape.W
        + shape.M * (shape.C * shape.R * shape.S + shape.N * shape.E * shape.F)
    )

    def score(cycles, dram_bytes):
        if objective == "cycles":
            return cycles * (1 + WORTH * dram_bytes / compulsory)
        return dram_bytes * (1 + WORTH * cycles * config.multipliers / shape.macs)

    best: list[tuple[float, Mapping]] = []

    def hopeful(cycles, dram_bytes):
        """Whether a bound leaves hope for one of the best."""
        return (
            score(cycles, dram_bytes) <= best[-1][0]
            if len(best) == most
            else np.full(np.shape(cycles), True)
        )

    uses = _spatial(shape, config)
    if objective == "dram":
        uses = _unlike(shape, uses)
    at, barren = 0, 0  # barren: uses of the array tried since the best changed
    for turn in range(len(uses["floor"])):
        some = slice(at, at + TOGETHER[min(turn, len(TOGETHER) - 1)])
        floors = uses["floor"][some].tolist()
        at = some.stop
        if not floors:
            break
        table = _tilings(shape, {name: uses[name][some] for name in SPATIAL}, config, hopeful)
        cycles = dram_bytes = scores = np.zeros(0)
        if table.size:
            cycles, dram_bytes, _ = estimate(shape, table.mapping(), config)
            scores = score(cycles, dram_bytes)
        ends = np.searchsorted(table.use, np.arange(len(floors) + 1)).tolist()
        for floor, first, end in zip(floors, ends, ends[1:]):
            if (
                objective == "cycles"
                and best
                and (
                    barren > min(max(best[0][1].cycles // 4000, PATIENCE[0]), PATIENCE[1])
                    or floor > FARTHEST * best[0][1].cycles
                    or len(best) == most
                    and floor >= best[-1][0]
                )
            ):
                return _bound(shape, config, best)
            barren += 1
            if first == end:
                continue
            n = first + int(np.argmin(scores[first:end]))
            if not best or scores[n] < 0.998 * best[0][0]:
                barren = 0
            found = dataclasses.replace(
                table.row(n), cycles=int(cycles[n]), dram_bytes=int(dram_bytes[n])
            )
            best = sorted([*best, (float(scores[n]), found)], key=lambda item: item[0])[:most]
    return _bound(shape, config, best)


def _depthwise_uses(
    shape: Shape, config: Config, each: int
) -> list[tuple[float, tuple[int, int], dict[str, np.ndarray]]]:
    """(least cycles, (q, r), uses of the array, SPATIAL by name) of a depthwise layer, the fastest
    first: a pass takes r groups of q channels, whole blocks of the input's channels and of the
    output's. each: as Mapping.depthwise."""
    found, multiplier = [], shape.multiplier
    for q in (q for q in range(1, shape.block + 1) if shape.block % q == 0):
        split, psums = shape.block // q, q * multiplier
        if q * each > config.psum_spad or q > MOST_CHANNELS:
            continue
        groups = [split] if split > 1 else _splits(ceil(shape.C, q), config.logical_columns(1), 12)
        for r in groups:
            scales = ceil(psums, PSUM_LANES) * PSUM_LANES * r
            whole = psums * r % shape.out_block == 0 or shape.C <= q * r
            if not whole or (shape.scaled and scales > config.scale_channels):
                continue
            uses = [
                (height, width, q, multiplier, r, split, e, 1)
                for height in _splits(shape.R, min(config.logical_height, MOST // r), 3)
                for width in _splits(shape.S, config.ifmap_spad // q, 3)
                if each * q * width <= config.filter_half
                for e in _splits(shape.E, min(config.logical_columns(height) // r, MOST // r))
            ]
            if uses:
                table: dict[str, np.ndarray] = dict(zip(SPATIAL, np.array(uses).T))
                floors = _floors(shape.part(q, r), table, each, config)
                near = np.argsort(floors, kind="stable")[:NEAR]
                table = {name: column[near] for name, column in table.items()}
                found.append((float(floors.min()), (q, r), table))
    return sorted(found, key=lambda item: item[0])


def _floors(part: Shape, uses: dict[str, np.ndarray], depthwise: int, config: Config) -> np.ndarray:
    """The least cycles of the passes of all parts."""
    columns = {name: column.astype(np.float64) for name, column in uses.items()}
    fields = columns | {"columns": part.F, "n": np.full(len(uses["e"]), float(part.N))}
    fields["bands"] = ceil(part.E, columns["e"])
    m = Mapping(**{**EMPTY, **fields}, depthwise=depthwise)
    s = Counts(part, m)
    pace = functools.reduce(np.maximum, paces(part, m, s, config).values())
    return part.parts * s.blocks * s.accumulations * (pace + PASS_OVERHEAD)


def _depthwise(shape: Shape, config: Config, objective: str, most: int) -> tuple[Mapping, ...]:
    """The best mappings of a depthwise layer, its cycles and bytes those of all parts: channels
    with sums of their own, or each channel a convolution."""
    found: list[Mapping] = []

    def score(cycles, dram_bytes):
        return (cycles, dram_bytes) if objective == "cycles" else (dram_bytes, cycles)

    def hopeful(cycles, dram_bytes):
        first = score(cycles, dram_bytes)[0]
        least_so_far = min((score(m.cycles, m.dram_bytes)[0] for m in found), default=np.inf)
        return first <= (least_so_far if len(found) >= most else np.inf)

    each = ceil(shape.multiplier, config.simd) * config.simd
    for floor, (q, r), uses in _depthwise_uses(shape, config, each):
        best = min((m.cycles for m in found), default=np.inf)
        if objective == "cycles" and floor > FARTHEST * best:
            break
        part = shape.part(q, r)
        table = _tilings(part, uses, config, hopeful, each)
        if not table.size:
            continue
        cycles, dram_bytes, _ = estimate(part, table.mapping(), config)
        n = int(np.lexsort(score(cycles, dram_bytes)[::-1])[0])
        row = dataclasses.replace(
            table.row(n), cycles=int(cycles[n]), dram_bytes=int(dram_bytes[n])
        )
        found.extend(_bound(part, config, [(0.0, row)]))
    if shape.multiplier % shape.out_block == 0:
        for m in ranking(shape.single(), config, objective, 1):
            whole = shape.C * m.cycles, shape.C * m.dram_bytes
            found.append(dataclasses.replace(m, cycles=whole[0], dram_bytes=whole[1]))
    return tuple(sorted(found, key=lambda m: score(m.cycles, m.dram_bytes))[:most])


def _bound(shape: Shape, config: Config, best: list[tuple[float, Mapping]]) -> tuple[Mapping, ...]:
    """The mappings, each with what binds it."""

    def bound(m):
        _, _, shares = estimate(shape, m, config)
        return max(shares, key=lambda name: shares[name])

    return tuple(dataclasses.replace(m, bound=bound(m)) for _, m in best)


def search(shape: Shape, config: Config, objective: str = "cycles") -> Mapping | None:
    """The best mapping, None if nothing fits (a fused pool that the buffer cannot hold; without
    one there is always a mapping on the presets)."""
    return next(iter(ranking(shape, config, objective, 1)), None)
