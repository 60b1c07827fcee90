"""A PE's bytes of a record's words."""

import random

from hdl.config import PRESETS
from hdl.sparse.pe.record_part import RecordPart
from tests.hdl.streams import run, shared

CONFIG = PRESETS["tiny"].replace(sparse_pes=16)


def test_every_span():
    """Its bytes, in order, from records with gaps between their words; none of an empty span."""
    dut, rng = shared(RecordPart, CONFIG), random.Random(5)

    async def main(ctx):
        for _ in range(120):
            words = rng.randint(1, 12)
            begin = rng.randrange(8 * words + 1)
            end = rng.choice([begin, rng.randint(begin, 8 * words), 8 * words])
            ctx.set(dut.span, {"begin": begin, "end": end})
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.span, {"begin": 0, "end": 99})
            got, firsts = [], 0
            for index in range(words):
                while rng.random() < 0.3:
                    await ctx.tick()
                ctx.set(dut.record.payload, {"index": index, "value": index - 5})
                ctx.set(dut.record.valid, 1)
                _, _, own, lanes = await ctx.tick().sample(dut.own, dut.lanes)
                ctx.set(dut.record.valid, 0)
                if own:
                    inside = range(lanes.low, lanes.high if lanes.until else 8)
                    got += [8 * index + n for n in inside]
                    firsts += lanes.first
                    assert lanes.value == index - 5
            assert got == list(range(begin, end)) and firsts == (begin < end)

    run(dut, main, cycles=20_000)
