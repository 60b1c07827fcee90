"""The buses of the input networks."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.array.gin import XBus
from hdl.lib.stream.fork import Fork
from tests.hdl.streams import holds, run, send, shared

WORD = data.StructLayout({"data": 12, "tag": 3})


class Rows(wiring.Component):
    """A Y-bus and two X-buses of three PEs; PE n of row r has tag r + n and room where `room`
    says."""

    input: In(stream.Signature(WORD))
    room: In(6)
    word_0: Out(WORD)
    word_1: Out(WORD)
    fire: Out(6)
    load: Out(2)
    accept: Out(6)

    def elaborate(self, platform):
        m = Module()
        m.submodules.y = y = Fork(WORD, 2)
        wiring.connect(m, wiring.flipped(self.input), y.input)
        for r, word in enumerate((self.word_0, self.word_1)):
            m.submodules[f"x_{r}"] = x = XBus(WORD, 3)
            wiring.connect(m, getattr(y, f"output_{r}"), x.input)
            for n in range(3):
                m.d.comb += x.accept[n].eq((x.word.tag != r + n) | self.room[3 * r + n])
            m.d.comb += [
                word.eq(x.word),
                self.fire[3 * r : 3 * r + 3].eq(x.fire),
                self.load[r].eq(x.load),
                self.accept[3 * r : 3 * r + 3].eq(x.accept),
            ]
        return m


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
def test_rows(stall):
    rng = random.Random(7)
    items = [dict(data=n, tag=rng.randrange(8)) for n in range(120)]  # tags 4..7: nobody's
    items[10:20] = [dict(data=n, tag=7) for n in range(10, 20)]
    dut = shared(Rows)
    seen, times = [[] for _ in range(6)], [[] for _ in range(6)]

    async def watch(ctx):
        for now in range(len(items) + 4 if not stall else 3000):
            ctx.set(dut.room, sum((rng.random() >= stall) << n for n in range(6)))
            _, _, fire, accept, room, *words = await ctx.tick().sample(
                dut.fire, dut.accept, dut.room, dut.word_0, dut.word_1
            )
            assert not fire & ~accept
            for n in range(6):
                r, column = divmod(n, 3)
                if fire >> n & 1:
                    word = words[r]
                    assert word.tag != r + column or room >> n & 1
                    seen[n].append((word.data, word.tag))
                    times[n].append(now)

    run(
        dut,
        lambda ctx: send(ctx, dut.input, items, stall=stall / 2),
        watch,
        background=[holds(dut.input)],
    )
    wanted = [(i["data"], i["tag"]) for i in items]
    for n in range(6):
        assert seen[n] == wanted  # once each, in order, nothing more
        if not stall:
            assert times[n] == list(range(1, len(items) + 1))  # one a cycle, latency 1


def test_a_pe_takes_its_word_once_though_another_waits():
    """PE 0 of row 0 has no room for a word of its tag; the others have seen it by then."""
    dut, fires = shared(Rows), []

    async def watch(ctx):
        ctx.set(dut.room, 0b111110)
        for now in range(10):
            if now == 6:
                ctx.set(dut.room, 0b111111)
            _, _, fire, load = await ctx.tick().sample(dut.fire, dut.load)
            fires.append((fire & 7, load & 1))

    run(dut, watch, lambda ctx: send(ctx, dut.input, [dict(data=1, tag=0)]))
    took = [(now, fire) for now, (fire, _) in enumerate(fires) if fire]
    assert took == [(1, 0b110), (6, 0b001)]
    assert [load for _, load in fires[1:7]] == [0, 0, 0, 0, 0, 1]


def test_nobody_waits_for_words_of_others():
    """PEs without room hold back only their own words; the bus takes two behind it."""
    dut = shared(Rows)
    seen = []

    async def watch(ctx):
        ctx.set(dut.room, 0)
        for _ in range(12):
            _, _, fire, word = await ctx.tick().sample(dut.fire, dut.word_1)
            if fire >> 3 & 1:
                seen.append(word.data)
        assert seen == [0, 1, 2]
        assert not ctx.get(dut.input.ready)
        ctx.set(dut.room, 0b111111)

    # tag 1 is PE 0 of row 1; words before it belong to nobody
    run(
        dut,
        watch,
        lambda ctx: send(ctx, dut.input, [dict(data=n, tag=1 if n == 3 else 7) for n in range(9)]),
    )


def test_x_bus_alone_keeps_up_with_a_receiver_that_starts_late():
    dut, out = XBus(WORD, 1), []

    async def watch(ctx):
        await ctx.tick().repeat(6)
        assert not ctx.get(dut.input.ready)  # two words deep
        ctx.set(dut.accept, 1)
        for _ in range(20):
            _, _, fire, word = await ctx.tick().sample(dut.fire, dut.word)
            out.append(word.data if fire else None)

    run(dut, watch, lambda ctx: send(ctx, dut.input, [dict(data=n, tag=0) for n in range(20)]))
    assert out == list(range(20))
