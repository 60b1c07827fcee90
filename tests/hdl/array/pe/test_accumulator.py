"""The MAC pipeline of a PE: sums DEPTH cycles after their slots, held multipliers or not."""

import random

import pytest

from golden.fixed import wrap
from hdl.array.pe.accumulator import DEPTH, Accumulator
from hdl.timing import HAZARD
from tests.hdl.array.pe.bus import ENTRIES, PAIRS, WORDS
from tests.hdl.streams import run, shared

EXTREMES = (-(2**15), -(2**15), 2**15 - 1)
CONFIGS = {
    "one MAC": WORDS,
    "narrow psums": WORDS.replace(psum_bits=24),
    "no gating": ENTRIES.replace(gating=False),
    "pairs": PAIRS,
    "narrow pairs": PAIRS.replace(psum_bits=24),
    "pairs, no gating": PAIRS.replace(gating=False),
}
VARIANTS = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def play(config, slots, hold):
    """Issues `slots`, one a cycle (None: none): (index, first, final, last, entry, weights);
    checks every cycle's outputs."""
    dut = shared(Accumulator, config)
    bits, simd = config.psum_bits, config.simd
    psums, sums, weights, gated = {}, {}, {}, set()  # of what cycle, but the psums

    async def main(ctx):
        rng = random.Random(1)
        ctx.set(dut.hold, hold)
        for now, slot in enumerate(slots + [None] * (DEPTH + 1)):
            ctx.set(dut.issue, slot is not None)
            index, first, final, last, entry, both = slot or (0, 0, 1, 1, 0, [])
            ctx.set(dut.slot, dict(index=index, first=first, final=final, last=last))
            ctx.set(dut.entry, entry)
            if slot:
                weights[now + 2] = sum((w & 0xFFFF) << 16 * n for n, w in enumerate(both))
                before = [0] * simd if first else psums[index]
                after = [wrap(psum + entry * w, bits) for psum, w in zip(before, both, strict=True)]
                if final:
                    sums[now + DEPTH] = after, last
                    psums.pop(index, None)
                else:
                    psums[index] = after
                if hold and entry == 0 and config.gating:
                    gated.add(now + 1)
            ctx.set(dut.weights, weights.get(now, rng.getrandbits(16 * simd)))
            done, got, is_last, held = (
                await ctx.tick().sample(dut.done, dut.sums, dut.last, dut.gated)
            )[2:]
            assert held == (now in gated), now
            assert done == (now in sums), now
            if done:
                values = [wrap(got >> bits * n & (1 << bits) - 1, bits) for n in range(simd)]
                assert (values, is_last) == sums[now], now

    run(dut, main)
    assert sums


def slots_of(rng, config, count, stall):
    """Random slots: any index whose slot before is HAZARD cycles or more ago."""
    places, slots, open_ = config.psum_spad // config.simd, [], set()
    while len(slots) < count:
        recent = {slot[0] for slot in slots[-(HAZARD - 1) :] if slot}
        index = rng.choice([n for n in range(places) if n not in recent])
        if rng.random() < stall:
            slots.append(None)
            continue
        first, final = index not in open_ or rng.random() < 0.1, rng.random() < 0.3
        (open_.discard if final else open_.add)(index)
        entry = rng.choice([0, rng.choice(EXTREMES), rng.randint(-99, 99)])
        both = [rng.choice([*EXTREMES, rng.randint(-99, 99)]) for _ in range(config.simd)]
        slots.append((index, first, final, rng.random() < 0.5, entry, both))
    return slots


@VARIANTS
@pytest.mark.parametrize("hold", [0, 1])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_sums(config, hold, stall):
    """A slot a cycle or fewer, zeros among them; `gated` only if the multipliers can be held."""
    play(config, slots_of(random.Random(f"{stall}"), config, 90, stall), hold)


@VARIANTS
def test_same_psum(config):
    """The same psum again after exactly HAZARD cycles, in runs that begin and end side by side."""
    rng, slots = random.Random(1), []
    for _ in range(5):
        for turn in range(4):
            for index in range(HAZARD):
                both = [rng.randint(-(2**15), 2**15 - 1) for _ in range(config.simd)]
                slots.append((index, turn == 0, turn == 3, index == 2, rng.randint(-9, 9), both))
    play(config, slots, 1)
