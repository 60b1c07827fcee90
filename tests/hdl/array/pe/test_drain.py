"""The way out of a PE: sums, and the psums that they are added to, in all its roles."""

import random

import pytest

from golden.fixed import wrap
from hdl.array.pe.drain import Drain
from tests.hdl.array.pe.bus import ENTRIES, PAIRS, WORDS
from tests.hdl.streams import holds, run, shared

CONFIGS = {
    "four lanes": WORDS,
    "four lanes, narrow psums": WORDS.replace(psum_bits=24, psum_drain=5),
    "one lane": ENTRIES,
    "one lane, two places": ENTRIES.replace(psum_drain=2),
    "pairs": PAIRS.replace(psum_drain=6, psum_bits=24),
    "pairs, one place": PAIRS.replace(psum_drain=2),
}
ROLES = pytest.mark.parametrize("head, tail", [(0, 0), (0, 1), (1, 0), (1, 1)])
VARIANTS = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def grouped(rng, values, lanes, ragged):
    while values:
        count = rng.randint(1, lanes) if rng.random() < ragged else lanes
        yield values[:count]
        values = values[count:]


def play(config, head, tail, places, *, stall=0.0, single=0):
    """Puts sums of so many places through, of which every third has but one if `single`; returns
    the cycles of writes and of outputs."""
    dut, rng = shared(Drain, config), random.Random(f"{head} {tail} {stall}")
    bits, simd, four = config.psum_bits, config.simd, config.psum_lanes == 4
    low = (1 << bits) - 1

    def psum():
        return rng.choice([-(1 << bits - 1), (1 << bits - 1) - 1, rng.randint(-999, 999)])

    # Of two sums the second may be none.
    counts = [simd if n % 3 or single == 0 else 1 for n in range(places)]
    sums = [([psum() for _ in range(k)], n in (0, 5, places - 1)) for n, k in enumerate(counts)]
    psums = [psum() for _ in range(sum(counts))]
    flat = [
        (v, last and n == len(values) - 1) for values, last in sums for n, v in enumerate(values)
    ]
    results = [(wrap(a + b, bits) & low, last) for (a, last), b in zip(flat, psums, strict=True)]
    wanted, group = [], []
    for value, last in results:
        group.append(value)
        if not tail or not four or last or len(group) == 4:
            wanted.append((group, last))
            group = []
    words = list(grouped(rng, psums, 4 if four else 1, stall)) if head else []
    chain = [] if head else list(psums)
    taken = written = left = at = 0  # places; psums that have left them; words that came out
    writes, outputs = [], []
    offered, valid = False, False  # a word on the bus; a psum in the chain
    port, other = (dut.ofmap, dut.chain_out) if tail else (dut.chain_out, dut.ofmap)

    async def main(ctx):
        nonlocal taken, written, left, at, offered, valid
        ctx.set(dut.head, head)
        ctx.set(dut.tail, tail)
        for now in range(places * simd * 7 + 40):
            ready = rng.random() >= stall
            ctx.set(port.ready, ready)
            valid = bool(chain) and (valid or rng.random() >= stall)
            ctx.set(dut.chain_in.valid, valid or head)  # a head takes none
            ctx.set(dut.chain_in.payload, chain[0] if valid else rng.getrandbits(24))
            offered = bool(words) and (offered or rng.random() >= stall)
            if offered:
                word = sum((value & low) << bits * n for n, value in enumerate(words[0]))
                count = {"count": len(words[0])} if four else {}
                ctx.set(dut.word, dict(data=word) | count)
            write = written < taken and rng.random() >= stall
            ctx.set(dut.write, write)
            if write:
                values, last = sums[written]
                ctx.set(dut.single, len(values) < simd)
                values = [*values, -1][:simd]
                ctx.set(dut.sums, sum((value & low) << bits * n for n, value in enumerate(values)))
                ctx.set(dut.last, last)
                writes.append(now)
            take = ctx.get(dut.room) and taken < places and rng.random() >= stall
            ctx.set(dut.take, take)
            ctx.set(dut.match, offered)
            fire = offered and ctx.get(dut.accept) and rng.random() >= stall
            ctx.set(dut.fire, fire)
            shown, payload, wrong, chained = (
                await ctx.tick().sample(port.valid, port.payload, other.valid, dut.chain_in.ready)
            )[2:]
            assert not wrong, "an output of another role"
            assert not (head and chained), "a psum of the chain is taken"
            if shown and ready:
                assert at < len(wanted), "one too many"
                values, last = wanted[at]
                if tail:
                    assert payload.last == last
                    payload = payload.data
                got = [payload >> bits * n & low for n in range(len(values))]
                assert got == values, at
                at += 1
                outputs.append(now)
            if fire:
                words.pop(0)
                offered = False
            if valid and chained:
                chain.pop(0)
                valid = False
            written += write
            taken += take
        assert (taken, written, at) == (places, places, len(wanted))
        assert not words and not chain and not ctx.get(port.valid)

    run(dut, main, background=[holds(port)])
    return writes, outputs


@VARIANTS
@ROLES
def test_sums(config, head, tail):
    """Every sum with its psum, in order, whatever waits for what, and nothing more."""
    play(config, head, tail, 11, stall=0.4, single=config.simd - 1)


@VARIANTS
@ROLES
def test_rate(config, head, tail):
    """Two cycles from `write` to the output, or to a tail's word with its last sum; a sum a cycle
    where the buffer has the places that are under way."""
    places = 13
    writes, outputs = play(config, head, tail, places)
    assert outputs[0] == writes[0] + 2
    if config.drain_depth > 4:
        assert outputs[-1] == outputs[0] + places * config.simd - 1
