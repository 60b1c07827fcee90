"""ConfigWalk and its parts: the tags of every PE, against docs/architecture.md."""

import random

import pytest

from hdl.array.config_walk import ConfigWalk
from hdl.array.segment_room import SegmentRoom
from hdl.array.tag_walk import TagWalk
from hdl.config import PRESETS
from hdl.isa import Mode
from tests.hdl.streams import run, shared

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "two": PRESETS["tiny"].replace(rows=1, columns=2),
    "segments": PRESETS["tiny"].replace(rows=3, columns=8, segment=6),
}


def tags_of(config, body):
    """(tags of every PE, None if it has none; whether all logical columns have found a place)."""
    tags, at = [None] * config.pes, 0
    height, groups, sets = body["height"], body["groups"], body["sets"]
    column, spread = height * groups, sets if body["depthwise"] else groups
    for i in range(body["rows"]):
        for g in range(sets):
            if config.segment and at % config.segment + column > config.segment:
                at += config.segment - at % config.segment
            for n in range(column):
                if at + n >= config.pes:
                    return tags, False
                k, j = divmod(n, height)
                tags[at + n] = dict(
                    head=n == 0,
                    tail=n == column - 1,
                    ifmap=(body["stride"] * i + j) * spread + (g if body["depthwise"] else k),
                    filter=(g * groups + k) * height + j,
                    psum=i * sets + g,
                )
            at += column
    return tags, True


def random_body(rng, config):
    """Fits often, fills the array now and then."""
    limit = config.segment or config.pes
    while True:
        height, groups = rng.randint(1, 4), rng.randint(1, 3)
        sets, rows = rng.randint(1, 4), rng.randint(1, 6)
        if height * groups <= limit and height * groups * sets * rows <= 2 * config.pes:
            break
    depthwise = groups == 1 and rng.random() < 0.6
    body = dict(height=height, groups=groups, sets=sets, rows=rows, depthwise=depthwise)
    return body | dict(stride=rng.randint(1, 3), mode=rng.choice([*Mode]))


def check(seen, wanted, config):
    """What fits the tags' bits is equal."""
    assert len(seen) == len(wanted) == config.pes
    widths = dict(ifmap=config.ifmap_tag_bits, filter=config.pe_tag_bits, psum=config.pe_tag_bits)
    for tags, want in zip(seen, wanted, strict=True):
        assert tags.enable == (want is not None)
        if want is not None:
            got = {name: tags[name] for name in want}
            assert got == want | {name: want[name] % 2**bits for name, bits in widths.items()}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("stall", [0, 0.4])
def test_config_walk(name, stall):
    """All tags, once, before the command is taken; an error if there are too few PEs."""
    config, rng = CONFIGS[name], random.Random(1)
    dut, errors = shared(ConfigWalk, config), []

    async def bench(ctx):
        for _ in range(14):
            body = random_body(rng, config)
            wanted, placed = tags_of(config, body)
            ctx.set(dut.config.payload, body)
            ctx.set(dut.config.valid, 1)
            seen, cycles, taken, were_settled = [], 0, False, False
            while not taken:
                settled = stall == 0 or rng.random() >= 0.7
                ctx.set(dut.settled, settled)
                _, _, shift, tags, taken, error = await ctx.tick().sample(
                    dut.shift, dut.tags, dut.config.ready, dut.error
                )
                cycles += 1
                assert not taken or were_settled
                were_settled = len(seen) == config.pes and settled
                seen += [tags] * shift
                assert not taken or len(seen) == config.pes
                assert taken or not error
            ctx.set(dut.config.valid, 0)
            check(seen, wanted, config)
            assert error == (not placed)
            errors.append(error)
            assert ctx.get(dut.gate) == (body["mode"] == Mode.GATE)
            assert ctx.get(dut.skip) == (body["mode"] == Mode.SKIP)
            assert stall or cycles == 2 * config.pes + 3
            for _ in range(rng.randrange(3)):
                await ctx.tick()
                assert not ctx.get(dut.shift) and not ctx.get(dut.config.ready)

    run(dut, bench)
    assert 0 < sum(errors) < len(errors)


@pytest.mark.parametrize("name", CONFIGS)
def test_tag_walk(name):
    """A PE every second cycle, or more slowly; a new walk in the middle of one."""
    config, rng = CONFIGS[name], random.Random(2)
    dut = shared(TagWalk, config)

    async def bench(ctx):
        for _ in range(14):
            body = random_body(rng, config)
            wanted, placed = tags_of(config, body)
            ctx.set(dut.body, body)
            ctx.set(dut.restart, 1)
            await ctx.tick()
            ctx.set(dut.restart, 0)
            seen = []
            given_up = rng.random() < 0.2
            for _ in range(rng.randrange(config.pes) if given_up else config.pes):
                for _ in range(rng.choice([1, 1, 2, 5])):
                    await ctx.tick()
                ctx.set(dut.shift, 1)
                seen += (await ctx.tick().sample(dut.tags))[2:]
                ctx.set(dut.shift, 0)
            if not given_up:
                check(seen, wanted, config)
                assert ctx.get(dut.placed) == placed

    run(dut, bench)


def test_segment_room():
    dut, rng = shared(SegmentRoom, 6), random.Random(3)

    async def bench(ctx):
        ctx.set(dut.restart, 1)
        await ctx.tick()
        used = 0
        for _ in range(200):
            restart, shift, need = rng.random() < 0.05, rng.random() < 0.6, rng.randint(1, 9)
            ctx.set(dut.need, need)
            ctx.set(dut.restart, restart)
            ctx.set(dut.shift, shift)
            assert ctx.get(dut.fits) == (used % 6 + need <= 6)
            await ctx.tick()
            used = 0 if restart else used + shift

    run(dut, bench)
