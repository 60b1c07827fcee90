"""Ifmap words on their way into a PE's spad: entries, and headers of passes."""

import random

import pytest

from hdl.array.pe.ifmap.entries import IfmapEntries
from hdl.array.pe.ifmap.skipping_words import SkippingIfmapWords
from hdl.array.pe.ifmap.words import IfmapWords
from tests.hdl.array.pe.bus import ENTRIES, SKIPPING, WORDS, offer, split
from tests.hdl.streams import run, shared

INTAKES = pytest.mark.parametrize(
    "intake, config, skip",
    [
        (IfmapEntries, ENTRIES, 0),
        (IfmapWords, WORDS, 0),
        (SkippingIfmapWords, SKIPPING, 0),
        (SkippingIfmapWords, SKIPPING, 1),
    ],
    ids=["entries", "words", "may skip", "skips"],
)


def entries_of(rng, count, zeros):
    return [0 if rng.random() < zeros else rng.randrange(1, 1 << 16) for _ in range(count)]


def on_bus(rng, config, header, entries, ragged=0.0):
    """A pass: its header, and its entries."""
    if config.input_lanes == 1:
        for n in range(4):
            yield dict(data=header >> 16 * n & 0xFFFF, header=1, last=n == 3)
        yield from (dict(data=entry, header=0, last=0) for entry in entries)
    else:
        yield dict(data=header, header=1, count=4)
        for data, count in split(rng, config, entries, ragged=ragged):
            yield dict(data=data, header=0, count=count)


class Spad:
    """What is written, and when: (entry, its place if the intake tells it). Takes every header at
    some time after it is there."""

    def __init__(self, dut, skip, stall):
        self.dut, self.skip, self.stall = dut, skip, stall
        self.written, self.times, self.headers, self.ended = [], [], [], False

    async def __call__(self, ctx):
        dut, rng, now = self.dut, random.Random(5), 0
        places = hasattr(dut, "place")
        if places:
            ctx.set(dut.skip, self.skip)
        while not self.ended:
            ctx.set(dut.full, rng.random() < self.stall)
            near = rng.random() >= self.stall
            if places:
                ctx.set(dut.near, near)
            load = ctx.get(dut.header_valid) and (not self.stall or rng.random() < 0.1)
            ctx.set(dut.load, load)
            if load:
                self.headers.append(ctx.get(dut.header.as_value()))
            told = [dut.place, dut.known] if places else []
            write, full, data, *where = (
                await ctx.tick().sample(dut.write, dut.full, dut.data, *told)
            )[2:]
            if write:
                assert not full and (near or not self.skip)
                self.written.append((data, *where[:1]))
                self.times.append(now)
            now += 1


def play(intake, config, skip, passes, stall=0.0):
    """Sends (header, entries) of passes; returns what the spad got and the cycles in which words
    moved."""
    dut, rng, moved = shared(intake, config), random.Random(6), []
    spad = Spad(dut, skip, stall)
    words = [w for one in passes for w in on_bus(rng, config, *one, ragged=stall)]

    async def main(ctx):
        await offer(ctx, dut, words, rng=rng, stall=stall, times=moved)
        await ctx.tick().repeat(60 if stall else 20)
        spad.ended = True

    run(dut, spad, main)  # the spad first: whether it is full is known as the bus is looked at
    entries = [entry for _, entries in passes for entry in entries]
    turn = 1 << config.place_bits
    wanted = [
        (entry, n % turn) if intake is SkippingIfmapWords else (entry,)
        for n, entry in enumerate(entries)
        if entry or not skip
    ]
    assert spad.written == wanted
    assert spad.headers == [header for header, _ in passes]
    return spad, moved


@INTAKES
@pytest.mark.parametrize("zeros", [0.2, 0.9])
def test_entries(intake, config, skip, zeros):
    """Every entry in order, or those that are not zero with their places; every header before the
    next."""
    rng = random.Random(f"{zeros}")
    passes = [
        (rng.getrandbits(56), entries_of(rng, rng.choice((1, 2, 9, 40)), zeros)) for _ in range(8)
    ]
    play(intake, config, skip, passes, stall=0.4)


@INTAKES
def test_rate(intake, config, skip):
    """An entry a cycle: of a bus of words one cycle later, else in the same cycle."""
    spad, moved = play(intake, config, skip, [(7, entries_of(random.Random(1), 40, 0.0))])
    first = moved[4] if intake is IfmapEntries else moved[1] + 1
    assert spad.times == list(range(first, first + 40))


def test_words_of_zeros():
    """Each leaves in a cycle, and so does an entry that is not zero."""
    entries = [0] * 40 + [0, 0, 5, 0] * 10
    spad, moved = play(SkippingIfmapWords, SKIPPING, 1, [(7, entries)])
    assert moved == list(range(len(moved))) and len(moved) == 1 + 20
    assert spad.times == list(range(moved[11] + 1, moved[11] + 11))
