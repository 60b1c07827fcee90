"""Which words of the buses are a PE's own."""

import random

import pytest

from hdl.array.pe.tag_match import TagMatch
from tests.hdl.array.pe.bus import ENTRIES, WORDS
from tests.hdl.streams import run, shared

NETS = ("ifmap", "filter", "psum")


@pytest.mark.parametrize("load", [0.4, 1.0], ids=["stalls", "a word a cycle"])
@pytest.mark.parametrize("config", [WORDS, ENTRIES], ids=["words", "entries"])
def test_matches(config, load):
    """One cycle after the word, and held until the next; tags move with `shift` alone."""
    dut, rng = shared(TagMatch, config), random.Random(f"{load}")

    async def main(ctx):
        tags, before, match = None, None, dict.fromkeys(NETS, 0)
        for now in range(400):
            shift = now % 8 == 0
            if shift:
                before = tags = {name: rng.randrange(2) for name in ("head", "tail", *NETS)} | dict(
                    enable=rng.random() < 0.8
                )
            ctx.set(dut.shift, shift)
            ctx.set(dut.tags_in, before if shift else dict(enable=1, head=1, tail=1))
            for net in NETS:
                tag, header = rng.randrange(2), rng.random() < 0.3
                moves = not shift and rng.random() < load
                word = dict(tag=tag, data=rng.getrandbits(16))
                if net == "ifmap":
                    word["header"] = header
                ctx.set(getattr(dut, f"{net}_next"), word)
                ctx.set(getattr(dut, f"{net}_load"), moves)
                if moves:
                    mine = tag == tags[net] or (net == "ifmap" and header)
                    mine = mine and (net != "psum" or tags["head"])
                    match[net] = int(tags["enable"] and mine)
            await ctx.tick()
            for net in NETS:
                assert ctx.get(getattr(dut, f"{net}_match")) == match[net], (net, now)
            held = ctx.get(dut.tags)
            assert {name: held[name] for name in tags} == tags

    run(dut, main)
