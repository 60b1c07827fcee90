"""The order of a PE's MACs, and that nothing but bubbles of short entries comes between them."""

import random
from types import SimpleNamespace

import pytest

from hdl.array.pe.mac_loop import MacLoop
from hdl.array.words import of_slots
from hdl.timing import HAZARD
from tests.hdl.array.pe.bus import ENTRIES, PAIRS
from tests.hdl.streams import run, shared

OUTPUTS = (
    "load issue index psum single last_filter take entry_end window_end pass_end active bubble "
    "last_position last_channel"
).split()
VARIANTS = pytest.mark.parametrize("config", [ENTRIES, PAIRS], ids=["one MAC", "pairs"])


def cycles(shapes):
    """Every cycle of the passes' loops if they never wait: what it is and what ends with it."""
    for slots, positions, laps, channels, _, windows in shapes:
        windows = iter(windows)
        for lap in range(laps):
            for position in range(positions):
                entries = next(windows)
                for entry in range(entries):
                    for slot in range(max(slots, HAZARD)):
                        last_entry = entry == entries - 1
                        final_entry = entry >= entries - channels
                        ends = slot == max(slots, HAZARD) - 1
                        last_position = position == positions - 1
                        yield SimpleNamespace(
                            slot=slot,
                            psum=entry % channels * slots + slot,
                            last_channel=entry % channels == channels - 1,
                            bubble=slot >= slots,
                            last_filter=slot == slots - 1,
                            last_entry=last_entry,
                            final_entry=final_entry,
                            last_position=last_position,
                            entry_end=ends,
                            window_end=ends and last_entry,
                            pass_end=ends and last_entry and last_position and lap == laps - 1,
                        )


def play(config, shapes, stall, seed):
    """Checks every output in every cycle; returns the cycles from the first load to the end."""
    dut, rng = shared(MacLoop, config), random.Random(seed)
    spent, single = 0, False

    async def main(ctx):
        nonlocal spent, single
        headers, todo = list(shapes), list(cycles(shapes))
        active, at, offered = False, 0, False
        there = filters = False
        while at < len(todo) or active:
            # A pass, an entry and filters stay until they are taken; room comes and goes.
            offered = offered or (bool(headers) and rng.random() >= stall)
            slots, positions, laps, channels, pad, _ = (
                headers[0] if offered else [*(rng.randrange(1, 9) for _ in range(4)), 0, 0]
            )
            there, filters = (one or rng.random() >= stall for one in (there, filters))
            room = rng.random() >= stall
            now = todo[at] if active else None
            last_entry, final_entry = (
                (now.last_entry, now.final_entry)
                if active and there
                else (rng.random() < 0.5, rng.random() < 0.5)
            )
            p = slots * config.simd - pad
            shape = dict(positions=positions, laps=laps, window=1, step=1, channels=channels - 1)
            ctx.set(dut.header, shape | dict(p=of_slots(p, config.simd)))
            ctx.set(dut.header_valid, offered)
            ctx.set(dut.there, there)
            ctx.set(dut.filters, filters)
            ctx.set(dut.room, room)
            ctx.set(dut.last_entry, last_entry)
            ctx.set(dut.final_entry, final_entry)
            sampled = (await ctx.tick().sample(*(getattr(dut, name) for name in OUTPUTS)))[2:]
            got = SimpleNamespace(**dict(zip(OUTPUTS, sampled)))

            able = active and there and filters and (not final_entry or room)
            moves = active and (now.bubble or able)
            assert got.active == active
            assert got.issue == (able and not now.bubble)
            for name in ("entry_end", "window_end", "pass_end"):
                assert getattr(got, name) == (moves and getattr(now, name)), (name, at)
            ends = moves and now.pass_end
            assert got.load == (offered and (ends or not active))
            assert got.take == (got.issue and now.final_entry)
            assert not active or got.bubble == now.bubble
            if got.issue:
                wanted = now.slot, now.psum, now.last_filter, single and now.last_filter
                assert (got.index, got.psum, got.last_filter, got.single) == wanted, at
            if got.entry_end:
                assert got.last_position == now.last_position, at
                assert got.last_channel == now.last_channel, at
                there = False
            spent += active
            at += moves
            if ends:
                active = filters = False
            if got.load:
                active, offered, single = True, False, p % config.simd
                headers.pop(0)

    run(dut, main)
    return spent


def shapes_of(rng, config, count):
    """Random passes, every second depthwise: slots of an entry, positions, laps, channels, whether
    the second of one pair is padding, entries of each window."""
    most = config.psum_spad // config.simd
    for n in range(count):
        channels = rng.randint(1, most) if n % 2 else 1
        slots, pad = rng.randint(1, most // channels), rng.randrange(config.simd)
        positions, laps = rng.randint(1, 4), rng.randint(1, 3)
        windows = [channels * rng.randint(1, 3) for _ in range(positions * laps)]
        yield slots, positions, laps, channels, pad, windows


@VARIANTS
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_order(config, stall):
    """Filters, channels, entries, windows and laps, in this order, whatever it waits for."""
    play(config, list(shapes_of(random.Random(f"{stall}"), config, 7)), stall, 1)


@VARIANTS
@pytest.mark.parametrize("slots", range(1, 9))
def test_rate(config, slots):
    """A slot a cycle over entries, windows, laps and passes; HAZARD cycles for fewer slots."""
    shapes = [
        (slots, 1, 1, 1, 0, [1]),
        (slots, 2, 2, 1, 0, [1, 2, 3, 1]),
        (slots, 3, 1, 1, 0, [1, 1, 2]),
    ]
    assert play(config, shapes, 0.0, 1) == 12 * max(slots, HAZARD)


@VARIANTS
@pytest.mark.parametrize("channels", [2, 3, 4, 8])
def test_depthwise_rate(config, channels):
    """HAZARD cycles an entry, whatever the channels."""
    shapes = [(1, 3, 2, channels, config.simd - 1, [2 * channels] * 6)] * 2
    assert play(config, shapes, 0.0, 1) == 2 * 12 * channels * HAZARD
