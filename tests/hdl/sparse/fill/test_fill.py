"""SPARSE_FILL against the loops of isa.SparseFillBody, beside a model of the global buffer."""

import random

import pytest

from hdl.config import PRESETS
from hdl.isa import Target
from hdl.sparse.fill.fill import SparseFiller
from tests.hdl.streams import Buffer, holds, idle, run, send, shared

PES = 8
CONFIG = PRESETS["tiny"].replace(sparse_pes=PES)
GROUPS = PES // 4
FIELDS = dict(target=0, word=0, pe=0, pes=1, address=0, count=1, half=0)
# Where a word's lane comes from; the rest from `data`.
FIELD = {Target.CODEBOOK: "code", Target.ACCUMULATORS: "psum", Target.ACTIVATIONS: "entry"}


def low(word, n, bits):
    return word >> n * bits & (1 << bits) - 1


def loops(buffer, target, word, pe, pes, address, count, half):
    """(reads, writes): a step writes {PE: (target, address, data)}."""
    reads, writes = [], []
    if target in (Target.WEIGHTS, Target.POINTERS):
        for n in range(pes):
            for index in range(count):
                writes.append({pe + n: (target, address + index, buffer.word(word + len(reads)))})
                reads.append(word + len(reads))
    elif target == Target.CODEBOOK:
        for index in range(count):
            for lane in range(4):  # an entry at a time
                at, entry = 4 * (address + index) + lane, low(buffer.word(word + index), lane, 16)
                writes.append(dict.fromkeys(range(PES), (target, at, entry)))
                reads.append(word + index)
    else:
        wide = target == Target.ACCUMULATORS
        first = address + (CONFIG.sparse_activations if half and not wide else 0)
        for index in range(count):
            for group in range(GROUPS):
                at = word + len(reads) * (2 if wide else 1)
                both = buffer.word(at) | buffer.word(at + 1) << 64
                writes.append(
                    {
                        4 * group + lane: (
                            target,
                            first + index,
                            low(both, lane, 32 if wide else 16),
                        )
                        for lane in range(4)
                    }
                )
                reads.append(at)
    return reads, writes


def play(commands, stall, seed=1):
    """Runs commands; returns the cycles of the writes and of `done`, each in order."""
    dut, buffer = shared(SparseFiller, CONFIG), Buffer(random.Random(seed), stall)
    commands = [FIELDS | fields for fields in commands]
    expected = [loops(buffer, **fields) for fields in commands]
    steps = [step for _, writes in expected for step in writes]
    got, times, done = [], [], []

    async def watch(ctx):
        now = 0
        async for _, _, pulse, *fills in ctx.tick().sample(dut.done, *dut.fills):
            step = {}
            for n, fill in enumerate(fills):
                if fill.targets:
                    assert fill.targets.bit_count() == 1
                    target = Target(fill.targets.bit_length() - 1)
                    step[n] = (target, fill.address, getattr(fill, FIELD.get(target, "data")))
            if step:
                got.append(step)
                times.append(now)
            if pulse:
                done.append((now, len(got)))
            now += 1

    async def main(ctx):
        await send(ctx, dut.command, commands, stall=stall / 2, rng=random.Random(seed))
        while len(done) < len(commands):
            await ctx.tick()
        await idle(ctx, 20)

    run(dut, main, background=[buffer.reader(dut.glb), holds(dut.glb.request), watch])
    assert got == steps
    assert buffer.reads == [a for reads, _ in expected for a in reads]
    assert buffer.answered == len(buffer.reads)
    ends = [sum(len(writes) for _, writes in expected[: n + 1]) for n in range(len(expected))]
    # `done` comes with the write of its command's last word, which the next cycle reads.
    assert done == [(times[end - 1], end) for end in ends]
    return times


EACH = {
    "weights": [
        dict(target=0, word=10, pe=0, pes=PES, address=0, count=5),
        dict(target=0, word=3, pe=5, pes=2, address=60, count=4),
        dict(target=0, word=77, pe=7, count=64),
    ],
    "pointers": [
        dict(target=1, word=21, pe=0, pes=PES, address=0, count=3),
        dict(target=1, word=9, pe=3, pes=1, address=2, count=30),
        dict(target=1, word=0, pe=6, pes=2),
    ],
    "codebook": [
        dict(target=2, word=5, address=0, count=4),
        dict(target=2, word=6, address=2, count=2, pes=8),
        dict(target=2, word=7, address=3, pe=3),
    ],
    "accumulators": [
        dict(target=3, word=2, address=0, count=16),
        dict(target=3, word=40, address=3, count=2),
        dict(target=3, word=8, address=15, count=1, half=1),
    ],
    "activations": [
        dict(target=4, word=1, address=0, count=16, half=0),
        dict(target=4, word=33, address=9, half=1),
        dict(target=4, word=2, address=0, count=16, half=1),
        dict(target=4, word=2, address=15),
    ],
}
EACH["the last words of the buffer"] = [
    dict(target=0, word=1020, pes=1, count=4),
    dict(target=4, word=1022),
]


def random_commands(rng, count):
    out = []
    for _ in range(count):
        target = rng.choice(list(Target))
        room = {Target.WEIGHTS: 64, Target.POINTERS: 32, Target.CODEBOOK: 4}.get(target, 16)
        address = rng.randrange(room)
        pe = rng.randrange(PES)
        out.append(
            dict(
                target=target,
                word=2 * rng.randrange(400),
                pe=pe,
                pes=rng.randint(1, PES - pe),
                address=address,
                count=rng.randint(1, min(10, room - address)),
                half=rng.randrange(2),
            )
        )
    return out


@pytest.mark.parametrize("name", EACH)
def test_targets_one_word_a_cycle(name):
    """Without stalls a word a cycle, and two cycles lost between commands."""
    times = play(EACH[name], 0.0)
    steps = [len(loops(Buffer(random.Random(1), 0), **FIELDS | fields)[1]) for fields in EACH[name]]
    wanted, at = [], times[0]
    for count in steps:
        wanted += range(at, at + count)
        at += count + 2
    assert times == wanted


@pytest.mark.parametrize("stall", [0.2, 0.5, 0.8])
def test_random_commands_with_gaps(stall):
    play(random_commands(random.Random(stall), 40), stall)
