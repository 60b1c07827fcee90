"""Scales of OFMAP: their table, what fills it, and sums scaled by it."""

import itertools
import random

import numpy as np
import pytest

from golden.integer.requantise import ROUNDINGS, scale
from hdl.config import PRESETS
from hdl.isa import Rounding
from hdl.sequencers.ofmap.commands import OfmapCommands
from hdl.sequencers.ofmap.fill import ScaleFill
from hdl.sequencers.ofmap.scaling import OfmapScaling
from hdl.sequencers.ofmap.sequencer import OfmapSequencer
from hdl.sequencers.ofmap.table import ScaleTable
from tests.hdl.commands import ofmap_payload
from tests.hdl.sequencers.test_sequencers import (
    OFMAP_CORNERS,
    OfmapWatch,
    bus_items,
    known,
    masked,
    ofmap_command,
    ofmap_psums,
    ofmap_writes,
    ring_addresses,
)
from tests.hdl.streams import Buffer, holds, idle, run, run_combinational, send, shared

CONFIG = PRESETS["tiny"]
NARROW = CONFIG.replace(psum_lanes=1, psum_fifo=0)
NAMES = {Rounding.SINGLE: "single", Rounding.DOUBLE: "double", Rounding.AWAY: "away"}


def scale_word(rng):
    """(bias, multiplier, shift) as compilers make them, from the smallest to the largest."""
    shift = rng.choice([0, -1, -31, 30, rng.randint(-31, 30), rng.randint(-12, -1)])
    low = 29 if shift <= 0 else 30
    multiplier = rng.choice([1 << 30, (1 << 31) - 1, rng.randrange(1 << low, 1 << 31)])
    bias = rng.choice([0, -1 << 31, (1 << 31) - 1, rng.randint(-999, 999), rng.getrandbits(30)])
    return (bias, 0, 0) if rng.random() < 0.1 else (bias, multiplier, shift)


def raw(word):
    bias, multiplier, shift = word
    return bias & 0xFFFFFFFF | multiplier << 32 | (shift & 63) << 63


def unpacked(bits):
    bias, shift = bits & 0xFFFFFFFF, bits >> 63 & 63
    return bias - (bias >> 31 << 32), bits >> 32 & (1 << 31) - 1, shift - (shift >> 5 << 6)


def scaled(psums, words, rounding, lo, hi):
    """What golden makes of psums, each with its word."""
    bias, multiplier, shift = (np.array(column) for column in zip(*words))
    return scale(np.array(psums) + bias, multiplier, shift, NAMES[rounding]).clip(lo, hi).tolist()


def test_roundings_have_golden_names():
    assert [NAMES[r] for r in sorted(Rounding)] == ["single", "double", "away"]
    assert set(NAMES.values()) == set(ROUNDINGS)


@pytest.mark.parametrize("config", [CONFIG, NARROW], ids=["words", "psums"])
def test_table(config):
    dut, rng = shared(ScaleTable, config), random.Random(31)
    words = [scale_word(rng) for _ in range(config.scale_channels)]

    async def bench(ctx):
        ctx.set(dut.write, 1)
        for channel, (bias, multiplier, shift) in enumerate(words):
            ctx.set(dut.channel, channel)
            ctx.set(dut.word, dict(bias=bias, multiplier=multiplier, shift=shift))
            await ctx.tick()
        ctx.set(dut.write, 0)
        for channel in range(0, config.scale_channels, config.psum_lanes):
            ctx.set(dut.row, channel // 4)
            ctx.set(dut.lane, channel % 4)
            ctx.set(dut.enable, 1)
            await ctx.tick()
            ctx.set(dut.enable, 0)
            ctx.set(dut.row, 0)
            for _ in range(rng.randint(0, 2)):
                await ctx.tick()
            for n in range(config.psum_lanes):
                word = ctx.get(dut.words[n])
                assert (word.bias, word.multiplier, word.shift) == words[channel + n]

    run(dut, bench)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_fill(stall):
    dut, buffer = shared(ScaleFill), Buffer(random.Random(32), stall, CONFIG.glb_words)
    rng, seen, done = random.Random(33), [], []
    bodies = [
        dict(
            word=2 * rng.randrange(200),
            channels=4 * n,
            rounding=rng.choice(sorted(Rounding)),
            lo=rng.randint(-(1 << 15), 0),
            hi=rng.randint(0, (1 << 15) - 1),
        )
        for n in (1, 2, 16, 5)
    ]

    async def watch(ctx):
        sample = (dut.write, dut.channel, dut.word, dut.done, dut.rounding, dut.lo, dut.hi)
        now = 0
        async for _, _, write, channel, word, pulse, *common in ctx.tick().sample(*sample):
            if write:
                seen.append((channel, word.bias, word.multiplier, word.shift, now))
            if pulse:
                done.append((len(seen), *common))
            now += 1

    async def end(ctx):
        while len(done) < len(bodies):
            await ctx.tick()
        await idle(ctx, 10)

    run(
        dut,
        lambda ctx: send(ctx, dut.command, bodies, stall=stall),
        end,
        background=[buffer.reader(dut.glb), holds(dut.glb.request), watch],
    )
    wanted = []
    for body in bodies:
        for n in range(body["channels"]):
            at = body["word"] + 2 * n
            wanted.append((n, *unpacked(buffer.word(at) | buffer.word(at + 1) << 64)))
    assert [item[:4] for item in seen] == wanted
    ends = itertools.accumulate(body["channels"] for body in bodies)
    assert done == [(n, b["rounding"], b["lo"], b["hi"]) for n, b in zip(ends, bodies)]
    if not stall:
        times = [item[4] for item in seen][12:76]  # of the third
        assert times == [*range(times[0], times[0] + 64)]


def test_commands():
    """A SCALE waits until all is quiet, an OFMAP for a SCALE."""
    dut = shared(OfmapCommands)

    async def bench(ctx):
        for is_scale, quiet, filled, ready in itertools.product((0, 1), repeat=4):
            ctx.set(dut.command.payload, dict(is_scale=is_scale, body=5))
            ctx.set(dut.command.valid, 1)
            ctx.set(dut.quiet, quiet)
            ctx.set(dut.filled, filled)
            ctx.set(dut.ofmaps.ready, ready)
            ctx.set(dut.scales.ready, ready)
            assert ctx.get(dut.ofmaps.valid) == (not is_scale and filled)
            assert ctx.get(dut.scales.valid) == (is_scale and quiet)
            assert ctx.get(dut.command.ready) == (ready and (quiet if is_scale else filled))

    run_combinational(dut, bench)


@pytest.mark.parametrize("config", [CONFIG, NARROW], ids=["words", "psums"])
@pytest.mark.parametrize("still", [0.0, 0.4])
def test_scaling(config, still):
    """Psums of every kind and rounding, a word a cycle, and words that do not move."""
    dut, rng = shared(OfmapScaling, config), random.Random(34)
    bits, lanes = config.psum_bits, config.psum_lanes
    for rounding in sorted(Rounding):
        lo, hi = rng.choice([(-128, 127), (-128, 0), (-32768, 32767), (-5, 250)])
        items, wanted, got = [], [], []
        for _ in range(150):
            shift, relu = rng.randint(0, 47), rng.getrandbits(1)
            place = dict(scaled=rng.random() < 0.7, shift=shift, relu=relu)
            words = [scale_word(rng) for _ in range(lanes)]
            sizes = [rng.choice([1 << bits - 1, 3000]) for _ in range(lanes)]
            psums = [rng.randrange(-size, size) for size in sizes]
            items.append((place, words, psums))
            if place["scaled"]:
                wanted.append(scaled(psums, words, rounding, lo, hi))
            else:
                half, least = 1 << shift >> 1, 0 if relu else -32768
                wanted.append([max(least, min(32767, v + half >> shift)) for v in psums])

        async def feed(ctx):
            ctx.set(dut.rounding, rounding)
            ctx.set(dut.lo, lo)
            ctx.set(dut.hi, hi)
            assert ctx.get(dut.empty)
            queue, ages = list(items), []
            while queue or not ctx.get(dut.empty):
                moves = rng.random() >= still
                valid = bool(queue) and rng.random() >= still / 2
                ctx.set(dut.enable, moves)
                ctx.set(dut.valid, valid)
                if valid:
                    place, words, psums = queue[0]
                    data = sum((v & (1 << bits) - 1) << bits * n for n, v in enumerate(psums))
                    ctx.set(dut.psums, dict(place=place, psums=data))
                    for n, (bias, multiplier, shift) in enumerate(words):
                        ctx.set(dut.words[n], dict(bias=bias, multiplier=multiplier, shift=shift))
                await ctx.tick()
                if valid and moves:
                    queue.pop(0)
                if moves:
                    ages.append(valid)
                    comes = ctx.get(dut.comes)
                    assert comes == (len(ages) >= dut.LATENCY and ages[-dut.LATENCY])
                    if comes:
                        got.append([ctx.get(dut.entries[n]) for n in range(lanes)])

        run(dut, feed)
        assert got == wanted


@pytest.mark.parametrize("lanes", [4, 1])
@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_sequencer(stall, bits, lanes):
    """OFMAPs of all kinds with SCALEs between them."""
    rng, buffer = random.Random(35), Buffer(random.Random(36), stall, CONFIG.glb_words)
    config = (CONFIG if lanes == 4 else NARROW).replace(psum_bits=bits)
    dut = shared(OfmapSequencer, config)
    scales = Buffer(random.Random(37), stall, CONFIG.glb_words)
    for channel in range(200):
        word = raw(scale_word(rng))
        scales.words |= {2 * channel: word & (1 << 64) - 1, 2 * channel + 1: word >> 64}
    ring, commands, wanted, items, reads = ring_addresses(100, 140), [], [], [], []
    table = common = None
    for n in range(24):
        b = ofmap_command(rng, **(OFMAP_CORNERS[n] if n < len(OFMAP_CORNERS) else {}))
        b["scaled"] = not b["to_ring"] and rng.random() < 0.7
        channels = b["sets"] * -(-b["p"] // 4) * 4
        if b["scaled"] and (table is None or len(table) < channels or rng.random() < 0.5):
            first, most = rng.randrange(100), rng.choice([channels, CONFIG.scale_channels])
            lo, hi = rng.choice([(-128, 127), (0, 255), (-32768, 32767)])
            rounding = rng.choice(sorted(Rounding))
            common = rounding, lo, hi
            commands.append(dict(word=2 * first, channels=most, rounding=rounding, lo=lo, hi=hi))
            wanted.append([])
            reads += [2 * (first + n) for n in range(most)]
            table = []
            for at in range(first, first + most):
                table.append(unpacked(scales.word(2 * at) | scales.word(2 * at + 1) << 64))
        words = ofmap_psums(rng, b, bits)
        items += bus_items(b, words, bits, lanes)
        convert = None
        if b["scaled"]:
            row, (rounding, lo, hi), of = itertools.count(), common, list(table)

            def convert(psums, row=row, rounding=rounding, lo=lo, hi=hi, of=of, rows=channels // 4):
                at = 4 * (next(row) % rows)
                return scaled(psums, of[at : at + len(psums)], rounding, lo, hi)

        commands.append(b)
        wanted.append(ofmap_writes(b, words, ring, bits, convert))
    seen = OfmapWatch(dut, buffer, lanes)
    run(
        dut,
        lambda ctx: send(ctx, dut.command, map(ofmap_payload, commands), stall=stall / 2),
        lambda ctx: send(ctx, dut.input, items, stall=stall),
        lambda ctx: seen.all_done(ctx, len(commands)),
        background=[
            buffer.writer(dut.glb),
            scales.reader(dut.scales),
            seen.ring(ring_addresses(100, 140), rng, stall),
            seen.watch,
            holds(dut.glb),
            holds(dut.scales.request),
        ],
        cycles=60_000,
    )
    got, writes = masked(buffer.writes), [w for of_command in wanted for w in of_command]
    if lanes == 1:
        pairs = [(b, w) for b, w in zip(commands, wanted) if "channels" not in b]
        got, writes = (known(w, *zip(*pairs)) for w in (got, writes))
    assert got == writes
    assert scales.reads == reads
    assert len(seen.done) == len(commands) and seen.reserved == 0
    for n, (written, now, _) in enumerate(seen.done):
        assert written + now >= sum(map(len, wanted[: n + 1])), "done before the last write"
