"""The loops of a fill, and what deals its words out."""

import random

import pytest

from hdl.config import PRESETS
from hdl.isa import Target
from hdl.sparse.fill.deal import FillDemultiplexer
from hdl.sparse.fill.walk import FillWalk
from tests.hdl.sparse.fill.test_fill import FIELDS, random_commands
from tests.hdl.sparse.flow import flow
from tests.hdl.streams import run, shared

CONFIG = PRESETS["tiny"].replace(sparse_pes=8)
GROUPED = Target.ACCUMULATORS, Target.ACTIVATIONS


def steps(target, word, pe, pes, address, count, half):
    """isa.SparseFillBody's loops."""
    coded, wide = target == Target.CODEBOOK, target == Target.ACCUMULATORS
    first = address + CONFIG.sparse_activations * (half and target == Target.ACTIVATIONS)
    if target in GROUPED:
        walk = [(first + index, group) for index in range(count) for group in range(2)]
    elif coded:
        walk = [(4 * address + index, 0) for index in range(4 * count)]
    else:
        walk = [(address + index, pe + other) for other in range(pes) for index in range(count)]
    return [
        {
            "word": word + (n // 4 if coded else 2 * n if wide else n),
            "note": {
                "target": target,
                "select": select,
                "address": index,
                "last": n == len(walk) - 1,
            },
        }
        for n, (index, select) in enumerate(walk)
    ]


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
def test_walk(stall):
    """All loops; a step a cycle, two cycles lost between commands."""
    dut = shared(FillWalk, CONFIG)
    commands = [FIELDS | fields for fields in random_commands(random.Random(9), 30)]
    walks = [steps(**command) for command in commands]
    wanted = [step for walk in walks for step in walk]
    into, out = flow(dut, dut.command, commands, [dut.step], [len(wanted)], stall=stall)
    assert out.payloads == wanted
    if not stall:
        times, at = [], out.times[0]
        for walk in walks:
            times += range(at, at + len(walk))
            at += len(walk) + 2
        assert out.times == times and out.times[0] == into.times[0] + 2


def test_deal():
    """Each word to its PE, its four, or all of them, a cycle later."""
    dut, rng = shared(FillDemultiplexer, CONFIG), random.Random(3)

    async def main(ctx):
        for _ in range(200):
            target, come = rng.choice(list(Target)), rng.random() < 0.7
            note = {
                "target": target,
                "select": rng.randrange(2 if target in GROUPED else 8),
                "address": rng.randrange(16),
                "last": rng.randrange(2),
            }
            words = rng.getrandbits(128)
            ctx.set(dut.come, come)
            ctx.set(dut.note, note)
            ctx.set(dut.words, words)
            await ctx.tick()
            assert ctx.get(dut.done) == (come and note["last"])
            for n in range(8):
                fill = ctx.get(dut.fills[n])
                own = note["select"] == (n // 4 if target in GROUPED else n)
                taken = come and (target == Target.CODEBOOK or own)
                assert fill.targets == taken << target
                assert fill.address == note["address"]
                assert fill.data == words & 2**64 - 1
                assert fill.psum == words >> 32 * (n % 4) & 2**32 - 1
                assert fill.entry == words >> 16 * (n % 4) & 0xFFFF
                assert fill.code == words >> 16 * (note["address"] % 4) & 0xFFFF

    run(dut, main)
