"""Coded words to items, and how long each of these is under way, in the run-length decoder."""

import random

import pytest

from hdl.isa import Error
from hdl.memory.load.rlc.items import WordItems
from hdl.memory.load.rlc.walk import ItemWalk
from tests.hdl.streams import holds, idle, receive, run, send, shared

PAIRS = 3


def random_strips(rng, count):
    """(words, whether it is its command's last) of strips; a word: (pairs, marked, bad)."""
    for n in range(count):
        size = rng.choice((0, 1, 1, 2, 5, 9))
        words = []
        for k in range(size):
            pairs = [
                (rng.randrange(32), rng.choice((0, rng.getrandbits(16)))) for _ in range(PAIRS)
            ]
            wrong = rng.random() < 0.1
            words.append((pairs, (k == size - 1) != wrong, rng.random() < 0.1))
        yield words, n % 3 == 2


def word_of(pairs, marked, bad):
    data = sum((level << 5 | run_) << 21 * n for n, (run_, level) in enumerate(pairs))
    return dict(data=data | marked << 63, bad=bad)


def items_of(words, count, last):
    """Items of a strip of `count` words of four entries."""
    head = dict(words=count, last=last)
    if not words:
        return [dict(levels={}, total=0, first=1, final=1, flaw=Error.NONE) | head]
    items = []
    for n, (pairs, marked, bad) in enumerate(words):
        levels, at = {}, 0
        for run_, level in pairs:
            at += run_
            if level:
                levels[at] = level
            at += 1
        final = n == len(words) - 1
        flaw = Error.READ_RESPONSE if bad else Error.RLC_STREAM if marked != final else Error.NONE
        items.append(dict(levels=levels, total=at, first=n == 0, final=final, flaw=flaw) | head)
    return items


def plain(item):
    levels = {item.place[n]: item.level[n] for n in range(PAIRS) if item.some >> n & 1}
    names = ("total", "first", "final", "words", "last", "flaw")
    return dict(levels=levels) | {name: item[name] for name in names}


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_items(stall):
    """Of every word, and of a strip without any; without stalls one a cycle, a cycle later."""
    rng, dut = random.Random(5), shared(WordItems)
    strips = list(random_strips(rng, 30))
    heads = [dict(coded=len(w), words=n + 1, last=last) for n, (w, last) in enumerate(strips)]
    words = [word_of(*word) for words, _ in strips for word in words]
    want = [i for n, (w, last) in enumerate(strips) for i in items_of(w, n + 1, last)]
    got, times = [], []

    async def take(ctx):
        await receive(ctx, dut.items, len(want), got, stall=stall, times=times)
        await idle(ctx, 3)
        assert ctx.get(dut.idle) and not ctx.get(dut.items.valid)

    run(
        dut,
        lambda ctx: send(ctx, dut.strips, heads, stall=stall),
        lambda ctx: send(ctx, dut.coded, words, stall=stall),
        take,
        background=[holds(dut.items)],
    )
    assert [plain(item) for item in got] == want
    if not stall:
        assert times == list(range(2, 2 + len(want)))


def test_idle():
    """Also while a strip waits for its words; not while one without words does."""
    dut = shared(WordItems)

    async def main(ctx):
        ctx.set(dut.strips.valid, 1)
        ctx.set(dut.strips.p.coded, 2)
        await idle(ctx, 3)
        assert ctx.get(dut.idle)
        ctx.set(dut.strips.p.coded, 0)
        assert not ctx.get(dut.idle)
        await ctx.tick()
        ctx.set(dut.strips.valid, 0)
        assert ctx.get(dut.items.valid) and not ctx.get(dut.idle)

    run(dut, main)


def random_items(rng, count):
    """Items of strips: entries of each, words of four entries of its strip, first, final, last."""
    for n in range(count):
        totals = [rng.choice((3, 3, 4, 5, 8, 12, 30)) for _ in range(rng.randint(1, 8))]
        totals = [[0], [3], [4], [0]][n] if n < 4 else totals
        words = max(-(-sum(totals) // 4), sum(totals[:-1]) // 4 + 1) + 2 * (n % 3 == 0)
        for k, total in enumerate(totals):
            ends = dict(first=k == 0, final=k == len(totals) - 1)
            yield dict(total=total, words=words, last=n % 3 == 2, flaw=Error.NONE) | ends


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_walk(stall):
    """An item is under way for as many words as it makes known, the last of a strip for those that
    are left, or for one cycle; the next one comes as it goes."""
    rng, dut = random.Random(6), shared(ItemWalk)
    items = list(random_items(rng, 20))

    async def main(ctx):
        to_come, item, offering = list(items), None, False
        left = known = last = 0  # words of the strip; entries kept, and of the item
        while to_come or item:
            free = rng.random() >= stall
            offering = bool(to_come) and (offering or rng.random() >= stall)
            ctx.set(dut.free, free)
            ctx.set(dut.items.valid, offering)
            if offering:
                ctx.set(dut.items.payload, to_come[0])
            ctx.set(dut.behind, left != 1 and rng.randrange(2))

            offers = item and (item["final"] or known >= 4)
            emit = bool(offers and free)
            done = emit and left == 1
            goes = bool(item) and (done if item["final"] else known - 4 * emit < 4)
            take = offering and (item is None or goes)
            now, told, idle_, error = (
                await ctx.tick().sample(dut.now, dut.last, dut.idle, dut.error)
            )[2:]
            assert (now.emit, now.done, now.consume, now.take) == (emit, done, goes, take)
            assert idle_ == (item is None) and told == last and error == Error.NONE
            left, known = left - emit, known - 4 * emit
            last = (done and item["last"]) if emit else last
            if goes:
                known, item = 0 if item["final"] else known, None
            if take:
                assert now.offset == known
                item, offering = to_come.pop(0), False
                known += item["total"]
                left = item["words"] if item["first"] else left

    run(dut, main)
