"""The parts of the SDRAM controller, each alone: with random stalls or orders, and without."""

import random

import pytest

from fpga.memory.ram import DECERR
from fpga.memory.sdram.access import Access
from fpga.memory.sdram.burst_tracker import BurstTracker
from fpga.memory.sdram.command_pins import CommandPins
from fpga.memory.sdram.command_timers import CommandTimers
from fpga.memory.sdram.open_rows import OpenRows
from fpga.memory.sdram.read_path import ReadPath
from fpga.memory.sdram.refresh_counter import MOST, RefreshCounter
from fpga.memory.sdram.sdram_timing import PARTS
from fpga.memory.sdram.upkeep import REFRESHES, Upkeep
from fpga.memory.sdram.words import (
    ACTIVE,
    AHEAD,
    BURST,
    MODE,
    NOP,
    PRECHARGE,
    READ,
    REFRESH,
    WRITE,
)
from fpga.memory.sdram.write_path import WritePath
from tests.fpga.memory.test_sdram import SMALL
from tests.hdl.streams import holds, idle, receive, run, send, shared

PART = PARTS["32MB-7"]


@pytest.mark.parametrize("mhz, delay", [(25, 0), (80, 2), (133, 1)])
def test_timers(mhz, delay):
    """Each `may` comes one cycle before the cycle in which the data sheet allows the command."""
    timing = PART.cycles(mhz * 1_000_000)
    dut, rng = shared(CommandTimers, timing, delay), random.Random(mhz)
    opened = {PRECHARGE: timing.rp, REFRESH: timing.rfc, MODE: timing.mrd, ACTIVE: timing.rrd}
    row = {ACTIVE: max(timing.ras, timing.rc - timing.rp)}
    written, slot = {WRITE: BURST - 1 + timing.wr}, {READ: BURST, WRITE: BURST}
    waits = {  # each is for the last of its commands
        "may_open": [opened],
        "may_close": [row, written, slot],
        "may_move": [{ACTIVE: timing.rcd}, slot],
        "may_write": [{READ: timing.cas + delay + BURST + 1}],
    }

    async def bench(ctx):
        given = []
        for now in range(600):
            command = rng.choice([NOP] * 9 + [ACTIVE, READ, WRITE, PRECHARGE, REFRESH, MODE])
            ctx.set(dut.issue, command)
            given.append((now, command))
            await ctx.tick()
            for name, each in waits.items():
                ends = [
                    next((at + cycles[code] for at, code in given[::-1] if code in cycles), 0)
                    for cycles in each
                ]
                assert ctx.get(getattr(dut, name)) == (max(ends) <= now + 2)

    run(dut, bench)


@pytest.mark.parametrize("stall", [0, 0.6])
def test_tracker(stall):
    bits = 22
    dut, rng = shared(BurstTracker, bits), random.Random(2)
    bursts = [
        dict(address=rng.randrange(1 << 26) << 3, length=rng.choice([0, 1, 5, 30, 255]))
        for _ in range(40)
    ]
    bursts = [burst | dict(address=burst["address"] & (1 << 32) - 1) for burst in bursts]

    async def steps(ctx):
        for burst in bursts:
            word = burst["address"] >> 3
            while not ctx.get(dut.busy):
                await ctx.tick()
            await ctx.tick()
            over = (word % 512 + burst["length"]) >> 9
            assert ctx.get(dut.bad) == bool(word >> bits or over)
            for n in range(burst["length"] + 1):
                at = word & ~511 | (word + n) % 512
                assert ctx.get(dut.at) == at % (1 << bits)
                last = n == burst["length"]
                assert ctx.get(dut.busy) and ctx.get(dut.last) == (
                    (word + n) % 512 == (word + burst["length"]) % 512
                )
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.step, 1)
                ctx.set(dut.ends, last)
                await ctx.tick()
                ctx.set(dut.step, 0)
                if not last:  # `last` is of the word before for a cycle
                    await ctx.tick()
            assert not ctx.get(dut.busy)

    run(dut, steps, lambda ctx: send(ctx, dut.address, bursts, stall=stall))


@pytest.mark.parametrize("period", [3, 10])
def test_refresh_counter(period):
    dut, rng = shared(RefreshCounter, period), random.Random(3)

    async def bench(ctx):
        due, beats = 0, []
        for now in range(400):
            refreshed = due > 0 and 150 < now and rng.random() < 0.5
            ctx.set(dut.refreshed, refreshed)
            beat = ctx.get(dut.beat)
            beats.extend([now] if beat else [])
            owed = due != 0
            due += (beat and due < MOST) - refreshed
            await ctx.tick()
            assert ctx.get(dut.owed) == owed
        assert {after - before for before, after in zip(beats, beats[1:])} == {period}

    run(dut, bench)


def test_upkeep():
    """Power-up, a refresh in rp + rfc + 1 cycles, and a reset that comes later."""
    timing = SMALL.cycles(80_000_000)
    dut = shared(Upkeep, timing)
    log = []

    async def watch(ctx):
        now, timer = 0, 0
        while True:
            code = ctx.get(dut.issue)
            if code != NOP:
                log.append((now, code, ctx.get(dut.all_banks), ctx.get(dut.refreshed)))
                timer = {PRECHARGE: timing.rp, REFRESH: timing.rfc, MODE: timing.mrd}[code]
            ctx.set(dut.beat, now % 7 == 0)
            await ctx.tick()
            now, timer = now + 1, max(0, timer - 1)
            ctx.set(dut.may_open, timer <= 1)

    async def bench(ctx):
        ctx.set(dut.may_close, 1)
        await ctx.tick().until(dut.over)
        codes = [code for _, code, *_ in log]
        assert codes == [PRECHARGE] + [REFRESH] * REFRESHES + [MODE]
        assert not ctx.get(dut.initial) and not any(owed for *_, owed in log)
        log.clear()
        await idle(ctx, 5)
        assert log == []
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        cycles, over = 0, False
        while not over:
            _, _, over = await ctx.tick().sample(dut.over)
            cycles += 1
        assert cycles == timing.rp + timing.rfc + 1
        assert [what[1:] for what in log] == [(PRECHARGE, 1, 0), (REFRESH, 0, 1)]

    run(dut, bench, background=[watch])


def test_open_rows():
    dut, rng = shared(OpenRows, 11), random.Random(4)

    async def bench(ctx):
        rows = {}
        for _ in range(400):
            what = rng.choice(["look", "look", "opens", "closes", "closes_all"])
            bank, row = rng.randrange(4), rng.randrange(3)
            ctx.set(dut.bank, bank)
            ctx.set(dut.row, row)
            ctx.set(getattr(dut, what), 1)
            await ctx.tick()
            ctx.set(getattr(dut, what), 0)
            if what == "opens":
                rows[bank] = row
            elif what == "closes":
                rows.pop(bank, None)
            elif what == "closes_all":
                rows.clear()
                continue
            assert ctx.get(dut.is_open) == (bank in rows)
            assert ctx.get(dut.hit) == (rows.get(bank) == row)

    run(dut, bench)


@pytest.mark.parametrize("stall", [0, 0.5])
def test_write_path(stall):
    """Four pieces with their masks, a word every four cycles, an answer a burst."""
    dut, rng = shared(WritePath), random.Random(5)
    words = [
        dict(data=rng.getrandbits(64), strobe=rng.choice([255, rng.randrange(256)]))
        for _ in range(30)
    ]
    places = [dict(last=rng.random() < 0.4, bad=rng.random() < 0.3) for _ in words]
    pieces, sent, answers = [], [], []

    async def sends(ctx):
        now = 0
        for place in places:
            while not ctx.get(dut.there) or not ctx.get(dut.free) or rng.random() < stall:
                await ctx.tick()
                now += 1
            ctx.set(dut.place, place)
            ctx.set(dut.sends, 1)
            sent.append(now)
            await ctx.tick()
            ctx.set(dut.sends, 0)
            await idle(ctx, BURST - 1)
            now += BURST
        await idle(ctx, 4)

    async def watch(ctx):
        async for _, _, driven, data, masked in ctx.tick().sample(dut.dq_oe, dut.dq_o, dut.dqm):
            if driven:
                pieces.append((data, masked))
            else:  # else the part could not read
                assert masked == 0 or not pieces

    async def answer(ctx):
        await receive(ctx, dut.response, None, answers, stall=stall)

    run(
        dut,
        sends,
        lambda ctx: send(ctx, dut.data, words),
        background=[watch, answer, holds(dut.response)],
    )
    want = [
        (word["data"] >> 16 * n & 0xFFFF, 3 if place["bad"] else ~word["strobe"] >> 2 * n & 3)
        for word, place in zip(words, places)
        for n in range(BURST)
    ]
    assert pieces == want
    assert answers == [DECERR * place["bad"] for place in places if place["last"]]
    if not stall:
        assert [after - before for before, after in zip(sent, sent[1:])] == [BURST] * 29


@pytest.mark.parametrize("latency", [2, 5])
@pytest.mark.parametrize("stall", [0, 0.6])
def test_read_path(latency, stall):
    """Words in order, AHEAD of them at most, one every four cycles, six after the first piece."""
    dut, rng = shared(ReadPath, latency), random.Random(6)
    words = [rng.getrandbits(64) for _ in range(30)]
    places = [dict(last=rng.random() < 0.4, bad=rng.random() < 0.3) for _ in words]
    on_pins, asked, got, times = {}, [], [], []

    async def reads(ctx):
        now = 0
        for word, place in zip(words, places):
            while not ctx.get(dut.room) or rng.random() < stall / 2:
                await ctx.tick()
                now += 1
            assert len(asked) - len(got) <= AHEAD
            asked.append(now)
            on_pins.update((now + latency + 1 + n, word >> 16 * n & 0xFFFF) for n in range(BURST))
            ctx.set(dut.place, place)
            ctx.set(dut.reads, 1)
            await ctx.tick()
            ctx.set(dut.reads, 0)
            await idle(ctx, BURST - 1)
            now += BURST

    async def part(ctx):
        now = 0
        while True:
            ctx.set(dut.dq_i, on_pins.get(now, rng.getrandbits(16)))
            await ctx.tick()
            now += 1

    async def take(ctx):
        await receive(ctx, dut.data, len(words), got, stall=stall, times=times)
        ctx.set(dut.data.ready, 1)
        for _ in range(20):
            assert not (await ctx.tick().sample(dut.data.valid))[2]

    run(dut, reads, take, background=[part, holds(dut.data)])
    assert [(word.data, word.last, word.resp) for word in got] == [
        (0 if place["bad"] else word, place["last"], DECERR * place["bad"])
        for word, place in zip(words, places)
    ]
    if not stall:
        assert [after - before for before, after in zip(asked, asked[1:])] == [BURST] * 29
        assert [time - 1 for time in times] == [at + latency + 1 + 5 for at in asked]


def test_command_pins():
    dut, rng = shared(CommandPins, SMALL, 3), random.Random(7)

    async def bench(ctx):
        for _ in range(200):
            at = dict(column=rng.randrange(128), bank=rng.randrange(4), row=rng.randrange(1 << 11))
            hit, initial, everyone = (rng.random() < 0.5 for _ in range(3))
            is_open, issue = hit or rng.random() < 0.5, rng.randrange(8)
            for name, value in dict(
                at=at, hit=hit, is_open=is_open, initial=initial, all_banks=everyone, issue=issue
            ).items():
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            assert ctx.get(dut.command) == issue
            assert ctx.get(dut.ba) == (0 if initial else at["bank"])
            where = 2 | 3 << 4 if initial else at["column"] << 2 if hit else at["row"]
            ten = everyone or (at["row"] >> 10 & 1 and not initial and not is_open)
            assert ctx.get(dut.a) == where & 0x3FF | ten << 10

    run(dut, bench)


@pytest.mark.parametrize("stall", [0, 0.5])
def test_access(stall):
    """ACTIVE before the first word of a row, PRECHARGE before another row, a word every four cycles
    while the row is hit; a write only with a word and room for its answer; upkeep when owed."""
    dut, rng = shared(Access, SMALL), random.Random(8)
    rows = {}
    log = []

    async def bench(ctx):
        now = 0
        looked = None
        ctx.set(dut.over, 1)
        await ctx.tick()
        ctx.set(dut.over, 0)
        for name in ("may_open", "may_close", "may_move", "may_write"):
            ctx.set(getattr(dut, name), 1)
        while len(log) < 120:
            for name in ("can_read", "word_there", "answer_free", "may_write", "may_move"):
                ctx.set(getattr(dut, name), rng.random() >= stall)
            ctx.set(dut.owed, rng.random() < stall / 20)
            for kind, row in (("read", 1), ("write", 2)):
                ctx.set(getattr(dut, f"{kind}_busy"), bool(stall) or kind == "read")
                ctx.set(getattr(dut, f"{kind}_at"), (row if stall else 1) << 9 | now % 128)
            issue, at = ctx.get(dut.issue), ctx.get(dut.at)
            if ctx.get(dut.look):
                looked = at
                where = rows.get(at.bank)
                opened, hit = where is not None, where == at.row
            elif issue == ACTIVE:
                assert at.bank not in rows and ctx.get(dut.opens)
                rows[at.bank], opened, hit = at.row, True, True
            elif issue == PRECHARGE:
                assert rows.pop(at.bank) != at.row and ctx.get(dut.closes)
                opened, hit = False, False
            elif issue in (READ, WRITE):
                assert rows[at.bank] == at.row and at == looked
                assert ctx.get(dut.reads) == (issue == READ)
                assert issue == READ or (ctx.get(dut.word_there) and ctx.get(dut.writes))
                log.append((now, issue))
            if ctx.get(dut.begin):
                rows.clear()
                ctx.set(dut.over, 1)
            await ctx.tick()
            now += 1
            if looked is not None:
                ctx.set(dut.is_open, opened)
                ctx.set(dut.hit, hit)

    run(dut, bench)
    if stall:
        assert {issue for _, issue in log} == {READ, WRITE}
    else:
        assert {after[0] - before[0] for before, after in zip(log, log[1:])} == {4}
