"""The sliding window of ifmap entries: what it shows, frees and takes in meanwhile."""

import random

import pytest
from amaranth.hdl import Const

from hdl.array.pe.ifmap_window import IfmapWindow
from hdl.array.words import PassHeader
from hdl.timing import HAZARD
from tests.hdl.array.pe.bus import ENTRIES, SKIPPING, WORDS, offer, split
from tests.hdl.streams import run, shared

VARIANTS = pytest.mark.parametrize(
    "config, skip",
    [(WORDS, 0), (ENTRIES, 0), (SKIPPING, 0), (SKIPPING, 1)],
    ids=["words", "entries", "may skip", "skips"],
)


def window_of(config):
    return shared(IfmapWindow, config)


def passes(rng, count, zeros, skip):
    """Random passes: window, step, positions, channels, the streams' entries; depthwise ones among
    them unless zeros are skipped."""
    for n in range(count):
        window = 8 if n == 0 else rng.randint(1, 8)
        step, positions = rng.randint(1, window), rng.randint(1, 4)
        length = window + (positions - 1) * step
        streams = [
            [0 if rng.random() < zeros else rng.randint(-(2**15), 2**15 - 1) for _ in range(length)]
            for _ in range(rng.randint(1, 2))
        ]
        channels = 1 if skip else rng.choice([n for n in range(1, 9) if window % n == 0])
        yield window, step, positions, channels, streams


def on_bus(rng, config, shape, ragged=0.0):
    """The header and the entries of a pass."""
    window, step, positions, channels, streams = shape
    one = config.input_lanes == 1
    header = dict(p=1, window=window, step=step, positions=positions, laps=len(streams))
    header |= dict(channels=channels - 1, inner=window - channels)
    header = Const.cast(PassHeader.const(header)).value
    if one:
        for n in range(4):
            yield dict(data=header >> 16 * n & 0xFFFF, header=1, last=n == 3)
    else:
        yield dict(data=header, header=1, count=4)
    for stream in streams:
        for bits, count in split(rng, config, stream, ragged=ragged):
            yield dict(data=bits, header=0) | ({} if one else {"count": count})


def windows(shape, skip):
    """What every window has, (place, entry), and whether it is its stream's last."""
    window, step, positions, _, streams = shape
    for stream in streams:
        for position in range(positions):
            entries = list(enumerate(stream[position * step :][:window]))
            if skip:
                entries = [one for one in entries if one[1]] or [(0, 0)]
            yield entries, position == positions - 1


async def walk(ctx, dut, config, skip, shape, rng, stall):
    """Plays the MAC loop for a pass; returns the cycles since its load."""
    pulses, now = ("load", "entry_end", "window_end"), 0

    async def tick(**high):
        nonlocal now
        for name in pulses:
            ctx.set(getattr(dut, name), high.get(name, 0))
        now += 1
        shown = dut.there, dut.entry, dut.first, dut.final, dut.last, dut.index
        return (await ctx.tick().sample(*shown))[2:]

    while not ctx.get(dut.header_valid):
        await tick()
    header, now = ctx.get(dut.header), 0
    channels = shape[3]
    assert (header.window, header.step, header.positions) == shape[:3]
    assert (header.channels, header.inner) == (channels - 1, shape[0] - channels)
    await tick(load=1)
    for entries, last_position in windows(shape, skip):
        for n, (place, entry) in enumerate(entries):
            ends = n == len(entries) - 1
            wanted, turns = (1, entry, n < channels, n >= len(entries) - channels, ends), 0
            final = False
            while not final:
                final = turns >= HAZARD - 1 and rng.random() >= stall
                ctx.set(dut.last_position, last_position if final else rng.random() < 0.5)
                ctx.set(dut.last_channel, n % channels == channels - 1)
                there = ctx.get(dut.there)
                final = final and there
                got = await tick(entry_end=final, window_end=final and ends)
                assert got[0] or not turns, "an entry withdrawn"
                if got[0]:
                    assert got[:5] == wanted, (n, entries)
                    assert not config.skip or got[5] == place
                turns += got[0]
    for name in pulses:
        ctx.set(getattr(dut, name), 0)
    return now


@VARIANTS
@pytest.mark.parametrize("zeros, stall", [(0.1, 0.3), (0.6, 0.3), (0.9, 0.0), (1.0, 0.3)])
def test_entries(config, skip, zeros, stall):
    """Every entry of every window, or those that are not zero, whatever comes when."""
    rng, dut = random.Random(f"{zeros}"), window_of(config)
    todo = list(passes(rng, 3, zeros, skip))

    async def source(ctx):
        for shape in todo:
            await offer(ctx, dut, on_bus(rng, config, shape, stall), rng=rng, stall=stall)

    async def main(ctx):
        ctx.set(dut.skip, skip)
        for shape in todo:
            await walk(ctx, dut, config, skip, shape, rng, stall)
        for _ in range(8):  # nothing is left but, of zeros, what cannot be told from a next pass
            await ctx.tick()
            assert skip or not ctx.get(dut.there)

    run(dut, main, source)


@VARIANTS
def test_rate(config, skip):
    """An entry every HAZARD cycles, once they have come; one a cycle goes in until it is full."""
    rng, dut, times, spent = random.Random(1), window_of(config), [], []
    shape = (8, 2, 6, 1, [[rng.randint(1, 999) for _ in range(18)]])
    words = list(on_bus(rng, config, shape))

    async def source(ctx):
        await offer(ctx, dut, words, rng=rng, times=times)

    async def main(ctx):
        ctx.set(dut.skip, skip)
        await ctx.tick().repeat(30)
        spent.append(await walk(ctx, dut, config, skip, shape, rng, 0.0))

    run(dut, main, source)
    # The spad's 8 entries, behind its header, and with words what the FIFO holds.
    at_once = 4 + 8 if config.input_lanes == 1 else 1 + 2 + config.ifmap_fifo
    assert sum(now < 30 for now in times) == at_once
    assert config.input_lanes > 1 or times[:at_once] == list(range(at_once))
    assert spent == [1 + HAZARD * 8 * 6]


@pytest.mark.parametrize("config", [WORDS, ENTRIES, SKIPPING], ids=["words", "entries", "may skip"])
def test_largest_window(config):
    """As many entries as the largest spad holds, of one channel and of eight."""
    rng, dut = random.Random(2), window_of(config.replace(ifmap_spad=64, filter_spad=256))
    todo = [(64, 64, 1, n, [[rng.randint(1, 999) for _ in range(64)]]) for n in (1, 8)]

    async def source(ctx):
        for shape in todo:
            await offer(ctx, dut, on_bus(rng, config, shape), rng=rng)

    async def main(ctx):
        for shape in todo:
            await walk(ctx, dut, config, 0, shape, rng, 0.0)

    run(dut, main, source)
