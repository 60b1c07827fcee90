"""The ends of a PE's way out: where a head's psums come from, and where sums go."""

import random

import pytest

from hdl.array.pe.sums.bus_head import BusHead
from hdl.array.pe.sums.fifo_head import FifoHead
from hdl.array.pe.sums.sum_output import SumOutput
from hdl.array.pe.sums.word_output import WordOutput
from tests.hdl.array.pe.bus import ENTRIES, WORDS
from tests.hdl.streams import holds, run, run_combinational, shared

STALLS = pytest.mark.parametrize("stall", [0.0, 0.4])
BITS = WORDS.psum_bits


@STALLS
def test_fifo_head(stall):
    """Psums of every word, lowest first; a psum a cycle, the first a cycle after its word."""
    dut, rng, count = shared(FifoHead, WORDS), random.Random(1), 40
    low = (1 << BITS) - 1
    words = [
        [rng.getrandbits(BITS) - (1 << BITS - 1) for _ in range(4 if not stall else 1 + n % 4)]
        for n in range(count)
    ]
    got, taken, moved = [], [], []

    async def main(ctx):
        at = now = 0
        while len(got) < sum(map(len, words)):
            mine = at < count and rng.random() >= stall
            ctx.set(dut.match, mine)
            ctx.set(dut.due, rng.randrange(2))
            if at < count:
                data = sum((value & low) << BITS * n for n, value in enumerate(words[at]))
                ctx.set(dut.word, dict(data=data, count=len(words[at])))
            accept, there = ctx.get(dut.accept), ctx.get(dut.there)
            assert mine or accept
            fires = accept and rng.random() >= stall
            ctx.set(dut.fire, fires)
            take = there and rng.random() >= stall
            ctx.set(dut.take, take)
            if take:
                got.append(ctx.get(dut.psum))
                taken.append(now)
            if fires and mine:
                moved.append(now)
                at += 1
            await ctx.tick()
            now += 1
        ctx.set(dut.take, 0)
        ctx.set(dut.fire, 0)
        await ctx.tick()
        assert at == count and not ctx.get(dut.there)

    run(dut, main)
    assert got == [value for word in words for value in word]
    if not stall:
        assert taken == list(range(moved[0] + 1, moved[0] + 1 + 4 * count))
        assert moved[: WORDS.psum_fifo] == list(range(WORDS.psum_fifo))


def test_bus_head():
    """It accepts with a sum that is due, and has the psum that moves, in the same cycle."""
    dut, rng = BusHead(ENTRIES), random.Random(2)

    async def main(ctx):
        for n in range(64):
            match, due, fire, psum = n & 1, n >> 1 & 1, n >> 2 & 1, rng.randint(-999, 999)
            ctx.set(dut.word, dict(data=psum & (1 << BITS) - 1))
            ctx.set(dut.match, match)
            ctx.set(dut.due, due)
            ctx.set(dut.fire, fire)
            assert ctx.get(dut.accept) == (not match or due)
            assert ctx.get(dut.there) == (fire and match)
            assert ctx.get(dut.psum) == psum

    run_combinational(dut, main)


@pytest.mark.parametrize("output, config", [(SumOutput, ENTRIES), (WordOutput, WORDS)])
@pytest.mark.parametrize("tail", [0, 1])
@STALLS
def test_output(output, config, tail, stall):
    """Sums to the next PE or, of a tail, to the network, gathered there to words of a position; a
    sum a cycle, each, or a word with its last, a cycle after it came."""
    dut, rng, count = shared(output, config), random.Random(tail), 120
    sums = [(rng.getrandbits(24) - (1 << 23), n % 5 == 4 or n == count - 1) for n in range(count)]
    port, other = (dut.ofmap, dut.chain_out) if tail else (dut.chain_out, dut.ofmap)
    gathers = tail and output is WordOutput
    wanted, group = [], []
    for n, (value, last) in enumerate(sums):
        group.append(value & (1 << BITS) - 1)
        if not gathers or last or len(group) == 4:
            wanted.append((group, last if tail else None, n))
            group = []
    got, pushed, times = [], [], []

    async def main(ctx):
        ctx.set(dut.tail, tail)
        now = 0
        while len(got) < len(wanted):
            ready = rng.random() >= stall
            ctx.set(port.ready, ready)
            pushes = len(pushed) < count and rng.random() >= stall and ctx.get(dut.room)
            assert stall or len(pushed) == count or pushes
            ctx.set(dut.push, pushes)
            if pushes:
                value, last = sums[len(pushed)]
                ctx.set(dut.sum, dict(psum=value, last=last))
                pushed.append(now)
            valid, payload, wrong = (
                await ctx.tick().sample(port.valid, port.payload, other.valid)
            )[2:]
            assert not wrong
            if valid and ready:
                size = len(wanted[len(got)][0])
                data, last = (payload.data, payload.last) if tail else (payload, None)
                parts = [data >> BITS * n & (1 << BITS) - 1 for n in range(size)]
                assert not tail or gathers or payload.end == last
                got.append((parts, last))
                times.append(now)
            now += 1
        ctx.set(dut.push, 0)
        await ctx.tick()
        assert not ctx.get(port.valid)

    run(dut, main, background=[holds(port)])
    assert got == [(parts, last) for parts, last, _ in wanted]
    if not stall:
        assert times == [pushed[n] + 1 for _, _, n in wanted]
