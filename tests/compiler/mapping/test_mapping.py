"""The mapper: what it proposes fits the hardware, and its counts are those of the programs."""

import dataclasses
import random

import numpy as np
import pytest

from compiler.lowering.emission.tile import Tile
from compiler.lowering.structures.shape import conv_shape
from compiler.mapping.layout import Storage, View
from compiler.mapping.mapping import Counts, Mapping, Shape, estimate, traffic
from compiler.mapping.search import ranking, search
from compiler.networks.layer_tables import NETWORKS
from compiler.numbers import ceil
from compiler.studies.map_table import layers_of, map_layer
from golden.integer.affine import Affine
from hdl.config import PRESETS, Config
from hdl.isa import Mode

EYERISS = PRESETS["eyeriss"]
BASE = Mapping(1, 1, *[1] * 8, *[1] * 8)


def random_shape(rng):
    R, S, uy, ux = (
        rng.randint(1, 12),
        rng.randint(1, 32),
        rng.choice([1, 1, 2, 4]),
        rng.randint(1, 5),
    )
    E, F, block = (
        rng.randint(1, 40),
        rng.randint(1, 40),
        rng.choice([1, 2, 3, 4, 8] + [12, 16] * (S < 12)),
    )
    return Shape(
        rng.randint(1, 4),
        0,
        (E - 1) * uy + R,
        (F - 1) * ux + S,
        rng.randint(1, 200),
        R,
        S,
        E,
        F,
        uy,
        ux,
        block,
        rng.randint(1, 30),
        rng.choice([1, 4, 8]),
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_mappings_fit(preset):
    """Spads, chain, global buffer; every output and every channel is covered."""
    config, rng = PRESETS[preset], random.Random(preset)
    for _ in range(25):
        shape = random_shape(rng)
        shape = dataclasses.replace(shape, C=shape.block * shape.blocks)
        found = ranking(shape, config)
        assert found, shape
        for m in found:
            assert m.pes <= config.pes and m.p <= config.psum_spad
            assert m.p * m.q * m.width <= config.filter_half and m.q * m.width <= config.ifmap_spad
            s = Counts(shape, m)
            assert s.buffer_words(m) <= config.glb_words, (shape, m)
            assert s.blocks * m.p * m.t >= shape.M and s.groups * m.channel_blocks >= shape.blocks
            assert m.split in (1, m.r) and shape.block % (m.q * m.split) == 0
            assert ceil(shape.R, m.height) * m.height >= shape.R and shape.block % m.q == 0
            assert m.ifmap_slots >= s.units and m.filter_slots >= 1
            # no mapping beats its own MACs
            work = (
                s.tiles
                * s.blocks
                * s.accumulations
                * s.laps
                * m.columns
                * max(m.p, 3)
                * m.q
                * min(m.width, shape.S)
            )
            assert m.cycles * ceil(shape.S, m.width) >= work / ceil(shape.S, m.width) * 0.99


@pytest.mark.parametrize("objective", ["cycles", "dram"])
def test_tags_of_a_large_array(objective):
    """A pass has no more filter tags than a command can say, however many PEs there are."""
    config = EYERISS.replace(name="large", rows=16, columns=32)
    graph, layer, zeros, _ = layers_of(NETWORKS["alexnet"])[0]
    shape = conv_shape(
        graph, layer, 4, np.arange(3), 1, 8, mode=Mode.DENSE, zeros=zeros, uncoded=()
    )
    found = ranking(shape, config, objective)
    assert found and all(Counts(shape, m).tags <= 255 and max(m.e, m.r, m.t) <= 255 for m in found)
    assert max(m.pes for m in found) > 255


def test_best_first():
    """By the figure asked for; the other objective finds the least of the other figure."""
    shape = Shape(4, 192, 13, 13, 128, 3, 3, 13, 13, 1, 1, 4, 48, 8)
    fast, lean = ranking(shape, EYERISS), ranking(shape, EYERISS, "dram")
    assert fast[0].cycles <= min(m.cycles for m in (*fast, *lean)) * 1.005
    assert lean[0].dram_bytes <= min(m.dram_bytes for m in (*fast, *lean)) * 1.005
    assert lean[0].dram_bytes < fast[0].dram_bytes and len({str(m) for m in fast}) == len(fast)
    assert search(shape, EYERISS) == fast[0]


@pytest.mark.parametrize("objective", ["cycles", "dram"])
@pytest.mark.parametrize("preset", ["tiny", "eyeriss", "ecp5-85-128"])
def test_what_is_dropped_is_not_missed(preset, objective, monkeypatch):
    """The bounds by which the search drops tilings change nothing: without them, and with every use
    of the array by itself, the same mappings are found."""
    config, rng = Config.load(preset), random.Random(f"{preset} {objective}")
    for _ in range(3):
        shape = random_shape(rng)
        pool = (2, 2) if shape.E > 3 and rng.random() < 0.5 else None
        shape = dataclasses.replace(
            shape,
            C=shape.block * shape.blocks,
            pool=pool,
            density=rng.choice([1.0, 0.4]),
            in_bytes=rng.choice([1.0, 0.5]),
            narrow=rng.random() < 0.5,
            narrow_out=rng.random() < 0.5,
        )
        dropping = [ranking.__wrapped__(shape, config, objective, most) for most in (1, 3)]
        with monkeypatch.context() as patch:
            patch.setattr(
                "compiler.mapping.search.least", lambda shape, m, s, *_: (0 * s.tiles, 0 * s.tiles)
            )
            patch.setattr("compiler.mapping.search.TOGETHER", (1,))
            assert dropping == [
                ranking.__wrapped__(shape, config, objective, most) for most in (1, 3)
            ], shape


def test_many_tilings_are_estimated_as_one():
    """numpy columns give what single numbers give."""
    shape = Shape(2, 24, 20, 20, 48, 3, 3, 20, 20, 1, 1, 4, 6, 4)
    first = search(shape, EYERISS)
    fields = ("n", "bands", "ifmap_slots", "filter_slots")
    rows = [
        first,
        dataclasses.replace(first, n=1, bands=1),
        dataclasses.replace(first, ifmap_slots=first.ifmap_slots + 3),
    ]
    together = dataclasses.replace(
        first, **{f: np.array([getattr(m, f) for m in rows]) for f in fields}
    )
    cycles, dram, _ = estimate(shape, together, EYERISS)
    for n, m in enumerate(rows):
        one = estimate(shape, m, EYERISS)
        assert (int(cycles[n]), int(dram[n])) == (int(one[0]), int(one[1]))


def test_networks_add_up():
    """MACs of the tables are those published (millions of a batch of four; billions of three)."""
    alexnet, vgg = NETWORKS["alexnet"], NETWORKS["vgg16"]
    assert [round(4 * layer.macs / 1e6, 1) for layer in alexnet.layers] == [
        421.7,
        895.8,
        598.1,
        448.6,
        299.0,
    ]
    assert round(3 * sum(layer.macs for layer in vgg.layers) / 1e9, 2) == 46.04
    assert round(alexnet.chip_cycles / 1e6, 2) == 23.06 and round(vgg.chip_cycles / 1e6, 1) == 861.9
    for network in (alexnet, vgg):
        for layer, after in zip(network.layers, network.layers[1:]):
            assert layer.M == after.C and network.ofmap_zeros(layer) == after.zeros


@pytest.mark.sampled(2)
@pytest.mark.parametrize("at", range(5))
def test_alexnet_beats_the_chip(at):
    """By the model: every layer faster than the chip's, dense, and faster still with zeros
    skipped."""
    graph, layer, zeros, chip = layers_of(NETWORKS["alexnet"])[at]
    dense = map_layer(graph, layer, zeros, 4, EYERISS, Mode.DENSE)
    skip = map_layer(graph, layer, zeros, 4, EYERISS, Mode.SKIP)
    assert dense.cycles < 4 * chip and skip.cycles <= 1.01 * dense.cycles
    assert dense.utilisation > 0.87


def test_zeros_make_a_layer_smaller():
    graph, layer, zeros, _ = layers_of(NETWORKS["alexnet"])[3]
    common = dict(mode=Mode.SKIP, uncoded=())
    some = conv_shape(graph, layer, 4, np.arange(384), 4, 8, zeros=zeros, **common)
    none = conv_shape(graph, layer, 4, np.arange(384), 4, 8, zeros={}, **common)
    assert some.density == pytest.approx(1 - 0.793) and none.density == 1
    assert some.in_bytes < 0.5 and none.in_bytes == some.in_bytes**0
    assert search(some, EYERISS).cycles < 0.7 * search(none, EYERISS).cycles


@pytest.mark.parametrize("narrow", [False, True])
def test_strips(narrow):
    """A tile's strip is never longer than Counts says, wherever it begins."""
    rng, affine = random.Random(7), Affine(1.0, 0) if narrow else None
    for _ in range(200):
        shape = dataclasses.replace(random_shape(rng), narrow=narrow)
        m = dataclasses.replace(BASE, columns=rng.randint(1, shape.F), height=1, width=1)
        counts = Counts(shape, m)
        columns = min((m.columns - 1) * shape.ux + shape.S, shape.W)
        storage = Storage("tensor", 1, shape.W, shape.block, 1, affine=affine)
        tiles = [
            Tile(View(storage, 0, np.arange(1)), 0, 1, 0, 1, 0, 1, x, columns)
            for x in range(shape.W - columns + 1)
        ]
        longest = max(tile.strip for tile in tiles)
        assert longest <= counts.strip < longest + (4 if narrow else 2)
        assert counts.ifmap_loaded == counts.ifmap_unit // (2 if narrow else 1)


def test_narrow_traffic():
    """Ifmaps and ofmaps of 8 bits are half of the bytes; what is in the buffer stays."""
    wide = Shape(1, 64, 32, 32, 64, 3, 3, 32, 32, 1, 1, 8, 8, 8)
    narrow = dataclasses.replace(wide, narrow=True, narrow_out=True)
    m = search(wide, EYERISS)
    one, other = (traffic(shape, m, Counts(shape, m)) for shape in (wide, narrow))
    assert other["ofmap"] == one["ofmap"] / 2
    assert one["ifmap"] / 2 <= other["ifmap"] < one["ifmap"] * 0.54
    assert {n: other[n] for n in ("filter", "psum", "commands")} == {
        n: one[n] for n in ("filter", "psum", "commands")
    }
    cycles, moved = (estimate(narrow, m, EYERISS)[n] for n in (0, 1))
    assert cycles < estimate(wide, m, EYERISS)[0] and moved < estimate(wide, m, EYERISS)[1]
    assert search(narrow, EYERISS).dram_bytes < 0.75 * search(wide, EYERISS).dram_bytes
