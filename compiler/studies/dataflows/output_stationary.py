"""What the three output-stationary dataflows share: a psum stays in its PE until it is done (ISCA
2016, section IV-B).

The array works on a block of p filters, n images, e ofmap rows and f columns, a PE a psum, for
C*R*S cycles. Ifmap entries and weights reach every PE for every MAC over the array. The published
order keeps m filters in the buffer, and the ifmaps of a block while all m use them:

    filters   for chunk of m filters, kept:  for tile, kept:  blocks             (published: a tile
              is a block)
    ifmap     for tile of nb x eb x fb, kept:  for p filters, kept while the tile has more blocks
              than one:  blocks
    stream    blocks take both from DRAM
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from compiler.numbers import ceil

from .counts import Candidates, Layer, Moves, chunks, extent, grid, halo, tiles

ORDERS = ("filters", "ifmap", "stream")
FILTERS, IFMAP, STREAM = range(3)


def candidates(
    layer: Layer, buffer_words: int, blocks: dict[str, np.ndarray], entering: Callable, orders: str
) -> Iterator[Candidates]:
    """blocks: arrays p, n, e, f of those that the array can take; entering(e, f) -> ifmap entries
    of a channel of an image that go into the array for all blocks, once a filter group."""
    if orders == "published":
        steps, kinds = {"nb": np.array([1]), "eb": np.array([1]), "fb": np.array([1])}, [FILTERS]
    else:
        steps = {"nb": tiles(layer.N), "eb": tiles(layer.E), "fb": tiles(layer.F)}
        kinds = range(len(ORDERS))
    each = len(kinds) * len(steps["nb"]) * len(steps["eb"]) * len(steps["fb"])
    for part in chunks(len(blocks["p"]), each):
        some = {axis: values[part] for axis, values in blocks.items()}
        at = grid(block=np.arange(len(some["p"])), order=kinds, **steps)
        yield _candidates(
            layer,
            buffer_words,
            {axis: values[at["block"]] for axis, values in some.items()},
            at,
            entering,
        )


def _candidates(layer, buffer_words, blocks, at, entering) -> Candidates:
    p, n, e, f = (blocks[axis] for axis in "pnef")
    # A tile is a whole number of blocks, or everything.
    nb, eb, fb = (
        np.minimum(ceil(at[axis], block) * block, size)
        for axis, block, size in (("nb", n, layer.N), ("eb", e, layer.E), ("fb", f, layer.F))
    )
    order = at["order"]
    tile = nb * layer.C * extent(eb, layer.uy, layer.R) * extent(fb, layer.ux, layer.S)
    one = ceil(nb, n) * ceil(eb, e) * ceil(fb, f) == 1
    # With one filter group at a time and one block a tile, ifmaps pass by the buffer.
    m = np.minimum((buffer_words - tile) // layer.window // p, ceil(layer.M, p)) * p
    passing = one & (m <= p) & (p * layer.window <= buffer_words)
    m = np.where((order == FILTERS) & ~passing, m, p)
    passing &= order == FILTERS
    fits = np.select(
        [order == FILTERS, order == IFMAP],
        [m > 0, tile + np.where(one, 0, p * layer.window) <= buffer_words],
        one,
    )
    p, n, e, f, nb, eb, fb, m, order, passing = (
        x[fits.astype(bool)] for x in (p, n, e, f, nb, eb, fb, m, order, passing)
    )
    blocks_of = ceil(layer.N, n) * ceil(layer.E, e) * ceil(layer.F, f)
    groups = ceil(layer.M, p)
    leaving = layer.N * layer.C * groups * entering(e, f)
    tiled = (
        layer.N
        * layer.C
        * halo(layer.E, eb, layer.uy, layer.R)
        * halo(layer.F, fb, layer.ux, layer.S)
    )
    ifmap = np.select(
        [(order == STREAM) | passing, order == FILTERS], [leaving, tiled * ceil(layer.M, m)], tiled
    )
    weights = layer.filters * np.select(
        [order == FILTERS, order == STREAM],
        [np.ones_like(m), blocks_of],
        ceil(layer.N, nb) * ceil(layer.E, eb) * ceil(layer.F, fb),
    )
    ofmaps, macs = np.int64(layer.ofmaps), np.full_like(p, layer.macs)
    return Candidates(
        {"p": p, "n": n, "e": e, "f": f, "m": m, "nb": nb, "eb": eb, "fb": fb, "order": order},
        Moves(ifmap, leaving, macs, layer.macs),
        Moves(weights, layer.filters * blocks_of, macs, layer.macs),
        Moves(ofmaps, ofmaps, ofmaps, layer.macs),
        blocks_of * groups * layer.window,
    )
