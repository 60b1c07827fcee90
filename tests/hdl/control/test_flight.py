"""What is remembered of the commands under way."""

import random
from collections import deque

import pytest

from hdl.control.flight import EarlyFlight, Flight
from tests.hdl.streams import run, shared

KINDS = pytest.mark.parametrize("kind", [Flight, EarlyFlight])
SLOW = 2  # cycles that an engine takes at least, where the notes are registers


@KINDS
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_flight(kind, depth, stall):
    """Every command's gift two cycles after its `done`, or `freed`; the oldest one's index."""
    dut, rng = shared(kind, depth), random.Random(f"{depth} {stall}")
    early, count = kind is EarlyFlight, 60
    notes = [dict(signal=rng.getrandbits(18), index=rng.getrandbits(26)) for _ in range(count)]
    gifts, begun_at = deque([0, 0]), []

    async def main(ctx):
        begun = freed = done = now = 0
        offering, done_before = False, False
        while done < count:
            offering = begun < count and (offering or rng.random() >= stall)
            ctx.set(dut.begun.valid, offering)
            if offering:
                ctx.set(dut.begun.payload, notes[begun])

            # An engine is done with what it has had for a while; early it frees before.
            old = done < begun and now - begun_at[done] > SLOW + depth
            ends = old and (not early or freed > done) and rng.random() >= stall
            frees = early and freed < begun and now - begun_at[freed] > SLOW + depth
            frees = frees and rng.random() >= stall
            ctx.set(dut.done, ends)
            ctx.set(dut.freed, frees if early else rng.random() < 0.5)

            ready, give, index, active, holds = (
                await ctx.tick().sample(dut.begun.ready, dut.give, dut.index, dut.active, dut.holds)
            )[2:]
            which, happens = (freed, frees) if early else (done, ends)
            gifts.append(notes[which]["signal"] if happens else 0)
            assert give == gifts.popleft(), now
            left = done - done_before  # a command shows until the cycle after its `done`
            assert holds == (begun > left)
            if active:
                assert index == notes[left]["index"]
            if old or begun == left:
                assert active == (begun > left)
            if offering and ready:
                begun_at.append(now)
                begun, offering = begun + 1, False
            done, freed, done_before = done + ends, freed + frees, ends
            now += 1

        ctx.set(dut.done, 0)
        ctx.set(dut.freed, 0)
        for _ in range(4):
            give, holds = (await ctx.tick().sample(dut.give, dut.holds))[2:]
            gifts.append(0)
            assert give == gifts.popleft()
        assert not holds

    run(dut, main)


@KINDS
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_full(kind, depth):
    """So many commands, and no more before one is done."""
    dut = shared(kind, depth)

    async def main(ctx):
        ctx.set(dut.begun.valid, 1)
        taken = 0
        for _ in range(4 * depth + 4):
            taken += (await ctx.tick().sample(dut.begun.ready))[2]
        assert taken == depth

    run(dut, main)
