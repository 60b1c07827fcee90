"""Layers over 8-bit tensors on devices, against golden."""

import dataclasses

import numpy as np

from compiler.layers import Pool
from compiler.lowering.compile import compile_network
from compiler.lowering.emission.store import StoreLayer, emit_store
from compiler.lowering.structures.commands import Schedule
from compiler.lowering.structures.options import Options
from compiler.mapping.layout import Storage, View
from compiler.quantise.fixed_point import golden_run
from compiler.runtime.run import start_segment
from golden.integer.affine import Affine
from golden.pool import max_pool
from tests.compiler.strips import SOURCE, TARGET, run_schedule
from tests.layers import draw


def bounds(affine):
    """The least and the greatest v of a tensor."""
    if affine is None:
        return -32768, 32767
    return affine.lo - affine.zero, affine.hi - affine.zero


def random_affine(rng, wide=0.0):
    """None, of int16, as often as `wide` says."""
    signed = bool(rng.integers(2))
    zero = int(rng.integers(-128, 128) if signed else rng.integers(256))
    return None if rng.random() < wide else Affine(0.1, zero, signed)


def view_of(affine, address, channels, height, width, block):
    blocks = -(-channels // block)
    storage = Storage("tensor", height, width, block, blocks, address, affine=affine)
    return View(storage, 0, np.arange(channels))


def random_pool(rng, height, width):
    """A maximum pool, or None if its window would not fit."""
    kernel, stride = ((int(a), int(b)) for a, b in (rng.integers(1, 4, 2), rng.integers(1, 3, 2)))
    pads = tuple(min(int(n), k - 1) for n, k in zip(rng.integers(0, 2, 4), (*kernel, *kernel)))
    if height + pads[0] + pads[2] < kernel[0] or width + pads[1] + pads[3] < kernel[1]:
        return None
    return Pool("pool", "max", "in", "out", kernel, stride, pads, (0, 0, 0, 0))


def pooled(pool, x):
    return max_pool(x, pool.kernel, pool.stride, pool.pads) if pool else x


def check_store(device, seed):
    """A copy or a maximum pool, of tensors of either kind in random blocks."""
    rng = np.random.default_rng(seed)
    images, channels = int(rng.integers(1, 3)), int(rng.integers(1, 20))
    height, width = int(rng.integers(1, 7)), int(rng.integers(1, 30))
    pool = random_pool(rng, height, width) if rng.random() < 0.5 else None
    size = pooled(pool, np.zeros((1, 1, height, width), np.int16)).shape[2:]
    blocks = [int(b) for b in rng.choice([1, 2, 3, 4, 5, 8, 12], 2)]
    source = view_of(random_affine(rng, 0.2), SOURCE, channels, height, width, blocks[0])
    target = view_of(random_affine(rng, 0.2), TARGET, channels, *size, blocks[1])

    low, high = bounds(source.storage.affine)
    x = rng.integers(low, high + 1, (images, channels, height, width)).astype(np.int16)
    want = np.clip(pooled(pool, x), *bounds(target.storage.affine))

    memory = rng.integers(0, 256, 0x40000).astype(np.uint8)
    source.pack(x, memory[SOURCE : SOURCE + images * source.storage.image_bytes])
    device.write(0, memory.tobytes())
    schedule = Schedule()
    layer = StoreLayer([source], target, (height, width), channels, "layer", images, pool)
    emit_store(schedule, device.config, layer)
    result = run_schedule(device, schedule)
    assert result.ok, result

    got = np.frombuffer(device.read(0, len(memory)), np.uint8).copy()
    span = slice(TARGET, TARGET + images * target.storage.image_bytes)
    np.testing.assert_array_equal(target.unpack(got[span], images), want)
    # Nothing beside the target's strips, and what ends their last words is not touched.
    s = target.storage
    strips = got[span].reshape(-1, s.strip_bytes)
    ends = strips[:, s.entries * s.bytes_each :]
    before = memory[span].reshape(-1, s.strip_bytes)[:, s.entries * s.bytes_each :]
    assert np.array_equal(ends, before)
    got[span] = memory[span]
    assert np.array_equal(got, memory)
    return schedule


def check_layer(device, seed, **options):
    """A convolution of tests/layers.py with its input and output of 8 bits, or one of them.
    Returns (program, counters by segment)."""
    rng = np.random.default_rng(seed)
    _, batch, network, images = draw(seed)
    kinds = [random_affine(rng), random_affine(rng)]
    if rng.random() < 0.3:
        kinds[int(rng.integers(2))] = None
    tensors = {
        name: dataclasses.replace(network.graph.tensors[name], affine=affine)
        for name, affine in zip(("in", "out"), kinds)
    }
    network.graph.tensors.update(tensors)
    low, high = bounds(kinds[0])
    images = np.clip(images >> (0 if kinds[0] is None else 7), low, high).astype(np.int16)
    if kinds[1] is not None:  # of the size of what is stored
        numbers = network.convs["layer"]
        shift = min(31, numbers.shift + int(rng.integers(0, 8)))
        network.convs["layer"] = dataclasses.replace(numbers, shift=shift)

    program = compile_network(network, device.config, Options(images=batch, **options))
    assert [program.views[name].storage.affine for name in tensors] == kinds
    assert not any(s.rlc and s.affine for s in (v.storage for v in program.views.values()))
    program.load(device)
    program.write_input(device, images)
    counters = {
        segment.name: start_segment(program, device, segment).counters
        for segment in program.segments
    }
    want = np.clip(golden_run(network, images).tensors["out"], *bounds(kinds[1]))
    np.testing.assert_array_equal(program.read_tensor(device, "out"), want)
    return program, counters
