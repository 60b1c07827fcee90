"""Tensors of 8 bits: their layout, tiles and layers, in the interpreter."""

import numpy as np
import pytest

from compiler.lowering.emission.tile import Tile
from compiler.lowering.structures.coded import choose
from compiler.lowering.structures.commands import Schedule
from compiler.mapping.layout import Storage, View
from compiler.runtime.interpreter import Interpreter
from golden.integer.affine import Affine
from hdl.config import PRESETS
from hdl.isa import Opcode
from tests.compiler.narrow import check_layer, check_store, view_of
from tests.compiler.strips import END, SOURCE, run_schedule
from tests.layers import STRATA

TINY = PRESETS["tiny"]
CRAMPED = TINY.replace(name="cramped", glb_pairs=1, glb_depth=64)  # tiles of a few columns
UINT8 = Affine(0.5, 131, signed=False)


def test_layout():
    """Bytes of strips, a strip on a multiple of 8; slots without a channel hold the zero point."""
    view = view_of(UINT8, 0, 5, 2, 3, 4)
    s = view.storage
    assert (s.bytes_each, s.strip_bytes, s.row_bytes, s.image_bytes) == (1, 16, 32, 64)
    assert s.dense_bytes == 64 and view.address(0, 1, 1) == 48
    x = np.arange(-20, 10, dtype=np.int16).reshape(1, 5, 2, 3)
    memory = np.full(64, 7, np.uint8)
    view.pack(x, memory)
    # Row 1, block 1: channel 4 at columns 0 to 2, and three slots without a channel.
    strip = [v for n in (7, 8, 9) for v in (n + 131, 131, 131, 131)]
    assert memory[48:64].tolist() == [*strip, 7, 7, 7, 7]
    assert np.array_equal(view.unpack(memory, 1), x)


@pytest.mark.parametrize("affine", [None, UINT8, Affine(0.5, -128), Affine(0.5, 127)])
def test_pack_and_unpack(affine):
    rng = np.random.default_rng(4)
    storage = Storage("tensor", 3, 7, 3, 5, affine=affine)
    whole = View(storage, 1, np.array([0, 1, 2, 3, 6, 7, 9]))
    low, high = (affine.lo, affine.hi) if affine else (-99, 99)
    zero = affine.zero if affine else 0
    x = rng.integers(low - zero, high - zero + 1, (2, 7, 3, 7)).astype(np.int16)
    memory = np.zeros(2 * storage.image_bytes, np.uint8)
    whole.pack(x, memory)
    got = whole.unpack(memory, 2)
    assert got.dtype == np.int16 and np.array_equal(got, x)


@pytest.mark.parametrize("affine", [None, UINT8])
@pytest.mark.parametrize("block", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("x", range(10))
def test_tile(affine, block, x):
    """Every column of a tile lies where its lane and strides say."""
    rng = np.random.default_rng(x)
    view = view_of(affine, SOURCE, 2 * block, 3, 13, block)
    values = rng.integers(-131, 125, (2, 2 * block, 3, 13)).astype(np.int16)
    memory = np.zeros(2 * view.storage.image_bytes, np.uint8)
    view.pack(values, memory)
    device, schedule = Interpreter(TINY, END), Schedule()
    device.write(SOURCE, memory.tobytes())
    tile = Tile(view, 0, 2, 1, 2, 0, 2, x, int(rng.integers(1, 13 - x + 1)))
    command = tile.load(schedule, 6)
    assert run_schedule(device, schedule).ok
    assert command.fields.get("narrow", 0) == tile.narrow == (affine is not None)
    assert 0 <= tile.lane < (8 if affine else 4)
    assert not device.glb[: 4 * 6].any() and not device.glb[4 * (6 + tile.words) :].any()

    strides = tile.strides()
    for image in range(2):
        for row in range(2):
            for number in range(2):
                at = 4 * 6 + tile.lane + image * strides["image_stride"]
                at += row * strides["row_stride"] + number * strides["block_stride"]
                got = device.glb[at : at + tile.columns * block].reshape(-1, block).T
                of_block = slice(number * block, (number + 1) * block)
                want = values[image, of_block, 1 + row, x : x + tile.columns]
                assert np.array_equal(got, want)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("config", [TINY, CRAMPED], ids=lambda c: c.name)
def test_copies_and_pools(config, lanes, cases):
    """Tensors of 8 bits and of 16, whole and in tiles that begin at every lane."""
    device = Interpreter(config.replace(store_lanes=lanes), END)
    read, written = set(), set()  # bytes of a word at which tiles begin
    # Seed 255 is the first to write from byte 3 on.
    for seed in [*range(cases(60, 400)), 255]:
        commands = check_store(device, seed).commands
        stores = [c.fields for c in commands if c.opcode is Opcode.STORE]
        if any(c.fields.get("narrow") for c in commands if c.opcode is Opcode.LOAD):
            read |= {fields["base"] % 8 for fields in stores}
        written |= {fields["dram"] % 8 for fields in stores if fields.get("narrow")}
    assert config is TINY or read == written == set(range(8))


@pytest.mark.parametrize("stratum", range(len(STRATA)))
def test_convolutions(stratum, cases):
    """Of random shapes, their ifmaps or ofmaps or both of 8 bits."""
    device = Interpreter(TINY, 16 << 20)
    for n in range(cases(3, 12)):
        check_layer(device, stratum + n * len(STRATA))


def test_never_coded():
    """Run-length coding is for entries of 16 bits."""
    views = {name: view_of(a, 0, 8, 4, 4, 4) for name, a in (("a", None), ("b", UINT8))}
    uses = [(view, True) for view in views.values()]
    for mode in ("on", "auto"):
        choose(mode, views, uses, dict(a=0.99, b=0.99), ())
        assert [view.storage.rlc for view in views.values()] == [True, False]
